"""`tsjax judge` and `tsjax report`: models side by side, graded or at least measured, and the page that shows it."""

import argparse
import time
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from launch.judge_options import cap_of, check_together, decoding_of, order_of, rulers_of, sets_of
from tsjax.errors import EXIT_BAD_INPUT, EXIT_DONE, UserError

REASONS = 3  # lines on why a judge's grades are void; the page has all of them
COPIED = 50  # training stories at hand for the anchors that copy one: most are long enough


def judge(arguments: argparse.Namespace) -> int:
    from eval.panel import Panel
    from eval.study import STUDY, Study
    from launch.asking import Left, stopped_code
    from launch.judging import grade

    check_together(arguments)
    if arguments.out.exists() and any(not path.name.startswith(".") for path in arguments.out.iterdir()):
        check_study(arguments.out)
    sets, decoding, rulers = sets_of(arguments), decoding_of(arguments), rulers_of(arguments)
    training = stories_of(arguments.data) if arguments.data else []  # refused before any text is written
    if not (arguments.runs or arguments.completions or (arguments.out / STUDY).exists()):
        raise UserError(expected="runs, or completions of other models", found="neither", todo="name at least one run")
    if arguments.estimate:
        return estimate(arguments, sets, decoding, training)
    study = Study(arguments.out)
    try:
        panel, began = Panel(study, training, rulers), time.monotonic()
        made = study.write(arguments.runs, sets, arguments.k, decoding, arguments.checkpoints or "")
        if arguments.completions:
            study.add(arguments.completions, sets, arguments.cut_at_repeat)
        if not study.completions:
            raise UserError(
                expected="texts to look at", found="none: no prompt fits", todo="give other prompts or runs"
            )
        if strange := sorted(set(rulers) - (models := {one.model for one in study.completions})):
            raise UserError(
                expected=f"--rulers of {', '.join(sorted(models))}", found=strange[0], todo="name one of these"
            )
        print(
            f"{made:,} texts written ({time.monotonic() - began:.0f} s); {len(study.completions):,} in {arguments.out}"
        )
        study.measure(arguments.runs, arguments.reference, arguments.corpus)
        if arguments.data and arguments.runs:
            study.memorised(arguments.runs, arguments.data, arguments.seed)
        code, why, again = EXIT_DONE, "", arguments.again
        while arguments.model and code == EXIT_DONE and not why:
            part = panel.docket(arguments.model, arguments.mode)
            if part is None and again:
                part, again = panel.again(arguments.model, arguments.mode), False
            if part is None:
                break
            folder, docket = part
            code, why = grade(folder, order_of(arguments, docket, panel.left(cap_of(arguments), folder)))
        panel.graded()
        found = study.report(arguments.compare or "")
        show(found, arguments.out)
        if why:
            todo = "mend that, or raise --cap, and run the same command again"
            raise UserError(expected="all judgements", found=why, todo=todo)
        return EXIT_BAD_INPUT if found["void"] and code == EXIT_DONE else code
    except Left as left:
        print("left; what was on its way counts as possibly billed; the same command continues")
        return stopped_code(left.signal)
    finally:
        study.close()


def report(arguments: argparse.Namespace) -> int:
    from eval.panel import Panel
    from eval.study import Study

    check_study(arguments.study)
    study = Study(arguments.study)
    try:
        Panel(study).graded()
        found = study.report(arguments.compare or "")
        show(found, arguments.study)
    finally:
        study.close()
    return EXIT_BAD_INPUT if found["void"] else EXIT_DONE


def estimate(arguments: argparse.Namespace, sets: list[Any], decoding: dict[str, Any], training: list[str]) -> int:
    """What the judge will cost, and what the study can see then. Nothing is written, sent, or loaded."""
    from eval.study import Study
    from launch.judging import foreseen, print_estimate

    with TemporaryDirectory() as nowhere:
        study = Study(arguments.out if arguments.out.exists() else Path(nowhere, "study"))
        try:
            planned = study.planned(arguments.runs, sets, arguments.k, decoding, arguments.checkpoints or "")
            print_estimate(arguments, foreseen(study, planned, sets, arguments), training)
        finally:
            study.close()
    return EXIT_DONE


def stories_of(data: Path) -> list[str]:
    """Training stories of a shard folder."""
    from tsjax.shards import open_shards

    return list(islice(open_shards(data).texts("train"), COPIED))


def check_study(out: Path) -> None:
    """UserError where `out` is no study, with what it is."""
    from data_gen import job as jobs

    if (out / jobs.STUDY).exists():
        return
    found, todo = "other files" if out.exists() else "no such folder", "name the --out of a tsjax judge"
    try:
        kind = jobs.load(out)["kind"]
    except UserError:
        pass
    else:
        found, todo = f"a run of kind {kind}", jobs.GO_ON[kind].format(out=out, parent=out.parent)
    raise UserError(expected=f"a study in {out}", found=found, todo=todo)


def show(found: dict[str, Any], out: Path) -> None:
    """The table of grades, and where the page is."""
    from eval.cautions import ANCHORS, by_dimension

    for warning in found["warnings"]:
        if not warning.startswith(ANCHORS):
            print(f"warning: {warning}")
    if found["void"]:
        why = by_dimension(found["anchors"].get("why") or ["the anchors failed"])
        if len(why) > REASONS:
            others = ", ".join(line.partition(":")[0] for line in why[REASONS - 1 :])
            why = [*why[: REASONS - 1], f"and more, told on the page: {others}"]
        print("\n      ".join(["VOID: the judge's grades mean nothing. " + why[0], *why[1:]]))
    for model in found["models"]:
        if not model["in_table"]:
            continue  # an earlier checkpoint: the page has its curves
        grades = model.get("grades") or {}
        said, missing = [], max((one.get("missing") or 0 for one in grades.values()), default=0)
        for name in found["dimensions"]:
            one = grades.get(name)
            if one and one["mean"] is not None and not found["void"]:
                spread = f" ({one['low']:.2f} to {one['high']:.2f})" if one["low"] is not None else ""
                said.append(f"{name} {one['mean']:.2f}{spread}")
        if not said:
            said.append("no grades that count" if grades else "not graded")
        print(f"{model['model']:<23} " + "  ".join([*said, *([f"{missing:,} without grades"] if missing else [])]))
    print(f"{out / 'report.html'} shows it all; not measured: {len(found['not_measured'])} things, listed there")
