"""Tokens per second that the loader gives a training loop, through Grain, in one process.

Random documents of 50 to 400 tokens; the token set in host memory, as training has it, or a file mapped into memory
(`numpy.memmap`, its pages in the page cache). `plain copy` is what numpy does for the same rows with no loader: one
indexed copy of [batch, context + 1] uint16. A sample opens a loader, draws the epoch's permutation and takes eight million
tokens. The last row is what comes before all that: decoding ArrayRecord shards into host memory.
"""

import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import measure
from tsjax.loader import ConcatRows, DocumentRows, Rows, ShuffledBatches, train_batches

SAMPLE, STREAM, SHARDS = 8_000_000, 20_000_000, 4_000_000  # tokens: of a sample, the random stream, the shard folder
CASES = [(256, 32), (512, 32), (256, 256), (512, 256)]  # context, batch
PACKINGS: dict[str, Callable[..., Rows]] = {"concat": ConcatRows, "documents": DocumentRows}


def bench(rounds: int = 9) -> dict[str, Any]:
    table: list[measure.Row] = []
    stream_N, starts_D, counts_N = documents(STREAM)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tokens.uint16"
        stream_N.tofile(path)
        mapped_N = np.memmap(path, np.uint16, "r")
        for context, batch_size in CASES:
            steps = max(1, SAMPLE // (batch_size * context))
            variants = {"plain copy": plain_copy(stream_N, context, batch_size, steps)}
            for packing, make in PACKINGS.items():
                for where, held_N in (("memory", stream_N), ("mapped", mapped_N)):
                    rows = make(held_N, starts_D, context, counts_N)
                    variants[f"{packing}, {where}"] = reader(rows, batch_size, steps)
            calls = {name: lambda call=call: measure.timed(call) for name, call in variants.items()}
            samples = measure.interleave(calls, rounds)
            found = measure.rows(
                samples, "plain copy", steps * batch_size * context, context=context, batch_size=batch_size
            )
            measure.show(found)
            table += found
    decoding = shards(SHARDS, rounds)
    measure.show(decoding)
    return measure.report("loader", rounds, table + decoding, "grain", "array_record", tokens=STREAM)


def documents(tokens: int, vocab_size: int = 10_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A stream of random documents of 50 to 400 tokens: uint16 [tokens], where each begins, and which tokens count."""
    random = np.random.default_rng(0)
    ends = np.cumsum(random.integers(50, 401, tokens // 50))
    starts = np.concatenate([[0], ends[ends < tokens]])
    counts = np.ones(tokens, bool)
    counts[starts] = False
    return random.integers(0, vocab_size, tokens).astype(np.uint16), starts, counts


def reader(rows: Rows, batch_size: int, steps: int) -> Callable[[], object]:
    """Opens a loader and takes `steps` batches, all there are: nothing has been read ahead before the clock starts."""
    seeds = itertools.count()

    def read() -> None:
        taken = sum(1 for _ in train_batches(ShuffledBatches(rows, batch_size, next(seeds), steps), 0))
        assert taken == steps

    return read


def plain_copy(stream_N: np.ndarray, context: int, batch_size: int, steps: int) -> Callable[[], object]:
    rows = (len(stream_N) - 1) // context
    windows = np.lib.stride_tricks.sliding_window_view(stream_N, context + 1)[::context]
    order = np.random.default_rng(0).permutation(rows)
    at = 0

    def read() -> None:
        nonlocal at
        for _ in range(steps):
            at = at if at + batch_size <= rows else 0
            windows[order[at : at + batch_size]]
            at += batch_size

    return read


def shards(tokens: int, rounds: int) -> list[measure.Row]:
    """Reading a shard folder of the offline writer's stories into memory, checksums included."""
    from data_gen.offline import write_corpus
    from tsjax.prepare import prepare
    from tsjax.shards import open_shards
    from tsjax.tokenizer import Recipe

    with tempfile.TemporaryDirectory() as folder:
        stories, out = Path(folder) / "stories", Path(folder) / "shards"
        write_corpus(stories, max(300, tokens // 150), seed=0)
        prepare([stories], out, recipe=Recipe(vocab_size=2048))
        count = open_shards(out).tokens_count("train")
        calls = {"shards into memory": lambda: measure.timed(lambda: open_shards(out).tokens("train"))}
        samples = measure.interleave(calls, rounds)
    return measure.rows(samples, "shards into memory", count, context=None, batch_size=None)


if __name__ == "__main__":
    measure.main(bench, __doc__, ("--rounds", {"type": int, "default": 9}))
