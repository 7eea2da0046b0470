"""Where the spread of grades comes from, and what the next study can see: variance components, smallest differences."""

from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any

import numpy as np
from scipy import special

from eval.intervals import t_quantile
from eval.paired import differences
from eval.scores import Scores

# Of grades that nobody has given yet: deviations of 0.5 points between prompts, of the paired difference, and of 1.8 within
# one, the judge's noise included. They are a guess, which a pilot replaces.
ASSUMED: Mapping[str, float] = {"prompt": 0.5**2, "completion": 1.8**2, "repeat": 0.0}
ALPHA = 0.05
LEAST_PROMPTS = 10  # that two models share, for a pilot
PROMPTS, COMPLETIONS, REPEATS = (44, 60, 200), (1, 3, 10, 30), (1, 3)  # what else one might order


def components(scores: Scores) -> dict[str, float | None]:
    """Variances in points^2: between prompts, between completions of a prompt, between repeats of a completion.

    Nested analysis of variance for unequal counts, each sum of squares set equal to its expectation (Searle, Casella and
    McCulloch 1992, section 5.3 and appendix F); below 0 becomes 0. None = not to be told from these grades: without
    repeats the judge's noise is in "completion", with one completion a prompt both are in "prompt".
    """
    there = ~np.isnan(scores.score_N)
    score_N = scores.score_N[there]
    _, completion_N = np.unique(scores.completion_N[there], return_inverse=True)
    _, prompt_N = np.unique(scores.prompt_C[scores.completion_N[there]], return_inverse=True)
    N = len(score_N)
    if not N:
        return {"prompt": None, "completion": None, "repeat": None}
    count_C, count_P = np.bincount(completion_N), np.bincount(prompt_N)
    C, P = len(count_C), len(count_P)
    mean_C = np.bincount(completion_N, score_N) / count_C
    mean_P = np.bincount(prompt_N, score_N) / count_P
    squares_P = np.bincount(prompt_N, count_C[completion_N])  # of a prompt: its completions' counts, squared and summed
    ss_repeat = np.sum((score_N - mean_C[completion_N]) ** 2)
    ss_completion = np.sum((mean_C[completion_N] - mean_P[prompt_N]) ** 2)
    ss_prompt = np.sum((mean_P[prompt_N] - score_N.mean()) ** 2)

    repeat = ss_repeat / (N - C) if N > C else None
    completion = prompt = None
    if C > P:
        completion = (ss_completion - (C - P) * (repeat or 0)) / (N - np.sum(squares_P / count_P))
    if P > 1:
        within = (P - 1) * (repeat or 0) + (np.sum(squares_P / count_P) - np.sum(squares_P) / N) * (completion or 0)
        prompt = (ss_prompt - within) / (N - np.sum(count_P**2) / N)
    found = {"prompt": prompt, "completion": completion, "repeat": repeat}
    return {name: None if value is None else max(0.0, float(value)) for name, value in found.items()}


def paired_components(a: Scores, b: Scores) -> dict[str, float]:
    """Of the difference of two models, for `detectable`: how much its true value varies between prompts, and the spread
    of completions and of repeats within one, averaged over both models. Variances in points^2.

    Each prompt's difference has the variance prompt + the models' own noise, so the noise is taken off (below 0: 0).
    """
    own = [components(scores) for scores in (a, b)]
    noise_of: list[dict[str, float]] = []
    for scores, parts in zip((a, b), own, strict=True):
        there = ~np.isnan(scores.score_N)
        repeats_C = np.bincount(scores.completion_N[there], minlength=len(scores.completions))
        judged = repeats_C > 0
        noise_C = (parts["completion"] or 0) + (parts["repeat"] or 0) / np.maximum(repeats_C, 1)
        count_P = np.bincount(scores.prompt_C[judged], minlength=len(scores.prompts))
        noise_P = (
            np.bincount(scores.prompt_C[judged], noise_C[judged], len(scores.prompts)) / np.maximum(count_P, 1) ** 2
        )
        noise_of.append(dict(zip(scores.prompts, noise_P, strict=True)))
    mean_of = [dict(zip(scores.prompts, scores.prompt_mean_P, strict=True)) for scores in (a, b)]
    both = [p for p in mean_of[0] if p in mean_of[1] and not np.isnan(mean_of[0][p] - mean_of[1][p])]
    spread = np.var([mean_of[0][p] - mean_of[1][p] for p in both], ddof=1) if len(both) > 1 else 0.0
    noise = np.mean([noise_of[0][p] + noise_of[1][p] for p in both]) if both else 0.0
    inner = {name: float(np.mean([part[name] or 0 for part in own])) for name in ("completion", "repeat")}
    return {"prompt": max(0.0, float(spread - noise))} | inner


