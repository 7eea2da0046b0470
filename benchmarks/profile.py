"""Which operations a call spends its time in, as a benchmark's report has it: read from JAX's own trace, no file left."""

import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import jax


def top_operations(call: Callable[[], object], count: int = 12) -> list[tuple[str, float, int]]:
    """(name, ms in total, times) of the operations of the longest total time in one call, all threads or streams together."""
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            call()
        (path,) = Path(folder).rglob("*.xplane.pb")
        data = jax.profiler.ProfileData.from_file(str(path))
        nanoseconds: Counter[str] = Counter()
        times: Counter[str] = Counter()
        for plane in data.planes:
            for line in plane.lines:
                if not _operations(plane.name, line.name):
                    continue
                for event in line.events:
                    name = event.name.split("(")[0]
                    if name.startswith(("ThreadpoolListener", "ThunkExecutor", "end: ", "$")):
                        continue
                    nanoseconds[name] += int(event.duration_ns)
                    times[name] += 1
    return [(name, total / 1e6, times[name]) for name, total in nanoseconds.most_common(count)]


def _operations(plane: str, line: str) -> bool:
    """Whether a line of the trace holds the operations that the device ran (a CPU's: those of its thread pool)."""
    if plane.startswith("/device:"):
        return line.startswith("Stream") or line == "XLA Ops"
    return plane == "/host:CPU" and line.startswith("tf_XLA")
