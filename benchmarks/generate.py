"""python -m benchmarks.generate --requests 20000: calls a second through the whole engine, and memory over the run.

The server is the stub of `tests/`, in a process of its own, 50 ms from receipt to answer; everything else is as in a run:
money reserved, rows and answers synced to disk, answers examined by the recipe's checks. Rates are of windows of the run.
"""

import argparse
import asyncio
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import machine
from data_gen.engine import DONE
from data_gen.generation import Generation
from data_gen.order import Order
from data_gen.recipe import RECIPES, load

ROOT = Path(__file__).parents[1]
WINDOW = 10.0  # seconds


async def watched(run: Generation) -> list[dict[str, float]]:
    """The run's windows: calls a second, and the process's memory at the end of each."""
    windows: list[dict[str, float]] = []

    async def watch() -> None:
        then, before = time.perf_counter(), 0
        while True:
            await asyncio.sleep(WINDOW)
            now, known = time.perf_counter(), run.plan.known
            windows.append({"calls": known, "per_second": (known - before) / (now - then), "rss_mb": rss()})
            print(f"{known:>8,} calls  {windows[-1]['per_second']:6.0f}/s  {windows[-1]['rss_mb']:6.0f} MB", flush=True)
            then, before = now, known

    watcher = asyncio.create_task(watch())
    try:
        assert await run.send(run.plan) == DONE
    finally:
        watcher.cancel()
        await run.close()
    return windows


def rss() -> float:
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--recipe", default="tinystories")
    parser.add_argument("--latency", type=float, default=0.05)
    parser.add_argument("--concurrency", type=int, default=128)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    os.environ["TSJAX_BENCH_KEY"] = "none"
    with tempfile.TemporaryDirectory() as folder:
        # The stub's stories know nothing of the words that were asked for; all other checks stay.
        recipe = Path(folder, "recipe.toml")
        recipe.write_text(re.sub("required = .*", "", (RECIPES / f"{given.recipe}.toml").read_text()))
        script = Path(folder, "script.json")
        script.write_text(json.dumps({"latency": given.latency}))
        command = [
            sys.executable,
            "-m",
            "tests.openai_server",
            "--script",
            str(script),
            "--ledger",
            f"{folder}/ledger.jsonl",
        ]
        with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            order = Order(
                recipe=load(recipe), source=str(recipe), model="gpt-6-luna", target=given.requests,
                candidates=2 * given.requests, cap=10**15, base_url=server.stdout.readline().strip(), key_env="TSJAX_BENCH_KEY",
                concurrency=given.concurrency,
            )  # fmt: skip
            began, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
            with Generation(Path(folder, "run"), order) as run:
                windows = asyncio.run(watched(run))
                calls = run.plan.known
            seconds, now = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
            server.terminate()
    cpu = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    result = {"calls": calls, "seconds": seconds, "per_second": calls / seconds, "cpu_ms_a_call": 1e3 * cpu / calls,
              "latency": given.latency, "concurrency": given.concurrency, "windows": windows}  # fmt: skip
    print(f"{calls:,} calls in {seconds:.1f} s: {calls / seconds:.0f}/s, {result['cpu_ms_a_call']:.2f} ms of CPU each")
    if given.json:
        given.json.write_text(json.dumps({"benchmark": "generate", "machine": machine(), **result}, indent=2) + "\n")


if __name__ == "__main__":
    main()
