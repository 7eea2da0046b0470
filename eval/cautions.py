"""What a reader of the numbers has to be told, in sentences: a failed judge, missing grades, numbers that can't be compared."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from eval import published
from eval.model_rows import MOST_MISSING
from eval.records import CONTEXT, INSTRUCT, KNOWLEDGE, REASONING, STORY, Completion
from eval.unmeasured import listed

# The 44 beginnings, as a file of a user has them too: PromptSet.hash of "Evaluation prompts.yaml".
FAMILIES = (KNOWLEDGE, REASONING, CONTEXT)


def warnings(given: Mapping[str, Any], models: Sequence[Mapping[str, Any]]) -> list[str]:
    """Those that stand on top of the page; `given` as `eval.report` has it, `models` of `eval.model_rows`."""
    return [*_anchors_failed(given["anchors"]), *_drifted(given["drift"]), *_too_many_missing(models)]


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
    return [f"Anchors: {why}." for why in anchors.get("why") or ["the verdict is not sound"]]


def _drifted(drift: Mapping[str, Any] | None) -> list[str]:
    """One sentence per dimension in which frozen stories got other grades than before."""
    return [
        f"The judge has drifted in {dimension.replace('_', ' ')}: {one['shift']:+.2f} points "
        f"({one['low']:+.2f} to {one['high']:+.2f})."
        for dimension, one in (drift or {}).items()
        if alarm(one)
    ]


def alarm(shift: Mapping[str, Any]) -> bool:
    """Whether 0 is not in the interval of a dimension's drift."""
    low, high = shift.get("low"), shift.get("high")
    return low is not None and high is not None and not low <= 0 <= high


def _too_many_missing(models: Iterable[Mapping[str, Any]]) -> list[str]:
    """A sentence per kind of gap, naming the models that have it; one for all earlier checkpoints together."""
    limit = f"over {MOST_MISSING:.0%} no mean is reportable"
    of: dict[str, list[str]] = {}
    checkpoints = []
    for model in models:
        missing = {name: grade["missing_share"] or 0 for name, grade in model["grades"].items()}
        too_many = {name: part for name, part in missing.items() if part > MOST_MISSING}
        if too_many and not model["in_table"]:
            checkpoints.append(model["model"])
        elif too_many and len(too_many) == len(missing) and min(too_many.values()) == 1:
            gap = "every grade is missing; the judge was asked, but nothing could be read, so there is no mean"
            of.setdefault(gap, []).append(model["model"])
        elif too_many:
            shares = ", ".join(f"{part:.1%} of {name.replace('_', ' ')}" for name, part in too_many.items())
            of.setdefault(f"grades are missing, {shares}; {limit}", []).append(model["model"])
    if checkpoints:
        of[f"grades of these earlier checkpoints are missing; {limit}"] = checkpoints
    return [f"{listed(names)}: {gap}." for gap, names in of.items()]
