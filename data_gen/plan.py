"""What to ask next, and what has been accepted so far: a run's work, whatever sends it.

Acceptance is counted in the order of the indices, not of the answers: an index counts once all before it are known.
So which documents make up the first `target` accepted ones depends on the answers alone, not on when they came.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from data_gen.answer import Answer, read_answer
from data_gen.assignment import Assignment
from data_gen.examine import Examiner, Finding
from data_gen.factors import Sampler
from data_gen.recipe import Recipe
from data_gen.render import render
from data_gen.request import Request
from tsjax.corpus.duplicates import normal_hash

AHEAD = 20_000  # how far behind the first unknown index others may be asked; bounds the memory
LEAST_SHARE = 0.05  # of answers that are accepted, where that share is used to guess how many to ask for
DUPLICATE, GAVE_UP = "duplicate", "gave_up"

Judged = Callable[[Assignment, Finding], None]


def items(recipe: Recipe) -> int:
    """Documents that one answer is asked for: 1, or more of packed ones."""
    return next((step.checks.get("items", 1) for step in recipe.steps if step.name == recipe.shape.text), 1)


class Plan:
    """Requests for the documents of a recipe, until `target` are accepted or `candidates` indices were asked.

    patient: ask no more than could still be needed if all answers on their way were good, so that none is paid for
             in vain; else (batches, whose answers come late) as many as the share of good ones so far makes likely.
    judged:  is told of every answer; an assignment is `done` when its last one came.
    """

    def __init__(
        self, recipe: Recipe, sampler: Sampler, model: str, *, target: int, candidates: int,
        overrides: Mapping[str, Any] | None = None, patient: bool = True, ahead: int = AHEAD, judged: Judged | None = None,
    ):  # fmt: skip
        self.recipe, self.sampler, self.model, self.overrides = recipe, sampler, model, overrides or {}
        self.target, self.candidates, self.patient, self.ahead = target, candidates, patient, ahead
        self.judged = judged
        self.items = items(recipe)
        self.examiner = Examiner(recipe)
        self.accepted = 0  # documents, in order
        self.reasons: Counter[str] = Counter()  # why indices gave none
        self._assigned: dict[int, Assignment] = {}
        self._known: dict[int, tuple[int, ...]] = {}  # at or behind the frontier; hashes of the accepted texts
        self._good = 0  # texts in those
        self._frontier = self._next = 0
        self._texts: set[int] = set()
        self._again: deque[int] = deque()  # indices whose next request waits to be taken

    @property
    def open(self) -> int:
        """Documents that wait for an answer."""
        return len(self._assigned)

    @property
    def good(self) -> int:
        """Accepted documents, those that an unknown index stands before included."""
        return self.accepted + self._good

    @property
    def known(self) -> int:
        """Documents that are accepted or not, for good."""
        return self._frontier + len(self._known)

    @property
    def finished(self) -> bool:
        return not self._assigned and (self.accepted >= self.target or self.exhausted)

    @property
    def exhausted(self) -> bool:
        """Whether no new document can be asked for."""
        return self._next_index() >= self.candidates

    def take(self) -> Request | None:
        """The next request, or None: nothing to ask before more answers have come."""
        if self._again:
            return self._request(self._again.popleft())
        index = self._next_index()
        if self._enough() or index >= self.candidates or index - self._frontier >= self.ahead:
            return None
        self._assigned[index] = Assignment(self.recipe, self.examiner, self.sampler, index)
        return self._request(index)

    def claim(self, request: Request) -> None:
        """A request is on its way already, in a batch that outlived the process that sent it."""
        if request.index in self._again:
            self._again.remove(request.index)
        elif request.index >= self._frontier and request.index not in self._known:
            self._assigned.setdefault(
                request.index, Assignment(self.recipe, self.examiner, self.sampler, request.index)
            )

    def put_back(self, request: Request) -> None:
        """Takes back a request that was not sent, to be taken again."""
        if request.index in self._assigned:
            self._again.append(request.index)

    def answered(self, request: Request, answer: Answer) -> None:
        """Takes in an answer that is safe on disk; a second one to the same request changes nothing."""
        if self._advance(request.index, request.step, request.sample, answer):
            self._again.append(request.index)

    def gave_up(self, request: Request, why: str) -> None:
        """There will be no answer: the document counts as not accepted, until the run is resumed."""
        if self._assigned.pop(request.index, None):
            self.reasons[f"{GAVE_UP}: {why}"] += 1
            self._pass(request.index, ())

    def restore(self, rows: Iterable[Mapping[str, Any]]) -> int:
        """Takes in the raw answers of this run, before anything is asked; returns how many there were."""
        count = 0
        for row in rows:
            index, count = row["index"], count + 1
            if index >= self._frontier and index not in self._known:
                if index not in self._assigned:
                    self._assigned[index] = Assignment(self.recipe, self.examiner, self.sampler, index)
                self._advance(index, row["step"], row["sample"], read_answer(row["body"], row["params"]))
        self._again.extend(sorted(self._assigned))
        return count

    def _enough(self) -> bool:
        share = float(self.items)
        if not self.patient and self.known:
            share = max(LEAST_SHARE, self.good / self.known)
        return self.good + self.open * share >= self.target

    def _next_index(self) -> int:
        self._next = max(self._next, self._frontier)
        while self._next in self._assigned or self._next in self._known:
            self._next += 1
        return self._next

    def _request(self, index: int) -> Request:
        assignment = self._assigned[index]
        return render(
            self.recipe, assignment.step, assignment.factors, assignment.texts,
            index=index, sample=assignment.sample, model=self.model, overrides=self.overrides,
        )  # fmt: skip

    def _advance(self, index: int, step: int, sample: int, answer: Answer) -> bool:
        """Whether the document now waits for another answer."""
        assignment = self._assigned.get(index)
        if assignment is None or not assignment.wants(step, sample):
            return False
        finding = assignment.add(answer)
        if self.judged:
            self.judged(assignment, finding)
        if not assignment.done:
            return True
        del self._assigned[index]
        if finding.reason:
            self.reasons[finding.reason] += 1
        self._pass(index, tuple(normal_hash(one.text) for one in assignment.documents))
        return False

    def _pass(self, index: int, texts: tuple[int, ...]) -> None:
        self._known[index] = texts
        self._good += len(texts)
        while self._frontier in self._known:
            for text in self._known.pop(self._frontier):
                self._good -= 1
                if text in self._texts:
                    self.reasons[DUPLICATE] += 1
                else:
                    self._texts.add(text)
                    self.accepted += 1
            self._frontier += 1
