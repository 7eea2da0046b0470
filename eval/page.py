"""report.html: one file with everything in it, for a browser without a network. Stories are untrusted text: jinja2 escapes
them, and only the charts (`eval.charts`, which escape what they are given) go in as markup."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from eval import charts, published
from tsjax.atomic import write_atomic
from tsjax.errors import UserError

SHOWN = 2  # completions per model and prompt on the page; the first ones, so not picked. All of them are in report.json
MARKS = ("right", "partly", "wrong", "open")
WRITTEN = 40  # marked continuations of each model and family on the page
SHORT = ("usd", "mae", "bleu")
HELD_OUT = "held-out"
NOT_FACTS = ("model", "grades", "age", "paper", "paper_loss", "in_table")
AGES = {"A": "3 or under", "B": "4-5", "C": "6-7", "D": "8-9", "E": "10-12", "F": "13-16"}
FIGURES = {
    "fig14": ("Rouge-2 precision against the true ending", "Fig 14"),
    "fig15": ("Highest Rouge-2 F-measure against the other endings", "Fig 15"),
    "copied": ("Longest run of tokens copied from the training set", ""),
    "fig16": ("Frequency in the training set, log10; -10 = never", "Fig 16"),
    "fig17": ("Rouge precision against the nearest training story", "Fig 17"),
}


def write_html(report: Mapping[str, Any], path: Path) -> None:
    """Writes the page of a report of `eval.report.make_report`. UserError where jinja2 is not installed."""
    write_atomic(path, html(report))


def html(report: Mapping[str, Any]) -> str:
    """The page as text."""
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError as e:
        raise UserError(
            expected="jinja2, which makes the page",
            found=str(e),
            todo="pip install 'tsjax[report]'; report.json needs none",
        ) from e
    environment = Environment(
        loader=PackageLoader("eval"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "score": score,
        "interval": interval,
        "share": share,
        "words": words,
        "p": p_value,
        "plain": plain,
    }
    return environment.get_template("report.html").render(r=report, view=View(report), shown=SHOWN, ages=AGES)


def score(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "−")


def interval(found: Mapping[str, Any]) -> str:
    return (
        ""
        if found.get("low") is None or found.get("high") is None
        else f"{score(found['low'])} to {score(found['high'])}"
    )


def share(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}" if value == 0 or value >= 0.1 else f"{value:.1%}"


def words(name: object) -> str:
    """A name of the code as words: instruction_following -> Instruction following."""
    said = " ".join(part.upper() if part in SHORT else part for part in str(name).split("_"))
    return said[:1].upper() + said[1:] if len(said) > 1 else said


def p_value(value: float | None) -> str:
    return "–" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def plain(value: Any) -> str:
    """Any JSON value in a cell: numbers short, mappings as name value pairs."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {plain(one)}" for name, one in value.items() if one is not None)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(plain(one) for one in value)
    return str(value)


