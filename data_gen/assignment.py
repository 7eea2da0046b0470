"""An assignment: the document that one index is to become, from its first request until it is accepted or no good."""

from typing import Any

from data_gen.answer import Answer
from data_gen.examine import Examiner, Finding
from data_gen.recipe import Recipe


class Assignment:
    """A step whose answer is no good is asked again, `recipe.redraws` times at most.

    step, sample: of the request whose answer it waits for.
    texts:        step name -> clean text of its accepted answer.
    findings:     of every answer, in order.
    """

    def __init__(self, recipe: Recipe, examiner: Examiner, factors: dict[str, Any]):
        self.recipe, self.examiner, self.factors = recipe, examiner, factors
        self.step = self.sample = 0
        self.texts: dict[str, str] = {}
        self.findings: list[Finding] = []
        self.done = False

    @property
    def accepted(self) -> bool:
        return self.done and not self.findings[-1].reason

    def wants(self, step: int, sample: int) -> bool:
        """Whether it waits for the answer to this request."""
        return not self.done and (step, sample) == (self.step, self.sample)

    def add(self, answer: Answer) -> Finding:
        """Examines the answer to the request it waits for, and moves on."""
        finding = self.examiner.examine(self.step, self.factors, answer, self.texts)
        self.findings.append(finding)
        if finding.reason:
            self.sample += 1
            self.done = self.sample > self.recipe.redraws
        else:
            self.texts[self.recipe.steps[self.step].name] = finding.text
            self.step, self.sample = self.step + 1, 0
            self.done = self.step == len(self.recipe.steps)
        return finding
