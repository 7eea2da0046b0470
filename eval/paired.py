"""Two models on the same prompts: differences per prompt, their bounds, sign-flip test, Holm's correction."""

from collections.abc import Sequence

import numpy as np

from eval.scores import HIGHEST, LOWEST, Scores

EXACT = 18  # up to this many prompts all sign patterns are gone through: 131,072 sums
DRAWS = 99_999
_BLOCK = 1 << 14


def differences(a: Scores, b: Scores) -> np.ndarray:
    """Prompt mean of `a` minus that of `b`, over the prompts where both have one."""
    in_b = dict(zip(b.prompts, b.prompt_mean_P, strict=True))
    found = [(mean, in_b[name]) for name, mean in zip(a.prompts, a.prompt_mean_P, strict=True) if name in in_b]
    difference_P = np.array([mean - other for mean, other in found], float)
    return difference_P[~np.isnan(difference_P)]


def crosswise(a: Scores, b: Scores) -> tuple[float, float]:
    """The least and the greatest mean of `differences` that the missing grades allow: those of one model all the lowest,
    those of the other all the highest. NaN without prompts in common."""
    least, most = (differences(a.filled(x), b.filled(y)) for x, y in ((LOWEST, HIGHEST), (HIGHEST, LOWEST)))
    return (float(least.mean()), float(most.mean())) if len(least) else (float("nan"), float("nan"))


def sign_flip_p(difference_P: np.ndarray, seed: int = 0, draws: int = DRAWS) -> float:
    """Two-sided p of "the sign of each prompt's difference is a coin's": the share of sign patterns whose |sum| is at
    least the one found. Exact for up to EXACT prompts; else from `draws` seeded patterns, the one found counted among
    them, so that p is never 0 (Phipson and Smyth 2010).
    """
    difference_P = difference_P[difference_P != 0]  # a difference of 0 is the same with either sign
    if not len(difference_P):
        return 1.0
    # Sums that are equal on paper differ in the last bits with the order of adding.
    found = abs(difference_P.sum()) - 1e-9 * np.abs(difference_P).sum()
    if len(difference_P) <= EXACT:
        sums = difference_P[:1]
        for difference in difference_P[1:]:
            sums = np.concatenate([sums + difference, sums - difference])
        return float(np.mean(np.abs(sums) >= found))
    random, least = np.random.default_rng(seed), 0
    for begin in range(0, draws, _BLOCK):
        rows = min(_BLOCK, draws - begin)
        signs = 2.0 * random.integers(2, size=(rows, len(difference_P)), dtype=np.int8) - 1
        least += int(np.sum(np.abs(signs @ difference_P) >= found))
    return (least + 1) / (draws + 1)


def holm(p: Sequence[float]) -> list[float]:
    """Holm's (1979) adjusted p-values, in the order given: below alpha, each holds with all tests taken together."""
    order = np.argsort(p, kind="stable")
    adjusted = np.minimum(1, np.maximum.accumulate(np.asarray(p, float)[order] * np.arange(len(p), 0, -1)))
    result = np.empty(len(p))
    result[order] = adjusted
    return result.tolist()
