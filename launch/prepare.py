"""`tsjax prepare`: the progress and the summary around `tsjax.shards`."""

import argparse
import time

from tsjax import shards


def prepare(arguments: argparse.Namespace) -> None:
    began, last = time.monotonic(), 0.0

    def tell(stage: str, done: int, total: int | None) -> None:
        nonlocal last
        if time.monotonic() - last > 5 or done == total:
            last = time.monotonic()
            print(f"{stage}: {done / 1e6:,.1f}{f' of {total / 1e6:,.1f}' if total else ''} MB", flush=True)

    manifest = shards.prepare(
        arguments.inputs, arguments.out, vocab_size=arguments.vocab_size, tokenizer=arguments.tokenizer,
        valid_inputs=arguments.valid, valid_fraction=arguments.valid_fraction, text_key=arguments.text_key,
        workers=arguments.workers, progress=tell,
    )  # fmt: skip
    print(summary(manifest))
    print(f"done in {time.monotonic() - began:.0f} s: {arguments.out}")


def summary(manifest: dict) -> str:
    """Two lines: what is in each split."""
    lines = []
    for name, split in manifest["splits"].items():
        rate = split["bytes"] / split["tokens"]
        lines.append(f"{name}: {split['documents']:,} documents, {split['words']:,} words, {split['tokens']:,} tokens "
                     f"({rate:.2f} bytes/token)")  # fmt: skip
    return "\n".join(lines)
