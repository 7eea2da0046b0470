"""A run that kills itself, at the n-th time that a point is reached; for `tests.forks`.

Nothing in the product knows of these points: its methods are wrapped here.
"""

import asyncio
import os
import signal
from pathlib import Path

from data_gen import asking, documents, generation, limiter, verify
from data_gen.client import Client
from data_gen.engine import Engine
from data_gen.generation import Generation
from data_gen.journal import Journal
from data_gen.ledger import Ledger
from data_gen.order import Order
from data_gen.plan import Plan
from data_gen.raw import RawWriter
from data_gen.recipe import load
from tests.data_gen import runs
from tests.data_gen.batch_world import warm as warm
from tsjax.workers import Processes

TARGET = 30


def order(folder: Path, url: str) -> Order:
    return Order(
        recipe=load(folder / "small.toml"), source=str(folder / "small.toml"), model=runs.MODEL, target=TARGET, cap=runs.DOLLAR,
        base_url=url, key_env="TSJAX_TEST_KEY", concurrency=8, timeout=0.5, valid_fraction=0.2,
    )  # fmt: skip


class Point:
    """Counts down, then kills, when told that it was reached."""

    def __init__(self, left: int):
        self.left = left

    def reached(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def arm(name: str, point: Point) -> None:
    """Wraps the method at which this point lies, to die before it or after it."""
    when, _, where = name.partition(" ")
    owner, method = {
        "open": (Journal, "open"),
        "call": (Client, "call"),
        "raw": (RawWriter, "append"),
        "row": (Ledger, "settle"),
        "fail": (Journal, "fail"),
        "book": (Journal, "_book"),
        "told": (Plan, "answered"),
        "attempt": (Engine, "_attempt"),
        "curate": (generation, "curate"),
        "replace": (documents.os, "replace"),
        "finish": (asking, "write_json"),
    }[where]
    inner = getattr(owner, method)

    async def later(*args, **kwargs):
        if when == "before":
            point.reached()
        try:
            return await inner(*args, **kwargs)
        finally:
            if when == "after":
                point.reached()

    def now(*args, **kwargs):
        if when == "before":
            point.reached()
        result = inner(*args, **kwargs)
        if when == "after":
            point.reached()
        return result

    def half(self, rows):
        """Half of a raw frame is on disk."""
        before = self.mark.offset
        result = inner(self, rows)
        if point.left == 1:
            size = self._path().stat().st_size
            os.truncate(self._path(), (before + size) // 2)
        point.reached()
        return result

    wrapped = half if when == "half" else later if asyncio.iscoroutinefunction(inner) else now
    setattr(owner, method, wrapped)


def run(folder: Path, url: str) -> dict:
    with Generation(folder / "run", order(folder, url)) as going:
        manifest = asyncio.run(going.run())
    assert not verify.problems(folder / "run"), verify.problems(folder / "run")
    return manifest


def main(folder: str, url: str, point: str, n: int) -> None:
    Processes.__init__.__defaults__ = (1,)  # curate in this process
    limiter.BASE, limiter.CAP = 0.004, 0.02
    arm(point, Point(n))
    run(Path(folder), url)
