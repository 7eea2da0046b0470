"""A run of `tsjax generate`: from an order to documents, continued where it was left."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from data_gen import order as orders
from data_gen.assignment import Assignment
from data_gen.breakers import Breakers
from data_gen.budget import Budget
from data_gen.curate import curate
from data_gen.engine import DONE, Backend, Engine
from data_gen.examine import Finding
from data_gen.factors import Sampler
from data_gen.journal import Journal
from data_gen.ledger import Ledger
from data_gen.limiter import Limiter
from data_gen.monitor import Monitor
from data_gen.order import Order
from data_gen.plan import Plan
from data_gen.prices import Price, Prices, Tier
from data_gen.raw import read
from tsjax.atomic import write_json
from tsjax.errors import UserError
from tsjax.lock import LOCK, lock

SHORT = "every candidate was asked"
STATES = ("attempts", "settled", "extra", "doubtful", "failed", "open")
FREE = ("offline", "replay")


@dataclass(frozen=True)
class Snapshot:
    """How far a run is. Money in picodollars, `left` in seconds (None: not known yet)."""

    accepted: int
    target: int
    answers: int  # documents known to be good or not
    in_flight: int
    tokens: int
    settled: int
    doubtful: int
    reserved: int
    cap: int | None
    limit: int  # calls at once that the limiter allows now
    left: float | None
    vendor: str  # state of the batches, if any
    alarms: tuple[str, ...]


class Generation:
    """One run folder at work; `with` closes it. `begin` refuses another order's folder, the lock another process."""

    def __init__(self, out: Path, order: Order, backend: Callable[[Order], Backend] | None = None):
        self.out, self.order = out, order
        self.price = price_of(order)
        prices = {**asdict(self.price), "date": Prices.load(order.prices).date, "id": Prices.load(order.prices).id}
        if order.cap is None and self.price.worst(1, 1):
            raise UserError(
                expected="a cap on the money: --cap USD", found=f"none, and {order.model} costs money",
                todo="see `tsjax generate ... --estimate`, then choose a cap",
            )  # fmt: skip
        self._lock = lock(out, todo="wait for it, or choose another folder")
        try:
            self.manifest = orders.begin(out, order, prices)
            self.journal = Journal(out, self.manifest["run"], prices["id"])
        except BaseException:
            self._lock.close()
            raise
        totals = self.journal.ledger.totals()
        self.budget = Budget(order.cap, totals.cost, totals.doubt, totals.reserved)
        self.monitor, self.breakers = Monitor(order.recipe), Breakers()
        self.limiter = Limiter(
            min(16, order.concurrency), order.concurrency, order.requests_per_minute, order.tokens_per_minute
        )
        self.plan = Plan(
            order.recipe, Sampler(order.recipe, order.seed), order.model, target=order.target, candidates=order.most,
            overrides=order.overrides, patient=order.backend not in ("batch", "file"), judged=self._seen,
        )  # fmt: skip
        self.restored = self.plan.restore(read(out))
        self.plan.judged = self._judged
        self.started, self._known_then = time.monotonic(), self.plan.accepted
        self.vendor: dict[str, Any] = {}
        self.engine: Engine | None = None
        self.stopping = ""  # why, once it was told to stop
        self.backend = backend or backend_of

    def __enter__(self) -> "Generation":
        return self

    def __exit__(self, *_: Any) -> None:
        (self.out / LOCK).unlink(missing_ok=True)
        self._lock.close()

    def stop(self, why: str) -> None:
        """Sends nothing more; what is on its way is waited for."""
        self.stopping = self.stopping or why
        if self.engine:
            self.engine.stop(why)

    async def run(self) -> dict[str, Any]:
        """Sends until the target is accepted, or something stops it; then curates. Returns the manifest.

        `manifest["stopped"]` says why it ended: DONE, CAP, SHORT, a breaker's sentence, or what `stop` was given.
        """
        backend = self.backend(self.order)
        try:
            while True:
                why = self.stopping or await self.send(backend)
                count = curated(self.out, self.order)
                short = self.order.target - count
                if why != DONE or short <= 0:
                    break
                if self.plan.exhausted:
                    why = SHORT
                    break
                self.plan.target += short  # near copies were found among those that were accepted
        finally:
            if hasattr(backend, "aclose"):
                await backend.aclose()
            await self.journal.close()
        return self._finish(why, count)

    async def send(self, backend: Backend) -> str:
        """Sends until the plan has what it wants, or something stops it; returns why it ended."""
        self.engine = Engine(
            backend, self.journal, self.budget, self.price, self.limiter, self.breakers, 2 * self.order.concurrency
        )
        return await self.engine.run(self.plan)

    def snapshot(self) -> Snapshot:
        plan, passed = self.plan, time.monotonic() - self.started
        new = plan.accepted - self._known_then
        return Snapshot(
            accepted=plan.accepted, target=self.order.target, answers=plan.known,
            in_flight=self.engine.in_flight if self.engine else 0, tokens=self.journal.tokens, settled=self.budget.settled,
            doubtful=self.budget.doubtful, reserved=self.budget.reserved, cap=self.budget.cap, limit=self.limiter.limit,
            left=passed / new * (self.order.target - plan.accepted) if new > 0 else None,
            vendor=", ".join(f"{state} {n}" for state, n in self.vendor.items()), alarms=tuple(self.monitor.alarms()),
        )  # fmt: skip

    def _seen(self, assigned: Assignment, finding: Finding) -> None:
        if assigned.done:
            for text in assigned.documents:
                self.monitor.add(text, assigned.factors, finding)

    def _judged(self, assigned: Assignment, finding: Finding) -> None:
        self.breakers.judged(not finding.reason)
        if why := self.breakers.tripped():
            self.stop(why)
        self._seen(assigned, finding)

    def _finish(self, why: str, count: int) -> dict[str, Any]:
        ledger = Ledger(self.out, readonly=True)
        totals, reasons = ledger.totals(), ledger.reasons()
        ledger.close()
        self.manifest |= {
            "ended": orders.now(),
            "stopped": why,
            "attempts": {name: getattr(totals, name) for name in STATES},
            "tokens": {"input": totals.tokens_in, "output": totals.tokens_out},
            "cost_usd": {"settled": totals.cost / 1e12, "doubtful": totals.doubt / 1e12, "reserved": totals.reserved / 1e12},
            "failures": reasons,
            "documents": count,
        }  # fmt: skip
        write_json(self.out / orders.MANIFEST, self.manifest)
        return self.manifest


