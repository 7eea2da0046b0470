"""Layers unrolled against layers in a loop: compile time, step time, temporary memory; and what remat does to them.

    python -m benchmarks.layer_scan [--rounds 9] [--json benchmarks/results/NAME.json]

Programs of one depth are compiled in turn, twice (the shorter time counts), then take steps in turn, so that a noisy
neighbour hits them alike; step times are medians, ratios the median of the per-round ratios to the first variant. No
compile cache is used. It sets tsjax's allocator settings itself.
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

DEPTHS = (4, 8, 12, 16, 24, 32)
SCAN = {"unrolled": {"layer_scan": "no"}, "loop": {"layer_scan": "yes"}}
REMAT = {f"{form}, remat={remat}": layers | {"remat": remat}
         for remat in ("none", "dots", "blocks") for form, layers in SCAN.items()}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    if os.environ.get("TSJAX_ALLOCATOR") != "set":
        os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)
        os.environ.update(environment.ALLOCATOR, TSJAX_ALLOCATOR="set")
        os.execv(sys.executable, [sys.executable, "-m", "benchmarks.layer_scan", *sys.argv[1:]])

    import jax

    from tsjax import families
    from tsjax.model_config import ModelConfig

    neo = ModelConfig(**families.gpt_neo(vocab_size=512, context=128, width=64, layers=4, heads=4) | {"window": 64})
    llama = ModelConfig(**families.llama(vocab_size=512, context=256, width=128, layers=16, heads=4))
    report: dict = {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {jax.devices()[0].device_kind}",
        "jax": jax.__version__,
        "rounds": arguments.rounds,
    }
    for layers in DEPTHS:
        name = f"gpt_neo d64 L{layers} H4 T128 B4 V512, float32"
        report[name] = compare(dataclasses.replace(neo, layers=layers), 4, SCAN, arguments.rounds, name)
    name = "llama d128 L16 H4 T256 B8 V512, float32"
    report[name] = compare(llama, 8, REMAT, arguments.rounds, name)
    if arguments.json:
        with open(arguments.json, "w") as f:
            json.dump(report, f, indent=2)


def compare(model, rows: int, variants: dict[str, dict], rounds: int, name: str) -> dict:
    import jax
    import jax.numpy as jnp

    from tsjax.config import Config
    from tsjax.optimizer import make_optimizer
    from tsjax.step import init_state, make_train_step

    def rate(step):
        return jnp.full((), 1e-3)

    tokens = jax.random.randint(jax.random.key(0), (rows, model.context + 1), 0, model.vocab_size)
    batch = {"tokens": tokens[:, :-1], "targets": tokens[:, 1:], "weights": jnp.ones((rows, model.context))}
    optimizer = make_optimizer(Config().optimizer, rate)
    # Parameters and their layout are the same in every variant.
    initial = jax.jit(lambda: init_state(Config(model=model), optimizer))()
    compile_seconds: dict[str, list[float]] = {variant: [] for variant in variants}
    runs = {}
    for order in (list(variants), list(variants)[::-1]):
        for variant in order:
            config = Config(model=dataclasses.replace(model, **variants[variant]))
            begin = time.perf_counter()
            step = jax.jit(make_train_step(config, optimizer, rate), donate_argnums=0)
            compiled = step.lower(initial, batch).compile()
            compile_seconds[variant].append(time.perf_counter() - begin)
            runs[variant] = [compiled, None]
    for run in runs.values():
        run[1], _ = run[0](jax.tree.map(jnp.copy, initial), batch)  # warm
    seconds: dict[str, list[float]] = {variant: [] for variant in variants}
    for _ in range(rounds):
        for variant, run in runs.items():
            begin = time.perf_counter()
            run[1], metrics = run[0](run[1], batch)
            jax.block_until_ready(metrics)
            seconds[variant].append(time.perf_counter() - begin)
    first, rows_out = next(iter(variants)), {}
    for variant, (compiled, _) in runs.items():
        rows_out[variant] = row = {
            "compile_seconds": min(compile_seconds[variant]),
            "ms": statistics.median(seconds[variant]) * 1e3,
            "ms_fastest": min(seconds[variant]) * 1e3,
            "ratio_to_first": statistics.median(a / b for a, b in zip(seconds[variant], seconds[first], strict=True)),
            "temporary_mb": compiled.memory_analysis().temp_size_in_bytes / 1e6,
        }
        print(
            f"{name}: {variant:<22} compile {row['compile_seconds']:6.1f} s  step {row['ms']:7.1f} ms "
            f"x{row['ratio_to_first']:.2f}  temporary {row['temporary_mb']:6.1f} MB", flush=True,
        )  # fmt: skip
    return rows_out


if __name__ == "__main__":
    main()
