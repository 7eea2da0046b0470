"""Linking: what today's judge gives the paper's released models, against what the paper's judge gave them.

The judge of the paper can't be asked any more. Grades of another judge can stand beside the paper's only on a scale that
rulers tie together: models that both have graded. The link says how far it is off.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import Any

from eval import published
from eval.records import STORY
from tsjax.errors import UserError

LINEAR, MONOTONE = "linear", "monotone"
LEAST_RULERS = 3


@dataclass(frozen=True)
class Link:
    """Our score -> the published scale, of one dimension; call it.

    knots:     (ours, published) points; straight lines between them, and outside them as `kind` says: LINEAR goes on, MONOTONE
               stays level.
    residuals: ruler -> published minus linked. `rms`: of those.
    left_out:  root mean square of what rulers are off by when the link is made without them, its kind chosen without them
               too: what to expect of a new model.
    span:      of the rulers' scores. Outside of it the link is a guess.
    """

    kind: str
    knots: tuple[tuple[float, float], ...]
    residuals: Mapping[str, float]
    rms: float
    left_out: float
    span: tuple[float, float]

    def __call__(self, score: float) -> float:
        return _at(self.kind, self.knots, score)

    def error(self, score: float, se: float) -> float:
        """Standard deviation of a linked score, in points: `left_out`, and what our own standard error makes of it."""
        return math.hypot(self.left_out, (self(score + se) - self(score - se)) / 2)


def fit_link(ours: Mapping[str, float], published: Mapping[str, float], kind: str | None = None) -> Link:
    """The link through the rulers that both name, of one dimension.

    kind: LINEAR, MONOTONE, or None for whichever is off by less on rulers that it was made without.
    UserError with fewer than LEAST_RULERS rulers, or where more of ours does not mean more of theirs.
    """
    names = sorted(set(ours) & set(published))
    if len(names) < LEAST_RULERS:
        raise UserError(
            expected=f"at least {LEAST_RULERS} rulers: released models that were judged here too",
            found=f"{len(names)}" + (f" ({', '.join(names)})" if names else ""),
            todo="judge completions of more of the released models in the same run",
        )
    points = [(ours[name], published[name]) for name in names]
    if _slope(points) <= 0:
        raise UserError(
            expected="rulers that the paper's judge and this one put in about the same order",
            found=f"a slope of {_slope(points):.2f} over {', '.join(names)}",
            todo="report raw scores alone: this judge measures something else",
        )
    chosen = kind or _kind(points)
    knots, off, xs = _fit(chosen, points), [], [x for x, _ in points]
    for n, (x, y) in enumerate(points):
        rest = [*points[:n], *points[n + 1 :]]
        without = kind or _kind(rest)
        off.append(y - _at(without, _fit(without, rest), x))
    residuals = {name: y - _at(chosen, knots, x) for name, (x, y) in zip(names, points, strict=True)}
    return Link(chosen, knots, residuals, _rms(list(residuals.values())), _rms(off), (min(xs), max(xs)))


def links(
    models: Sequence[Mapping[str, Any]], kinds: Mapping[str, str], own: Mapping[str, str] | None = None
) -> dict[str, Any] | None:
    """What a judge's table is on the scale of the paper, where there are rulers among its models; None where there are none.

    {"models": {model: {dimension: linked mean}}, "errors": {model: {dimension: `Link.error` of it}}, "dimensions":
    {dimension: {"kind", "rms", "left_out", "span", "residuals": {ruler: published minus linked}}}, "rulers": {model: row of
    Fig 4}, "why": {dimension: why it has no link}}.

    models: as in `eval.stats.statistics`; own: further rulers (`eval.published.ruler`). kinds: dimension -> STORY or INSTRUCT,
    on what it was graded here. A ruler counts where the paper graded it on the same: Fig 4 has plot and instruction following
    of models trained on TinyStories-Instruct. Means with too many missing grades rule nothing.
    """
    rulers = {one["model"]: found for one in models if (found := published.ruler(one["model"], own))}
    if not rulers:
        return None
    means = {one["model"]: one["dimensions"] for one in models}
    made: dict[str, dict[str, Any]] = {"models": {}, "errors": {}, "dimensions": {}, "why": {}}
    made["rulers"] = {model: row for model, (row, _) in rulers.items()}
    for dimension in sorted({name for of in means.values() for name in of}):
        if dimension not in published.ruled(kinds[dimension]):
            there = "beginnings of stories" if kinds[dimension] == STORY else "instructions"
            made["why"][dimension] = f"the paper did not grade {dimension.replace('_', ' ')} on {there}"
            continue
        ours, theirs = {}, {}
        for model, (row, kind) in rulers.items():
            mine, printed = means[model].get(dimension, {}), published.row_of(row).scores.get(dimension)
            if kind == kinds[dimension] and printed is not None and mine.get("mean") is not None and mine["reportable"]:
                ours[model], theirs[model] = mine["mean"], printed
        try:
            link = fit_link(ours, theirs)
        except UserError as e:
            made["why"][dimension] = f"expected {e.expected}, found {e.found}"
            continue
        made["dimensions"][dimension] = {
            "kind": link.kind, "rms": link.rms, "left_out": link.left_out, "span": list(link.span),
            "residuals": dict(link.residuals),
        }  # fmt: skip
        for model, of in means.items():
            if (mean := of.get(dimension, {}).get("mean")) is not None:
                made["models"].setdefault(model, {})[dimension] = link(mean)
                error = link.error(mean, of[dimension].get("se") or 0.0)
                made["errors"].setdefault(model, {})[dimension] = error
    return made


def _kind(points: Sequence[tuple[float, float]]) -> str:
    """Which kind is off by less on rulers that it was made without; LINEAR where they are even."""

    def off(kind: str) -> float:
        without = ([*points[:n], *points[n + 1 :]] for n in range(len(points)))
        return _rms([y - _at(kind, _fit(kind, rest), x) for rest, (x, y) in zip(without, points, strict=True)])

    return min((LINEAR, MONOTONE), key=off)


def _fit(kind: str, points: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    if kind == LINEAR:
        x, y, slope = fmean(x for x, _ in points), fmean(y for _, y in points), _slope(points)
        return (x, y), (x + 1, y + slope)
    if kind != MONOTONE:
        raise ValueError(f"a link is {LINEAR} or {MONOTONE}, not {kind!r}")
    return _isotonic(points)


def _slope(points: Sequence[tuple[float, float]]) -> float:
    """Of the least-squares line; 0 where all scores are equal."""
    x, y = fmean(x for x, _ in points), fmean(y for _, y in points)
    spread = sum((a - x) ** 2 for a, _ in points)
    return sum((a - x) * (b - y) for a, b in points) / spread if spread else 0.0


def _isotonic(points: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """The least-squares fit that never falls, by pooling neighbours that do. Rulers of the same score are one."""
    by_x: dict[float, list[float]] = {}
    for x, y in sorted(points):
        by_x.setdefault(x, []).append(y)
    blocks: list[tuple[float, int, list[float]]] = []  # mean, weight, the scores in it
    for x, ys in by_x.items():
        mean, weight, xs = fmean(ys), len(ys), [x]
        while blocks and blocks[-1][0] >= mean:
            before, more, earlier = blocks.pop()
            mean, weight, xs = (before * more + mean * weight) / (more + weight), more + weight, earlier + xs
        blocks.append((mean, weight, xs))
    return tuple((x, mean) for mean, _, xs in blocks for x in xs)


def _at(kind: str, knots: Sequence[tuple[float, float]], score: float) -> float:
    xs = [x for x, _ in knots]
    if kind == MONOTONE and not xs[0] <= score <= xs[-1]:
        return knots[0][1] if score < xs[0] else knots[-1][1]
    if len(knots) == 1:
        return knots[0][1]
    place = min(max(bisect_right(xs, score), 1), len(knots) - 1)
    (x0, y0), (x1, y1) = list(pairwise(knots))[place - 1]
    return y0 + (score - x0) * (y1 - y0) / (x1 - x0)


def _rms(values: Sequence[float]) -> float:
    return math.sqrt(fmean(value * value for value in values))
