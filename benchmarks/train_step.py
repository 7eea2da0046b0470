"""Seconds per optimizer step of variants of the CPU path, interleaved in one process.

    python -m benchmarks.train_step [--rounds 9] [--json benchmarks/results/NAME.json]

Each round runs one step of every variant, so that a noisy neighbour hits them alike; figures are medians and the
median of the per-round ratios to the first variant. Run it under `tsjax`'s allocator settings (it sets them itself).
"""

import argparse
import dataclasses
import json
import os
import platform
import statistics
import sys
import time

from launch import environment


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    if os.environ.get("TSJAX_ALLOCATOR") != "set":
        os.environ.update(environment.ALLOCATOR, TSJAX_ALLOCATOR="set")
        os.execv(sys.executable, [sys.executable, "-m", "benchmarks.train_step", *sys.argv[1:]])

    import jax
    import jax.numpy as jnp

    from launch import config_file
    from tsjax import linear
    from tsjax.optimizer import make_optimizer
    from tsjax.step import init_state, make_train_step

    shapes = {
        "quickstart (llama d96 L4 T256 B8, muon)": ("configs/quickstart.py", {}),
        "tinystories:1m (gpt_neo d64 L8 H16 T256 B8, V4096)": (
            "configs/tinystories.py:1m",
            {"model.context": 256, "model.vocab_size": 4096, "train.batch_size": 8, "train.accumulate": 1},
        ),
    }
    variants = {"tsjax": {}, "reference attention": {"model.kernel": "reference"}, "plain x @ w": {}}
    report = {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "jax": jax.__version__,
        "rounds": arguments.rounds,
    }
    for shape, (spec, base) in shapes.items():
        steps = {}
        for variant, extra in variants.items():
            config = config_file.load(spec, [f"--config.{k}={v}" for k, v in (base | extra).items()])
            optimizer = make_optimizer(config.optimizer, lambda step, c=config: jnp.full((), c.optimizer.learning_rate))
            T, B, V = config.model.context, config.train.batch_size, config.model.vocab_size
            tokens = jax.random.randint(jax.random.key(0), (B, T + 1), 0, V)
            batch = {"tokens": tokens[:, :-1], "targets": tokens[:, 1:], "weights": jnp.ones((B, T))}
            fast = linear._matmul
            if variant == "plain x @ w":
                linear._matmul = lambda x, w: x @ w
            state = jax.jit(lambda c=config, o=optimizer: init_state(c, o))()
            step = jax.jit(make_train_step(dataclasses.replace(config), optimizer, lambda s: s), donate_argnums=0)
            state, metrics = step(state, batch)  # traced here, with this variant's matmul
            linear._matmul = fast
            jax.block_until_ready(metrics)
            steps[variant] = [step, state, batch, B * T]
        seconds: dict[str, list[float]] = {variant: [] for variant in variants}
        for _ in range(arguments.rounds):
            for variant, run in steps.items():
                begin = time.perf_counter()
                run[1], metrics = run[0](run[1], run[2])
                jax.block_until_ready(metrics)
                seconds[variant].append(time.perf_counter() - begin)
        rows = {}
        for variant, values in seconds.items():
            ratio = statistics.median(v / f for v, f in zip(values, seconds["tsjax"], strict=True))
            median = statistics.median(values)
            rows[variant] = {
                "ms": median * 1e3,
                "tokens_per_second": steps[variant][3] / median,
                "ratio_to_tsjax": ratio,
            }
            print(
                f"{shape}: {variant:<20} {median * 1e3:7.0f} ms  {steps[variant][3] / median:9,.0f} tokens/s  x{ratio:.2f}"
            )
        report[shape] = rows
    if arguments.json:
        with open(arguments.json, "w") as f:
            json.dump(report, f, indent=2)


if __name__ == "__main__":
    main()
