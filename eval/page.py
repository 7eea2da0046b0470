"""report.html: one file with everything in it, for a browser without a network. Stories are untrusted text: jinja2 escapes
them, and only the charts (`eval.charts`, which escape what they are given) go in as markup."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eval import cells, published
from eval.cautions import alarm
from eval.plots import Plots
from eval.records import INSTRUCT, STORY
from tsjax.atomic import write_atomic
from tsjax.errors import UserError

SHOWN = 2  # completions per model and prompt on the page; the first ones, so not picked. All of them are in report.json
EARLIER = 6  # earlier checkpoints of each run whose texts are on the page, evenly spread
MARKS = ("right", "partly", "wrong", "open")
WRITTEN = 40  # marked continuations of each model and family on the page
NOT_FACTS = ("model", "grades", "instructed", "age", "paper", "paper_loss", "in_table")
AGES = {"A": "3 or under", "B": "4-5", "C": "6-7", "D": "8-9", "E": "10-12", "F": "13-16"}


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
        "score": cells.score,
        "interval": cells.interval,
        "share": cells.share,
        "words": cells.words,
        "p": cells.p_value,
        "plain": cells.plain,
    }
    return environment.get_template("report.html").render(
        r=report, view=View(report), plots=Plots(report), shown=SHOWN, earlier_shown=EARLIER, ages=AGES
    )


class View:
    """Rows of the page's tables. Earlier checkpoints are left out of all of them: they are in the learning curves."""

    def __init__(self, report: Mapping[str, Any]):
        self._r = report
        self.table = [model for model in report["models"] if model["in_table"]]
        self.earlier = [model for model in report["models"] if not model["in_table"]]
        self._names = {model["model"] for model in self.table}
        self.earlier_names = {model["model"] for model in self.earlier}
        self._texts_of = _spread([model for model in self.earlier if model.get("completions")])

    def shown(self, found: Mapping[str, Any] | None) -> dict[str, Any]:
        """What is keyed by model, without earlier checkpoints."""
        return {model: of for model, of in (found or {}).items() if model not in self.earlier_names}

    @property
    def both_kinds(self) -> bool:
        """Whether beginnings and instruct prompts were asked: then instruction following is of the second alone."""
        return bool(self._r["instructed"]) or {STORY, INSTRUCT} <= {prompt["kind"] for prompt in self._r["prompts"]}

    @property
    def instruct_only(self) -> bool:
        kinds = {prompt["kind"] for prompt in self._r["prompts"]}
        return INSTRUCT in kinds and STORY not in kinds

    @property
    def corpus_names(self) -> list[str]:
        """Texts over which every model's loss was measured."""
        measured = [model for model in self.table if model.get("corpus_loss") is not None]
        return list(dict.fromkeys(str(model.get("corpus_name") or "the same texts") for model in measured))

    @property
    def has_corpus(self) -> bool:
        names = ("corpus_loss", "corpus_bits_per_byte", "corpus_why")
        return any(model.get(name) not in (None, "") for model in self.table for name in names)

    def diversity_names(self, found: Mapping[str, Mapping[str, Any]]) -> list[str]:
        return list(dict.fromkeys(name for values in found.values() for name in values))

    def shown_of(self, prompt: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """The first completions of each model of the table, all models' first ones first."""
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

    def earlier_of(self, prompt: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """The first text of some earlier checkpoints of each run, run by run in the order of steps."""
        own = (one for one in prompt["completions"] if one["model"] in self._texts_of)
        return sorted(own, key=lambda one: self._texts_of[one["model"]])

    def facts_of(self, model: Mapping[str, Any]) -> dict[str, Any]:
        """What is known of a model beside its grades."""
        return {name: value for name, value in model.items() if name not in NOT_FACTS and value is not None}

    def metric_rows(self) -> tuple[list[str], list[dict[str, Any]]]:
        """(models, [{"name", "sees", "blind", "cells": a metric or None per model}])"""
        tables = [one for one in self._r["metrics"] or () if one["model"] not in self.earlier_names]
        names = dict.fromkeys(name for one in tables for name in one["metrics"])
        rows = []
        for name in names:
            found = [one["metrics"].get(name) for one in tables]
            first = next(cell for cell in found if cell)
            rows.append({"name": name, "sees": first.get("sees", ""), "blind": first.get("blind", ""), "cells": found})
        return [one["model"] for one in tables], rows

    def marking_rows(self) -> list[tuple[str, list[dict[str, Any]]]]:
        """[(heading, [{"model", marks, "total", "written"}])], the paper's row under its shape's model."""
        rows = [row for row in self._r["marking"] or () if row["model"] not in self.earlier_names]
        made = []
        for family, how in dict.fromkeys((row["family"], row.get("how") or "") for row in rows):
            own = []
            for row in (one for one in rows if (one["family"], one.get("how") or "") == (family, how)):
                own.append(
                    _marked(row["model"], [row.get(mark) or 0 for mark in MARKS], (row.get("items") or [])[:WRITTEN])
                )
                own += self._printed_marking(row["model"], family)
            made.append((f"{family}, {how}" if how else family, own))
        return made

    def _printed_marking(self, name: str, family: str) -> list[dict[str, Any]]:
        row: Mapping[str, Any] = next((one for one in self.table if one["model"] == name), {})
        found = published.marking(row.get("hidden"), row.get("layers")) if self._r["paper"] else None
        if not found or not found.get(family):
            return []
        return [_marked(f"paper's {row['hidden']}x{row['layers']}, other prompts", [*found[family], 0], [])]

    def pair_rows(self) -> list[Mapping[str, Any]]:
        """Pairs of models of the table; those of earlier checkpoints are in report.json."""
        return [row for row in self._r["pairs"] or () if {row["a"], row["b"]} <= self._names]

    def variance_rows(self) -> list[dict[str, Any]]:
        return by_model(self.shown(self._r["variance"]), ("prompt", "completion", "repeat"))

    def length_rows(self) -> list[dict[str, Any]]:
        return by_model(self.shown(self._r["length"]), ("slope", "low", "high", "p", "flagged"))

    def curve_ends(self) -> tuple[list[str], list[dict[str, Any]]]:
        """(names, [{"run", "cells": [(our last value, the paper's)]}]) of the runs whose shape the paper has a curve of."""
        curves = self._r["curves"] or {}
        ends = {
            run: {
                name: (curve["y"][-1], curve["paper_end"])
                for name, curve in of.items()
                if curve["paper_end"] is not None
            }
            for run, of in curves.items()
        }
        names = list(dict.fromkeys(name for of in ends.values() for name in of))
        rows = [{"run": run, "cells": [of.get(name, (None, None)) for name in names]} for run, of in ends.items() if of]
        return names, rows

    def judge_rows(self) -> tuple[list[str], list[dict[str, Any]]]:
        """(dimensions, [{"model", "judge", "sound", "dimensions"}]): what each judge gave each model of the table."""
        judges = self._r["judges"] or {}
        rows = []
        for name in (model["model"] for model in self.table):
            for judge, found in judges.items():
                own = next((one for one in found.get("models") or () if one["model"] == name), None)
                if own:
                    rows.append({"model": name, "judge": judge, "sound": found.get("sound"),
                                 "dimensions": own["dimensions"]})  # fmt: skip
        there = dict.fromkeys(name for row in rows for name in row["dimensions"])
        ordered = [name for name in self._r["dimensions"] if name in there]
        return ordered + [name for name in there if name not in ordered], rows

    def link_rows(self) -> list[dict[str, Any]]:
        """[{"dimension", "kind", "rms", "left_out", "span", "why"}] of every dimension with a link or a reason for none."""
        link = self._r["link"] or {}
        made, why = link.get("dimensions") or {}, link.get("why") or {}
        blank = {"kind": None, "rms": None, "left_out": None, "span": None}
        return [
            {"dimension": name, "why": why.get(name)} | blank | made.get(name, {})
            for name in dict.fromkeys([*made, *why])
        ]

    def ruler_rows(self) -> tuple[list[str], list[dict[str, Any]]]:
        """(dimensions, [{"model", "row", "cells": [(our mean, the paper's score)]}]) of the rulers of the link."""
        rulers = (self._r["link"] or {}).get("rulers") or {}
        ours = {model["model"]: model["grades"] for model in self._r["models"]}
        printed = {row.name: row.scores for row in published.table()}
        linked = (self._r["link"] or {}).get("dimensions") or {}
        dimensions = [name for name in self._r["dimensions"] if name in linked or not linked]
        rows = []
        for model, row in rulers.items():
            grades, scores = ours.get(model, {}), printed.get(str(row), {})
            both = [((grades.get(name) or {}).get("mean"), scores.get(name)) for name in dimensions]
            rows.append({"model": model, "row": row, "cells": both})
        return dimensions, rows

    @property
    def bill(self) -> dict[str, Any]:
        """The cost of all judges together."""
        return {name: value for name, value in (self._r["cost"] or {}).items() if name != "judges"}

    def moved(self, drift: Mapping[str, Any]) -> list[str]:
        """The dimensions in which a judge has drifted, in words."""
        return [cells.words(name).lower() for name, one in drift.items() if alarm(one)]

    def drift_rows(self) -> list[dict[str, Any]]:
        return [
            {"dimension": name, "alarm": alarm(one)}
            | {key: one.get(key) for key in ("shift", "low", "high", "prompts")}
            for name, one in (self._r["drift"] or {}).items()
        ]


def _spread(earlier: Sequence[Mapping[str, Any]]) -> dict[str, tuple[int, int]]:
    """model -> its place in the page, of at most EARLIER checkpoints of each run: the first, the last, and between them."""
    runs: dict[str, list[Mapping[str, Any]]] = {}
    for model in earlier:
        runs.setdefault(model["run"], []).append(model)
    kept: dict[str, tuple[int, int]] = {}
    for place, own in enumerate(runs.values()):
        own.sort(key=lambda model: model.get("step") or 0)
        parts = min(EARLIER, len(own))
        for n in range(parts):
            kept[own[n * (len(own) - 1) // max(parts - 1, 1)]["model"]] = (place, n)
    return kept


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
