"""What a report does not show, made of what is absent from it: silence is not to be read as "fine"."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

FAMILIES = {"knowledge": "facts", "reasoning": "reasoning", "context": "keeping track of context"}


def unmeasured(report: Mapping[str, Any]) -> list[dict[str, str]]:
    """[{"what", "why"}]: `what` was not measured, and `why` that matters or what would measure it."""
    lines: dict[str, str] = {}
    for what, why in _lines(report):
        lines.setdefault(what, why)  # the first is the more general
    return [{"what": what, "why": why} for what, why in lines.items()]


def _lines(r: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    table = [model for model in r["models"] if model["in_table"]]
    yield from _of_grades(r, table)
    yield from _of_the_judge(r)
    for name, said in (("loss", "Validation loss"), ("bits_per_byte", "Bits per byte")):
        without = [model["model"] for model in table if model.get(name) is None]
        if without:
            yield (
                f"{said} of {_some(without, table)}",
                "Not given with the model; tsjax eval can measure it on a corpus.",
            )
    if not r["curves"]:
        yield "Learning curves (Fig 3)", "They need at least two checkpoints of one run."
    elif all(set(curves) == {"loss"} for curves in r["curves"].values()):
        yield "Learning curves of grades (Fig 3)", "The checkpoints have losses, but were not graded."
    if not r["metrics"]:
        yield "Metrics that need no judge", "They need no key: run tsjax eval."
    judged = {*r["dimensions"], *(["age"] if any(model.get("age") for model in r["models"]) else [])}
    for name, why in _left_out(r["metrics"] or ()).items():
        if name in judged:
            continue  # no stand-in for it, but the grade itself is there
        yield name.replace("_", " ").capitalize(), why
    yield from _of_figures(r["figures"] or {})
    marked = {row["family"] for row in r["marking"] or ()}
    for family, said in FAMILIES.items():
        if family not in marked:
            yield f"Prompts on {said}", "No model's continuations of them were marked (Figs 9 to 11)."
    if not r["prompts"]:
        yield "The completions themselves", "They are not in this report, so no number in it can be checked by reading."
    if r["not_numbers"]:
        yield f"{len(r['not_numbers'])} values that were not numbers", "Left empty: " + _listed(r["not_numbers"]) + "."


def _of_grades(r: Mapping[str, Any], table: list[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    if not r["dimensions"]:
        yield "Grades", "No judge was asked. Metrics without a judge see the surface of a text, not whether it is good."
    for dimension in ("grammar", "creativity", "consistency", "plot", "instruction_following"):
        said = dimension.replace("_", " ")
        if dimension not in r["dimensions"]:
            if dimension == "plot":
                yield "Plot", "Nobody graded it, and no metric without a judge stands in for it."
            elif r["dimensions"]:
                yield said.capitalize(), "Nobody graded it."
        else:
            without = [model["model"] for model in table if dimension not in model["grades"]]
            if without:
                yield f"{said.capitalize()} of {_some(without, table)}", "Not graded."
    if r["dimensions"] and len(table) > 1 and not r["pairs"]:
        yield "Differences between models", "No pair was tested; overlap of two intervals is not a test."
    if r["dimensions"] and not r["variance"]:
        yield "Where the spread of grades comes from", "No variance components: how many completions to buy is a guess."
    if r["dimensions"] and not r["length"]:
        yield "Whether the judge rewards length", "No slope of grade on length was fitted."


def _of_the_judge(r: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if not r["dimensions"]:
        return
    if not r["anchors"]:
        yield "Whether the judge orders damaged stories rightly", "No anchors were graded; nothing checks this judge."
    if not r["agreement"]:
        yield "Agreement with a second judge", "One judge: its taste and its errors are in every number."
    if not r["link"]:
        yield (
            "Grades on the paper's scale",
            (
                "No ruler models were graded by this judge, so its points are not the points of the paper's judge of 2023; "
                "the normalised column uses the paper's ends all the same."
            ),
        )
    if not r["drift"]:
        yield "Drift of the judge", "No frozen stories were graded again."
    if not r["cost"]:
        yield "Cost", "No ledger was given."
    yield "Agreement with people", "No person's grades are part of this report."


def _of_figures(figures: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, what in (
        ("fig14", "Overlap with the true ending (Fig 14)"),
        ("fig15", "Overlap of endings with each other (Fig 15)"),
        ("fig16", "How frequent the k-grams are in the training set (Fig 16)"),
        ("fig17", "Overlap with the nearest training story (Fig 17)"),
        ("copied", "Longest spans copied from the training set"),
        ("fig18", "The closest training stories (Fig 18)"),
        ("diversity", "Diversity of the completions"),
    ):
        if not figures.get(name):
            yield what, "Not computed."
    if not figures.get("novelty"):
        yield "Novelty of n-grams", "Not computed: copying from the training set was not looked for at every length."
    elif "held-out" not in figures["novelty"]:
        yield (
            "Novelty of n-grams in held-out stories",
            (
                "Stories by others repeat n-grams too; without that curve the models' curves can't be called high or low."
            ),
        )


def _left_out(metrics: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """metric -> why and of which models it was left out."""
    models: dict[tuple[str, str], list[str]] = {}
    for one in metrics:
        for name, why in (one.get("missing") or {}).items():
            models.setdefault((name, why), []).append(one["model"])
    said: dict[str, list[str]] = {}
    for (name, why), of in models.items():
        whose = "Every model" if len(of) == len(metrics) > 1 else _listed(of)
        said.setdefault(name, []).append(f"{whose}: {why}.")
    return {name: " ".join(lines) for name, lines in said.items()}


def _some(names: list[str], table: list[Mapping[str, Any]]) -> str:
    return "every model" if len(names) == len(table) else _listed(names)


def _listed(names: list[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
