"""The page's charts: what of a report goes into which drawing of `eval.charts`, as markup for the templates."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from eval import charts
from eval.cells import words
from eval.learning_curves import LOSSES, POINTS

HELD_OUT = "held-out"
FIGURES = {
    "fig14": ("Rouge-2 precision against the true ending", "Fig 14"),
    "fig15": ("Highest Rouge-2 F-measure against the other endings", "Fig 15"),
    "copied": ("Longest run of tokens copied from the training set", ""),
    "fig16": ("Frequency in the training set, log10; -10 = never", "Fig 16"),
    "fig17": ("Rouge precision against the nearest training story", "Fig 17"),
}
CONTROL = {  # what the stories that no model wrote are compared with
    "fig14": "held-out: endings of stories held out from training, each against the true ending of another story, "
    "so this is the overlap that chance makes.",
    "fig15": "held-out: endings of stories held out from training, each against the other held-out ones.",
    "fig17": "held-out: endings of stories held out from training, each against all training stories.",
}


class Plots:
    """Charts of a report of `eval.report.make_report`. Each model keeps its style through the whole page."""

    figure_names = FIGURES

    def __init__(self, report: Mapping[str, Any]):
        self._r = report
        self._table = [model for model in report["models"] if model["in_table"]]
        self._earlier = {model["model"] for model in report["models"] if not model["in_table"]}
        self._style = {str(model["model"]): place for place, model in enumerate(self._table)}

    def style_of(self, model: str) -> int:
        return self._style.setdefault(model, len(self._style))

    def key(self, series: int) -> Any:
        return _markup(charts.key(series))

    def grades(self) -> list[tuple[str, Any]]:
        """[(dimension, chart)]: the models' means with intervals, and the paper's."""
        made = []
        for dimension in self._r["dimensions"]:
            rows = []
            for model in self._table:
                grade = model["grades"].get(dimension)
                if grade:
                    rows.append({"name": model["model"], "series": self.style_of(model["model"]), "other": grade["paper"]} | {
                        name: grade.get(name) for name in ("mean", "low", "high")})  # fmt: skip
            drawn = charts.dots(rows, title=words(dimension), x_label=POINTS, across=(0, 10))
            made.append((dimension, _markup(drawn)))
        return made

    def curves(self) -> tuple[list[tuple[str, int]], list[tuple[str, Any]]]:
        """(legend, [(name, chart)]): losses and each dimension over steps, a line per run, the paper's end marked.

        Of a void study the losses alone.
        """
        curves = self._r["curves"] or {}
        made: list[tuple[str, Any]] = []
        for name in (*LOSSES, *(() if self._r["void"] else self._r["dimensions"])):
            own = [
                {"name": run, "series": self._run_style(run), "end": found[name]["paper_end"]} | found[name]
                for run, found in curves.items()
                if name in found
            ]
            if own:
                label, title = LOSSES.get(name, POINTS), f"{words(name)} over steps"
                made.append((name, _markup(charts.lines(own, title=title, x_label="step", y_label=label))))
        return [(run, self._run_style(run)) for run in curves], made

    def _run_style(self, run: str) -> int:
        """The style of the run's model in the table."""
        return self.style_of(next((model["model"] for model in self._table if model.get("run") == run), run))

    def figure(self, name: str) -> list[tuple[str, list[tuple[str, float, Any]], list[str]]]:
        """[(heading, [(model, n, chart)], captions)] of fig14 to fig17: axes shared within a heading, the paper's reading
        shaded; the captions say what is counted, what is shaded and why nothing is."""
        by_k: dict[str, dict[str, Any]] = {}
        for model, found in self.of_figure(name).items():
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
                    series=self.style_of(model), marks=[one["mode"] for one in self._readings(name, int(k), model, bins)])))
                for model, bins in by_k[k].items()
            ]  # fmt: skip
            captions = [*self._counted(name, by_k[k]), *self._shaded(name, int(k), by_k[k])]
            made.append((f"k = {k}" if len(by_k) > 1 or name == "fig16" else "", charts_of, captions))
        return made

    def _counted(self, name: str, of: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """What the bars are, once for each way of counting, and what the control is compared with."""
        said = [
            f"{what[:1].upper()}{what[1:]}."
            for what in dict.fromkeys(str(bins.get("what") or "") for bins in of.values())
        ]
        return [one for one in said if one != "."] + ([CONTROL[name]] if HELD_OUT in of and name in CONTROL else [])

    def _shaded(self, name: str, k: int, of: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """What the shaded spans of the charts are; why there are none, where the paper has the figure."""
        if not self._r["paper"] or not any(one["figure"] == name and one["k"] == k for one in self._printed()):
            return []
        if not any(_in_words(bins) for bins in of.values()):
            return [
                "Nothing of the paper's is shaded: it counts words, and this is of tokens of the shards' tokenizer."
            ]
        found = {model: self._readings(name, k, model, bins) for model, bins in of.items()}
        whose = dict.fromkeys(one["of"] for readings in found.values() for one in readings)
        if not whose:
            return ["Nothing is shaded: the paper has no histogram of these shapes."]
        said = {"models": "its models, all of them together", "original": "its stories by others"}
        names = "; ".join(said.get(one, f"its {one}") for one in whose)
        without = [model for model, readings in found.items() if not readings]
        return [f"Shaded: where the paper's histogram has its mode, read off its plot, of {names}."
                + (f" It has none for {', '.join(without)}." if without else "")]  # fmt: skip

    def _printed(self) -> list[Mapping[str, Any]]:
        return [one for one in self._r["paper"]["diversity"]["readings"] if "mode" in one]

    def of_figure(self, name: str) -> dict[str, Any]:
        """What the figure has by model, without earlier checkpoints."""
        found = (self._r["figures"] or {}).get(name) or {}
        return {model: of for model, of in found.items() if model not in self._earlier}

    def novelty(self) -> tuple[list[tuple[str, int]], Any]:
        """(legend, chart): share of n-grams that are not in the training set, over n."""
        found = self.of_figure("novelty")
        curves = []
        for model, shares in found.items():
            ns = sorted(shares, key=int)
            curves.append(
                {"name": model, "series": self.style_of(model), "x": [int(n) for n in ns], "y": [shares[n] for n in ns]}
            )
        chart = charts.lines(curves, title="Share of n-grams not in the training set", x_label="n", y_label="share that is new",
                             up=(0, 1), whole_x=True)  # fmt: skip
        return [(model, self.style_of(model)) for model in found], _markup(chart)

    def _readings(self, figure: str, k: int, model: str, bins: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """The paper's readings of the same figure that the model's bars may be set beside: of its shape, or of all the
        paper's models where it has no others, and counted in words as these."""
        if not self._r["paper"] or not _in_words(bins):
            return []
        row: Mapping[str, Any] = next((one for one in self._r["models"] if one["model"] == model), {})
        names = {"original"} if model == HELD_OUT else {"models", f"{row.get('hidden')}x{row.get('layers')}"}
        return [one for one in self._printed() if (one["figure"], one["k"]) == (figure, k) and one["of"] in names]


def _in_words(bins: Mapping[str, Any]) -> bool:
    """Whether the n-grams of a histogram are of words, as the paper's are taken to be."""
    return "(words)" in str(bins.get("what"))


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
