"""The command line of `tsjax judge` -> what a study is made of, and what its judge is to do."""

import argparse
from pathlib import Path
from typing import Any

from launch.ordering import DOLLAR
from tsjax.errors import UserError

EXAMPLE = """tsjax judge runs/1m runs/8m --out studies/sizes
  tsjax judge runs/1m runs/8m --model gpt-6-sol --estimate --out studies/sizes
  tsjax judge runs/1m runs/8m --model gpt-6-sol --cap 5 --compare paper --out studies/sizes
  tsjax judge --model gpt-6-sol --cap 6 --again --out studies/sizes"""


def judge_arguments(p: argparse.ArgumentParser) -> None:
    p.add_argument("runs", nargs="*", type=Path, metavar="RUN", help="run folders, or llama2.c .bin files; none: what --out "
                   "holds")  # fmt: skip
    p.add_argument(
        "--out", type=Path, required=True, metavar="STUDY", help="folder of the study; the same command continues"
    )
    p.add_argument("--compare", choices=("paper",), help="the published numbers of the matching shapes beside")

    g = p.add_argument_group("what is written; in a study that was begun, what you leave out is as it was begun")
    g.add_argument("--prompts", nargs="+", metavar="SET", help="one set of beginnings: stories, released (the "
                   "44 of TinyStories on the Hub), a file, an hf:// address; and any of knowledge, reasoning, context "
                   "(default: stories and these three)")  # fmt: skip
    g.add_argument(
        "--instruct", metavar="CORPUS", help="also 50 instructions from the held-out rows of an Instruct corpus"
    )
    g.add_argument("--completions", nargs="+", type=Path, default=[], metavar="FILE", help="JSONL of other models: model, "
                   "prompt or prompt_id, text")  # fmt: skip
    g.add_argument(
        "--checkpoints", choices=("all",), help="also of the earlier checkpoints that a run kept, as NAME@STEP"
    )
    g.add_argument("--k", type=int, help="completions of each beginning (default 10; greedy and beam 1)")
    g.add_argument("--decoding", choices=("sample", "greedy", "beam"), help="(default sample)")
    g.add_argument("--temperature", type=float, help="of sampling (default 1)")
    g.add_argument("--max-new", type=int, help="new tokens at most (default 256)")
    g.add_argument("--cut-at-repeat", action="store_true", default=None, help="cut texts at the first "
                   "repeated run of four words")  # fmt: skip
    g.add_argument("--seed", type=int, help="of all that is drawn (default 0)")

    g = p.add_argument_group("what is measured without a judge, besides the texts")
    g.add_argument("--corpus", metavar="CORPUS", help="loss and bits/byte of every run on the same texts: a file, a folder, "
                   "shards, hf://")  # fmt: skip
    g.add_argument(
        "--data", type=Path, metavar="SHARDS", help="what the runs learned by heart of these (Figs 14 to 18)"
    )
    g.add_argument("--reference", type=Path, metavar="RUN", help="how likely the texts are to this run")

    g = p.add_argument_group("the judge; without --model, only what needs no key")
    g.add_argument("--model", help="as the server calls it")
    g.add_argument("--estimate", action="store_true", help="what judging will cost, and what it can see; nothing is sent or "
                   "written")  # fmt: skip
    g.add_argument(
        "--cap", type=float, metavar="USD", help="never spend more on the whole study, earlier judges included"
    )
    g.add_argument("--mode", choices=("calibrated", "paper"), default="calibrated", help="calibrated: one call, a strict "
                   "schema (default); paper: two turns of free text")  # fmt: skip
    g.add_argument("--repeats", type=int, help="judgements of each completion (default those that this judge of "
                   "the study began with, else 3)")  # fmt: skip
    g.add_argument(
        "--again", action="store_true", help="grade a part of the graded texts once more: has the judge drifted?"
    )
    g.add_argument("--retry", action="store_true", help="also ask once more for judgements whose answers can't be read")
    g.add_argument("--rulers", nargs="+", default=[], metavar="MODEL=SHAPE", help="models of the study that are the paper's "
                   "own, such as m33=768x4 (its Fig 4): grades are linked to the published ones through them")  # fmt: skip

    g = p.add_argument_group("where the judge is")
    g.add_argument("--backend", choices=("chat", "responses", "batch"), default="chat", help="batch: half the price, within "
                   "a day (default chat)")  # fmt: skip
    g.add_argument("--base-url", help="an OpenAI-compatible server (default OpenAI's)")
    g.add_argument("--key-env", metavar="NAME", help="environment variable with the key (default OPENAI_API_KEY; with "
                   "--base-url none)")  # fmt: skip
    g.add_argument(
        "--tier", choices=("standard", "flex"), default="standard", help="flex: half the price, when there is room"
    )
    g.add_argument(
        "--prices", type=Path, help="TOML with prices of your own (default $TSJAX_PRICES, else the dated table)"
    )
    g.add_argument("--free", action="store_true", help="the server costs nothing")
    g.add_argument("--concurrency", type=int, default=128, help="calls at once, at most (default 128)")


