"""Charts as SVG text: histogram, lines with intervals, dots with error bars. No library, no script, no font of their own.

Colours, strokes and text take the classes of the page's style sheet (`series-0` .. `series-7`, `axis`, `grid`, ...), so one
chart serves light, dark and print; series differ by dash and mark too, not by colour alone. A chart is as wide as a phone
(`WIDTH`); wider pages set several side by side, so that text is never scaled below what can be read.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

WIDTH, HEIGHT = 340, 220
LEFT, RIGHT, TOP, BOTTOM = 46, 18, 10, 42  # room for the axes, in the SVG's units
CHARACTER = 6.4  # width of one character of the labels, in the same units: an upper guess for digits
SERIES = 8  # different styles; a ninth series looks like the first


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers (1, 2, 2.5 or 5 times a power of ten) that span [low, high], at most `most` + 1 of them.

    Equal ends are moved apart, so there are always at least two. ValueError where an end is not finite.
    """
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"ticks from {low} to {high}")
    if high < low:
        low, high = high, low
    if high - low <= 1e-12 * max(abs(low), abs(high), 1e-300):
        apart = abs(low) / 2 or 0.5
        low, high = low - apart, high + apart
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    for factor in (1, 2, 2.5, 5, 10, 20):
        step = factor * power
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        if last - first <= most:
            break
    return [number * step for number in range(first, last + 1)]


