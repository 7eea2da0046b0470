"""The judge of `tsjax judge` at work on one part of a study; and what it will cost."""

import argparse
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data_gen import job as jobs
from data_gen.engine import CAP, DONE
from data_gen.prices import DOLLAR, dollars
from data_gen.senders import WAITING
from eval.docket import ASKS, Docket
from eval.judge import JudgeEstimate, JudgeRun, Judging, judge_estimate
from eval.models import models_of
from eval.panel import Panel
from eval.part_folder import unanswered, unreadable
from eval.prompts import PromptSet
from eval.records import Completion, Prompt
from launch.asking import drive, stopped_code, trouble_of
from launch.judge_options import order_of
from tsjax.errors import EXIT_DONE, UserError

SHOWN = 9  # rows of the power table


def grade(folder: Path, order: Judging, retry: bool = False) -> tuple[int, UserError | None]:
    """Lets the judge work until it is done or stopped: the exit code, and why it can't go on. Left as `drive`.

    retry: what has no grades since its answers can't be read is asked for again.
    """
    with JudgeRun(folder, order, retry=retry) as going:
        texts, anchors = len(order.docket.completions), len(order.docket.anchors)
        print(f"{folder.name}: {texts:,} texts and {anchors:,} anchors for {order.judge}")
        if going.restored:
            print(f"{going.restored:,} answers of the judge are there already")
        manifest = drive(going)
    why, cost = manifest["stopped"], manifest["cost_usd"]
    missing, paid, doubt = (
        sum(manifest["missing"].values()),
        *(round(cost[k] * DOLLAR) for k in ("settled", "doubtful")),
    )
    reasons = ", ".join(f"{count:,} x {reason}" for reason, count in manifest["missing"].items())
    print(f"{manifest['grades'] - missing:,} judgements graded, {missing:,} not" + (f" ({reasons})" if missing else "")
          + f"; {dollars(paid)} paid" + (f", {dollars(doubt)} possibly billed" if doubt else ""))  # fmt: skip
    if trouble := trouble_of(manifest):
        print(f"calls without an answer, most of them: {trouble}")
    if why == DONE:
        if unreadable(manifest):
            print(f"{unreadable(manifest):,} have answers that can't be read; --retry asks for them again")
        return EXIT_DONE, None
    if why in ("SIGINT", "SIGTERM") or why == WAITING:
        print("saved; the same command continues")
        return stopped_code(why), None
    return EXIT_DONE, _stopped(manifest, paid, doubt)


def _stopped(manifest: Mapping[str, Any], paid: int, doubt: int) -> UserError:
    """What to say of a judging that stopped before its end; money in picodollars."""
    why, todo = manifest["stopped"], "mend that, and run the same command again"
    if why == CAP and doubt > paid:
        why += f", most of it by calls that may have been billed and had no answer: {trouble_of(manifest) or 'before'}"
        todo = "mend that first: a higher --cap would go the same way"
    elif why == CAP:
        todo = "raise --cap, and run the same command again"
    elif unreadable(manifest):
        todo += f"; with --retry it asks again for the {unreadable(manifest):,} judgements whose answers can't be read"
    return UserError(expected="all judgements", found=why, todo=todo)


def left_over(folders: Sequence[Path]) -> UserError | None:
    """What to say where the server gave no answer to some judgements of these parts, though all were asked for."""
    manifests = [jobs.load(folder, Judging) for folder in folders]
    lost = {trouble_of(one): unanswered(one) for one in manifests if unanswered(one)}
    if not lost:
        return None
    told = "; ".join(trouble for trouble in lost if trouble)
    count = sum(unanswered(one) for one in manifests)
    return UserError(
        expected="all judgements", found=f"{count:,} judgements had no answer" + (f" ({told})" if told else ""),
        todo="the same command asks them again",
    )  # fmt: skip


