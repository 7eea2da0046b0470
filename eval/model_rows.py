"""One row per model: what it is, its grades, and what the paper printed for its shape. The report's table is made of them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from eval import published
from eval.intervals import REPORTABLE
from eval.records import Completion

DIMENSIONS = ("grammar", "creativity", "consistency", "plot", "instruction_following")
NAMING = ("statistics", "instructed", "metrics", "marking")  # parts that name models


def model_rows(
    given: Mapping[str, Any], completions: Sequence[Completion], compare: str = "", void: bool = False
) -> list[dict[str, Any]]:
    """The models that any part of `given` names (see `eval.report.make_report`), in the order they are first named.

    Each is its row of "models" and: "completions" (their number), "age", "grades" and "instructed" ({dimension: grade}, of all
    and of the instruct prompts alone), "paper" and "paper_loss" (the row of Fig 4 of its shape, with `compare`), "in_table"
    (not so an earlier checkpoint of a run), "split_ok" (whether the cut sentence is finished: {"mean", "low", "high", ..} or
    None) and "met" ({"all" or kind of constraint: the same} or None). void: then no grade is reportable.
    """
    rows: dict[str, dict[str, Any]] = {}
    for one in given["models"] or ():
        rows[str(one["model"])] = dict(one)
    for done in completions:
        row = rows.setdefault(done.model, {"model": done.model})
        known: dict[str, Any] = {"step": done.step, "parameters": done.parameters, "checkpoint": done.checkpoint}
        known |= {"tokenizer": done.tokenizer, "decoding": dict(done.decoding)}
        row |= {name: value for name, value in known.items() if value not in (None, "", {}) and row.get(name) is None}
        row["completions"] = row.get("completions", 0) + 1
    for part in NAMING:
        for one in given[part] or ():
            rows.setdefault(str(one["model"]), {"model": str(one["model"])})
    statistics = {one["model"]: one for one in given["statistics"] or ()}
    instructed = {one["model"]: one for one in given["instructed"] or ()}
    for name, row in rows.items():
        of_model = statistics.get(name, {})
        row["age"] = of_model.get("age")
        for name_of in ("split_ok", "met"):
            row[name_of] = of_model.get(name_of) or instructed.get(name, {}).get(name_of)
        printed = published.matching(row.get("hidden"), row.get("layers")) if compare == "paper" else None
        row["paper_loss"] = printed.loss if printed else None
        row["paper"] = printed.name if printed else None
        row["grades"] = {
            dimension: _grade(dimension, dict(found)) | _linked(dimension, found, given["link"], name)
            | _printed(dimension, printed)
            for dimension, found in of_model.get("dimensions", {}).items()
        }  # fmt: skip
        own = instructed.get(name, {}).get("dimensions", {})
        row["instructed"] = {dimension: _grade(dimension, dict(found)) for dimension, found in own.items()}
        if void:
            for grade in (*row["grades"].values(), *row["instructed"].values()):
                grade["reportable"] = False
    last: dict[str, int] = {}
    for row in rows.values():
        if row.get("run"):
            last[row["run"]] = max(last.get(row["run"], 0), row.get("step") or 0)
    for row in rows.values():
        row["in_table"] = not row.get("run") or (row.get("step") or 0) == last[row["run"]]
    return list(rows.values())


def dimensions(models: Iterable[Mapping[str, Any]], of: str = "grades") -> list[str]:
    """Those graded: first ours in their order, then any others."""
    graded = dict.fromkeys(dimension for model in models for dimension in model[of])
    return [*(one for one in DIMENSIONS if one in graded), *(one for one in graded if one not in DIMENSIONS)]


def _grade(dimension: str, found: dict[str, Any]) -> dict[str, Any]:
    """What the statistics found, how much of it is missing, and the mean between the ends of the paper's table."""
    mean, missing = found.get("mean"), found.get("missing") or 0
    asked = found.get("grades") or (found.get("completions") or 0) * (found.get("repeats") or 1)
    found["missing_share"] = missing / asked if asked else None
    found["reportable"] = mean is not None and (found["missing_share"] or 0) <= REPORTABLE
    found["normalised"] = None if mean is None else published.normalised(mean, dimension)
    return found


def _linked(dimension: str, found: Mapping[str, Any], link: Mapping[str, Any] | None, model: str) -> dict[str, Any]:
    """The mean on the paper's scale, by how much that is off on rulers left out, and whether it is a guess."""
    linked = ((link or {}).get("models") or {}).get(model, {}).get(dimension)
    of = ((link or {}).get("dimensions") or {}).get(dimension) or {}
    error = ((link or {}).get("errors") or {}).get(model, {}).get(dimension, of.get("left_out"))
    span, mean = of.get("span"), found.get("mean")
    outside = span is not None and mean is not None and not span[0] <= mean <= span[1]
    return {
        "linked": linked,
        "linked_error": None if linked is None else error,
        "linked_normalised": None if linked is None else published.normalised(linked, dimension),
        "link_is_guess": linked is not None and outside,
    }


def _printed(dimension: str, printed: published.Row | None) -> dict[str, Any]:
    return {
        "paper": printed.scores.get(dimension) if printed else None,
        "paper_normalised": printed.normalised.get(dimension) if printed else None,
    }
