"""How sure a mean is, with prompts as the unit: standard error, t-interval, cluster bootstrap, worst-case bounds."""

from dataclasses import dataclass

import numpy as np
from scipy import special

from eval.scores import HIGHEST, LOWEST, Scores

LEVEL = 0.95
REPORTABLE = 0.02  # share of missing grades above which a mean is not to be reported


@dataclass(frozen=True)
class Interval:
    """mean ± a t-quantile x se; se, low and high are None for fewer than two prompts, mean too for none."""

    mean: float | None
    se: float | None
    low: float | None
    high: float | None
    n: int


def t_interval(value_P: np.ndarray, level: float = LEVEL) -> Interval:
    """Of the mean of independent values, NaN ones left out.

    Over prompt means this is the clustered standard error with its P / (P - 1) correction (Miller 2024,
    arXiv 2411.00640, section 2.2, for prompts of equal size): whatever repeats and completions share is in the spread of
    the prompt means.
    """
    value_P = value_P[~np.isnan(value_P)]
    n = len(value_P)
    if n < 2:
        return Interval(float(value_P[0]) if n else None, None, None, None, n)
    mean, se = float(value_P.mean()), float(value_P.std(ddof=1) / n**0.5)
    half = t_quantile((1 + level) / 2, n - 1) * se
    return Interval(mean, se, mean - half, mean + half, n)


def level_of_each(count: int, level: float = LEVEL) -> float:
    """Of `count` intervals that all hold together in `level` of the cases, at least (Bonferroni)."""
    return 1 - (1 - level) / max(1, count)


def t_quantile(p: float, degrees: float) -> float:
    return float(special.stdtrit(degrees, p))


def two_sided_p(t: float, degrees: float) -> float:
    """P(|T| >= |t|) of Student's t."""
    return float(2 * special.stdtr(degrees, -abs(t)))


def bootstrap_interval(
    value_P: np.ndarray, seed: int = 0, samples: int = 2000, level: float = LEVEL
) -> tuple[float, float] | None:
    """Percentiles of the mean over prompts drawn with replacement: a check on the t-interval that assumes no normality.

    It is too short with few prompts, by about sqrt((P - 1) / P) x normal / t quantile. None for fewer than two.
    """
    value_P = value_P[~np.isnan(value_P)]
    if len(value_P) < 2:
        return None
    draws = np.random.default_rng(seed).integers(len(value_P), size=(samples, len(value_P)))
    low, high = np.quantile(value_P[draws].mean(1), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def worst_case(scores: Scores, level: float = LEVEL) -> tuple[float, float]:
    """The t-interval's low end if every missing grade were the lowest, its high end if every one were the highest; never
    beyond the scale. Of fewer than two prompts: the means themselves. Without missing grades it is the t-interval."""
    worst, best = (t_interval(scores.filled(value).prompt_mean_P, level) for value in (LOWEST, HIGHEST))
    low, high = (value if end is None else end for value, end in ((worst.mean, worst.low), (best.mean, best.high)))
    return max(LOWEST, LOWEST if low is None else low), min(HIGHEST, HIGHEST if high is None else high)