def number(value: float) -> str:
    """A tick's label: no trailing zeros, thousands as k, millions as M, very small as powers of ten."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else "-"
    if abs(value) < 1e-3:
        return f"{value:.0e}".replace("e-0", "e-")
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= unit and (unit > 1e3 or abs(value) >= 1e4):
            return f"{value / unit:.4g}{letter}"
    return f"{value:.4g}"


def histogram(
    bins: Mapping[str, Any],
    *,
    title: str,
    x_label: str,
    across: tuple[float, float] | None = None,
    up: float | None = None,
    series: int = 0,
    marks: Sequence[tuple[float, float]] = (),
) -> str:
    """Shares of `bins` ({"edges": E + 1 numbers, "counts": E numbers}). `across`, `up`: ends of the axes, to make charts
    comparable; `up` is a share. `marks`: spans of x that are shaded (what the paper reads there)."""
    edges, counts = [float(edge) for edge in bins.get("edges", ())], [float(n) for n in bins.get("counts", ())]
    total = sum(counts)
    if len(edges) != len(counts) + 1 or not total:
        return empty(title)
    shares = [n / total for n in counts]
    across = across or (edges[0], edges[-1])
    paper = _Paper(title, across, (0.0, up or max(shares)), x_label, "share", tight_x=True)
    for low, high in marks:
        a, b = paper.x(max(low, across[0])), paper.x(min(max(high, low), across[1]))
        paper.add(
            f'<rect class="mark" x="{min(a, b - 2):.1f}" y="{TOP}" width="{max(b - a, 2):.1f}" height="{paper.down - TOP}"/>'
        )
    for low, high, share, n in zip(edges, edges[1:], shares, counts, strict=False):
        if share and high > across[0] and low < across[1]:
            left, right, top = paper.x(max(low, across[0])), paper.x(min(high, across[1])), paper.y(share)
            paper.add(
                f'<rect class="bar series-{series % SERIES}" x="{left + 0.5:.1f}" y="{top:.1f}" '
                f'width="{max(right - left - 1, 0.8):.1f}" height="{paper.down - top:.1f}">'
                f"<title>{number(low)} to {number(high)}: {n:.0f} of {total:.0f}</title></rect>"
            )
    return paper.svg()


def lines(
    curves: Sequence[Mapping[str, Any]],
    *,
    title: str,
    x_label: str,
    y_label: str,
    up: tuple[float, float] | None = None,
    whole_x: bool = False,
) -> str:
    """Lines of `curves`: {"x", "y", and optionally "low", "high" (a band), "series" (its style), "end" (a height that is
    marked by a hollow diamond at the right edge: where another's curve ends)}; points without a number are left out.
    `up`: ends of the y axis. `whole_x`: ticks of x on whole numbers only."""
    drawn = [(curve, _points(curve)) for curve in curves]
    every = [point for _, points in drawn for point in points]
    if not every:
        return empty(title)
    xs = [x for x, *_ in every]
    ends = [float(curve["end"]) for curve, points in drawn if points and _is_number(curve.get("end"))]
    low, high = min([*(low for _, _, low, _ in every), *ends]), max([*(high for *_, high in every), *ends])
    paper = _Paper(title, (min(xs), max(xs)), up or (low, high), x_label, y_label, whole_x=whole_x)
    for place, (curve, points) in enumerate(drawn):
        style = f"series-{curve.get('series', place) % SERIES}"
        if any(high > low for _, _, low, high in points):
            edge = [(x, high) for x, _, _, high in points] + [(x, low) for x, _, low, _ in reversed(points)]
            paper.add(f'<polygon class="band {style}" points="{paper.path(edge)}"/>')
        if len(points) > 1:
            paper.add(f'<polyline class="line {style}" points="{paper.path((x, y) for x, y, _, _ in points)}"/>')
        for x, y, low, high in points:
            said = f"{curve.get('name', '')} {number(x)}: {y:.4g}" + (
                f" ({low:.4g} to {high:.4g})" if high > low else ""
            )
            paper.add(mark(style, paper.x(x), paper.y(y), said))
        if points and _is_number(curve.get("end")):
            said = f"{curve.get('name', '')}: the other's curve ends at {curve['end']:.3g}"
            paper.add(diamond(f"end {style}", WIDTH - RIGHT, paper.y(curve["end"]), said))
    return paper.svg()


def dots(
    rows: Sequence[Mapping[str, Any]], *, title: str, x_label: str, across: tuple[float, float] | None = None
) -> str:
    """One line per row: {"name", "mean", optionally "low", "high" (its error bar), "other" (a hollow mark, the paper's)}.

    Names are cut in the picture where they are too long; the pointer shows them whole.
    """
    shown = [row for row in rows if _is_number(row.get("mean")) or _is_number(row.get("other"))]
    if not shown:
        return empty(title)
    values = [float(row[key]) for row in shown for key in ("mean", "low", "high", "other") if _is_number(row.get(key))]
    left = min(max(len(str(row["name"])) for row in shown) * CHARACTER + 12, WIDTH * 0.42)
    height = TOP + BOTTOM + 22 * len(shown)
    ends = across or (min(values), max(values))
    paper = _Paper(title, ends, (0.0, 1.0), x_label, "", height=height, left=left, y_axis=False)
    room = int((left - 10) / CHARACTER)
    for place, row in enumerate(shown):
        y, name = TOP + 22 * place + 11, str(row["name"])
        style = f"series-{row.get('series', place) % SERIES}"
        label = name if len(name) <= room else name[: room - 1] + "…"
        paper.add(f'<text class="label" x="{left - 8:.1f}" y="{y + 4}" text-anchor="end">{escape(label)}'
                  f"<title>{escape(name)}</title></text>")  # fmt: skip
        if _is_number(row.get("other")):
            paper.add(diamond("", paper.x(row["other"]), y, f"{row['other']:.3g}"))
        if not _is_number(row.get("mean")):
            continue
        said = f"{name}: {row['mean']:.3g}"
        if _is_number(row.get("low")) and _is_number(row.get("high")):
            a, b = paper.x(row["low"]), paper.x(row["high"])
            paper.add(
                f'<path class="line {style} whisker" d="M{a:.1f} {y} H{b:.1f} M{a:.1f} {y - 4} v8 M{b:.1f} {y - 4} v8"/>'
            )
            said += f" ({row['low']:.3g} to {row['high']:.3g})"
        paper.add(mark(style, paper.x(row["mean"]), y, said))
    return paper.svg()


def mark(style: str, x: float, y: float, said: str = "") -> str:
    """The mark of a series: its shape depends on its number as its colour does."""
    shape = int(style.rsplit("-", 1)[1]) % 4
    inside = f"<title>{escape(said)}</title>" if said else ""
    if shape == 0:
        return f'<circle class="dot {style}" cx="{x:.1f}" cy="{y:.1f}" r="3">{inside}</circle>'
    paths = ("", "h3 v-6 h-6 v6 z", "h3.8 l-3.8 -7 l-3.8 7 z", "l3.6 -3 l-3.6 -4 l-3.6 4 l3.6 4 z")
    down = (0, 3, 3, 3)[shape]
    return f'<path class="dot {style}" d="M{x:.1f} {y + down:.1f} {paths[shape]}">{inside}</path>'


def diamond(style: str, x: float, y: float, said: str) -> str:
    """The hollow mark of what is set beside our numbers."""
    return (
        f'<path class="{f"other {style}".strip()}" d="M{x:.1f} {y - 6:.1f} l6 6 l-6 6 l-6 -6 z">'
        f"<title>{escape(said)}</title></path>"
    )


def key(series: int) -> str:
    """A small picture of one series' line and mark, for legends."""
    style = f"series-{series % SERIES}"
    return (
        f'<svg class="key" viewBox="0 0 28 12" width="28" height="12" aria-hidden="true">'
        f'<polyline class="line {style}" points="1,6 27,6"/>{mark(style, 14, 6)}</svg>'
    )


def empty(title: str) -> str:
    """What stands where there is nothing to draw."""
    return f'<p class="nothing">{escape(title)}: nothing to draw.</p>'


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _points(curve: Mapping[str, Any]) -> list[tuple[float, float, float, float]]:
    """(x, y, low, high) in the order of x."""
    ys = list(curve["y"])
    lows, highs = (list(curve.get(name) or ys) for name in ("low", "high"))
    rows = zip(curve["x"], ys, lows, highs, strict=True)
    whole = [(x, y, low, high) for x, y, low, high in rows if _is_number(x) and _is_number(y)]
    return sorted((x, y, low if _is_number(low) else y, high if _is_number(high) else y) for x, y, low, high in whole)


class _Paper:
    """Axes and what is drawn on them."""

    def __init__(
        self,
        title: str,
        across: tuple[float, float],
        up: tuple[float, float],
        x_label: str,
        y_label: str,
        *,
        height: float = HEIGHT,
        left: float = LEFT,
        tight_x: bool = False,
        whole_x: bool = False,
        y_axis: bool = True,
    ):
        self.title, self.height, self.left, self.down = title, height, left, height - BOTTOM
        room = int((WIDTH - left - RIGHT) / (44 if y_axis else 34))  # of labels beside each other
        x_ticks = ticks(*across, most=max(min(room, 6), 2))
        if whole_x and across[0] == int(across[0]) and across[1] == int(across[1]) and across[1] - across[0] <= 12:
            x_ticks = [float(x) for x in range(int(across[0]), int(across[1]) + 1)]
            x_ticks = x_ticks if len(x_ticks) > 1 else [x_ticks[0] - 1, x_ticks[0], x_ticks[0] + 1]
        y_ticks = ticks(*up, most=5)
        if tight_x and across[1] > across[0]:  # bars fill the axis; round ends would leave gaps
            self._across = across
            x_ticks = [x for x in x_ticks if across[0] - 1e-12 <= x <= across[1] + 1e-12]
        else:
            self._across = (x_ticks[0], x_ticks[-1])
        self._up = (y_ticks[0], y_ticks[-1])
        self._parts: list[str] = []
        right = WIDTH - RIGHT
        if y_axis:
            for y in y_ticks:
                self.add(f'<line class="grid" x1="{left}" x2="{right}" y1="{self.y(y):.1f}" y2="{self.y(y):.1f}"/>')
                self.add(
                    f'<text class="tick" x="{left - 6}" y="{self.y(y) + 4:.1f}" text-anchor="end">{number(y)}</text>'
                )
            middle = (TOP + self.down) / 2
            self.add(f'<text class="label" transform="translate(11 {middle:.1f}) rotate(-90)" text-anchor="middle">'
                     f"{escape(y_label)}</text>")  # fmt: skip
        for x in x_ticks:
            at = self.x(x)
            kind = "tickline" if y_axis else "grid"
            top = self.down if y_axis else TOP
            self.add(f'<line class="{kind}" x1="{at:.1f}" x2="{at:.1f}" y1="{top:.1f}" y2="{self.down + 4:.1f}"/>')
            self.add(
                f'<text class="tick" x="{at:.1f}" y="{self.down + 17:.1f}" text-anchor="middle">{number(x)}</text>'
            )
        self.add(f'<line class="axis" x1="{left:.1f}" x2="{right}" y1="{self.down:.1f}" y2="{self.down:.1f}"/>')
        self.add(f'<text class="label" x="{(left + right) / 2:.1f}" y="{self.down + 34:.1f}" text-anchor="middle">'
                 f"{escape(x_label)}</text>")  # fmt: skip

    def x(self, value: float) -> float:
        low, high = self._across
        return self.left + (min(max(value, low), high) - low) / (high - low) * (WIDTH - RIGHT - self.left)

    def y(self, value: float) -> float:
        low, high = self._up
        return self.down - (min(max(value, low), high) - low) / (high - low) * (self.down - TOP)

    def path(self, points: Iterable[tuple[float, float]]) -> str:
        return " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in points)

    def add(self, part: str) -> None:
        self._parts.append(part)

    def svg(self) -> str:
        return (
            f'<svg class="chart" viewBox="0 0 {WIDTH} {self.height:.0f}" role="img" aria-label="{escape(self.title)}">'
            f"{''.join(self._parts)}</svg>"
        )
