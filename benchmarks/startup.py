"""Seconds from starting `tsjax train` to its first finished step, for the 1m shape of configs/tinystories.py.

Cold: with an empty compile cache. Cached: the same command into another run folder. The clock stops when the first row of
metrics.jsonl is on disk (`log_every` 1). Where the time went, in seconds from the start of the command, is read off the run
folder: `manifest` is when manifest.json is there (imports, data and config are done), `step` the first row.
Batches of 4 rows of 512 tokens, not the config's 1,280: the step's own time should not count. `step_cpu`: CPU seconds
of all cores up to then, which neighbours change less.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import measure

LIMIT = 600.0  # seconds to wait for a first step
OVERRIDES = {
    "model.vocab_size": 2048, "train.batch_size": 4, "train.accumulate": 1, "train.duration": "3 steps",
    "train.log_every": 1, "eval.every": "never", "sample.every": "never", "checkpoint.every": "never",
}  # fmt: skip


def bench(rounds: int = 3, config: str = "configs/tinystories.py:1m", **changes: Any) -> dict[str, Any]:
    table: list[measure.Row] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        data = folder / "data"
        corpus(folder / "stories", data)
        found: dict[str, list[dict[str, float]]] = {"cold": [], "cached": []}
        for number in range(rounds):
            cache = folder / f"cache-{number}"
            for kind in found:  # the second finds what the first compiled
                run = folder / f"{kind}-{number}"
                found[kind].append(first_step(config, data, run, cache, OVERRIDES | changes))
    for kind, times in found.items():
        medians = {key: float(np.median([one[key] for one in times])) for key in times[0]}
        quartiles = [float(q) for q in np.quantile([one["step"] for one in times], [0.25, 0.75])]
        best = min(one["step"] for one in times)
        table.append({"variant": kind} | medians | {"best_step": best, "step_quartiles": quartiles})
    measure.show(table)
    return measure.report("startup", rounds, table, "jax", "jaxlib", "flax", "optax", "grain", "orbax-checkpoint",
                          config=config, changes={**OVERRIDES, **changes})  # fmt: skip


def corpus(stories: Path, out: Path) -> None:
    """Shards of 3,000 stories of the offline writer, 2,048 pieces."""
    from data_gen.offline import write_corpus
    from tsjax.prepare import prepare
    from tsjax.tokenizer import Recipe

    write_corpus(stories, 3_000, seed=0)
    prepare([stories], out, recipe=Recipe(vocab_size=2048))


def first_step(config: str, data: Path, run: Path, cache: Path, overrides: dict[str, Any]) -> dict[str, float]:
    """Seconds from the start of the command to `manifest`, to `step`, and of the whole command to its end, `end`."""
    flags = [f"--config.{name}={value}" for name, value in overrides.items()]
    command = [
        sys.executable,
        "-m",
        "launch.cli",
        "train",
        f"--config={config}",
        f"--config.data.path={data}",
        f"--run={run}",
    ]
    # As a user starts it: the allocator's re-exec included, the compile cache in a folder of its own.
    hidden = {"TSJAX_ALLOCATOR", "JAX_COMPILATION_CACHE_DIR"}
    environment = {
        name: value for name, value in os.environ.items() if name not in hidden and not name.startswith("MALLOC_")
    }
    environment["JAX_COMPILATION_CACHE_DIR"] = str(cache)
    begin = time.perf_counter()
    process = subprocess.Popen([*command, *flags], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    seen: dict[str, float] = {}
    files = {"manifest": run / "manifest.json", "step": run / "metrics.jsonl"}
    while process.poll() is None and time.perf_counter() - begin < LIMIT:
        for name, path in files.items():
            if name not in seen and path.exists() and path.stat().st_size:
                seen[name] = time.perf_counter() - begin
                seen[f"{name}_cpu"] = cpu_seconds(process.pid)
        time.sleep(0.01)
    if process.poll() is None:
        process.kill()
    _, err = process.communicate()
    if process.returncode or not files.keys() <= seen.keys():
        raise RuntimeError(f"tsjax train ended with {process.returncode}: {err.decode()[-2000:]}")
    return seen | {"end": time.perf_counter() - begin}


def cpu_seconds(process: int) -> float:
    """User and system time of a running process so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    measure.main(bench, __doc__, ("--rounds", {"type": int, "default": 3}))
