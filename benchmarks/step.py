"""Seconds of a training step, and its memory: tsjax, tsjax with plainer parts, and transformers on torch.

A step is forward, backward, clip and AdamW in float32, dropout 0, on random tokens; one thread per core, and the same
allocator settings for all. Each variant has a process, and they take turns: all stay alive, one computes. Memory is that
of a fresh process that takes three steps of one variant: its peak RSS, and the rise over its RSS after imports.
"""

import importlib.util
from typing import Any

from benchmarks import measure, ours, shapes

MEMORY_STEPS = 3


def bench(rounds: int = 15, only: tuple[str, ...] = tuple(shapes.CPU_BATCH), memory: bool = True) -> dict[str, Any]:
    table: list[measure.Row] = []
    sizes: dict[str, Any] = {}
    peers = bool(importlib.util.find_spec("torch") and importlib.util.find_spec("transformers"))
    if not peers:
        print(
            "torch and transformers are not installed (pip install 'tsjax[bench]'): tsjax is compared with plain JAX alone"
        )
    for shape in only:
        batch_size = shapes.CPU_BATCH[shape]
        model = shapes.model_config(shape)
        sizes[shape] = {"batch_size": batch_size, "context": model.context, **ours.counts(shape)}
        found = _shape(shape, batch_size, rounds, peers, memory, sizes[shape])
        measure.show(found)
        table += found
    return measure.report(
        "step", rounds, table, "jax", "jaxlib", "flax", "optax", "torch", "transformers", shapes=sizes
    )


def _shape(
    shape: str, batch_size: int, rounds: int, peers: bool, memory: bool, size: dict[str, Any]
) -> list[measure.Row]:
    makers = dict.fromkeys(ours.VARIANTS, ours.make)
    if peers:
        from benchmarks import torch_peer

        size["transformers_parameters"] = torch_peer.parameters(shape)
        makers |= dict.fromkeys(torch_peer.VARIANTS, torch_peer.make)
    # A process for each: one heap for several would be cut up by buffers of several sizes.
    workers = [measure.Worker(make, shape, batch_size, (name,)) for name, make in makers.items()]
    variants = {name: call for worker in workers for name, call in worker.variants().items()}
    samples = measure.interleave(variants, rounds, warm=2)
    for worker in workers:
        worker.close()
    rows = measure.rows(samples, "tsjax", work=size["batch_size"] * size["context"], shape=shape)
    for row in rows:
        if memory and row["variant"] not in ours.PARTS:
            row |= _memory(makers[row["variant"]], shape, batch_size, row["variant"])
    return rows


def _memory(make: Any, shape: str, batch_size: int, variant: str) -> dict[str, float]:
    worker = measure.Worker(make, shape, batch_size, (variant,))
    (call,) = worker.variants().values()
    for _ in range(MEMORY_STEPS):
        call()
    found = worker.memory()
    worker.close()
    return found
