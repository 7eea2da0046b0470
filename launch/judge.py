"""`tsjax judge` and `tsjax report`: models side by side, graded or at least measured, and the page that shows it."""

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from launch.judge_options import cap_of, check_together, order_of
from tsjax.errors import EXIT_BAD_INPUT, EXIT_DONE, UserError

REASONS = 3  # lines on why a judge's grades are void; the page has all of them


def judge(arguments: argparse.Namespace) -> int:
    from eval.panel import Panel
    from eval.study import Study
    from launch.asking import Left, stopped_code
    from launch.judge_plan import plan
    from launch.judging import grade, left_over

    check_together(arguments)
    if arguments.out.exists() and any(not path.name.startswith(".") for path in arguments.out.iterdir()):
        check_study(arguments.out)
    if arguments.estimate:
        return estimate(arguments)
    study = Study(arguments.out)
    try:
        planned = plan(arguments, study)  # what can be refused is refused before any text is written
        arguments, sets = planned.arguments, planned.sets
        panel, began = Panel(study, planned.training, planned.rulers), time.monotonic()
        made = study.write(arguments.runs, sets, arguments.k, planned.decoding, arguments.checkpoints or "")
        if arguments.completions:
            study.add(arguments.completions, sets, arguments.cut_at_repeat)
        if not study.completions:
            raise UserError(
                expected="texts to look at", found="none: no prompt fits", todo="give other prompts or runs"
            )
        print(
            f"{made:,} texts written ({time.monotonic() - began:.0f} s); {len(study.completions):,} in {arguments.out}"
        )
        study.measure(arguments.runs, arguments.reference, arguments.corpus)
        if arguments.data:
            study.memorised(arguments.runs, arguments.data, arguments.seed)
        panel.mend()
        code, error, again, asked = EXIT_DONE, None, arguments.again, list[Path]()
        while arguments.model and code == EXIT_DONE and not error:
            part = panel.docket(arguments.model, arguments.mode, asked, arguments.retry)
            if part is None and again:
                part, again = panel.again(arguments.model, arguments.mode), False
            if part is None:
                break
            folder, docket = part
            asked.append(folder)
            order = order_of(arguments, docket, panel.left(cap_of(arguments), folder))
            panel.agreed(folder, order)
            code, error = grade(folder, order, arguments.retry)
        panel.graded()
        found = study.report(arguments.compare or "")
        show(found, arguments.out)
        if error := error or (left_over(asked) if code == EXIT_DONE else None):
            raise error
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
        panel = Panel(study)
        panel.mend()
        panel.graded()
        found = study.report(arguments.compare or "")
        show(found, arguments.study)
    finally:
        study.close()
    return EXIT_BAD_INPUT if found["void"] else EXIT_DONE


def estimate(arguments: argparse.Namespace) -> int:
    """What the judge will cost, and what the study can see then. Nothing is written, sent, or loaded."""
    from eval.study import Study
    from launch.judge_plan import plan
    from launch.judging import print_estimate

    with TemporaryDirectory() as nowhere:
        study = Study(arguments.out if arguments.out.exists() else Path(nowhere, "study"))
        try:
            planned = plan(arguments, study)
            print_estimate(planned.arguments, planned.foreseen, planned.training)
        finally:
            study.close()
    return EXIT_DONE


def check_study(out: Path) -> None:
    """UserError where `out` is no study, with what it is, or one that has lost its texts."""
    from data_gen import job as jobs

    if (out / jobs.STUDY).exists():
        graded = sorted(out.glob("judge-*/completions.jsonl"))
        if graded and not (out / "completions.jsonl").exists():
            raise UserError(
                expected=f"the texts of the study, {out / 'completions.jsonl'}", found="none, though a judge had them",
                todo=f"put the file back; what was graded is in {out}/judge-*/completions.jsonl",
            )  # fmt: skip
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
