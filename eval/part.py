"""A part of a judge's work in a study: one folder, graded at one time. What came into the study later makes the next one.

Grades of several parts stand in one table, so they must have been asked for in one way, and by a judge that stayed the
same. The anchors, which are the same texts in every part, tell whether it did.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from data_gen import job as jobs
from data_gen.engine import DONE
from eval.docket import Docket
from eval.drift import Shift, drift
from eval.intervals import level_of_each
from eval.judge import GRADES, Judging
from eval.records import Grade, read_lines
from tsjax.errors import UserError

SAME = ("model", "mode", "rubric_hash", "overrides", "repeats", "seed")  # in all parts of a judge
AGAIN = SAME[:4]  # where its texts are graded once more: more of them, in another order, are as good


@dataclass(frozen=True)
class Part:
    folder: Path

    @cached_property
    def manifest(self) -> Mapping[str, Any]:
        return jobs.load(self.folder, Judging)

    @cached_property
    def grades(self) -> Sequence[Grade]:
        return list(read_lines(self.folder / GRADES, Grade))

    @property
    def done(self) -> bool:
        return (self.folder / GRADES).exists() and self.manifest.get("stopped") == DONE

    def told(self) -> dict[str, Any]:
        """{"folder", "host", "repeats", "models", "date"}: the date is that of its end, None where it was killed."""
        models = sorted({grade.model for grade in self.grades if not grade.anchor})
        about = {"host": self.manifest.get("host"), "repeats": self.manifest["repeats"]}
        return {"folder": self.folder.name, **about, "models": models, "date": self.manifest.get("ended")}

    def places(self) -> dict[tuple[str, int], tuple[str, float]]:
        """(completion, repeat) -> the folder's name, and where it stands among all of the part, anchors too, from 0 to 1."""
        order = [self.manifest[name] for name in ("seed", "repeats", "anchor_repeats")]
        items = Docket.load(self.folder).items(*order)
        last = max(1, len(items) - 1)
        return {(one.completion.id, one.repeat): (self.folder.name, n / last) for n, one in enumerate(items)}

    def differences(self, identity: Mapping[str, Any], names: Sequence[str] = SAME) -> list[str]:
        """Which of `names` are others in the `identity` of an order, or in another part's manifest."""
        return [name for name in names if self.manifest.get(name) != identity.get(name)]


def agreed(first: Part, order: Judging, again: bool = False) -> None:
    """UserError where `order` asks otherwise than a judge's first part did: its grades would not belong to the same table.

    Another server is said, and let pass: servers move, and `between` looks at what came of it. again: whether these are texts
    of the first part, to be graded once more.
    """
    identity = order.identity()
    if different := first.differences(identity, AGAIN if again else SAME):
        raise UserError(
            expected=f"what {first.folder} was graded with: " + _listed(different, first.manifest),
            found=_listed(different, identity),
            todo="give the same options, or begin another study: grades asked for otherwise don't belong in one table",
        )
    if first.manifest.get("host") != order.host:
        print(
            f"warning: {order.judge} is asked at {order.host}; {first.folder.name} was at {first.manifest.get('host')}"
        )


def verdict(parts: Sequence[Part]) -> dict[str, Any]:
    """Of a judge's anchors: that of the first part that failed; a part that was not finished proves nothing, and parts that
    were asked otherwise are not one judge's."""
    stopped = [part.manifest.get("stopped") or "it was killed" for part in parts]
    ended = [part.manifest.get("anchor_verdict") for part, why in zip(parts, stopped, strict=True) if why == DONE]
    found: list[dict[str, Any]] = [one for one in ended if one]
    if failed := [one for one in found if not one["sound"]]:
        return failed[0]
    if others := {name: part.folder.name for part in parts[1:] for name in part.differences(parts[0].manifest)}:
        whys = [
            f"{folder} was graded with another {name} than {parts[0].folder.name}" for name, folder in others.items()
        ]
        return (found[0] if found else {}) | {"sound": False, "why": whys}
    if len(found) == len(parts):
        return found[0]
    whys_not = ", ".join(dict.fromkeys(why for why in stopped if why != DONE)) or "it had no anchors"
    return {"sound": False, "why": [f"the judge has not finished: {whys_not}"]}


def by_text(grades: Sequence[Grade]) -> list[Grade]:
    """With every anchor as a prompt of its own: few stories make all of them, so there are too few prompts otherwise."""
    return [replace(grade, prompt_id=f"anchor {grade.completion}") if grade.anchor else grade for grade in grades]


def between(parts: Sequence[Part]) -> list[dict[str, Shift]]:
    """Of each part: dimension -> how much higher than the first it grades the anchors that both have; {} of the first, and
    where too few of them have grades. The intervals of all parts and dimensions hold together in 95 % of the cases."""
    anchors = [by_text([grade for grade in part.grades if grade.anchor]) for part in parts]
    found: list[dict[str, Shift]] = []
    for n, after in enumerate(anchors):
        try:
            found.append(drift(anchors[0], after, level_of_each(len(parts) - 1)) if n else {})
        except UserError:
            found.append({})
    return found


def between_parts(parts: Sequence[Part], shifts: Sequence[Mapping[str, Shift]]) -> dict[str, Any]:
    """Dimension -> the shift of the part that is farthest from the first for its interval, with its folder as "part"."""
    worst: dict[str, Any] = {}
    for name in sorted({name for of in shifts for name in of}):
        have = [(of[name], part) for of, part in zip(shifts, parts, strict=True) if name in of]
        shift, part = max(have, key=lambda one: abs(one[0].shift) - (one[0].high - one[0].low) / 2)
        worst[name] = asdict(shift) | {"part": part.folder.name}
    return worst


def comparable(
    pairs: Sequence[Mapping[str, Any]], parts: Sequence[Part], shifts: Sequence[Mapping[str, Shift]]
) -> list[dict[str, Any]]:
    """The rows of `eval.stats.pair_statistics`, not reportable where two models were graded in different parts and the judge
    moved between them."""
    graded: list[Collection[str]] = [{grade.model for grade in part.grades if not grade.anchor} for part in parts]
    rows = []
    for row in pairs:
        ins = [{n for n, models in enumerate(graded) if row[side] in models} for side in ("a", "b")]
        moved = [n for n in sorted(ins[0] | ins[1]) if (of := shifts[n].get(row["dimension"])) and of.alarm]
        if ins[0] != ins[1] and moved:
            names = ", ".join(parts[n].folder.name for n in moved)
            why = f"graded in different parts, and the judge's grades of the same anchors moved between them ({names})"
            rows.append({**row, "reportable": False, "why": "; ".join([*([row["why"]] if "why" in row else []), why])})
        else:
            rows.append(dict(row))
    return rows


def _listed(names: Sequence[str], values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {values.get(name)}" for name in names)