def check_together(arguments: argparse.Namespace) -> None:
    """UserError for options that say nothing without others."""
    if arguments.model is None and (
        arguments.estimate or arguments.again or arguments.retry or arguments.cap is not None
    ):
        raise UserError(expected="--model, the judge", found="none", todo="name it, as its server calls it")
    if arguments.cap is not None and not 0 <= arguments.cap < 1e6:
        raise UserError(expected="a cap in USD", found=str(arguments.cap), todo="choose another, such as --cap 5")
    if missing := [path for path in arguments.completions if not path.is_file()]:
        raise UserError(expected="a file of completions", found=f"no {missing[0]}", todo="check the path")
    if arguments.checkpoints and not arguments.runs:
        raise UserError(expected="run folders with --checkpoints", found="none", todo="name them")
    if arguments.corpus and not arguments.runs:
        raise UserError(expected="runs with --corpus, to read it", found="none", todo="name them")
    if arguments.data and not arguments.runs:
        raise UserError(expected="runs with --data, which were trained on it", found="none", todo="name them")


def decoding_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """How texts are written, of arguments that are `launch.judge_plan.filled`."""
    found = {"mode": arguments.decoding, "max_new": arguments.max_new, "seed": arguments.seed,
             "cut_at_repeat": arguments.cut_at_repeat}  # fmt: skip
    unlike = arguments.temperature != 1  # of greedy and beam: for `eval.decoding` to refuse
    return found | ({"temperature": arguments.temperature} if arguments.decoding == "sample" or unlike else {})


def rulers_of(arguments: argparse.Namespace) -> dict[str, str]:
    """Model -> row of the paper's Fig 4."""
    rulers = dict(one.split("=", 1) for one in arguments.rulers if "=" in one)
    if len(rulers) < len(arguments.rulers):
        raise UserError(expected="--rulers MODEL=SHAPE, each model once", found=" ".join(arguments.rulers),
                        todo="write them as m33=768x4")  # fmt: skip
    return rulers


def cap_of(arguments: argparse.Namespace) -> int | None:
    """Picodollars."""
    return None if arguments.cap is None else round(arguments.cap * DOLLAR)


def order_of(arguments: argparse.Namespace, docket: Any, cap: int | None) -> Any:
    """What the judge is to do with a docket, for `cap` picodollars at most."""
    from eval.judge import Judging

    return Judging(
        docket=docket, model=arguments.model, mode=arguments.mode, repeats=arguments.repeats, seed=arguments.seed, cap=cap,
        backend=arguments.backend, base_url=arguments.base_url, key_env=arguments.key_env, tier=arguments.tier,
        prices=arguments.prices, free=arguments.free, concurrency=arguments.concurrency,
    )  # fmt: skip
