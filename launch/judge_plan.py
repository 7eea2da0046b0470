"""What a study is to become, before anything of it is written: what the command line leaves out is as the study was begun,
and what can be refused is refused."""

import argparse
import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launch.judge_options import cap_of, decoding_of, order_of, rulers_of
from tsjax.errors import UserError

if TYPE_CHECKING:
    from eval.prompts import PromptSet
    from eval.study import Study
    from launch.judging import Foreseen

SETS = ("stories", "knowledge", "reasoning", "context")
INSTRUCT = "instruct"  # name of the set that --instruct makes
REPEATS = 3
DEFAULTS: dict[str, Any] = {
    "k": None, "decoding": "sample", "temperature": 1.0, "max_new": 256, "seed": 0, "cut_at_repeat": False,
}  # fmt: skip
COPIED = 50  # training stories at hand for the anchors that copy one: most are long enough


@dataclass(frozen=True)
class Plan:
    """`arguments`: those of the command line, filled. `foreseen`: the study as it will be."""

    arguments: argparse.Namespace
    sets: Sequence["PromptSet"]
    decoding: dict[str, Any]
    training: Sequence[str]
    rulers: dict[str, str]
    foreseen: "Foreseen"


def plan(given: argparse.Namespace, study: "Study") -> Plan:
    """What the command line asks of a study, new or begun. Writes nothing.

    UserError for all that can be known to be wrong by now: settings, prompts, files of completions, texts and corpora that
    are missing or are not the study's.
    """
    from eval.complete import opened
    from eval.corpus import Corpus
    from launch.judging import foreseen

    arguments = filled(given, study)
    sets, decoding, rulers = sets_of(arguments, study), decoding_of(arguments), rulers_of(arguments)
    if not (arguments.runs or arguments.completions or study.begun):
        raise UserError(expected="runs, or completions of other models", found="neither", todo="name at least one run")
    planned = study.planned(arguments.runs, sets, arguments.k, decoding, arguments.checkpoints or "")
    found = foreseen(study, planned, sets, arguments)
    models = {one.model for one in found.completions}
    if not models:
        raise UserError(expected=f"texts to look at in {study.out}", found="none",
                        todo="name runs, or completions of other models")  # fmt: skip
    if strange := sorted(set(rulers) - models):
        raise UserError(expected=f"--rulers of {', '.join(sorted(models))}", found=strange[0], todo="name one of these")
    training = _training(arguments.data, study) if arguments.data else []
    if not arguments.estimate:
        if arguments.corpus:
            study.agreed({"corpus": Corpus(arguments.corpus).sha256})
        if arguments.reference:
            next(opened(arguments.reference, ()))
        if arguments.model:
            _check_judge(arguments, found, training)
    return Plan(arguments, sets, decoding, training, rulers, found)


def filled(given: argparse.Namespace, study: "Study") -> argparse.Namespace:
    """The arguments, with what is None as the study was begun, or else the default.

    UserError for an option that says otherwise than the study was begun with.
    """
    arguments, kept = argparse.Namespace(**vars(given)), study.kept()
    how = kept.get("decoding") or {}
    begun = {
        "k": kept.get("k"),
        "decoding": how.get("mode"),
        **{name: how.get(name) for name in DEFAULTS if name in how},
    }
    if given.model:
        begun["repeats"] = _repeats(study.out, given.model, given.mode)
    for name, default in (DEFAULTS | {"repeats": REPEATS}).items():
        asked, held = getattr(given, name), begun.get(name)
        if None not in (asked, held) and asked != held:
            raise UserError(
                expected=f"{_said(name, held)}, with which the study in {study.out} was begun", found=_said(name, asked),
                todo=f"{'give ' + _said(name, held) + ', or ' if held is not False else ''}leave it out; "
                "or choose another --out: what differs in it can't be compared",
            )  # fmt: skip
        setattr(arguments, name, asked if asked is not None else held if held is not None else default)
    return arguments


def sets_of(arguments: argparse.Namespace, study: "Study") -> list["PromptSet"]:
    """The prompt sets that are named; those of the study as far as none are. UserError where a study has others."""
    from eval.held_out import instruct_sets
    from eval.prompts import load, parted

    kept, held = study.kept().get("sets") or {}, list["PromptSet"]()
    if kept and (not arguments.prompts or (INSTRUCT in kept and not arguments.instruct)):
        held = parted(study.prompts, kept)
    asked = [load(where) for where in arguments.prompts or (() if kept else SETS)]
    if not arguments.prompts:
        asked += [one for one in held if not (arguments.instruct and one.name == INSTRUCT)]
    elif INSTRUCT not in (one.name for one in asked):
        asked += [one for one in held if one.name == INSTRUCT]  # none are held where --instruct is given
    asked += [instruct_sets(arguments.instruct)] if arguments.instruct else []
    hashes = {one.name: one.hash for one in asked}
    if kept and hashes != kept:
        other = [name for name in hashes if name in kept and hashes[name] != kept[name]]
        raise UserError(
            expected=f"the prompts with which the study in {study.out} was begun: {', '.join(kept)}",
            found=f"other prompts by the name of {other[0]}" if other else ", ".join(hashes),
            todo="leave --prompts and --instruct out; or choose another --out: what differs in it can't be compared",
        )
    return asked


def _check_judge(arguments: argparse.Namespace, study: "Foreseen", training: Sequence[str]) -> None:
    """UserError for an order that could not be carried out, where there is something to grade: no cap, key or price, or
    other settings than the judge began with."""
    from data_gen import job as jobs
    from data_gen.senders import sender_of
    from eval.judge import Judging
    from eval.panel import Panel
    from launch.judging import dockets

    panel = Panel(study, training)  # type: ignore[arg-type]
    for folder, docket in dockets(arguments, study, panel):
        order = order_of(arguments, docket, panel.left(cap_of(arguments), folder))
        asyncio.run(sender_of(order).close())
        if (folder / jobs.MANIFEST).exists():
            order.check(jobs.load(folder, Judging), folder)


def _repeats(out: Path, model: str, mode: str) -> int | None:
    """Those with which this judge began; None where it has not."""
    from data_gen import job as jobs
    from eval.judge import Judging

    for path in sorted(out.glob(f"judge-*/{jobs.MANIFEST}")):
        manifest = jobs.load(path.parent, Judging)
        if (manifest.get("model"), manifest.get("mode")) == (model, mode):
            return manifest.get("repeats")
    return None


def _training(data: Path, study: "Study") -> list[str]:
    """Training stories of a shard folder. UserError where the study had another."""
    from tsjax.shards import open_shards

    shards = open_shards(data)
    study.agreed({"data": shards.fingerprint})
    return list(islice(shards.texts("train"), COPIED))


def _said(name: str, value: Any) -> str:
    option = "--" + name.replace("_", "-")
    return option if value is True else f"no {option}" if value is False else f"{option} {value}"
