"""Drift: the same frozen completions, graded by what calls itself the same judge, at two dates."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean, stdev

from eval.intervals import t_quantile
from eval.records import Grade
from tsjax.errors import UserError

LEAST_PROMPTS = 10


@dataclass(frozen=True)
class Shift:
    """How much higher the later grades of one dimension are. `low`, `high`: its interval; `alarm`: 0 is not in it.

    prompts, completions: that both gradings have grades of.
    """

    shift: float
    se: float
    low: float
    high: float
    prompts: int
    completions: int

    @property
    def alarm(self) -> bool:
        return not self.low <= 0 <= self.high


def drift(before: Iterable[Grade], after: Iterable[Grade], level: float = 0.95) -> dict[str, Shift]:
    """Dimension -> its shift, over completions in both gradings; repeats are averaged.

    level: of all intervals together: a judge that does not drift raises an alarm in any dimension at most 1 - `level` of
           the time (each interval has its share of that). Prompts are the unit: completions of one are alike.
    A dimension with fewer than LEAST_PROMPTS prompts in common is left out; UserError where that is all of them.
    """
    first, second = _means(before), _means(after)
    shared = [key for key in first if key in second]
    names = sorted({d for key in shared for d in first[key] if d in second[key]})
    by: dict[str, dict[str, list[float]]] = {d: defaultdict(list) for d in names}
    for key in shared:
        for d in names:
            if d in first[key] and d in second[key]:
                by[d][key[1]].append(second[key][d] - first[key][d])
    most = max((len(of) for of in by.values()), default=0)
    if most < LEAST_PROMPTS:
        raise UserError(
            expected=f"frozen completions of at least {LEAST_PROMPTS} prompts, graded both times",
            found=f"{most} prompts",
            todo="grade the same completions again, or freeze more",
        )
    by = {d: of for d, of in by.items() if len(of) >= LEAST_PROMPTS}
    return {d: _shift(of, 1 - (1 - level) / len(by)) for d, of in by.items()}


def _means(grades: Iterable[Grade]) -> dict[tuple[str, str], dict[str, float]]:
    """(completion, prompt) -> dimension -> mean over the repeats that have grades."""
    given: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for grade in grades:
        for dimension, score in (grade.scores or {}).items():
            given[grade.completion, grade.prompt_id][dimension].append(score)
    return {key: {d: fmean(scores) for d, scores in of.items()} for key, of in given.items()}


def _shift(by_prompt: Mapping[str, list[float]], level: float) -> Shift:
    means = [fmean(differences) for differences in by_prompt.values()]
    shift, se = fmean(means), stdev(means) / math.sqrt(len(means))
    half = t_quantile(1 - (1 - level) / 2, len(means) - 1) * se
    return Shift(shift, se, shift - half, shift + half, len(means), sum(map(len, by_prompt.values())))
