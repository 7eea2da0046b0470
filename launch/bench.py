"""`tsjax bench`: runs benchmarks by name, prints their tables, writes their reports."""

import importlib
import inspect
from pathlib import Path

from tsjax.atomic import write_json
from tsjax.errors import UserError

BENCHMARKS = (
    "step",
    "loader",
    "decode",
    "lanes",
    "startup",
    "dispatch",
)  # modules of `benchmarks` with a `bench(rounds)`


def bench(names: list[str], rounds: int | None, file: Path | None) -> None:
    """Runs the benchmarks named, one after another; a report each into the JSON file. None named: all."""
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        raise UserError(expected=f"benchmarks of {', '.join(BENCHMARKS)}", found=unknown[0], todo="name one of them")
    if rounds is not None and rounds < 1:
        raise UserError(expected="--rounds of at least 1", found=str(rounds), todo="give more")
    if file and not file.parent.is_dir():
        raise UserError(expected=f"a folder for {file}", found=f"no {file.parent}", todo="make it first")
    reports = {}
    for name in names or BENCHMARKS:
        run = importlib.import_module(f"benchmarks.{name}").bench
        usual = inspect.signature(run).parameters["rounds"].default
        print(f"{name}: {rounds or usual} rounds")
        reports[name] = run(rounds or usual)
        if file:  # after each, so that an interruption loses the last alone
            write_json(file, reports if len(reports) > 1 else reports[name])
