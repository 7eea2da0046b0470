"""report.html: one file with everything in it, for a browser without a network. Stories are untrusted text: jinja2 escapes
them, and only the charts (`eval.charts`, which escape what they are given) go in as markup."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eval import cells, published
from eval.cautions import rows_of
from eval.learning_curves import LOSSES
from eval.mark_bars import mark_bars
from eval.plots import Plots
from eval.records import INSTRUCT, STORY
from eval.rubric import AGES
from eval.slopes import flagged
from eval.transcripts import Transcripts
from eval.unmeasured import listed
from tsjax.atomic import write_atomic
from tsjax.errors import UserError

NOT_FACTS = ("model", "grades", "instructed", "age", "paper", "paper_loss", "in_table", "split_ok", "met")


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
        "name": cells.name,
        "counted": cells.counted,
        "with_error": cells.with_error,
        "short": cells.short,
        "interval": cells.interval,
        "share": cells.share,
        "words": cells.words,
        "p": cells.p_value,
        "plain": cells.plain,
    }
    return environment.get_template("report.html").render(
        r=report, view=View(report), plots=Plots(report), texts=Transcripts(report), ages=AGES
    )


class View:
    """Rows of the page's tables. Earlier checkpoints are left out of all of them: they are in the learning curves."""

    def __init__(self, report: Mapping[str, Any]):
        self._r = report
        self.table = [model for model in report["models"] if model["in_table"]]
        self.earlier = [model for model in report["models"] if not model["in_table"]]
        self._names = {model["model"] for model in self.table}
        self.earlier_names = {model["model"] for model in self.earlier}

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

    @property
    def some_missing(self) -> bool:
        """Whether any grade of the table was asked for and not given."""
        return any(
            grade.get("missing") or grade.get("mean") is None
            for model in self.table
            for of in (model["grades"], model["instructed"])
            for grade in of.values()
        )

    def verdict_rows(self) -> tuple[list[str], list[dict[str, Any]]]:
        """(kinds of constraint, [{"model", "split_ok", "met": [one per kind]}]) of the models of which the judge said it."""
        kinds = list(dict.fromkeys(kind for model in self.table for kind in model["met"] or ()))
        rows = [
            {
                "model": model["model"],
                "split_ok": model["split_ok"],
                "met": [(model["met"] or {}).get(kind) for kind in kinds],
            }
            for model in self.table
            if model["split_ok"] or model["met"]
        ]
        return kinds, rows

    @property
    def raw_answers(self) -> list[str]:
        """Folders of the study that hold what the judges wrote, word for word."""
        judges = (self._r["judges"] or {}).values()
        folders = [
            f"{part['folder']}/raw" for found in judges for part in found.get("parts") or () if part.get("folder")
        ]
        return list(dict.fromkeys(folders))

    def part_rows(self) -> list[dict[str, Any]]:
        """[{"judge", "folder", "host", "repeats", "models", "date"}]: what was asked when, judge by judge."""
        names = ("folder", "host", "repeats", "date")
        return [
            {"judge": judge, "models": listed(part.get("models") or ())} | {name: part.get(name) for name in names}
            for judge, found in (self._r["judges"] or {}).items()
            for part in found.get("parts") or ()
        ]

    def order_rows(self) -> list[dict[str, Any]]:
        return rows_of(self._r["order"], ("slope", "low", "high", "flagged"))

    def between_rows(self, judge: Mapping[str, Any]) -> list[dict[str, Any]]:
        """How a judge's later parts graded the anchors, against its first."""
        rows = rows_of(judge.get("between_parts"), ("shift", "low", "high", "part"))
        return [row | {"alarm": flagged(row), "of": row["part"] or row["of"]} for row in rows]

    def diversity_names(self, found: Mapping[str, Mapping[str, Any]]) -> list[str]:
        return list(dict.fromkeys(name for values in found.values() for name in values))

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

    def marking_rows(self) -> list[dict[str, Any]]:
        return mark_bars(self._r["marking"] or (), self.table, bool(self._r["paper"]))

    def pair_rows(self) -> list[Mapping[str, Any]]:
        """Pairs of models of the table; those of earlier checkpoints are in report.json."""
        return [row for row in self._r["pairs"] or () if {row["a"], row["b"]} <= self._names]

    def variance_rows(self) -> list[dict[str, Any]]:
        return rows_of(self.shown(self._r["variance"]), ("prompt", "completion", "repeat"))

    def length_rows(self) -> list[dict[str, Any]]:
        return rows_of(self.shown(self._r["length"]), ("slope", "low", "high", "p", "flagged"))

    def curve_ends(self) -> tuple[list[str], list[dict[str, Any]]]:
        """(names, [{"run", "cells": [(our last value, the paper's)]}]) of the runs whose shape the paper has a curve of."""
        curves = self._r["curves"] or {}
        ends = {
            run: {
                name: (curve["y"][-1], curve["paper_end"])
                for name, curve in of.items()
                if curve["paper_end"] is not None and (name in LOSSES or not self._r["void"])
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

    def flat(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The settings that stand by themselves, not under the name of a judge."""
        return {name: value for name, value in settings.items() if not isinstance(value, Mapping)}

    @property
    def bill(self) -> dict[str, Any]:
        """The cost of all judges together."""
        return {name: value for name, value in (self._r["cost"] or {}).items() if name != "judges"}

    def moved(self, drift: Mapping[str, Any]) -> list[str]:
        """The dimensions in which a judge has drifted, in words."""
        return [
            cells.words(name).lower() for name, one in drift.items() if flagged({"low": None, "high": None} | dict(one))
        ]

    def drift_rows(self) -> list[dict[str, Any]]:
        return [
            {"dimension": name, "alarm": flagged({"low": None, "high": None} | dict(one))}
            | {key: one.get(key) for key in ("shift", "low", "high", "prompts")}
            for name, one in (self._r["drift"] or {}).items()
        ]
