"""`tsjax prepare` and `tsjax instruct`: command line, progress and summary around the stages."""

import argparse
import time
from pathlib import Path

from launch.report import print_report
from launch.show import show
from tsjax.corpus.readers import Reading
from tsjax.corpus.repairs import Repairs
from tsjax.corpus.split import Splitting
from tsjax.errors import UserError
from tsjax.prepare import prepare as prepare_shards
from tsjax.shards import open_shards
from tsjax.tokenizer import Recipe
from tsjax.workers import Processes, Workers

LEFT_OUT = {
    "train_in_valid": "training documents equal to validation ones",
    "train_near_valid": "training documents nearly equal to validation ones",
}


def prepare(arguments: argparse.Namespace) -> None:
    a = arguments
    for name, least in (("show", 0), ("context", 1)):
        if getattr(a, name) < least:
            raise UserError(expected=f"--{name} of at least {least}", found=str(getattr(a, name)), todo="raise it")
    if a.inputs:
        prepare_inputs(a)
    elif not (a.show or a.report):
        raise UserError(expected="inputs", found="none", todo="name files, folders or hf:// data sets, or ask --show N")
    shards = open_shards(a.out)
    if a.report:
        print_report(shards.report())
    if a.show:
        show(shards, a.show, a.context)


def prepare_inputs(a: argparse.Namespace) -> None:
    began, last = time.monotonic(), 0.0

    def tell(stage: str, done: int, total: int | None) -> None:
        nonlocal last
        if time.monotonic() - last > 5 or done == total:
            last = time.monotonic()
            print(f"{stage}: {done / 1e6:,.1f}{f' of {total / 1e6:,.1f}' if total else ''} MB", flush=True)

    if a.tokenizer and (a.kind or a.vocab_size is not None):
        raise UserError(
            expected="--tokenizer, or --kind and --vocab-size of a new one", found="both", todo="leave one out"
        )
    manifest = prepare_shards(
        a.inputs, a.out, valid_inputs=a.valid, seed=a.seed, workers=workers(a), progress=tell,
        reading=Reading(form=a.format, text_key=a.text_key, where=pairs(a.where)),
        repairs=Repairs(a.fix_encoding, a.min_characters, a.final_punctuation),
        splitting=Splitting(a.valid_fraction, a.near, a.drop_duplicates, a.drop_near_duplicates),
        recipe=recipe(a),
    )  # fmt: skip
    print(summary(manifest))
    for warning in manifest["warnings"]:
        print(f"warning: {warning}")
    print(f"done in {time.monotonic() - began:.0f} s: {a.out}")


def instruct(a: argparse.Namespace) -> None:
    from data_gen.instruct import write_instruct

    manifest = write_instruct(
        a.inputs, a.out, reading=Reading(where=pairs(a.where)), ood=a.ood, valid_fraction=a.valid_fraction, seed=a.seed
    )
    for split, file in manifest["files"].items():
        print(f"{split}: {file['count']:,} documents")
    if manifest["left_out"]:
        print(f"left out: {', '.join(f'{count:,} {why}' for why, count in manifest['left_out'].items())}")
    print(f"next: tsjax prepare {a.out} --out SHARDS")


def recipe(a: argparse.Namespace) -> Recipe:
    if a.tokenizer:
        return Recipe(path=Path(a.tokenizer), top=a.top, rare=a.rare, chat=a.chat)
    size = 4096 if a.vocab_size is None else a.vocab_size
    return Recipe(kind=a.kind or "bpe", vocab_size=size, top=a.top, rare=a.rare, chat=a.chat)


def workers(a: argparse.Namespace) -> Workers:
    if a.on == "processes":
        return Processes(a.workers)
    from launch.on_ray import OnRay

    return OnRay(a.workers, a.ray_address)


def pairs(where: list[str]) -> tuple[tuple[str, str], ...]:
    """`FIELD=VALUE` arguments."""
    for condition in where:
        if "=" not in condition:
            raise UserError(expected="--where FIELD=VALUE", found=condition, todo="for example --where source=GPT-4")
    return tuple((field, value) for field, _, value in (condition.partition("=") for condition in where))


def summary(manifest: dict) -> str:
    """A line a split: what is in it."""
    lines = []
    for name, split in manifest["splits"].items():
        rate = split["bytes"] / split["tokens"]
        line = (f"{name}: {split['documents']:,} documents, {split['words']:,} words, {split['tokens']:,} tokens "
                f"({rate:.2f} bytes/token)")  # fmt: skip
        if split["dropped"]:
            line += f"; {split['dropped']:,} documents left out for tokens outside the vocabulary"
        if split["unknown"]:
            line += f"; {split['unknown']:,} tokens are unknown ({split['unknown'] / split['tokens']:.2%})"
        lines.append(line)
    if left_out := [f"{count:,} {LEFT_OUT.get(why, why)}" for why, count in manifest["left_out"].items() if count]:
        lines.append(f"left out: {', '.join(left_out)}")
    if share := manifest["tokenizer"].get("rare_share"):
        lines.append(f"rare tokens in the training sample: {share[0]:.3%} of tokens, in {share[1]:.2%} of documents")
    return "\n".join(lines)
