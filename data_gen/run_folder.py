"""A run folder at work: held by one process, with its manifest and its books open."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from data_gen import job as jobs
from data_gen.batch_pack import ENDED
from data_gen.breakers import Breakers
from data_gen.budget import Budget
from data_gen.job import Job
from data_gen.journal import Journal
from data_gen.ledger import Ledger
from data_gen.prices import Price
from tsjax.errors import UserError
from tsjax.lock import LOCK, lock

STATES = ("attempts", "settled", "extra", "doubtful", "failed", "open")


@dataclass(frozen=True)
class Books:
    """What a sender works with: the run's folder, its journal, its money, and its price."""

    out: Path
    journal: Journal
    budget: Budget
    breakers: Breakers
    price: Price


class RunFolder:
    """The folder `out` for a job, until `release`. Another job's is refused, and one that another process holds."""

    def __init__(self, out: Path, job: Job):
        price, table = job.price, job.price_table
        self.out = out
        new = not out.exists()
        self._lock = lock(out, todo="wait for it, or choose another folder")
        try:
            self.manifest = jobs.begin(out, job, {**asdict(price), "date": table.date, "id": table.id})
            journal = Journal(out, self.manifest["run"], table.id)
            check_open(journal, job)
        except BaseException:
            self.release()
            if new and not any(out.iterdir()):
                out.rmdir()
            raise
        totals = journal.ledger.totals()
        budget = Budget(job.cap, totals.cost, totals.doubt, totals.reserved)
        self.books = Books(out, journal, budget, Breakers(silence=max(600.0, 3 * job.timeout)), price)

    def release(self) -> None:
        (self.out / LOCK).unlink(missing_ok=True)
        self._lock.close()


def check_open(journal: Journal, job: Job) -> None:
    """UserError where batches or files of another backend are on their way: their answers are paid for."""
    others = {row["backend"] for row in journal.open_batches() if row["status"] not in ENDED} - {job.backend}
    if others:
        (other,) = others
        raise UserError(
            expected=f"--backend {other}, whose shards are on their way", found=f"--backend {job.backend}",
            todo=f"resume with --backend {other} until they are collected",
        )  # fmt: skip


def spent(out: Path) -> dict[str, Any]:
    """What the ledger of a run tells, as its manifest keeps it."""
    ledger = Ledger(out, readonly=True)
    totals, reasons = ledger.totals(), ledger.reasons()
    ledger.close()
    return {
        "attempts": {name: getattr(totals, name) for name in STATES},
        "tokens": {"input": totals.tokens_in, "output": totals.tokens_out},
        "cost_usd": {"settled": totals.cost / 1e12, "doubtful": totals.doubt / 1e12, "reserved": totals.reserved / 1e12},
        "failures": reasons,
    }  # fmt: skip
