"""The judge's work: one judgement after another, from its first request to its grades, whatever sends them.

A judgement that can't be read is asked for once more, from the beginning. What then has no grades is kept as a grade
without scores that says why: nothing is dropped. `retry` asks for these as often again, by the next sample numbers, so that
the raw answers alone tell how often that was done.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data_gen.answer import STOP, Answer, read_answer
from data_gen.request import Request
from eval import rubric
from eval.docket import Item
from eval.records import STORY, Grade
from eval.verdict import Unreadable, Verdict, read_grades, read_json

AGAIN = 1  # more tries at a judgement whose answer can't be read
NO_ANSWER = "no answer"


@dataclass
class Sitting:
    """One item's judgement as it goes. `step`, `sample`: of the request whose answer it waits for."""

    step: int = 0
    sample: int = 0
    assessment: str = ""
    verdict: Verdict | None = None
    why: str = NO_ANSWER
    done: bool = False
    cost: int = 0  # picodollars, of all answers
    request: str = ""  # id of the one that decided


class JudgeWork:
    """Requests for the items of a docket (a `Work` of `data_gen.engine`, and of its batches).

    recipe: hash of all that decides the questions; `steps`: parameters of each turn's request.
    asks:   prompt id -> what was asked for. `judge`: how grades call the judge.
    judged: is told of every answer, whether it could be read.
    """

    def __init__(
        self, items: Sequence[Item], *, recipe: str, model: str, mode: str, steps: Sequence[Mapping[str, Any]],
        asks: Mapping[str, Mapping[str, Any]], judge: str = "", judged: Callable[[bool], None] | None = None,
    ):  # fmt: skip
        self.items, self.recipe, self.model, self.mode, self.steps = items, recipe, model, mode, steps
        self.asks, self.judge, self.judged = asks, judge, judged
        self.sittings: dict[int, Sitting] = {}
        self.settled = self.fenced = self.unreadable = 0  # items; answers that came in a fence, or can't be read
        self.reasons: Counter[str] = Counter()  # why items have no grades
        self._next = 0
        self._again: deque[int] = deque()  # items whose next request waits to be taken

    @property
    def finished(self) -> bool:
        return self.settled == len(self.items)

    def take(self) -> Request | None:
        """The next request, or None: nothing to ask before more answers have come."""
        if self._again:
            return self.request(self._again.popleft())
        while self._next in self.sittings:
            self._next += 1
        if self._next >= len(self.items):
            return None
        self.sittings[self._next] = Sitting()
        return self.request(self._next)

    def claim(self, request: Request) -> None:
        """A request is on its way already, in a batch that outlived the process that sent it."""
        if request.index in self._again:
            self._again.remove(request.index)
            return
        sitting = self._sitting(request.index)
        if sitting.done and (request.step, request.sample) == (sitting.step, sitting.sample):  # `retry` asked for it
            self._reopen(sitting)

    def put_back(self, request: Request) -> None:
        """Takes back a request that was not sent, to be taken again."""
        if not self._sitting(request.index).done:
            self._again.append(request.index)

    def answered(self, request: Request, answer: Answer) -> None:
        """Takes in an answer that is safe on disk; a second one to the same request changes nothing."""
        if self._advance(request.index, request.step, request.sample, answer, request.id):
            self._again.append(request.index)

    def gave_up(self, request: Request, why: str) -> None:
        """There will be no answer in this process: no grades. What was answered before is kept, and the next one goes on."""
        sitting = self._sitting(request.index)
        if not sitting.done:
            sitting.why = f"gave up: {why}"
            self._settle(sitting)

    def restore(self, rows: Iterable[Mapping[str, Any]]) -> int:
        """Takes in the raw answers of this run, before anything is asked; returns how many there were."""
        count = 0
        for row in rows:
            count += 1
            answer = read_answer(row["body"], row["params"])
            self._advance(row["index"], row["step"], row["sample"], answer, row["id"])
            self._sitting(row["index"]).cost += row["cost"]
        self._again.extend(sorted(index for index, sitting in self.sittings.items() if not sitting.done))
        return count

    def retry(self) -> int:
        """Asks again for all that is settled without grades; to be called after `restore`. Returns how many that are."""
        again = [index for index, sitting in sorted(self.sittings.items()) if sitting.done and sitting.verdict is None]
        for index in again:
            self._reopen(self.sittings[index])
        self._again.extend(again)
        return len(again)

    def grades(self) -> list[Grade]:
        """One for each item, by model, prompt, k and repeat."""
        made = [self._grade(item, self.sittings.get(n, Sitting())) for n, item in enumerate(self.items)]
        return sorted(made, key=lambda g: (g.anchor, g.model, g.prompt_id, g.k, g.completion, g.repeat))

    def request(self, index: int) -> Request:
        """What is to be asked next about an item."""
        item, sitting = self.items[index], self._sitting(index)
        params = dict(self.steps[sitting.step])
        if self.mode == rubric.CALIBRATED:
            messages, schema = rubric.calibrated(item.completion, item.repeat, self._asked(item))
            params["schema"] = schema
        else:
            messages = rubric.paper(item.completion, sitting.assessment if sitting.step else None)
        return Request(self.recipe, index, sitting.step, sitting.sample, self.model, messages, params)

    def _asked(self, item: Item) -> Mapping[str, Any]:
        return self.asks.get(item.completion.prompt_id, {})

    def _sitting(self, index: int) -> Sitting:
        return self.sittings.setdefault(index, Sitting())

    def _advance(self, index: int, step: int, sample: int, answer: Answer, request: str) -> bool:
        """Whether the item now waits for another answer."""
        sitting = self._sitting(index)
        if (step, sample) != (sitting.step, sitting.sample) or (sitting.done and sitting.verdict):
            return False
        if sitting.done:  # an answer that `retry` asked for
            self._reopen(sitting)
        sitting.request = request
        try:
            sitting.verdict = self._read(self.items[index], sitting, answer)
            sitting.why = ""
        except Unreadable as why:
            self.unreadable += 1
            sitting.why = str(why)
            sitting.step, sitting.sample, sitting.assessment = 0, sample + 1, ""
            if sitting.sample % (AGAIN + 1) == 0:
                self._settle(sitting)
        else:
            sitting.step += 1
            if sitting.step == len(self.steps):
                self._settle(sitting)
        if self.judged:
            self.judged(not sitting.why)
        return not sitting.done

    def _read(self, item: Item, sitting: Sitting, answer: Answer) -> Verdict | None:
        """The verdict in an answer; None after the paper's first turn, which has none."""
        if answer.finish != STOP:
            raise Unreadable(f"the answer ended by {answer.finish}")
        names = rubric.dimensions(item.completion.kind, self.mode)
        if self.mode == rubric.CALIBRATED:
            verdict = read_json(answer.text, names, list(rubric.constraints(self._asked(item))))
            self.fenced += verdict.fenced
            sitting.assessment = verdict.assessment
            return verdict
        if sitting.step == 0:
            sitting.assessment = answer.text.strip()
            return None
        return read_grades(answer.text, names)

    def _settle(self, sitting: Sitting) -> None:
        sitting.done = True
        self.settled += 1
        if sitting.why:
            self.reasons[sitting.why] += 1

    def _reopen(self, sitting: Sitting) -> None:
        sitting.done = False
        self.settled -= 1
        self.reasons[sitting.why] -= 1

    def _grade(self, item: Item, sitting: Sitting) -> Grade:
        one, verdict = item.completion, sitting.verdict if sitting.done else None
        return Grade(
            one.id, one.model, one.prompt_id, one.k, item.repeat, self.judge,
            dict(verdict.scores) if verdict else None, verdict.age if verdict else "", item.anchor,
            "" if verdict else sitting.why or NO_ANSWER, sitting.assessment, sitting.request, sitting.cost,
            verdict.split_ok if verdict and one.kind == STORY else None, dict(verdict.met) if verdict else {},
        )  # fmt: skip
