"""What a report does not show, made of what is absent from it: silence is not to be read as "fine"."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from eval.learning_curves import LOSSES
from eval.records import INSTRUCT, STORY

PROBABILITY = "by probability"  # how marks are made that ask no model to write
INSTRUCTED = ("required_words", "required_sentence", "dialogue", "summary_words")  # metrics of texts with instructions
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
        without = [model for model in table if model.get(name) is None]
        neither = [str(model["model"]) for model in without if model.get(f"corpus_{name}") is None]
        if neither:
            yield (
                f"{said} of {_some(neither, table)}",
                "Not given with the model; tsjax eval can measure it on a corpus.",
            )
        own = [str(model["model"]) for model in without if model["model"] not in neither]
        if own and name == "loss":
            yield (
                f"Loss of {_some(own, table)} on its own validation texts",
                "Not given; its loss on the same texts is there.",
            )
    yield from _of_the_corpus(r, table)
    if not r["curves"]:
        yield "Learning curves (Fig 3)", "They need at least two checkpoints of one run."
    elif all(set(curves) <= LOSSES.keys() for curves in r["curves"].values()):
        yield "Learning curves of grades (Fig 3)", "The checkpoints have losses, but were not graded."
    if not r["metrics"]:
        yield "Metrics that need no judge", "They need no key: run tsjax eval."
    judged = {*r["dimensions"], *(["age"] if any(model.get("age") for model in r["models"]) else [])}
    for name, why in _left_out(r["metrics"] or ()).items():
        if name in judged:
            continue  # no stand-in for it, but the grade itself is there
        if name in INSTRUCTED and not any(prompt["kind"] == INSTRUCT for prompt in r["prompts"]) and r["prompts"]:
            yield "How far instructions are followed, by rules", "No prompt of this study has instructions."
            continue
        yield name.replace("_", " ").capitalize(), why
    yield from _of_figures(r["figures"] or {})
    marked = {row["family"] for row in r["marking"] or ()}
    by_probability = [row for row in r["marking"] or () if row.get("how") == PROBABILITY]
    if by_probability and not any(row.get("chance") for row in by_probability):
        yield (
            "What marks by probability would be by chance",
            "Not counted: how good a share of right marks is can't be seen.",
        )
    for family, said in FAMILIES.items():
        if family not in marked:
            yield f"Prompts on {said}", "No model's continuations of them were marked (Figs 9 to 11)."
    if not r["prompts"]:
        yield "The completions themselves", "They are not in this report, so no number in it can be checked by reading."
    if r["not_numbers"]:
        yield f"{len(r['not_numbers'])} values that were not numbers", "Left empty: " + listed(r["not_numbers"]) + "."


def _of_the_corpus(r: Mapping[str, Any], table: list[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Loss on the same texts: worth a line where some models have it and others don't, or the losses can't be compared."""
    without = [model for model in table if model.get("corpus_bits_per_byte") is None]
    reasons = dict.fromkeys(str(model["corpus_why"]) for model in without if model.get("corpus_why"))
    if without and (reasons or len(without) < len(table)):
        names = [model["model"] for model in without]
        yield f"Loss on the corpus of the others, of {_some(names, table)}", listed([*reasons]) or "Not measured there."
    elif without and r["losses_differ"]:
        yield (
            "Loss of every model on the same texts",
            "Their losses can't be compared; tsjax judge --corpus FILE measures it.",
        )


