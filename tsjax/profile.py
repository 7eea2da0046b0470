"""A trace of a few dispatches of a run, and what it says of where the time goes."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import jax

SKIPPED, TRACED = 2, 3  # dispatches: the first ones warm caches up


class Profile:
    """Traces the loop it is called from: dispatches SKIPPED + 1 to SKIPPED + TRACED of those that needed no compiling."""

    def __init__(self, folder: Path):
        self.folder, self._seen, self._on = folder, 0, False

    def dispatched(self, result: Any) -> str | None:
        """To be called after each dispatch, with what it gives; says where the trace is once it is written."""
        self._seen += 1
        if self._seen == SKIPPED:
            jax.block_until_ready(result)
            jax.profiler.start_trace(self.folder, create_perfetto_trace=True)
            self._on = True
        elif self._seen == SKIPPED + TRACED:
            jax.block_until_ready(result)
            return self.end()
        return None

    def end(self) -> str | None:
        """Writes the trace if one is being taken; says so when the run was too short for one."""
        if self._seen >= SKIPPED + TRACED and not self._on:
            return None  # done and told
        if self._on:
            jax.profiler.stop_trace()
            self._on = False
        if self._seen <= SKIPPED:
            return (
                f"no profile: it takes more than {SKIPPED} dispatches that need no compiling; the run had {self._seen}"
            )
        newest = max(self.folder.rglob("perfetto_trace.json.gz"), key=lambda path: path.stat().st_mtime)
        parts = "; ".join(f"{name} {share:.0%}" for name, share in largest(newest))
        return f"profile: {newest} (open it at https://ui.perfetto.dev)\n  largest operations: {parts}"


def largest(trace: Path, count: int = 8) -> list[tuple[str, float]]:
    """(operation, share of the time of all operations), the largest first: numbers at the end of names left out.

    On an accelerator the operations of its own lines, on a CPU those of XLA's worker threads.
    """
    events = json.loads(gzip.decompress(trace.read_bytes()))["traceEvents"]
    processes = {e["pid"]: e["args"]["name"] for e in events if e.get("name") == "process_name"}
    devices = {pid for pid, name in processes.items() if "/device:" in name and "CPU" not in name}
    spent: Counter[str] = Counter()
    for event in events:
        known = event["pid"] in devices if devices else "hlo_op" in event.get("args", {})
        if event.get("ph") == "X" and known:
            spent[event["name"].rstrip("0123456789").rstrip(".")] += event["dur"]
    whole = sum(spent.values()) or 1
    return [(name, time / whole) for name, time in spent.most_common(count)]
