"""Time and memory of `tsjax prepare` on a text file of any size, which is written for it by the offline writer.

    python -m benchmarks.prepare --gigabytes 2.2 --workers 2 --json benchmarks/results/prepare.json

Memory is the largest sum of the unique set sizes (USS) of prepare and its workers, and of their resident set sizes
(RSS, which counts shared libraries and mapped files once for each process), sampled five times a second.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import measure
from data_gen.offline import write_story
from tsjax.corpus import SEPARATOR
from tsjax.shards import open_shards


def write_text(path: Path, size: int) -> int:
    """Stories with separators, about `size` bytes; returns how many."""
    written = number = 0
    with open(path, "w", encoding="utf-8") as f:
        while written < size:
            text = f"{write_story(0, number)}\n{SEPARATOR}\n"
            f.write(text)
            written += len(text)  # the writer's stories are ASCII
            number += 1
    return number


def memory(process: int) -> dict[str, tuple[int, int]]:
    """(RSS, USS) in bytes of a process and all its descendants."""
    found, waiting = {}, [process]
    while waiting:
        one = waiting.pop()
        try:
            rollup = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()[1:]
            waiting += [int(child) for task in Path(f"/proc/{one}/task").iterdir()
                        for child in (task / "children").read_text().split()]  # fmt: skip
        except OSError:  # it has just ended
            continue
        kilobytes = {line.split()[0].rstrip(":"): int(line.split()[1]) for line in rollup}
        found[str(one)] = (
            1024 * kilobytes["Rss"],
            1024 * (kilobytes["Private_Clean"] + kilobytes["Private_Dirty"]),
        )
    return found


def run(command: list[str]) -> dict[str, Any]:
    began = time.monotonic()
    process = subprocess.Popen(command)
    rss = uss = alone = 0
    while process.poll() is None:
        sizes = memory(process.pid).values()
        rss, uss = max(rss, sum(r for r, _ in sizes)), max(uss, sum(u for _, u in sizes))
        alone = max([alone, *(r for r, _ in sizes)])
        time.sleep(0.2)
    if process.returncode:
        sys.exit(process.returncode)
    return {"seconds": time.monotonic() - began, "rss_sum_peak": rss, "uss_sum_peak": uss, "rss_largest_process": alone}


def bench(
    gigabytes: float = 2.2, workers: int | None = None, vocab_size: int = 4096, folder: Path | None = None
) -> dict[str, Any]:
    workers = workers or os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as temporary:
        place = folder or Path(temporary)
        text, out = place / "stories.txt", place / "shards"
        stories = write_text(text, int(gigabytes * 1e9))
        found = run([sys.executable, "-m", "launch.cli", "prepare", str(text), "--out", str(out),
                     "--workers", str(workers), "--vocab-size", str(vocab_size)])  # fmt: skip
        shards = open_shards(out)
        found |= {
            "text_bytes": text.stat().st_size,
            "stories": stories,
            "megabytes_per_second": text.stat().st_size / 1e6 / found["seconds"],
            "tokens": sum(split["tokens"] for split in shards.manifest["splits"].values()),
            "warnings": len(shards.manifest["warnings"]),
        }
    return measure.report("prepare", 1, [found], "sentencepiece", "array_record", workers=workers)


if __name__ == "__main__":
    measure.main(
        bench,
        __doc__,
        ("--gigabytes", {"type": float, "default": 2.2}),
        ("--workers", {"type": int}),
        ("--vocab-size", {"type": int, "default": 4096}),
        ("--folder", {"type": Path, "help": "keeps text and shards here (default: a temporary folder)"}),
    )
