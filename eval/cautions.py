"""What a reader of the numbers has to be told, in sentences: a failed judge, missing grades, numbers that can't be compared."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from eval import published
from eval.intervals import REPORTABLE
from eval.marking import FAMILIES
from eval.model_rows import DIMENSIONS
from eval.records import INSTRUCT, STORY, Completion
from eval.slopes import flagged
from eval.unmeasured import listed

ANCHORS = "Anchors: "  # how the warnings of a failed check begin
_ABOVE = "above the undamaged one in "


def warnings(given: Mapping[str, Any], models: Sequence[Mapping[str, Any]]) -> list[str]:
    """Those that stand on top of the page; `given` as `eval.report` has it, `models` of `eval.model_rows`."""
    return [
        *_anchors_failed(given["anchors"]),
        *_halo(given["anchors"]),
        *_drifted(given["drift"]),
        *_parts_differ(given["judges"]),
        *_order_matters(given["order"]),
        *_scales_differ(given["agreement"]),
        *_too_many_missing(models),
    ]


def by_dimension(why: Sequence[str]) -> list[str]:
    """The reasons of a failed anchor check, a line per dimension and one for what is about none; first that one."""
    whole: list[str] = []
    of: dict[str, list[str]] = {}
    above: Counter[str] = Counter()
    for line in why:
        head, colon, rest = line.partition(": ")
        if colon and rest.startswith(_ABOVE):
            above[rest.removeprefix(_ABOVE)] += 1
        elif colon and head in DIMENSIONS:
            of.setdefault(head, []).append(rest)
        else:
            whole.append(line)
    for name, count in above.items():
        of.setdefault(name, []).append(
            f"{count} {_counted(count, 'story', 'stories')} with an injection above the one without"
        )
    return [*(["; ".join(whole)] if whole else []), *(f"{_said(name)}: {'; '.join(own)}" for name, own in of.items())]


def no_such_shape(models: Iterable[Mapping[str, Any]]) -> str | None:
    """Which shapes of the table's models the paper's Fig 4 does not have, and its nearest ones; None where it has all."""
    table = [model for model in models if model["in_table"]]
    shapes = dict.fromkeys(
        (int(model["hidden"]), int(model["layers"]))
        for model in table
        if model.get("hidden") and model.get("layers") and not model["paper"]
    )
    unknown = [str(model["model"]) for model in table if not (model.get("hidden") and model.get("layers"))]
    said = []
    if shapes:
        near = dict.fromkeys(name for shape in shapes for name in published.nearest(*shape))
        asked = " or ".join(f"{hidden}x{layers}" for hidden, layers in shapes)
        said.append(
            f"Fig 4 has no {asked}: nothing of the paper stands beside "
            f"{_counted(len(shapes), 'that shape', 'these shapes')}. "
            f"Nearest {_counted(len(near), 'is', 'are')} {listed([*near])}."
        )
    if unknown:
        said.append(f"The shape of {listed(unknown)} is not known, so nothing of the paper can stand beside it.")
    return " ".join(said) or None


def other_prompts(sets: Mapping[str, str] | None, completions: Sequence[Completion]) -> str | None:
    """Why the paper's grades are for other prompts than these; None where the beginnings are its 44.

    sets: {name: hash} of the prompt sets that were asked; None where that is not known.
    """
    of = {done.kind: done.prompts for done in completions if done.kind in (STORY, INSTRUCT)}
    if completions and STORY not in of:
        return "No story beginnings were asked here; the paper's grades are for its 44 beginnings."
    asked = {of[STORY]} if of else {found for name, found in (sets or {}).items() if name not in FAMILIES}
    if published.beginnings() in asked:
        return None
    if not sets:
        return "Nothing tells which beginnings were asked here; the paper's grades are for its 44 beginnings."
    names = [name for name, found in sets.items() if found in asked]
    called = listed([f"“{name}”" for name in names]) if names else "of a set that the study does not name"
    return (
        f"The beginnings here are {called}, not the paper's 44: its numbers are for other prompts, "
        "so a difference to them is one of prompts too."
    )


def losses_differ(models: Iterable[Mapping[str, Any]]) -> list[str]:
    """Why validation losses (the column "loss") can't be compared between the models of the table."""
    with_loss = [model for model in models if model["in_table"] and model.get("loss") is not None]
    said = []
    if len({str(model.get("corpus") or "") for model in with_loss}) > 1:
        unknown = [model["model"] for model in with_loss if not model.get("corpus")]
        said.append(
            "The losses are over different validation texts, so they can't be compared between models"
            + (f" (of {listed(unknown)} the texts are not known)." if unknown else ".")
        )
    if len({str(model["tokenizer"]) for model in with_loss if model.get("tokenizer")}) > 1:
        said.append(
            "The tokenizers differ: losses per token can't be compared between them, bits per byte of the same texts can."
        )
    return said


def same_vendor(agreement: Iterable[Mapping[str, Any]] | None, judges: Mapping[str, Any] | None) -> list[str]:
    """One sentence per two judges of one vendor, as the rows of agreement or the judges themselves tell it."""
    pairs = {tuple(sorted((row["a"], row["b"]))) for row in agreement or () if row.get("same_vendor")}
    for judge, found in (judges or {}).items():
        others = found.get("same_vendor") or ()
        pairs |= {(min(judge, str(one)), max(judge, str(one))) for one in others if isinstance(others, list | tuple)}
    return [
        f"{a} and {b} are of one vendor: they may share their tastes and errors, so that they agree proves less."
        for a, b in sorted(pairs)
    ]


