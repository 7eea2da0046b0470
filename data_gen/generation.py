"""A run of `tsjax generate`: from an order to documents, continued where it was left."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_gen import job as jobs
from data_gen import order as orders
from data_gen.assignment import Assignment
from data_gen.curate import REPORT, curate
from data_gen.engine import DONE
from data_gen.examine import Finding
from data_gen.factors import Sampler
from data_gen.ledger import Ledger
from data_gen.monitor import Monitor
from data_gen.order import Order
from data_gen.plan import AHEAD, Plan
from data_gen.prices import dollars
from data_gen.raw import read
from data_gen.run_folder import RunFolder, spent
from data_gen.senders import Sender, sender_of
from tsjax.atomic import write_json
from tsjax.lock import LOCK, lock

SHARDED = ("batch", "file")
FAR = 400_000  # documents on their way at once in shards: four of 50,000 lines and as many behind a slow one
SHORT = "every candidate was asked"


@dataclass(frozen=True)
class Snapshot:
    """How far a run is. Money in picodollars, `left` in seconds (None: not known yet)."""

    accepted: int
    target: int
    known: int  # documents that are accepted or not, for good
    in_flight: int
    tokens: int
    settled: int
    doubtful: int
    reserved: int
    cap: int | None
    left: float | None
    state: str  # of the sender
    alarms: tuple[str, ...]


class Generation:
    """One run folder at work; `with` closes it. Another order's folder is refused, and one that another process has."""

    def __init__(self, out: Path, order: Order, sender: Sender | None = None):
        self.out, self.order = out, order
        self.sender = sender or sender_of(order)  # whatever it refuses, it refuses before there is a folder
        self.folder = RunFolder(out, order)
        self.manifest, self.books = self.folder.manifest, self.folder.books
        self.monitor = Monitor(order.recipe)
        self.plan = Plan(
            order.recipe, Sampler(order.recipe, order.seed), order.model, target=order.target, candidates=order.most,
            overrides=order.overrides, patient=order.backend not in SHARDED,
            ahead=FAR if order.backend in SHARDED else AHEAD, judged=self._seen,
        )  # fmt: skip
        self.restored = self.plan.restore(read(out))
        self.plan.judged = self._judged
        self.started, self._good_then = time.monotonic(), self.plan.good
        self.stopping = ""  # why, once it was told to stop

    def __enter__(self) -> "Generation":
        return self

    def __exit__(self, *_: Any) -> None:
        self.folder.release()

    def stop(self, why: str) -> None:
        """Sends nothing more; what is on its way is waited for."""
        self.stopping = self.stopping or why
        self.sender.stop(why)

    async def run(self) -> dict[str, Any]:
        """Sends until the target is accepted, or something stops it; then curates. Returns the manifest.

        `manifest["stopped"]` says why it ended: DONE, CAP, SHORT, WAITING, a breaker's sentence, or what `stop` was given.
        """
        try:
            while True:
                why = self.stopping or await self.send()
                count = await asyncio.to_thread(curated, self.out, self.order)
                short = self.order.target - count
                if why != DONE or short <= 0:
                    break
                if self.plan.exhausted:
                    ((reason, times),) = self.plan.reasons.most_common(1) or [("none was accepted", 0)]
                    why = f"{SHORT}; most often: {reason} ({times:,} times)"
                    break
                self.plan.target += short  # copies, or near ones, were found among those that were accepted
        finally:
            await self.close()
        return self._finish(why, count)

    async def send(self) -> str:
        """Sends until the plan has what it wants, or something stops it; returns why it ended."""
        return await self.sender.send(self.plan, self.books)

    async def close(self) -> None:
        """Closes connections and books."""
        await self.sender.close()
        await self.books.journal.close()

    def snapshot(self) -> Snapshot:
        plan, budget, passed = self.plan, self.books.budget, time.monotonic() - self.started
        new = plan.good - self._good_then
        return Snapshot(
            accepted=plan.good, target=self.order.target, known=plan.known, in_flight=self.sender.in_flight,
            tokens=self.books.journal.tokens, settled=budget.settled, doubtful=budget.doubtful, reserved=budget.reserved,
            cap=budget.cap, left=passed / new * max(0, self.order.target - plan.good) if new > 0 else None,
            state=self.sender.state, alarms=tuple(self.monitor.alarms()),
        )  # fmt: skip

    def _seen(self, assigned: Assignment, finding: Finding) -> None:
        if finding.reason:
            self.monitor.judged(False)
        if assigned.done:
            for document in assigned.documents:
                self.monitor.add(document.text, assigned.factors, document)

    def _judged(self, assigned: Assignment, finding: Finding) -> None:
        self.books.breakers.judged(not finding.reason)
        if why := self.books.breakers.tripped():
            self.stop(why)
        self._seen(assigned, finding)

    def _finish(self, why: str, count: int) -> dict[str, Any]:
        self.manifest |= {
            "ended": jobs.now(),
            "stopped": why,
            **spent(self.out),
            "documents": count,
            "alarms": self.monitor.alarms(),
        }
        write_json(self.out / jobs.MANIFEST, self.manifest)
        return self.manifest


def curated(out: Path, order: Order) -> int:
    """Makes documents of the answers in a run folder; how many. 0 where there are no answers."""
    if next(read(out), None) is None:
        return 0
    ledger = Ledger(out, readonly=True)
    lost = ledger.totals().doubt
    ledger.close()
    about = {"model asked": order.model, "asked at": order.host or order.backend,
             "possibly billed, for calls without an answer or its usage": dollars(lost)}  # fmt: skip
    report = curate(
        out, order.recipe, seed=order.seed, target=order.target, valid_fraction=order.valid_fraction,
        against=order.against, licence=order.licence or None, terms=order.terms or None, about=about,
    )  # fmt: skip
    return report["documents"]["train"] + report["documents"]["valid"]


def curate_again(out: Path, order: Order) -> int:
    """`curated`, told in the run's manifest; 0 where there are no answers."""
    with lock(out, todo="wait for it: it curates at its end"):
        try:
            count = curated(out, order)
            if (out / REPORT).exists():
                manifest = orders.load(out) | jobs.settled(order) | {"documents": count}
                write_json(out / jobs.MANIFEST, manifest)
        finally:
            (out / LOCK).unlink(missing_ok=True)
    return (out / REPORT).exists()
