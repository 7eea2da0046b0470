"""What a judge should not answer to: length, the order of judging, a change of judge. Prompts are the unit throughout."""

from collections.abc import Mapping

import numpy as np

from eval.intervals import LEVEL, Interval, t_interval, t_quantile, two_sided_p
from eval.scores import Scores


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


def shift(before: Scores, after: Scores) -> Interval:
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
    return t_interval(total_P[count_P > 0] / count_P[count_P > 0])


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