def detectable(
    prompts: int,
    completions: int,
    repeats: int,
    of: Mapping[str, float | None],
    *,
    power: float = 0.8,
    alpha: float = ALPHA,
    large_sample: bool = False,
) -> float:
    """Smallest true difference of two models, in points, that a paired test finds with `power` at two-sided `alpha`.

    of:           variances of the paired difference, as `paired_components` gives them; None counts as 0.
    large_sample: normal quantiles, as in textbooks; else those of t with prompts - 1 degrees of freedom, which ask for
                  2 % more at 44 prompts and for 12 % more at 10.
    """
    within = (of["completion"] or 0) + (of["repeat"] or 0) / repeats
    se = (((of["prompt"] or 0) + 2 * within / completions) / prompts) ** 0.5
    quantiles = (1 - alpha / 2, power)
    if large_sample:
        return se * sum(float(special.ndtri(p)) for p in quantiles)
    if prompts < 2:
        return float("inf")
    return se * sum(t_quantile(p, prompts - 1) for p in quantiles)


def power_table(
    sizes: Iterable[tuple[int, int, int]], of: Mapping[str, float | None], **how: Any
) -> list[dict[str, Any]]:
    """`detectable` of each (prompts, completions, repeats), with how many grades a model needs: before spending."""
    return [
        {
            "prompts": p,
            "completions": c,
            "repeats": r,
            "grades": p * c * r,
            "detectable": detectable(p, c, r, of, **how),
        }
        for p, c, r in sizes
    ]


def power(scores: Mapping[str, Mapping[str, Scores]], size: tuple[int, int, int], tests: int = 1) -> dict[str, Any]:
    """What a study of `size` (prompts, completions of each, repeats) can see, and what others could.

    {"assumed", "of": variances of a paired difference, "why": where they come from, "test": what "detectable" is for,
    "tests", "rows": of `power_table`, each with "detectable_holm": the same at 5 % shared by all `tests` of the table, which
    is Holm's first step}. `scores`: model -> dimension -> those there are. Two models with LEAST_PROMPTS prompts in common
    are a pilot: its variances are the means over pairs of models, of the dimension in which differences are hardest to see,
    so that the rows hold for every dimension. Without one they are ASSUMED.
    """
    found = _pilot(scores, size)
    if found:
        dimension, of, pairs = found
        why = f"from the grades there are: {dimension.replace('_', ' ')}, which is hardest to tell apart, over {pairs} "
        why += "pair of models" if pairs == 1 else "pairs of models"
        here = [one[dimension] for one in scores.values() if dimension in one]
        if max(one.repeats for one in here) < 2:
            why += "; each text was judged once, so the judge's noise is in that of the completions"
        if max(np.bincount(one.prompt_C).max(initial=0) for one in here) < 2:
            why += "; each prompt has one text, so what texts differ by is in that of the prompts"
    else:
        of, why = dict(ASSUMED), (
            "assumed: deviations of 0.5 points between prompts and 1.8 within one, the judge's noise included; "
            f"two models graded on {LEAST_PROMPTS} prompts or more would tell"
        )  # fmt: skip
    rows = power_table([one for one in _neighbours(size) if one[0] > 1], of)
    for row in rows:
        at = row["prompts"], row["completions"], row["repeats"]
        row["detectable_holm"] = detectable(*at, of, alpha=ALPHA / max(1, tests))
    test = f"one paired t-test, two-sided at {ALPHA:.0%}, not corrected for the number of tests"
    return {"assumed": not found, "of": of, "why": why, "test": test, "tests": tests, "rows": rows}


def _pilot(
    scores: Mapping[str, Mapping[str, Scores]], size: tuple[int, int, int]
) -> tuple[str, dict[str, float], int] | None:
    """(dimension, variances, pairs of models) of the dimension with the largest `detectable` at `size`; None: no pair."""
    made: list[tuple[str, dict[str, float], int]] = []
    for dimension in sorted({name for of in scores.values() for name in of}):
        have = [of[dimension] for of in scores.values() if dimension in of]
        pairs = [(a, b) for a, b in combinations(have, 2) if len(differences(a, b)) >= LEAST_PROMPTS]
        if pairs:
            parts = [paired_components(a, b) for a, b in pairs]
            made.append(
                (dimension, {name: float(np.mean([one[name] for one in parts])) for name in ASSUMED}, len(pairs))
            )
    return max(made, key=lambda one: detectable(*size, one[1]), default=None)


def _neighbours(size: tuple[int, int, int]) -> list[tuple[int, int, int]]:
    """The size, and those that differ from it in one number."""
    p, c, r = size
    return sorted(
        {size, *((n, c, r) for n in PROMPTS), *((p, n, r) for n in COMPLETIONS), *((p, c, n) for n in REPEATS)}
    )