class Foreseen:
    """A study with other texts than it has, in a folder or in none, for a Panel to plan with. Writes nothing."""

    def __init__(self, study: Any, out: Path, completions: Sequence[Completion], prompts: Sequence[Prompt]):
        self.study, self.out, self.completions, self.prompts = study, out, completions, prompts

    def __getattr__(self, name: str) -> Any:
        return getattr(self.study, name)


def foreseen(
    study: Any, planned: Sequence[Completion], sets: Sequence[PromptSet], arguments: argparse.Namespace
) -> Foreseen:
    """The study as it will be: with what is planned, and what the files of completions hold. UserError as `Study.add`."""
    prompts = [prompt for one in sets for prompt in one.prompts]
    runs = [model.name for model in models_of(arguments.runs, arguments.checkpoints or "")]
    texts = study.with_texts_of(arguments.completions, sets, arguments.cut_at_repeat, runs)
    return Foreseen(study, study.out, [*texts, *planned], prompts)


def print_estimate(arguments: argparse.Namespace, study: Foreseen, training: Sequence[str]) -> None:
    """What is left to grade of a foreseen study costs, and which differences it will see."""
    panel = Panel(study, training)  # type: ignore[arg-type]
    found = []
    for folder, docket in dockets(arguments, study, panel):
        order = order_of(arguments, docket, 0)
        panel.agreed(folder, order)
        found.append(judge_estimate(order, folder, arguments.retry))
    if not sum(one.judgements for one in found):
        print("nothing is left to grade")
    else:
        _print_cost(found, order_of(arguments, Docket([]), 0))
        much = 10**30  # the cap is that of the whole study: what is taken off it is paid, or may be
        if paid := much - (panel.left(much) or 0):
            cents = math.ceil((paid + sum(one.worst for one in found)) / (DOLLAR / 100))
            print(f"paid         {dollars(paid)} already, what may have been billed included; --cap of at least "
                  f"${cents / 100:.2f} finishes it")  # fmt: skip
    table = panel.power(repeats=arguments.repeats)
    source = table["why"] if table["assumed"] else f"of a pilot, {table['why']}"
    print(f"differences  of two models that 4 of 5 such studies will find, in points; variances {source}")
    for row in table["rows"][:SHOWN]:
        print(f"  {row['prompts']:>4} prompts x {row['completions']:>3} texts x {row['repeats']} judgements "
              f"({row['grades']:>7,} a model): {row['detectable']:.2f}")  # fmt: skip


def dockets(arguments: argparse.Namespace, study: Foreseen, panel: Panel) -> list[tuple[Path, Docket]]:
    """Every part that the judge has still to grade; where one is begun, what came after it is another."""
    parts = []
    if part := panel.docket(arguments.model, arguments.mode, retry=arguments.retry):
        parts.append(part)
        if part[0].exists():
            begun = part[0].parent.glob(part[0].name.rpartition("-")[0] + "-[0-9]*")
            covered = {one.id for path in begun if (path / ASKS).exists() for one in Docket.load(path).completions}
            rest = [one for one in study.completions if one.id not in covered]
            nowhere = Foreseen(study, study.out / "no parts", rest, study.prompts)
            later = Panel(nowhere, panel.training).docket(arguments.model, arguments.mode)  # type: ignore[arg-type]
            parts += [later] if later else []
    if arguments.again and (again := panel.again(arguments.model, arguments.mode)):
        parts.append(again)
    return parts


def _print_cost(found: Sequence[JudgeEstimate], order: Judging) -> None:
    def total(name: str) -> int:
        return sum(getattr(one, name) for one in found)

    print(f"judgements   {total('judgements'):,} in {total('calls'):,} calls, {total('most_calls'):,} at most")
    print(f"tokens       about {total('input_tokens'):,} in, {total('output_tokens'):,} out")
    print(f"cost         likely {dollars(total('likely'))}, from {dollars(total('low'))} to {dollars(total('high'))}; "
          f"worst case {dollars(total('worst'))} (prices of {order.price_table.date})")  # fmt: skip
