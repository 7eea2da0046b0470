"""A run of the judge: completions of all models and anchors -> grades, in a run folder as `tsjax generate` has it.

The grades are made from the raw answers alone, so scoring them again asks nobody.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from data_gen import job as jobs
from data_gen.asking import Asking
from data_gen.capabilities import profile
from data_gen.engine import worst_cost
from data_gen.estimate import EITHER_WAY, filler
from data_gen.job import Job
from data_gen.prices import about_tokens
from data_gen.raw import read
from data_gen.senders import Sender
from eval import rubric
from eval.anchors import check
from eval.docket import Docket
from eval.judge_work import AGAIN, JudgeWork, Sitting
from eval.records import Grade, read_lines, write_lines
from tsjax.atomic import sha256_json
from tsjax.errors import UserError

GRADES = "grades.jsonl"
SAMPLE = 2_000  # judgements whose requests are rendered for an estimate
WORDY = {rubric.CALIBRATED: ((60, 130),), rubric.PAPER: ((80, 180), (15, 30))}  # tokens of an answer: (least, likely)


@dataclass(frozen=True, kw_only=True)
class Judging(Job):
    """What a user orders of `tsjax judge`. A second judge is another order, in another folder.

    mode:           calibrated (one call, strict JSON) or paper (assessment, then grades).
    repeats:        judgements of each completion; `anchor_repeats` of each anchor.
    """

    kind: ClassVar[str] = "judging"
    verb: ClassVar[str] = "tsjax judge"
    ended: ClassVar[tuple[str, ...]] = ("grades", "missing", "unanswered", "fenced", "unreadable", "anchor_verdict")

    docket: Docket
    mode: str = rubric.CALIBRATED
    repeats: int = 3
    anchor_repeats: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mode not in rubric.MODES:
            raise UserError(expected=f"a mode of {', '.join(rubric.MODES)}", found=repr(self.mode), todo="choose one")
        for name in ("repeats", "anchor_repeats"):
            if getattr(self, name) < 1:
                raise UserError(expected=f"{name} of at least 1", found=str(getattr(self, name)), todo="choose another")

    @property
    def judge(self) -> str:
        """How grades call it."""
        return f"{self.model} {self.mode} {rubric.VERSION}"

    def identity(self) -> dict[str, Any]:
        return {
            "rubric": rubric.VERSION,
            "rubric_hash": rubric.fingerprint(),
            "mode": self.mode,
            "repeats": self.repeats,
            "anchor_repeats": self.anchor_repeats,
            "seed": self.seed,
            "model": self.model,
            "overrides": dict(self.overrides),
            **self.docket.identity(),
        }

    def about(self) -> dict[str, Any]:
        docket = self.docket
        judgements = len(docket.completions) * self.repeats + len(docket.anchors) * self.anchor_repeats
        return {"judge": self.judge, "judgements": judgements}

    def params(self) -> Sequence[Mapping[str, Any]]:
        """Of each turn. A model that can do without reasoning does: grades are short, and its limit covers both."""
        common: dict[str, Any] = {"temperature": 1.0}
        if "none" in profile(self.model, self.models).effort:
            common["effort"] = "none"
        if self.mode == rubric.CALIBRATED:
            common["schema"] = rubric.schema(rubric.dimensions(rubric.STORY, self.mode))
        return [{**common, "max_output_tokens": most, **self.overrides} for most in rubric.TOKENS[self.mode]]

    def settings(self) -> dict[str, Any]:
        return {name: value for name, value in super().settings().items() if name != "docket"}

    def work(self, judged: Callable[[bool], None] | None = None) -> JudgeWork:
        return JudgeWork(
            self.docket.items(self.seed, self.repeats, self.anchor_repeats), recipe=sha256_json(self.identity())[:32],
            model=self.model, mode=self.mode, steps=self.params(), asks=self.docket.asks, judge=self.judge, judged=judged,
        )  # fmt: skip

    @classmethod
    def of(cls, out: Path, **changed: Any) -> "Judging":
        """The order of the run in `out`, with what the user changes now. UserError where there is none."""
        settings = dict(jobs.load(out, cls)["order"])
        for name in ("prices", "models", "replay"):
            settings[name] = settings[name] and Path(settings[name])
        return cls(**{**settings, "docket": Docket.load(out), **changed})


class JudgeRun(Asking):
    """A run folder of the judge at work. retry: what has answers that can't be read is asked for again, too."""

    def __init__(self, out: Path, order: Judging, sender: Sender | None = None, retry: bool = False):
        self.order, self.retry = order, retry
        self.work = order.work()
        super().__init__(out, order, sender)

    def restore(self) -> int:
        self.order.docket.save(self.out)
        count = self.work.restore(read(self.out))
        if self.retry:
            self.work.retry()
        self.work.judged = self.answer_judged
        return count

    async def run(self) -> dict[str, Any]:
        """Asks until every judgement is made, or something stops it; writes the grades. Returns the manifest.

        `manifest["stopped"]` says why it ended: `engine.DONE`, CAP, `senders.WAITING`, a breaker's sentence, or what
        `stop` was given.
        """
        try:
            why = await self.send(self.work)
        finally:
            await self.close()
        return self.ended(why, **scored(self.out, self.order))

    def progress(self) -> tuple[int, int, str]:
        settled, wanted, lost = self.work.settled, len(self.work.items), self.work.reasons.total()
        return settled, wanted, f"{settled:,}/{wanted:,} judgements" + (f", {lost:,} without grades" if lost else "")


