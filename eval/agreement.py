"""How far judges agree: Krippendorff's alpha, quadratic-weighted kappa, Spearman, mean absolute error."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from eval.intervals import LEVEL
from eval.records import Grade
from eval.scores import nested
from eval.slopes import flagged, shift


def krippendorff_alpha(rating_JxU: np.ndarray) -> float:
    """Alpha for interval data of J judges over U items, NaN where a judge gave none (Krippendorff 2011, section C).

    1 = they agree, 0 = as by chance, below 0 = less than that; NaN when nothing can be compared or all is one value.
    """
    rating_JxU = rating_JxU[:, np.sum(~np.isnan(rating_JxU), 0) > 1]
    if not rating_JxU.size:
        return float("nan")
    count_U = np.sum(~np.isnan(rating_JxU), 0)
    values = rating_JxU[~np.isnan(rating_JxU)]
    n = len(values)
    # The squared differences of all ordered pairs of m values sum to 2 m^2 times their variance.
    observed = np.sum(2 * count_U**2 * np.nanvar(rating_JxU, 0) / (count_U - 1)) / n
    expected = 2 * n**2 * values.var() / (n * (n - 1))
    return float(1 - observed / expected) if expected > 0 else float("nan")


def quadratic_kappa(a_U: np.ndarray, b_U: np.ndarray) -> float:
    """Cohen's kappa with squared distances as weights (1968): 1 - mean squared difference / that of independent judges
    with the same two distributions. NaN when both are constant and equal."""
    found = np.mean((a_U - b_U) ** 2)
    independent = a_U.var() + b_U.var() + (a_U.mean() - b_U.mean()) ** 2
    return float(1 - found / independent) if independent > 0 else float("nan")


def spearman(a_U: np.ndarray, b_U: np.ndarray) -> float:
    """Rank correlation, ties at their mean rank; NaN where one of them is constant."""
    if len(a_U) < 2 or np.ptp(a_U) == 0 or np.ptp(b_U) == 0:
        return float("nan")
    return float(np.corrcoef(stats.rankdata(a_U), stats.rankdata(b_U))[0, 1])


def agreement(grades: Sequence[Grade], dimension: str, level: float = LEVEL) -> list[dict[str, Any]]:
    """Each pair of judges on the completions that both graded, means over their repeats; anchors do not count.

    [{"a", "b", "dimension", "n", "alpha", "kappa", "spearman", "mae", "shift", "low", "high", "flagged"}]: `mae` = mean
    |a - b|; `shift` = mean a - b by prompts, with its t-interval at `level` and whether 0 is outside of it, in points.
    kappa is of the means rounded to whole points. A number that can't be told is None.
    """
    scores: dict[str, dict[str, list[float]]] = {}
    given: dict[str, list[Grade]] = {}
    for grade in grades:
        if not grade.anchor and grade.scores and dimension in grade.scores:
            scores.setdefault(grade.judge, {}).setdefault(grade.completion, []).append(grade.scores[dimension])
            given.setdefault(grade.judge, []).append(grade)
    judges, rows = sorted(scores), []
    of = {judge: nested(mine, lambda grade: (grade.scores or {})[dimension]) for judge, mine in given.items()}
    for n, a in enumerate(judges):
        for b in judges[n + 1 :]:
            both = sorted(scores[a].keys() & scores[b].keys())
            a_U, b_U = (np.array([np.mean(scores[judge][one]) for one in both], float) for judge in (a, b))
            if len(both):
                found = {
                    "alpha": krippendorff_alpha(np.stack([a_U, b_U])),
                    "kappa": quadratic_kappa(np.rint(a_U), np.rint(b_U)),
                    "spearman": spearman(a_U, b_U),
                    "mae": float(np.mean(np.abs(a_U - b_U))),
                }
                told: dict[str, Any] = {name: None if np.isnan(value) else value for name, value in found.items()}
                moved = shift(of[b], of[a], level)
                told |= {"shift": moved.mean, "low": moved.low, "high": moved.high}
                told["flagged"] = flagged(told)
                rows.append({"a": a, "b": b, "dimension": dimension, "n": len(both)} | told)
    return rows