class View:
    """What the templates draw: charts as markup, tables as rows."""

    def __init__(self, report: Mapping[str, Any]):
        self._r = report
        self.table = [model for model in report["models"] if model["in_table"]]
        self._style = {str(model["model"]): place for place, model in enumerate(self.table)}

    def style_of(self, model: str) -> int:
        """Each model keeps its style through the whole page."""
        return self._style.setdefault(model, len(self._style))

    def key(self, series: int) -> Any:
        return _markup(charts.key(series))

    figure_names = FIGURES

    @property
    def completions(self) -> int:
        return sum(len(prompt["completions"]) for prompt in self._r["prompts"])

    @property
    def diversity_names(self) -> list[str]:
        found = (self._r["figures"] or {}).get("diversity") or {}
        return list(dict.fromkeys(name for values in found.values() for name in values))

    def shown_of(self, prompt: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """The first completions of each model of the table, all models' first ones first; earlier checkpoints are left out."""
        order = {model["model"]: place for place, model in enumerate(self.table)}
        own = sorted(
            (one for one in prompt["completions"] if one["model"] in order),
            key=lambda one: (order[one["model"]], one["k"]),
        )
        seen: Counter[str] = Counter()
        kept = []
        for one in own:
            seen[one["model"]] += 1
            if seen[one["model"]] <= SHOWN:
                kept.append(one)
        return sorted(kept, key=lambda one: (one["k"], order[one["model"]]))

    def facts_of(self, model: Mapping[str, Any]) -> dict[str, Any]:
        """What is known of a model beside its grades."""
        return {name: value for name, value in model.items() if name not in NOT_FACTS and value is not None}

    def grade_charts(self) -> list[Any]:
        """Per dimension the models' means with intervals, and the paper's."""
        made = []
        for dimension in self._r["dimensions"]:
            rows = []
            for model in self.table:
                grade = model["grades"].get(dimension)
                if grade:
                    rows.append({"name": model["model"], "series": self.style_of(model["model"]), "other": grade["paper"]} | {
                        name: grade.get(name) for name in ("mean", "low", "high")})  # fmt: skip
            made.append(_markup(charts.dots(rows, title=words(dimension), x_label="points of 10",
                                            across=(0, 10))))  # fmt: skip
        return made

    def curve_charts(self) -> tuple[list[tuple[str, int]], list[tuple[str, Any]]]:
        """(legend, [(name, chart)]): loss and each dimension over steps, a line per run."""
        curves = self._r["curves"] or {}
        made: list[tuple[str, Any]] = []
        for name in ("loss", *self._r["dimensions"]):
            own = [
                {"name": run, "series": self._run_style(run)} | found[name]
                for run, found in curves.items()
                if name in found
            ]
            if own:
                label = "nats per token" if name == "loss" else "points of 10"
                made.append(
                    (name, _markup(charts.lines(own, title=f"{words(name)} over steps", x_label="step", y_label=label)))
                )
        return [(run, self._run_style(run)) for run in curves], made

    def _run_style(self, run: str) -> int:
        """The style of the run's model in the table."""
        return self.style_of(next((model["model"] for model in self.table if model.get("run") == run), run))

    def figure(self, name: str) -> list[tuple[str, list[tuple[str, float, Any]]]]:
        """[(heading, [(model, n, chart)])] of fig14 to fig17: axes shared within a heading, the paper's reading shaded."""
        of = (self._r["figures"] or {}).get(name) or {}
        by_k: dict[str, dict[str, Any]] = {}
        for model, found in of.items():
            for k, bins in ({"2": found} if "edges" in found else found).items():
                by_k.setdefault(str(k), {})[model] = bins
        made = []
        for k in sorted(by_k, key=int):
            drawn = {model: bins for model, bins in by_k[k].items() if sum(bins["counts"])}
            across = _across(bins for other in by_k.values() for bins in other.values())
            up = max((max(bins["counts"]) / sum(bins["counts"]) for bins in drawn.values()), default=1.0)
            charts_of = [
                (model, sum(bins["counts"]), _markup(charts.histogram(
                    bins, title=f"{FIGURES[name][0]}, k = {k}: {model}", x_label=_x_label(name, k), across=across, up=up,
                    series=self.style_of(model), marks=self._reading(name, int(k), model))))
                for model, bins in by_k[k].items()
            ]  # fmt: skip
            made.append((f"k = {k}" if len(by_k) > 1 or name == "fig16" else "", charts_of))
        return made

    def _reading(self, figure: str, k: int, model: str) -> list[tuple[float, float]]:
        """Where the paper's histogram of the same shape has its mode."""
        if not self._r["paper"]:
            return []
        row: Mapping[str, Any] = next((one for one in self._r["models"] if one["model"] == model), {})
        names = {"original"} if model == HELD_OUT else {"models", f"{row.get('hidden')}x{row.get('layers')}"}
        readings = self._r["paper"]["diversity"]["readings"]
        return [
            (one["mode"][0], one["mode"][1])
            for one in readings
            if one["figure"] == figure and one["k"] == k and one["of"] in names and "mode" in one
        ]

    def novelty(self) -> tuple[list[tuple[str, int]], Any]:
        """(legend, chart): share of n-grams that are not in the training set, over n."""
        found = (self._r["figures"] or {}).get("novelty") or {}
        curves = []
        for model, shares in found.items():
            ns = sorted(shares, key=int)
            curves.append(
                {"name": model, "series": self.style_of(model), "x": [int(n) for n in ns], "y": [shares[n] for n in ns]}
            )
        chart = charts.lines(curves, title="Share of n-grams not in the training set", x_label="n", y_label="share that is new",
                             up=(0, 1), whole_x=True)  # fmt: skip
        return [(model, self.style_of(model)) for model in found], _markup(chart)

    def metric_rows(self) -> tuple[list[str], list[dict[str, Any]]]:
        """(models, [{"name", "sees", "blind", "cells": a metric or None per model}])"""
        tables = self._r["metrics"] or []
        names = dict.fromkeys(name for one in tables for name in one["metrics"])
        rows = []
        for name in names:
            cells = [one["metrics"].get(name) for one in tables]
            first = next(cell for cell in cells if cell)
            rows.append({"name": name, "sees": first.get("sees", ""), "blind": first.get("blind", ""), "cells": cells})
        return [one["model"] for one in tables], rows

    def marking_rows(self) -> list[tuple[str, list[dict[str, Any]]]]:
        """[(heading, [{"model", marks, "total", "written"}])], the paper's row under its shape's model."""
        rows = self._r["marking"] or []
        made = []
        for family, how in dict.fromkeys((row["family"], row.get("how") or "") for row in rows):
            own = []
            for row in (one for one in rows if (one["family"], one.get("how") or "") == (family, how)):
                own.append(
                    _marked(row["model"], [row.get(mark) or 0 for mark in MARKS], (row.get("items") or [])[:WRITTEN])
                )
                printed = self._printed_marking(row["model"], family)
                if printed:
                    own.append(_marked(f"the paper's {row['model']}", [*printed, 0], []))
            made.append((f"{family}, {how}" if how else family, own))
        return made

    def _printed_marking(self, name: str, family: str) -> list[int] | None:
        row: Mapping[str, Any] = next((one for one in self._r["models"] if one["model"] == name), {})
        found = published.marking(row.get("hidden"), row.get("layers")) if self._r["paper"] else None
        return found.get(family) if found else None

    def pair_rows(self) -> list[Mapping[str, Any]]:
        """Pairs of models of the table; those of earlier checkpoints are in report.json."""
        names = {model["model"] for model in self.table}
        return [row for row in self._r["pairs"] or () if {row["a"], row["b"]} <= names]

    def variance_rows(self) -> list[dict[str, Any]]:
        return by_model(self._r["variance"], ("prompt", "completion", "repeat"))

    def length_rows(self) -> list[dict[str, Any]]:
        """Slopes per 100 units of length."""
        rows = by_model(self._r["length"], ("slope", "low", "high", "p"))
        return [row | {name: row[name] and 100 * row[name] for name in ("slope", "low", "high")} for row in rows]


def _marked(model: str, counts: Sequence[int], written: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"model": model, "total": sum(counts), "written": written} | dict(zip(MARKS, counts, strict=True))


def by_model(found: Mapping[str, Any] | None, keys: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of {dimension: {keys}} or of {model: {dimension: {keys}}}."""
    rows = []
    for name, one in (found or {}).items():
        if any(key in one for key in keys):
            rows.append({"model": "", "dimension": name} | {key: one.get(key) for key in keys})
        else:
            rows += [
                {"model": name, "dimension": dim} | {key: own.get(key) for key in keys} for dim, own in one.items()
            ]
    return rows


def _across(all_bins: Iterable[Mapping[str, Any]]) -> tuple[float, float] | None:
    """From the first to the last bin that any of them has something in, so that tails of empty bins take no room."""
    low, high = math.inf, -math.inf
    for bins in all_bins:
        full = [place for place, n in enumerate(bins["counts"]) if n]
        if full:
            low, high = min(low, bins["edges"][full[0]]), max(high, bins["edges"][full[-1] + 1])
    return (min(low, 0.0) if low >= 0 else low, high) if low < high else None


def _x_label(name: str, k: str) -> str:
    said = {"fig14": "precision", "fig15": "F-measure", "copied": "tokens", "fig16": "log10 of frequency; -10 = never"}
    return said.get(name, f"Rouge-{k} precision")


def _markup(text: str) -> Any:
    from markupsafe import Markup

    return Markup(text)