def judge_run(out: Path, order: Judging, sender: Sender | None = None, retry: bool = False) -> list[Grade]:
    """Judges, or goes on with what was left, and returns a grade for each judgement, those without scores included."""
    with JudgeRun(out, order, sender, retry) as going:
        asyncio.run(going.run())
    return grades_of(out, order)


def grades_of(out: Path, order: Judging | None = None) -> list[Grade]:
    """The grades of the raw answers in `out`, made anew; nobody is asked."""
    return _scored_work(out, order or Judging.of(out)).grades()


def scored(out: Path, order: Judging | None = None) -> dict[str, Any]:
    """Writes grades.jsonl from the raw answers in `out`; what the manifest tells of them. Nobody is asked."""
    order = order or Judging.of(out)
    work = _scored_work(out, order)
    grades = work.grades()
    write_lines(out / GRADES, grades)
    verdict = check(grades, order.docket.anchors) if order.docket.anchors else None
    return {
        "grades": len(grades),
        "missing": dict(_missing(grades)),
        "unanswered": len(work.items) - work.settled,
        "fenced": work.fenced,
        "unreadable": work.unreadable,
        "anchor_verdict": verdict.as_dict() if verdict else None,
    }


def problems(out: Path) -> list[str]:
    """What is wrong with the grades in `out`, besides what `data_gen.verify` finds, a line each. Nobody is asked."""
    if "stopped" not in jobs.load(out, Judging):
        return []  # its grades are made at its end
    if not (out / GRADES).exists():
        return [f"{GRADES}: none, though the judging has ended"]
    same = list(read_lines(out / GRADES, Grade)) == grades_of(out)
    return [] if same else [f"{GRADES}: not what the raw answers say; the same tsjax judge makes it anew"]


def name_of(manifest: Mapping[str, Any]) -> str:
    """How the grades of a run call its judge."""
    return f"{manifest['model']} {manifest['mode']} {manifest['rubric']}"


def _scored_work(out: Path, order: Judging) -> JudgeWork:
    work = order.work()
    work.restore(read(out))
    return work


def _missing(grades: Sequence[Grade]) -> dict[str, int]:
    found: dict[str, int] = {}
    for grade in grades:
        if grade.scores is None:
            found[grade.why] = found.get(grade.why, 0) + 1
    return found


@dataclass(frozen=True)
class JudgeEstimate:
    """Money in picodollars. `calls`: if every answer can be read; `most_calls`, `worst`: if each is asked for again.

    low, likely, high: if every answer can be read and is short, as expected, or as long as its limit.
    """

    judgements: int
    calls: int
    most_calls: int
    input_tokens: int
    output_tokens: int
    low: int
    likely: int
    high: int
    worst: int


def judge_estimate(order: Judging, out: Path | None = None, retry: bool = False) -> JudgeEstimate:
    """What an order will cost, from the requests that it will send; those of judgements that `out` has are not, but with
    `retry` those of answers that can't be read. No network."""
    work, price = order.work(), order.price
    if out and out.exists():
        work.restore(read(out))
        if retry:
            work.retry()
    remain = [n for n in range(len(work.items)) if not (n in work.sittings and work.sittings[n].done)]
    count = min(len(remain), SAMPLE)
    if not count:
        return JudgeEstimate(*[0] * 9)
    given = made = low = likely = high = worst = 0.0
    for n in range(count):
        index = remain[n * len(remain) // count]
        for step, (least, middle) in enumerate(WORDY[order.mode]):
            work.sittings[index] = Sitting(step, assessment=filler(WORDY[order.mode][0][1]) if step else "")
            request = work.request(index)
            tokens = about_tokens("".join(m["content"] for m in request.messages)) + 4 * len(request.messages)
            tokens += about_tokens(str(request.params.get("schema") or ""))
            most = request.params["max_output_tokens"]
            given, made = given + tokens, made + min(middle, most)
            low += tokens * (1 - EITHER_WAY) * price.input + min(least, most) * price.output
            likely += tokens * price.input + min(middle, most) * price.output
            high += tokens * (1 + EITHER_WAY) * price.input + most * price.output
            work.sittings[index].assessment = filler(work.steps[0]["max_output_tokens"]) if step else ""
            worst += worst_cost(price, work.request(index))
    scale, calls = len(remain) / count, len(remain) * len(work.steps)
    return JudgeEstimate(
        judgements=len(remain), calls=calls, most_calls=calls * (1 + AGAIN), input_tokens=round(given * scale),
        output_tokens=round(made * scale), low=round(low * scale), likely=round(likely * scale), high=round(high * scale),
        worst=round(worst * scale * (1 + AGAIN)),
    )  # fmt: skip
