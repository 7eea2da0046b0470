"""A job at work in its run folder: what generating and judging have in common."""

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from data_gen import job as jobs
from data_gen.batch_collect import BatchWork
from data_gen.job import Job
from data_gen.run_folder import RunFolder, spent
from data_gen.senders import Sender, sender_of
from tsjax.atomic import write_json


@dataclass(frozen=True)
class Snapshot:
    """How far a run is. Money in picodollars, `left` in seconds (None: not known yet)."""

    told: str  # what is done, of what is wanted
    in_flight: int
    tokens: int
    settled: int
    doubtful: int
    cap: int | None
    left: float | None
    state: str  # of the sender
    alarms: Sequence[str]


class Asking(ABC):
    """One run folder at work; `with` closes it. Another job's folder is refused, and one that another process has.

    `restore` is called once, before anything is asked: it takes in the answers that are there, and returns how many.
    """

    def __init__(self, out: Path, job: Job, sender: Sender | None = None):
        self.out = out
        self.sender = sender or sender_of(job)  # whatever it refuses, it refuses before there is a folder
        self.folder = RunFolder(out, job)
        self.manifest, self.books = self.folder.manifest, self.folder.books
        self.stopping = ""  # why, once it was told to stop
        self._failures = self.books.journal.ledger.reasons()  # of earlier processes
        try:
            self.restored = self.restore()
        except BaseException:
            self.folder.release()
            raise
        self._started, self._done_then = time.monotonic(), self.progress()[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.folder.release()

    @abstractmethod
    def restore(self) -> int: ...

    @abstractmethod
    async def run(self) -> dict[str, Any]:
        """Asks until all is done, or something stops it. Returns the manifest, whose "stopped" says why it ended."""

    @abstractmethod
    def progress(self) -> tuple[int, int, str]:
        """How much is done, of how much, and both in words."""

    def alarms(self) -> Sequence[str]:
        """What somebody should look at while it runs."""
        return ()

    def stop(self, why: str) -> None:
        """Sends nothing more; what is on its way is waited for."""
        self.stopping = self.stopping or why
        self.sender.stop(why)

    async def send(self, work: BatchWork) -> str:
        """Sends until the work has what it wants, or something stops it; returns why it ended."""
        return self.stopping or await self.sender.send(work, self.books)

    async def close(self) -> None:
        """Closes connections and books."""
        await self.sender.close()
        await self.books.journal.close()

    def snapshot(self) -> Snapshot:
        budget = self.books.budget
        done, wanted, told = self.progress()
        new, passed = done - self._done_then, time.monotonic() - self._started
        return Snapshot(
            told=told, in_flight=self.sender.in_flight, tokens=self.books.journal.tokens, settled=budget.settled,
            doubtful=budget.doubtful, cap=budget.cap, left=passed / new * max(0, wanted - done) if new > 0 else None,
            state=self.sender.state, alarms=self.alarms(),
        )  # fmt: skip

    def answer_judged(self, good: bool) -> None:
        """Tells the breakers of an answer; stops where too few are good."""
        self.books.breakers.judged(good)
        if why := self.books.breakers.tripped():
            self.stop(why)

    def ended(self, why: str, **found: Any) -> dict[str, Any]:
        """Writes how it ended into the manifest, and returns that. "trouble": the reason that most attempts of this process
        had for bringing no answer, as {"why", "attempts"}, or None."""
        bill = spent(self.out)
        since = {one: count - self._failures.get(one, 0) for one, count in bill["failures"].items()}
        most = max(since, key=since.__getitem__, default="")
        trouble = {"why": most, "attempts": since[most]} if since.get(most, 0) > 0 else None
        self.manifest |= {"ended": jobs.now(), "stopped": why, **bill, "trouble": trouble, **found}
        write_json(self.out / jobs.MANIFEST, self.manifest)
        return self.manifest
