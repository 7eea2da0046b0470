"""The grades of one model in one dimension, nested: repeats in completions, completions in prompts.

Legend of shapes: N grades, C completions, P prompts.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from eval.records import Grade
from tsjax.errors import UserError

LOWEST, HIGHEST = 0.0, 10.0


@dataclass(frozen=True)
class Scores:
    """score_N in points, NaN where the judge gave none; completion_N counts into `completions`, prompt_C into `prompts`."""

    prompts: tuple[str, ...]
    completions: tuple[str, ...]
    prompt_C: np.ndarray
    completion_N: np.ndarray
    score_N: np.ndarray

    @cached_property
    def completion_mean_C(self) -> np.ndarray:
        """Mean over the repeats that there are; NaN without any."""
        return _means(self.score_N, self.completion_N, len(self.completions))

    @cached_property
    def prompt_mean_P(self) -> np.ndarray:
        """Mean over completion means, so that a completion judged more often counts no more; NaN without any."""
        return _means(self.completion_mean_C, self.prompt_C, len(self.prompts))

    @property
    def missing(self) -> int:
        return int(np.isnan(self.score_N).sum())

    @property
    def repeats(self) -> int:
        """The most repeats of any completion."""
        return int(np.bincount(self.completion_N).max()) if len(self.completion_N) else 0

    def filled(self, value: float) -> "Scores":
        """With `value` in place of what is missing."""
        score_N = np.where(np.isnan(self.score_N), value, self.score_N)
        return Scores(self.prompts, self.completions, self.prompt_C, self.completion_N, score_N)


def nested(
    grades: Iterable[Grade], value: Callable[[Grade], float | None], prompts: Collection[str] | None = None
) -> Scores:
    """The `value` of each grade (None = missing) under its completion and prompt, in order of their names.

    `prompts` = those to keep; None = all. UserError where one repeat of a completion is there twice: it would be counted
    twice.
    """
    found: dict[tuple[str, str, int], float | None] = {}
    for grade in grades:
        if prompts is None or grade.prompt_id in prompts:
            key = grade.prompt_id, grade.completion, grade.repeat
            if key in found:
                raise UserError(
                    expected="each repeat of a completion once, by one judge",
                    found=f"repeat {grade.repeat} of completion {grade.completion} twice",
                    todo="give the grades of one judge, each once",
                )
            found[key] = value(grade)
    keys = sorted(found)
    prompt_ids = sorted({key[0] for key in keys})
    pairs = sorted({key[:2] for key in keys})
    at_prompt = {prompt: p for p, prompt in enumerate(prompt_ids)}
    at_pair = {pair: c for c, pair in enumerate(pairs)}
    scores = [found[key] for key in keys]
    return Scores(
        tuple(prompt_ids),
        tuple(completion for _, completion in pairs),
        np.array([at_prompt[prompt] for prompt, _ in pairs], int),
        np.array([at_pair[key[:2]] for key in keys], int),
        np.array([np.nan if score is None else score for score in scores], float),
    )


def asked(grades: Sequence[Grade]) -> Mapping[str, frozenset[str]]:
    """prompt -> the dimensions that any of its grades has, for grades of which nobody knows what was asked for.

    A grade without one of these is missing there: a story prompt asks for no instruction following, and a prompt of which
    no grade at all could be read counts as missing in every dimension.
    """
    of: dict[str, set[str]] = {grade.prompt_id: set() for grade in grades}
    for grade in grades:
        of[grade.prompt_id].update(grade.scores or ())
    everything = frozenset().union(*of.values()) if of else frozenset()
    return {prompt: frozenset(found) or everything for prompt, found in of.items()}


def dimension_scores(grades: Sequence[Grade], dimension: str, wanted: Mapping[str, frozenset[str]]) -> Scores:
    """One model's scores in a dimension, of the prompts that `wanted` (see `asked`) says are graded in it."""
    prompts = {prompt for prompt, dimensions in wanted.items() if dimension in dimensions}
    return nested(grades, lambda grade: (grade.scores or {}).get(dimension), prompts)


def _means(value_N: np.ndarray, group_N: np.ndarray, groups: int) -> np.ndarray:
    """Mean of each group over the values that are not NaN."""
    there = ~np.isnan(value_N)
    count = np.bincount(group_N[there], minlength=groups)
    total = np.bincount(group_N[there], weights=value_N[there], minlength=groups)
    return np.divide(total, count, out=np.full(groups, np.nan), where=count > 0)
