"""Tokens per second of greedy generation with random weights: tsjax, and transformers' generate with its KV cache.

A call reads a prompt of 16 random tokens and writes 128 more for each row, to the length limit: no token ends a row.
"""

import importlib.util
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from benchmarks import measure, shapes
from tsjax import decode, model

PROMPT, NEW = 16, 128
ROWS = (1, 8, 64)
NAMES = ("llama-260k", "llama-15m", "neo-1m")


def bench(
    rounds: int = 5, only: tuple[str, ...] = NAMES, rows: tuple[int, ...] = ROWS, new: int = NEW
) -> dict[str, Any]:
    table: list[measure.Row] = []
    peers = bool(importlib.util.find_spec("torch") and importlib.util.find_spec("transformers"))
    if not peers:
        print("torch and transformers are not installed (pip install 'tsjax[bench]'): tsjax alone")
    for shape in only:
        for batch_size in rows:
            workers = [measure.Worker(make, shape, batch_size, PROMPT, new)]
            if peers:
                from benchmarks import torch_peer

                workers.append(measure.Worker(torch_peer.make_generate, shape, batch_size, PROMPT, new))
            calls = {name: call for worker in workers for name, call in worker.variants().items()}
            samples = measure.interleave(calls, rounds)
            for worker in workers:
                worker.close()
            yardstick = "transformers generate" if peers else "tsjax"
            found = measure.rows(samples, yardstick, batch_size * new, shape=shape, batch_size=batch_size)
            measure.show(found)
            table += found
    return measure.report("decode", rounds, table, "jax", "jaxlib", "torch", "transformers", prompt=PROMPT, new=new)


def make(shape: str, batch_size: int, prompt: int, new: int) -> dict[str, Callable[[], object]]:
    """`decode.complete` as `tsjax sample` calls it, greedy."""
    config = shapes.model_config(shape)
    params = jax.jit(lambda: model.init(config, jax.random.key(0)))()
    prompts = np.random.default_rng(0).integers(3, config.vocab_size, (batch_size, prompt)).tolist()
    never = (config.vocab_size,)  # no such token: every row goes on to its limit

    def run() -> None:
        found = decode.complete(
            config, params, prompts, max_new=new, stops=never, sampler=decode.Sampler(temperature=0.0)
        )
        assert all(len(one.ids) == new for one in found)

    return {"tsjax": run}


if __name__ == "__main__":
    measure.main(bench, __doc__, ("--rounds", {"type": int, "default": 5}))
