"""`tsjax judge` and `tsjax report`: models side by side, graded or at least measured, and the page that shows it."""

import argparse
import time
from pathlib import Path
from typing import Any

from launch.ordering import DOLLAR
from tsjax.errors import EXIT_BAD_INPUT, EXIT_DONE, UserError

EXAMPLE = """tsjax judge runs/1m runs/8m --out studies/sizes
  tsjax judge runs/1m runs/8m --model gpt-6-sol --estimate --out studies/sizes
  tsjax judge runs/1m runs/8m --model gpt-6-sol --cap 5 --compare paper --out studies/sizes"""


def judge_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument("runs", nargs="*", type=Path, help="run folders, or llama2.c .bin files; none: what --out holds")
    p.add_argument("--out", type=Path, required=True, help="folder of the study; the same command continues")
    sets = ["stories", "knowledge", "reasoning", "context"]
    p.add_argument("--prompts", nargs="+", default=sets, help="one set of beginnings: stories, released (the 44 of TinyStories "
                   "on the Hub), a file, an hf:// address; and any of knowledge, reasoning, context")  # fmt: skip
    p.add_argument("--completions", nargs="+", type=Path, default=[], help="JSONL of other models: model, prompt, text")
    p.add_argument("--k", type=int, help="completions of each beginning (default 10; greedy and beam 1)")
    p.add_argument("--decoding", choices=("sample", "greedy", "beam"), default="sample")
    p.add_argument("--temperature", type=float, default=1.0)
    p.add_argument("--max-new", type=int, default=256)
    p.add_argument("--cut-at-repeat", action="store_true", help="cut texts at the first repeated run of four words")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--data", type=Path, help="the runs' shard folder: what they learned by heart (Figs 14 to 18)")
    p.add_argument("--reference", type=Path, help="another run, whose likelihood of the texts is a metric")
    p.add_argument("--compare", choices=("paper",), help="the published numbers of the matching shapes beside")

    g = p.add_argument_group("the judge; without it, only what needs no key")
    g.add_argument("--model", help="as the server calls it")
    g.add_argument("--cap", type=float, metavar="USD", help="never spend more on a part of the study")
    g.add_argument("--estimate", action="store_true", help="what judging will cost; nothing is sent")
    g.add_argument("--mode", choices=("calibrated", "paper"), default="calibrated")
    g.add_argument("--repeats", type=int, default=3, help="judgements of each completion (default 3)")
    g.add_argument("--backend", choices=("chat", "responses", "batch"), default="chat")
    g.add_argument("--base-url")
    g.add_argument("--key-env", metavar="NAME")
    g.add_argument("--tier", choices=("standard", "flex"), default="standard")
    g.add_argument("--prices", type=Path)
    g.add_argument("--free", action="store_true", help="the server costs nothing")
    g.add_argument("--concurrency", type=int, default=128)


def judge(arguments: argparse.Namespace) -> int:
    from eval.panel import Panel
    from eval.prompts import load
    from eval.study import Study

    if arguments.model is None and (arguments.estimate or arguments.cap is not None):
        raise UserError(expected="--model, the judge", found="none", todo="name it, as its server calls it")
    sets = [load(where) for where in arguments.prompts]
    decoding = {"mode": arguments.decoding, "max_new": arguments.max_new, "seed": arguments.seed,
                "cut_at_repeat": arguments.cut_at_repeat}  # fmt: skip
    if arguments.decoding == "sample":
        decoding["temperature"] = arguments.temperature
    if arguments.data:
        from tsjax.shards import open_shards

        open_shards(arguments.data)  # refused before any text is written
    study = Study(arguments.out)
    panel = Panel(study)
    try:
        began = time.monotonic()
        made = study.write(arguments.runs, sets, arguments.k, decoding)
        if arguments.completions:
            study.add(arguments.completions, sets, arguments.cut_at_repeat)
        print(f"{made:,} texts written, {len(study.completions):,} in {arguments.out} ({time.monotonic() - began:.0f} s)")
        if not study.completions:
            raise UserError(expected="runs, or completions of other models", found="neither", todo="name at least one run")
        part = panel.docket(arguments.model, arguments.mode) if arguments.model else None
        if arguments.estimate:
            print_estimate(order_of(arguments, part[1])) if part else print("nothing is left to grade")
            return EXIT_DONE
        study.measure(arguments.runs, arguments.reference)
        if arguments.data and arguments.runs:
            study.memorised(arguments.runs, arguments.data, arguments.seed)
        code, why = EXIT_DONE, ""
        while part and not why and code == EXIT_DONE:
            code, why = grade(part[0], order_of(arguments, part[1]))
            part = panel.docket(arguments.model, arguments.mode)
        panel.graded()
        found = study.report(arguments.compare or "")
        show(found, arguments.out)
        if why:
            todo = "mend that, or raise --cap, and run the same command again"
            raise UserError(expected="all judgements", found=why, todo=todo)
        return EXIT_BAD_INPUT if found["void"] and code == EXIT_DONE else code
    finally:
        study.close()


