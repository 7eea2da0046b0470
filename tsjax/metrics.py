"""What a run tells: metrics.jsonl (the truth), TensorBoard (a mirror), and the progress display.

metrics.jsonl holds only what follows from config, data and seed, so that an interrupted run's file equals an
uninterrupted one's byte for byte. Rates, which depend on the day, go to speed.jsonl.
"""

import contextlib
import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text


class JsonLines:
    """An append-only file of JSON rows that each have a `step`."""

    def __init__(self, path: Path):
        self.path = path
        self._file = open(path, "a", encoding="utf-8")

    def write(self, row: dict[str, Any]) -> None:
        self._file.write(json.dumps(_finite(row), allow_nan=False) + "\n")
        self._file.flush()

    def sync(self) -> None:
        """What was written survives a power cut."""
        os.fsync(self._file.fileno())

    def rewind(self, keep) -> None:
        """Cuts the file before the first row that is torn or for which `keep(row)` is false."""
        end = 0
        with open(self.path, "rb") as f:
            for line in f:
                try:
                    good = line.endswith(b"\n") and keep(json.loads(line))
                except (ValueError, LookupError, TypeError):
                    good = False
                if not good:
                    break
                end += len(line)
        self._file.truncate(end)

    def close(self) -> None:
        self._file.close()


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    """NaN and infinity become null: JSON has no word for them."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}


class Pace:
    """Training rate. An interval with a pause in it (compiling, evaluation, samples, checkpoints) is not read."""

    def __init__(self) -> None:
        self._mark: tuple[int, float] | None = None
        self._waited = 0.0

    def pause(self) -> None:
        self._mark = None

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """For the time in which the loop waits for data."""
        begin = time.perf_counter()
        yield
        self._waited += time.perf_counter() - begin

    def read(self, step: int) -> tuple[float, float] | None:
        """(seconds a step, of which waiting for data) since the last reading; None for the first one and after a pause."""
        now, mark, waited = time.perf_counter(), self._mark, self._waited
        self._mark, self._waited = (step, now), 0.0
        if mark is None or step == mark[0]:
            return None
        return (now - mark[1]) / (step - mark[0]), waited / (step - mark[0])


class Display:
    """A live line on a terminal; a plain line every few seconds elsewhere."""

    def __init__(self, total: int, start: int, quiet: bool = False):
        self._console = Console(stderr=False, quiet=quiet, soft_wrap=True)
        self._live = self._console.is_terminal and not quiet
        self._total, self._plain_at = total, 0.0
        self._progress = Progress(
            TextColumn("train"), BarColumn(bar_width=20), TextColumn("{task.completed}/{task.total}"), _State(),
            TimeElapsedColumn(), console=self._console, disable=not self._live, refresh_per_second=4,
        )  # fmt: skip
        self._task = self._progress.add_task("train", total=total, completed=start, state="starting")

    def __enter__(self) -> "Display":
        self._progress.start()
        return self

    def __exit__(self, *exc) -> None:
        self._progress.stop()

    def say(self, text: str) -> None:
        """One line above the live one."""
        self._console.print(text, markup=False, highlight=False)

    def update(self, step: int, state: str) -> None:
        self._progress.update(self._task, completed=step, state=state)
        # Plain output (a log file, CI) gets a line at the first chance, every 10 seconds, and at the end.
        if not self._live and (time.monotonic() - self._plain_at > 10 or step == self._total):
            self._plain_at = time.monotonic()
            self.say(f"step {step}/{self._total}  {state}")


class _State(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(task.fields["state"])


def duration_text(seconds: float) -> str:
    """`4000` -> `1:06:40`, `65` -> `1:05`."""
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02}:{s:02}" if hours else f"{m}:{s:02}"


class TensorBoard:
    """Mirror of rows as scalars, for those who like to look at curves."""

    def __init__(self, folder: Path, step: int):
        from tensorboardX import SummaryWriter  # on first use: its import takes a while

        self._writer = SummaryWriter(str(folder), purge_step=step + 1 if step else None)

    def write(self, row: dict[str, Any], prefix: str) -> None:
        for name, value in row.items():
            number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            if number and name != "step":
                self._writer.add_scalar(f"{prefix}/{name}", value, row["step"])

    def close(self) -> None:
        self._writer.close()
