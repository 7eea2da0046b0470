"""What a judge should not answer to: length, the order of judging, a change of judge. Prompts are the unit throughout."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean

import numpy as np

from eval.intervals import LEVEL, Interval, level_of_each, t_interval, t_quantile, two_sided_p
from eval.records import Grade
from eval.scores import Scores, nested


def slope(scores: Scores, of: Mapping[str, float], level: float = LEVEL) -> dict[str, float | int | None]:
    """How a completion's mean score changes with a number `of` it, within prompts: {"slope", "se", "low", "high", "p",
    "prompts", "completions"}, points per unit.

    Least squares with an intercept for every prompt; the standard error allows for dependence within a prompt (Liang and
    Zeger 1986) with the correction P / (P - 1), t with P - 1 degrees of freedom. None where nothing varies in a prompt.
    With completion length it shows a judge that likes length, but better stories may be longer too: only judges of the
    same stories differ by bias alone.
    """
    _, x_C, y_C, prompt_C = _within(scores, of)
    varied = np.unique(prompt_C[x_C != 0])
    counts: dict[str, float | int | None] = {"prompts": len(varied), "completions": len(x_C)}
    if len(varied) < 2:
        return dict.fromkeys(("slope", "se", "low", "high", "p")) | counts
    beta, influence_P = _fit(x_C, y_C, prompt_C, len(scores.prompts))
    se = float((len(varied) / (len(varied) - 1) * np.sum(influence_P**2)) ** 0.5)
    half = t_quantile((1 + level) / 2, len(varied) - 1) * se
    p = two_sided_p(beta / se, len(varied) - 1) if se > 0 else float(beta == 0)
    return {"slope": beta, "se": se, "low": beta - half, "high": beta + half, "p": p} | counts


def flagged(found: Mapping[str, float | int | None]) -> bool:
    """Whether 0 lies outside the interval of a `slope`, or of a `shift` in the same shape."""
    low, high = found["low"], found["high"]
    return low is not None and high is not None and not low <= 0 <= high


def order_slopes(
    grades: Sequence[Grade], place: Mapping[tuple[str, int], tuple[str, float]], level: float = LEVEL
) -> dict[str, dict[str, float | int | bool | None]]:
    """How grades change with when they were given: dimension -> `slope` with "flagged", points from the first judgement of
    a part to its last.

    place: (completion, repeat) -> its part's name, and where it stood in the order of that part, from 0 to 1. The order is
    drawn, so a judge that stays the same has slopes of 0. Each model's mean in a part is taken off first, then that of each
    prompt. level: of the intervals of all dimensions together; "flagged": 0 is not in that of a dimension.
    """
    by: dict[str, list[Grade]] = defaultdict(list)
    for grade in grades:
        for name in grade.scores or ():
            if not grade.anchor and (grade.completion, grade.repeat) in place:
                by[name].append(grade)
    found: dict[str, dict[str, float | int | bool | None]] = {}
    for name, mine in sorted(by.items()):
        of_model: dict[tuple[str, str], list[float]] = defaultdict(list)
        for grade in mine:
            of_model[grade.model, place[grade.completion, grade.repeat][0]].append((grade.scores or {})[name])
        mean = {key: fmean(values) for key, values in of_model.items()}
        ones: list[Grade] = []  # each judgement stands for itself: the repeats of a text have their own places
        at: dict[str, float] = {}
        for grade in mine:
            part, where = place[grade.completion, grade.repeat]
            less = {name: (grade.scores or {})[name] - mean[grade.model, part]}
            key = f"{grade.completion} {grade.repeat}"
            ones.append(replace(grade, prompt_id=f"{part} {grade.prompt_id}", completion=key, scores=less))
            at[key] = where
        scores = nested(ones, lambda grade, name=name: (grade.scores or {})[name])  # type: ignore[misc]
        one = slope(scores, at, level_of_each(len(by), level))
        found[name] = one | {"flagged": flagged(one)}
    return found


def shift(before: Scores, after: Scores, level: float = LEVEL) -> Interval:
    """Mean of `after` - `before` over the completions in both, prompt by prompt: the same texts graded again, by another
    judge or another day."""
    first = dict(zip(before.completions, before.completion_mean_C, strict=True))
    change_C = np.array([
        mean - first.get(name, np.nan)
        for name, mean in zip(after.completions, after.completion_mean_C, strict=True)
    ], float)  # fmt: skip
    there = ~np.isnan(change_C)
    count_P = np.bincount(after.prompt_C[there], minlength=len(after.prompts))
    total_P = np.bincount(after.prompt_C[there], change_C[there], len(after.prompts))
    return t_interval(total_P[count_P > 0] / count_P[count_P > 0], level)


def length_adjusted(
    a: Scores, b: Scores, lengths: Mapping[str, float], level: float = LEVEL
) -> dict[str, float | None]:
    """The paired difference a - b had their completions been equally long: {"difference", "se", "low", "high", "slope"}.

    The slope is that within prompts and models, and is taken off times the difference in mean length; the standard error
    holds that of the slope too (linearised). It takes off whatever goes with length, merit included: show both.
    """
    sides = [_within(scores, lengths) for scores in (a, b)]
    names = [p for p in a.prompts if p in set(b.prompts)]
    beta_x = sum(float(np.sum(x_C**2)) for _, x_C, _, _ in sides)
    beta = sum(float(np.sum(x_C * y_C)) for _, x_C, y_C, _ in sides) / beta_x if beta_x else 0.0
    rows, score_of_slope = [], []
    for name in names:
        means, leaning = [], 0.0
        for scores, (keep_C, x_C, y_C, prompt_C) in zip((a, b), sides, strict=True):
            mine = prompt_C == scores.prompts.index(name)
            chosen = np.flatnonzero(keep_C)[mine]
            if len(chosen):
                length = np.mean([lengths[scores.completions[c]] for c in chosen])
                means.append((float(np.mean(scores.completion_mean_C[chosen])), float(length)))
                leaning += float(np.sum(x_C[mine] * (y_C[mine] - beta * x_C[mine])))
        if len(means) == 2:
            rows.append((means[0][0] - means[1][0], means[0][1] - means[1][1]))
            score_of_slope.append(leaning)
    if len(rows) < 2:
        return dict.fromkeys(("difference", "se", "low", "high", "slope"))
    difference_P, longer_P = np.array(rows).T
    adjusted_P = difference_P - beta * longer_P
    difference, P = float(adjusted_P.mean()), len(rows)
    influence_P = (adjusted_P - difference) / P
    if beta_x:
        influence_P = influence_P - longer_P.mean() * np.array(score_of_slope) / beta_x
    se = float((P / (P - 1) * np.sum(influence_P**2)) ** 0.5)
    half = t_quantile((1 + level) / 2, P - 1) * se
    return {"difference": difference, "se": se, "low": difference - half, "high": difference + half, "slope": beta}


def _within(scores: Scores, of: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(which completions have a score and a number; their number and their score less the prompt's mean; prompts)."""
    x_C = np.array([of.get(name, np.nan) for name in scores.completions], float)
    keep_C = ~np.isnan(x_C) & ~np.isnan(scores.completion_mean_C)
    prompt_C, x_C, y_C = scores.prompt_C[keep_C], x_C[keep_C], scores.completion_mean_C[keep_C]
    count_P = np.maximum(np.bincount(prompt_C, minlength=len(scores.prompts)), 1)
    centred = [v_C - (np.bincount(prompt_C, v_C, len(scores.prompts)) / count_P)[prompt_C] for v_C in (x_C, y_C)]
    return keep_C, *centred, prompt_C


def _fit(x_C: np.ndarray, y_C: np.ndarray, prompt_C: np.ndarray, prompts: int) -> tuple[float, np.ndarray]:
    """Slope through the origin, and how much each prompt moves it."""
    xx = float(np.sum(x_C**2))
    beta = float(np.sum(x_C * y_C) / xx)
    return beta, np.bincount(prompt_C, x_C * (y_C - beta * x_C), prompts) / xx