def report(arguments: argparse.Namespace) -> int:
    from eval.panel import Panel
    from eval.study import COMPLETIONS, Study

    if not (arguments.study / COMPLETIONS).exists():
        raise UserError(expected=f"a study in {arguments.study}", found="no completions", todo="run tsjax judge first")
    study = Study(arguments.study)
    try:
        Panel(study).graded()
        show(study.report(arguments.compare or ""), arguments.study)
    finally:
        study.close()
    return EXIT_DONE


def order_of(arguments: argparse.Namespace, docket: Any) -> Any:
    from eval.judge import Judging

    cap = None if arguments.cap is None else round(arguments.cap * DOLLAR)
    return Judging(
        docket=docket, model=arguments.model, mode=arguments.mode, repeats=arguments.repeats, seed=arguments.seed, cap=cap,
        backend=arguments.backend, base_url=arguments.base_url, key_env=arguments.key_env, tier=arguments.tier,
        prices=arguments.prices, free=arguments.free, concurrency=arguments.concurrency,
    )  # fmt: skip


def print_estimate(order: Any) -> None:
    from data_gen.prices import dollars
    from eval.judge import judge_estimate

    found = judge_estimate(order)
    print(f"judgements   {found.judgements:,} in {found.calls:,} calls, {found.most_calls:,} at most")
    print(f"tokens       about {found.input_tokens:,} in, {found.output_tokens:,} out")
    print(f"cost         likely {dollars(found.likely)}, from {dollars(found.low)} to {dollars(found.high)}; "
          f"worst case {dollars(found.worst)} (prices of {order.price_table.date})")  # fmt: skip


def grade(folder: Path, order: Any) -> tuple[int, str]:
    """Lets the judge work until it is done or stopped: the exit code, and why it can't go on."""
    from data_gen.engine import DONE
    from data_gen.prices import dollars
    from eval.judge import JudgeRun
    from launch.asking import Left, drive, stopped_code

    with JudgeRun(folder, order) as going:
        if going.restored:
            print(f"{going.restored:,} answers of the judge are there already")

        try:
            manifest = drive(going)
        except Left as left:
            print("left; what was on its way counts as possibly billed; the same command continues")
            return stopped_code(left.signal), ""
    why, cost = manifest["stopped"], manifest["cost_usd"]
    missing, paid, doubt = sum(manifest["missing"].values()), *(round(cost[k] * DOLLAR) for k in ("settled", "doubtful"))
    money = f"{dollars(paid)} paid, {dollars(doubt)} possibly billed"
    print(f"{manifest['grades']:,} judgements, {missing:,} without grades, {money}")
    if why == DONE:
        return EXIT_DONE, ""
    if why in ("SIGINT", "SIGTERM"):
        print("saved; the same command continues")
        return stopped_code(why), ""
    return EXIT_DONE, why


def show(found: dict[str, Any], out: Path) -> None:
    """The table of grades, and where the page is."""
    for warning in found["warnings"]:
        print(f"warning: {warning}")
    if found["void"]:
        print("VOID: the judge failed its anchors (damaged stories whose order is known); its grades mean nothing")
    for model in found["models"]:
        said = []
        for name in found["dimensions"]:
            grades = (model.get("grades") or {}).get(name)
            if grades and grades["mean"] is not None and not found["void"]:
                spread = f" ({grades['low']:.2f} to {grades['high']:.2f})" if grades["low"] is not None else ""
                said.append(f"{name} {grades['mean']:.2f}{spread}")
        print(f"{model['model']:<24}" + ("  ".join(said) or "not graded"))
    print(f"{out / 'report.html'} shows it all; not measured: {len(found['not_measured'])} things, listed there")
