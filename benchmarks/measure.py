"""What every benchmark shares: interleaved rounds, medians and ratios, workers, memory, and the report.

Variants that are compared take turns, one call each a round, so that a noisy neighbour hits them alike. The ratio of
two variants is the median of their ratios in each round, not the ratio of their medians.
"""

import argparse
import importlib.metadata
import multiprocessing
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from launch import environment
from tsjax.atomic import write_json

Row = dict[str, Any]  # one line of a table


class Sample(NamedTuple):
    """What one call took, seconds: on the clock, and of all cores together (less sensitive to neighbours)."""

    wall: float
    cpu: float


def timed(call: Callable[[], object]) -> Sample:
    """One call, which must not return before its work is done."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return Sample(time.perf_counter() - wall, time.process_time() - cpu)


def interleave(variants: dict[str, Callable[[], Sample]], rounds: int, warm: int = 1) -> dict[str, list[Sample]]:
    """`rounds` samples of each variant, taken in turn after `warm` rounds that don't count."""
    samples: dict[str, list[Sample]] = {name: [] for name in variants}
    for number in range(-warm, rounds):
        for name, variant in variants.items():
            sample = variant()
            if number >= 0:
                samples[name].append(sample)
    return samples


def rows(samples: dict[str, list[Sample]], yardstick: str, work: float = 0, **same: Any) -> list[Row]:
    """One row per variant: median and quartiles of its seconds, its speed relative to `yardstick`, `work` per second.

    `same` goes into every row. `speed` is above 1 where the variant is faster than the yardstick. `best_speed` is that of
    the fastest rounds, which says more where neighbours take cores away: a program that spins at barriers (OpenMP)
    loses more to them than one that does not.
    """
    table = []
    first = [sample.wall for sample in samples[yardstick]]
    for name, found in samples.items():
        walls = [sample.wall for sample in found]
        speeds = [theirs / ours for ours, theirs in zip(walls, first, strict=True)]
        row = same | {
            "variant": name,
            "ms": 1e3 * float(np.median(walls)),
            "ms_quartiles": [1e3 * float(q) for q in np.quantile(walls, [0.25, 0.75])],
            "best_ms": 1e3 * min(walls),
            "cpu_ms": 1e3 * float(np.median([sample.cpu for sample in found])),
            "speed": float(np.median(speeds)),
            "speed_quartiles": [float(q) for q in np.quantile(speeds, [0.25, 0.75])],
            "best_speed": min(first) / min(walls),
            "of": yardstick,
        }
        table.append(row | ({"per_second": work / float(np.median(walls))} if work else {}))
    return table


class Worker:
    """A process of its own that keeps named variants alive and runs one when asked.

    `make(*arguments)`, a module's function, is called there; it returns the variants by name, and is given what the
    environment holds now (thread counts, the allocator).
    """

    def __init__(self, make: Callable[..., dict[str, Callable[[], object]]], *arguments: Any):
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, make, arguments), daemon=True)
        self._process.start()
        self.names: list[str] = self._answer()

    def variants(self) -> dict[str, Callable[[], Sample]]:
        return {name: lambda name=name: self._ask(name) for name in self.names}

    def memory(self) -> dict[str, float]:
        """MB: the most the process has held so far, and how far that is above what it held before `make`."""
        return self._ask(None)

    def close(self) -> None:
        self._pipe.close()
        self._process.join(10)
        if self._process.is_alive():
            self._process.kill()

    def _ask(self, name: str | None) -> Any:
        self._pipe.send(name)
        return self._answer()

    def _answer(self) -> Any:
        try:
            good, answer = self._pipe.recv()
        except EOFError:
            raise RuntimeError("a worker process ended") from None
        if not good:
            raise RuntimeError(answer)
        return answer


def _serve(pipe: Connection, make: Callable, arguments: tuple) -> None:
    try:
        before = resident("VmRSS")  # with the module that holds `make` imported
        variants = make(*arguments)
        pipe.send((True, list(variants)))
        while True:
            name = pipe.recv()
            if name is None:
                peak = resident("VmHWM")
                pipe.send((True, {"peak_mb": peak, "rise_mb": peak - before}))
            else:
                pipe.send((True, timed(variants[name])))
    except EOFError:
        pass
    except Exception:
        pipe.send((False, traceback.format_exc()))


def resident(key: str) -> float:
    """VmRSS or VmHWM (its peak) of this process, MB. getrusage would count the process that this one came from."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) / 1024


def machine() -> dict[str, Any]:
    """Cores that this process may use, architecture, processor; no names of hosts."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "architecture": platform.machine(),
        "processor": names[0] if names else platform.processor(),
        "system": platform.system(),
    }


def versions(*names: str) -> dict[str, str]:
    """Of Python and of the distributions named, where installed."""
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def report(benchmark: str, rounds: int, table: list[Row], *packages: str, **more: Any) -> dict[str, Any]:
    """What goes into the JSON file."""
    allocator = {name: os.environ[name] for name in environment.ALLOCATOR if name in os.environ}
    return {
        "benchmark": benchmark,
        "machine": machine(),
        "versions": versions("tsjax", "numpy", *packages),
        "allocator": allocator or "default",
        "load": [round(load, 2) for load in os.getloadavg()] if hasattr(os, "getloadavg") else None,
        "rounds": rounds,
        **more,
        "rows": table,
    }


def show(table: list[Row], heading: str = "") -> None:
    """Prints rows under the keys of the first, lists left out."""
    if not table:
        return
    keys = [key for key, value in table[0].items() if not isinstance(value, list | dict)]
    cells = [keys, *([_text(row.get(key)) for key in keys] for row in table)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(keys))]
    if heading:
        print(heading)
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip(), flush=True)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return "-" if value is None else str(value)


def main(bench: Callable[..., dict[str, Any]], document: str | None, *arguments: tuple[str, dict[str, Any]]) -> None:
    """`python -m benchmarks.NAME [--json FILE]` for a benchmark with `arguments` of its own: add_argument's name and fields."""
    parser = argparse.ArgumentParser(description=document, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, fields in arguments:
        parser.add_argument(name, **fields)
    parser.add_argument("--json", type=Path, help="also write the report here")
    given = vars(parser.parse_args())
    file = given.pop("json")
    environment.keep_freed_memory()
    found = bench(**given)
    show(found["rows"])
    if file:
        write_json(file, found)
    sys.stdout.flush()