def curated(out: Path, order: Order) -> int:
    """Makes documents of the answers in a run folder; how many. 0 where there are too few answers for that."""
    if sum(1 for _ in islice(read(out), 2)) < 2:
        return 0
    report = curate(
        out, order.recipe, seed=order.seed, target=order.target, valid_fraction=order.valid_fraction,
        licence=order.licence or None, terms=order.terms or None, about={"model": order.model, "host": order.host},
    )  # fmt: skip
    return report["documents"]["train"] + report["documents"]["valid"]


def price_of(order: Order) -> Price:
    """What a call of this order costs; nothing where no vendor is asked."""
    tier: Tier = "batch" if order.backend == "batch" else order.tier
    return Prices.load(order.prices).of(order.model, tier, free=order.free or order.backend in FREE)


def backend_of(order: Order) -> Backend:
    """The backend that answers this order's calls."""
    if order.backend == "offline":
        from data_gen.offline.backend import Offline

        return Offline(order.recipe)
    if order.backend == "replay":
        from data_gen.replay import Replay

        assert order.replay is not None
        return Replay(order.replay)
    from data_gen.capabilities import profile
    from data_gen.client import Client

    return Client(
        base_url=order.base_url, key_env=order.key_env, endpoint=order.backend, timeout=order.timeout,
        profile=profile(order.model, order.models), tier=order.tier, strict=order.strict, connections=order.concurrency,
    )  # fmt: skip
