"""A run of `tsjax generate`: from an order to documents, continued where it was left."""

import asyncio
from pathlib import Path
from typing import Any

from data_gen import job as jobs
from data_gen import order as orders
from data_gen.asking import Asking
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
from data_gen.senders import Sender
from tsjax.atomic import write_json
from tsjax.lock import LOCK, lock

SHARDED = ("batch", "file")
FAR = 400_000  # documents on their way at once in shards: four of 50,000 lines and as many behind a slow one
SHORT = "every candidate was asked"


class Generation(Asking):
    """A run folder of `tsjax generate` at work."""

    def __init__(self, out: Path, order: Order, sender: Sender | None = None):
        self.order = order
        self.monitor = Monitor(order.recipe)
        self.plan = Plan(
            order.recipe, Sampler(order.recipe, order.seed), order.model, target=order.target, candidates=order.most,
            overrides=order.overrides, patient=order.backend not in SHARDED,
            ahead=FAR if order.backend in SHARDED else AHEAD, judged=self._seen,
        )  # fmt: skip
        super().__init__(out, order, sender)

    def restore(self) -> int:
        count = self.plan.restore(read(self.out))
        self.plan.judged = self._judged
        return count

    async def run(self) -> dict[str, Any]:
        """Sends until the target is accepted, or something stops it; then curates. Returns the manifest.

        `manifest["stopped"]` says why it ended: DONE, CAP, SHORT, WAITING, a breaker's sentence, or what `stop` was given.
        """
        try:
            while True:
                why = await self.send(self.plan)
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
        return self.ended(why, documents=count, alarms=self.alarms())

    def progress(self) -> tuple[int, int, str]:
        good, target = self.plan.good, self.order.target
        return good, target, f"{good:,}/{target:,} accepted of {self.plan.known:,}"

    def alarms(self) -> list[str]:
        return self.monitor.alarms()

    def _seen(self, assigned: Assignment, finding: Finding) -> None:
        if finding.reason:
            self.monitor.judged(False)
        if assigned.done:
            for document in assigned.documents:
                self.monitor.add(document.text, assigned.factors, document)

    def _judged(self, assigned: Assignment, finding: Finding) -> None:
        self.answer_judged(not finding.reason)
        self._seen(assigned, finding)


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
