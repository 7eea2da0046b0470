"""An assignment: the document that one index is to become, from its first request until it is accepted or no good."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from data_gen.answer import Answer
from data_gen.examine import Examiner, Finding
from data_gen.factors import Sampler
from data_gen.recipe import Recipe

NOTHING: Mapping[str, str] = MappingProxyType({})


class Assignment:
    """After an answer that is no good the document is begun anew, as another sample, `recipe.redraws` times at most.

    step, sample: of the request whose answer it waits for.
    texts:        step name -> clean text of its accepted answer.
    documents:    findings on the accepted documents, once it is done: one, several of a packed answer, or none.
    """

    __slots__ = ("documents", "done", "examiner", "index", "recipe", "sample", "sampler", "step", "texts")

    def __init__(self, recipe: Recipe, examiner: Examiner, sampler: Sampler, index: int):
        self.recipe, self.examiner, self.sampler, self.index = recipe, examiner, sampler, index
        self.step = self.sample = 0
        self.texts: Mapping[str, str] = NOTHING
        self.documents: tuple[Finding, ...] = ()
        self.done = False

    @property
    def factors(self) -> dict[str, Any]:
        """What is drawn for the document: made anew each time, since hundreds of thousands may wait for batches."""
        return self.sampler.draw(self.index)

    def wants(self, step: int, sample: int) -> bool:
        """Whether it waits for the answer to this request."""
        return not self.done and (step, sample) == (self.step, self.sample)

    def add(self, answer: Answer) -> Finding:
        """Examines the answer to the request it waits for, and moves on."""
        step = self.recipe.steps[self.step]
        finding = self.examiner.examine(self.step, self.factors, answer, self.texts)
        if finding.reason:
            self.step, self.sample, self.texts, self.documents = 0, self.sample + 1, NOTHING, ()
            self.done = self.sample > self.recipe.redraws
        else:
            self.texts = {**self.texts, step.name: finding.text}
            if step.name == self.recipe.shape.text:
                self.documents = finding.documents
            self.step += 1
            self.done = self.step == len(self.recipe.steps)
        return finding
