"""Microseconds per training step by K (steps in one dispatch) and by feed (loader or resident), interleaved.

    python -m benchmarks.dispatch [--rounds 15] [--json benchmarks/results/NAME.json]

Each round runs 16 steps of every variant, host work included, with two dispatches in flight as in training; figures
are medians, ratios the median of the per-round ratios to the first variant.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import time

import numpy as np

from launch import environment

STEPS = 16
SHAPES = {
    "overhead (d32 L2 T64 B2 V512)": dict(width=32, layers=2, heads=2, mlp_width=64, context=64, batch=2),
    "tiny (d64 L4 T128 B4 V512)": dict(width=64, layers=4, heads=4, mlp_width=176, context=128, batch=4),
}
VARIANTS = {
    f"{feed} K={k}": (resident, k) for feed, resident in (("loader", "no"), ("resident", "yes")) for k in (1, 8)
}


def rows_of(packing: str, context: int, tokens: int = 2_000_000):
    """Random documents of about 200 tokens."""
    from tsjax.loader import ConcatRows, DocumentRows

    random = np.random.default_rng(0)
    starts = np.cumsum(np.concatenate([[0], random.integers(50, 350, tokens // 200)]))
    stream, starts = random.integers(0, 512, starts[-1]).astype(np.uint16), starts[:-1]
    counts = np.ones(len(stream), bool)
    counts[starts] = False
    return (ConcatRows if packing == "concat" else DocumentRows)(stream, starts, context, counts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    if os.environ.get("TSJAX_ALLOCATOR") != "set":
        os.environ.update(environment.ALLOCATOR, TSJAX_ALLOCATOR="set")
        os.execv(sys.executable, [sys.executable, "-m", "benchmarks.dispatch", *sys.argv[1:]])

    import jax
    import jax.numpy as jnp

    from tsjax import config as tsjax_config
    from tsjax.feed import make_feed
    from tsjax.loader import ShuffledBatches
    from tsjax.optimizer import make_optimizer
    from tsjax.sharding import make_mesh
    from tsjax.step import init_state, make_dispatch, make_train_step

    mesh = make_mesh()
    report = {"machine": f"{os.cpu_count()} cores, {platform.machine()}, {jax.devices()[0].device_kind}",
              "jax": jax.__version__, "rounds": arguments.rounds, "steps_per_round": STEPS}  # fmt: skip
    for shape, given in SHAPES.items():
        for packing in ("concat", "documents"):
            fields = dict(given)
            batch_size = fields.pop("batch")
            config = tsjax_config.default()
            config.model.update(vocab_size=512, **fields)
            config = tsjax_config.resolve(config)
            schedule = lambda step: jnp.full((), 1e-3)  # noqa: E731
            optimizer = make_optimizer(config.optimizer, schedule)
            train_step = make_train_step(config, optimizer, schedule)
            rows, runs = rows_of(packing, config.model.context), {}
            for name, (resident, k) in VARIANTS.items():
                steps = STEPS * (arguments.rounds + 1)
                feed = make_feed(resident, rows, ShuffledBatches(rows, batch_size, 0, steps), mesh, 0)
                state = jax.jit(lambda c=config, o=optimizer: init_state(c, o))()
                runs[name] = [make_dispatch(train_step, feed), feed, k, state]

            def round_of(run) -> float:
                dispatch, feed, k, state = run
                before, begin = None, time.perf_counter()
                for _ in range(STEPS // k):
                    state, metrics = dispatch(state, feed.tables, feed.take(k))
                    if before is not None:
                        before.block_until_ready()
                    before = metrics["loss"]
                jax.block_until_ready(state)
                run[3] = state
                return (time.perf_counter() - begin) / STEPS

            for run in runs.values():
                round_of(run)  # compiles
            seconds = {name: [] for name in runs}
            for _ in range(arguments.rounds):
                for name, run in runs.items():
                    seconds[name].append(round_of(run))
            first = seconds["loader K=1"]
            for name, values in seconds.items():
                ratio = statistics.median(f / v for v, f in zip(values, first, strict=True))
                spread = [round(float(q) * 1e6) for q in np.quantile(values, [0.25, 0.75])]
                median = statistics.median(values)
                report.setdefault(f"{shape} {packing}", {})[name] = {
                    "us": round(median * 1e6), "quartiles": spread, "speed_to_first": round(ratio, 3),
                    "tokens_per_second": round(batch_size * config.model.context / median),
                }  # fmt: skip
                print(f"{shape} {packing:<9} {name:<13} {median * 1e6:8.0f} us {spread}  x{ratio:.2f}", flush=True)
    if arguments.json:
        with open(arguments.json, "w") as f:
            json.dump(report, f, indent=2)


if __name__ == "__main__":
    main()