def _anchors_failed(anchors: Mapping[str, Any] | None) -> list[str]:
    if not anchors or anchors.get("sound"):
        return []
    return [f"{ANCHORS}{why}." for why in by_dimension(anchors.get("why") or ["the verdict is not sound"])]


def _halo(anchors: Mapping[str, Any] | None) -> list[str]:
    """One sentence for the dimensions in which the judge does not tell damage of that kind from any damage."""
    found = (anchors or {}).get("separates") or {}
    blurred = [name for name, one in found.items() if one.get("low") is not None and one["low"] <= 0]
    if not blurred:
        return []
    gaps = [
        f"{_said(name)} by {found[name]['gap']:+.2f} points more ({found[name]['low']:+.2f} to {found[name]['high']:+.2f})"
        for name in blurred
        if found[name].get("gap") is not None and found[name].get("high") is not None
    ]
    return [
        f"The judge hardly tells {listed([_said(name) for name in blurred])} from its other grades: damage of that kind "
        f"does not surely lower it more than the others{': ' + '; '.join(gaps) if gaps else ''}. It may grade one "
        "impression of the whole text."
    ]


def _parts_differ(judges: Mapping[str, Any] | None) -> list[str]:
    """One sentence per judge whose later parts graded the same anchors otherwise than its first part."""
    said = []
    for judge, found in (judges or {}).items():
        moved = [
            f"{_said(row['dimension'])} {row['shift']:+.2f}{_of(row)}"
            for row in rows_of(found.get("between_parts"), ("shift", "low", "high", "part"))
            if flagged(row)
        ]
        if moved:
            said.append(
                f"{judge} graded the same anchors otherwise in a later part of the study than in the first: "
                f"{listed(moved)} points. Models that were graded in different parts can't be compared."
            )
    return said


def _order_matters(order: Any) -> list[str]:
    """One sentence for the dimensions in which grades went up or down while the judge worked."""
    moved = [
        f"{_said(row['dimension'])} {row['slope']:+.2f}{_of(row)}"
        for row in rows_of(order, ("slope", "low", "high", "flagged"))
        if row["flagged"] and row["slope"] is not None
    ]
    if not moved:
        return []
    return [
        f"Grades changed while the judge worked: {listed(moved)} points from the first text to the last. "
        "The texts were asked in a random order, so the judge or its server changed, not the models."
    ]


def _scales_differ(agreement: Iterable[Mapping[str, Any]] | None) -> list[str]:
    """One sentence per two judges of which one is harsher."""
    of: dict[tuple[str, str], list[str]] = {}
    for row in agreement or ():
        if row.get("flagged") and row.get("shift") is not None:
            of.setdefault((row["a"], row["b"]), []).append(f"{_said(row['dimension'])} {row['shift']:+.2f}")
    return [
        f"{a} and {b} use the scale differently: of the same texts, the first gives {listed(shifts)} points. "
        "Compare models within a judge."
        for (a, b), shifts in of.items()
    ]


def rows_of(found: Any, keys: Sequence[str]) -> list[dict[str, Any]]:
    """[{"of", "dimension", *keys}] of {dimension: {keys}}, of {name: {dimension: {keys}}}, or of a list of the first."""
    if isinstance(found, Sequence) and not isinstance(found, str):
        found = {f"part {n}": one for n, one in enumerate(found, 1) if one}
        found = next(iter(found.values())) if len(found) == 1 else found
    rows = []
    for name, one in (found or {}).items():
        if not isinstance(one, Mapping):
            continue
        if any(key in one for key in keys):
            rows.append({"of": "", "dimension": name} | {key: one.get(key) for key in keys})
        else:
            rows += [
                {"of": name, "dimension": dimension} | {key: own.get(key) for key in keys}
                for dimension, own in one.items()
                if isinstance(own, Mapping)
            ]
    return rows


def _drifted(drift: Mapping[str, Any] | None) -> list[str]:
    """One sentence per dimension in which frozen stories got other grades than before."""
    return [
        f"The judge has drifted in {_said(dimension)}: {one['shift']:+.2f} points "
        f"({one['low']:+.2f} to {one['high']:+.2f})."
        for dimension, one in (drift or {}).items()
        if flagged(one)
    ]


def _too_many_missing(models: Iterable[Mapping[str, Any]]) -> list[str]:
    """A sentence per kind of gap, naming the models that have it; one for all earlier checkpoints together."""
    limit = f"over {REPORTABLE:.0%} no mean is reportable"
    of: dict[str, list[str]] = {}
    checkpoints = []
    for model in models:
        missing = {name: grade["missing_share"] or 0 for name, grade in model["grades"].items()}
        too_many = {name: part for name, part in missing.items() if part > REPORTABLE}
        if too_many and not model["in_table"]:
            checkpoints.append(model["model"])
        elif too_many and len(too_many) == len(missing) and min(too_many.values()) == 1:
            gap = "every grade is missing; the judge was asked, but nothing could be read, so there is no mean"
            of.setdefault(gap, []).append(model["model"])
        elif too_many:
            shares = ", ".join(f"{part:.1%} of {_said(name)}" for name, part in too_many.items())
            of.setdefault(f"grades are missing, {shares}; {limit}", []).append(model["model"])
    if checkpoints:
        of[f"grades of these earlier checkpoints are missing; {limit}"] = checkpoints
    return [f"{listed(names)}: {gap}." for gap, names in of.items()]


def _said(dimension: str) -> str:
    return dimension.replace("_", " ")


def _counted(count: int, one: str, many: str) -> str:
    return one if count == 1 else many


def _of(row: Mapping[str, Any]) -> str:
    """The part of the judging that a row is of, where it tells it."""
    part = row.get("part") or row["of"]
    return f" in {part}" if part else ""