def _of_grades(r: Mapping[str, Any], table: list[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    billed = (r["cost"] or {}).get("judges")
    asked = bool(r["dimensions"] or r["judges"] or r["judge"] or billed or _some_grade(r))
    none_read = False
    if not asked:
        yield "Grades", "No judge was asked. Metrics without a judge see the surface of a text, not whether it is good."
    elif not r["dimensions"]:
        who = r["judge"] or listed([*(r["judges"] or billed or ())]) or "A judge"
        yield "Grades", f"{who} was asked, but there are no statistics of what came back."
    else:
        found = [grade for model in r["models"] for grade in model["grades"].values()]
        none_read = all(grade.get("mean") is None for grade in found)
        if none_read:
            lost = sum(grade.get("missing") or 0 for grade in found)
            yield "Grades", f"A judge was asked, but not one of its {lost:,} grades could be read: the means are empty."
    for dimension in ("grammar", "creativity", "consistency", "plot", "instruction_following"):
        said = dimension.replace("_", " ")
        if dimension not in r["dimensions"]:
            if dimension == "plot" and (r["dimensions"] or not asked):
                yield "Plot", "Nobody graded it, and no metric without a judge stands in for it."
            elif dimension == "plot":
                yield "Plot", "No grade of it came back, and no metric without a judge stands in for it."
            elif r["dimensions"]:
                yield said.capitalize(), "Nobody graded it."
        else:
            without = [model["model"] for model in table if dimension not in model["grades"]]
            if without:
                yield f"{said.capitalize()} of {_some(without, table)}", "Not graded."
            there = [model for model in table if dimension in model["grades"]]
            unread = [model["model"] for model in there if model["grades"][dimension].get("mean") is None]
            if unread and not none_read:
                yield (
                    f"{said.capitalize()} of {_some(unread, table)}",
                    "The judge was asked, but no grade could be read.",
                )
    if r["dimensions"] and not r["instructed"] and {STORY, INSTRUCT} <= {prompt["kind"] for prompt in r["prompts"]}:
        yield "Grades of the instruct prompts by themselves", "No statistics of them alone were given."
    if r["dimensions"] and len(table) > 1 and not r["pairs"]:
        yield "Differences between models", "No pair was tested; overlap of two intervals is not a test."
    if r["dimensions"] and not r["variance"]:
        yield "Where the spread of grades comes from", "No variance components: how many completions to buy is a guess."
    if r["dimensions"] and not r["length"]:
        yield "Whether the judge rewards length", "No slope of grade on length was fitted."
    if r["dimensions"] and not r["order"]:
        yield "Whether grades changed while the judge worked", "No slope of grade on the order of judging was fitted."
    yield from _of_verdicts(r, table)


def _of_verdicts(r: Mapping[str, Any], table: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """What the judge says of single texts besides grades: a cut sentence finished, instructions followed."""
    kinds = {prompt["kind"] for prompt in r["prompts"]}
    if r["dimensions"] and STORY in kinds and not any(model["split_ok"] for model in table):
        yield "Whether the cut sentence is finished", "No share of it was given with the grades."
    if r["dimensions"] and INSTRUCT in kinds and not any(model["met"] for model in table):
        yield "Which instructions are followed, by the judge", "No share of it was given with the grades."


def _some_grade(r: Mapping[str, Any]) -> bool:
    return any(one["judged"] for prompt in r["prompts"] for one in prompt["completions"])


def _of_the_judge(r: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if not r["dimensions"]:
        return
    if not r["anchors"]:
        yield "Whether the judge orders damaged stories rightly", "No anchors were graded; nothing checks this judge."
    if r["agreement"] and not r["judges"]:
        yield "Each judge's own means", "Several judges were asked, but only the means of one of them were given."
    if not r["agreement"] and len(r["judges"] or ()) > 1:
        yield "Agreement with a second judge", "No two judges are sound and graded the same texts."
    elif not r["agreement"]:
        yield "Agreement with a second judge", "One judge: its taste and its errors are in every number."
    if r["link"] and not r["link"].get("models"):
        why = dict.fromkeys((r["link"].get("why") or {}).values())
        yield "Grades on the paper's scale", listed([*why]) or "No link to the paper's judge could be made."
    if not r["link"]:
        yield (
            "Grades on the paper's scale",
            (
                "No ruler models were graded by this judge, so its points are not the points of the paper's judge of 2023; "
                "the normalised column uses the paper's ends all the same."
            ),
        )
    if not r["drift"]:
        again = [found["again"] for found in (r["judges"] or {}).values() if found.get("again")]
        why = dict.fromkeys(line for one in again for line in one.get("why") or ())
        yield "Drift of the judge", listed([*why]) or "No frozen stories were graded again."
    if not r["power"]:
        yield (
            "What a study of this size can see",
            "No power table: whether enough prompts and texts were graded is a guess.",
        )
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
        ("diversity", "Diversity of the endings of training stories"),
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
        whose = "Every model" if len(of) == len(metrics) > 1 else listed(of)
        said.setdefault(name, []).append(f"{whose}: {why}.")
    return {name: " ".join(lines) for name, lines in said.items()}


def _some(names: list[str], table: list[Mapping[str, Any]]) -> str:
    return "every model" if len(names) == len(table) else listed(names)


def listed(names: Sequence[str], most: int = 4) -> str:
    """The first of them, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
