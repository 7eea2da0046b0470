"""The ways in which a run's requests go out: one call each, in batches, or in files for a tool of the user's.

A sender is made before there is a run folder, so that it can refuse what can never be sent; it works once it has the
run's books.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from data_gen import batch_file
from data_gen.batch import Pace, run_batches
from data_gen.batch_shards import Limits, Terms
from data_gen.breakers import Breakers
from data_gen.budget import Budget
from data_gen.capabilities import Profile, body, profile
from data_gen.engine import CAP, DONE, Backend, Engine
from data_gen.journal import Journal
from data_gen.limiter import Limiter
from data_gen.order import Order
from data_gen.plan import Plan
from data_gen.prices import Price, Prices, Tier
from data_gen.request import Request
from tsjax.errors import UserError

FREE = ("offline", "replay")
WAITING = "results are waited for"


@dataclass(frozen=True)
class Books:
    """What a sender works with: the run's folder, its journal, its money, and its price."""

    out: Path
    journal: Journal
    budget: Budget
    breakers: Breakers
    price: Price


class Sender(Protocol):
    """Sends what a plan asks for. `send` returns why it ended; `state` tells of batches and files, for the eye."""

    async def send(self, plan: Plan, books: Books) -> str: ...
    def stop(self, why: str) -> None: ...
    async def close(self) -> None: ...
    @property
    def in_flight(self) -> int: ...
    @property
    def state(self) -> str: ...


class Calls:
    """One call a request, many at once, as a backend answers them."""

    def __init__(self, order: Order, backend: Backend):
        self.order, self.backend = order, backend
        self.limiter = Limiter(
            min(16, order.concurrency), order.concurrency, order.requests_per_minute, order.tokens_per_minute
        )
        self.engine: Engine | None = None
        self._why = ""

    async def send(self, plan: Plan, books: Books) -> str:
        self.engine = Engine(self.backend, books.journal, books.budget, books.price, self.limiter, books.breakers,
                             most=2 * self.order.concurrency)  # fmt: skip
        if self._why:
            return self._why
        return await self.engine.run(plan)

    def stop(self, why: str) -> None:
        self._why = self._why or why
        if self.engine:
            self.engine.stop(why)

    async def close(self) -> None:
        if hasattr(self.backend, "aclose"):
            await self.backend.aclose()

    @property
    def in_flight(self) -> int:
        return self.engine.in_flight if self.engine else 0

    @property
    def state(self) -> str:
        held = self.limiter.held
        asked = self.limiter.hold_too_long
        beyond = f" (the server asked for {asked:,.0f} s)" if asked else ""
        return f"limit {self.limiter.limit}" + (f", held for {held:.0f} s{beyond}" if held >= 1 else "")


class Batches:
    """Shards through the vendor's Batch API; they go on at the vendor when the process ends."""

    def __init__(self, order: Order):
        from data_gen.vendor_batches import VendorBatches

        self.order, self.client = order, client_of(order, "chat")
        self.vendor = VendorBatches(self.client)
        self.progress: dict[str, Any] = {}
        self._stopping, self._why = asyncio.Event(), ""

    async def send(self, plan: Plan, books: Books) -> str:
        outcome = await run_batches(
            plan, books.journal, books.budget, self.vendor, terms_of(self.order, books.price), books.out,
            pace=Pace(limits=Limits(tokens=self.order.enqueued_tokens)), progress=self.progress, stop=self._stopping,
        )  # fmt: skip
        return {"done": DONE, "asked": self._why, "cap": CAP}.get(outcome.reason, outcome.message)

    def stop(self, why: str) -> None:
        self._why = self._why or why
        self._stopping.set()

    async def close(self) -> None:
        await self.client.aclose()

    @property
    def in_flight(self) -> int:
        return sum(row["n"] for row in self.progress.values())

    @property
    def state(self) -> str:
        return ", ".join(
            f"{name} {row['state']} {row.get('completed', 0):,}/{row['n']:,}"
            for name, row in sorted(self.progress.items())
        )


class Files:
    """Shards as files for a tool such as `vllm run-batch`, and the results that it has written."""

    def __init__(self, order: Order, results: Sequence[Path] = ()):
        self.order, self.results = order, results
        self.waiting: list[str] = []  # commands whose results are waited for

    async def send(self, plan: Plan, books: Books) -> str:
        args = plan, books.journal, books.budget, terms_of(self.order, books.price), books.out
        failed: dict[str, int] = {}
        await batch_file.read(*args, self.results, failed=failed)
        await batch_file.write(*args, failed=failed)
        self.results = ()
        shards = batch_file.waiting(books.journal, books.out)
        self.waiting = [batch_file.command(shard, self.order.model) for shard in shards]
        return WAITING if shards else DONE if plan.finished else CAP

    def stop(self, why: str) -> None:
        pass  # it never waits for anything

    async def close(self) -> None:
        pass

    @property
    def in_flight(self) -> int:
        return 0

    @property
    def state(self) -> str:
        return f"{len(self.waiting)} files wait for results"


def sender_of(order: Order, results: Sequence[Path] = ()) -> Sender:
    """The sender of an order. UserError for a missing cap or price, and for what can never work: parameters, key, address."""
    price = price_of(order)
    if order.cap is None and price.worst(1, 1):
        raise UserError(
            expected="a cap on the money: --cap USD", found=f"none, and {order.model} costs money",
            todo="see `tsjax generate ... --estimate`, then choose a cap",
        )  # fmt: skip
    if order.backend == "offline":
        from data_gen.offline.backend import Offline

        return Calls(order, Offline(order.recipe))
    if order.backend == "replay":
        from data_gen.replay import Replay

        assert order.replay is not None
        return Calls(order, Replay(order.replay))
    check_params(order, profile_of(order))
    if order.backend == "batch":
        return Batches(order)
    if order.backend == "file":
        return Files(order, results)
    return Calls(order, client_of(order, order.backend))


def client_of(order: Order, endpoint: str) -> Any:
    from data_gen.client import VENDOR, Client

    # Said in full: the environment may name another server by now than when the run began.
    url = order.base_url or VENDOR
    key_env = order.key_env or (None if order.base_url else "OPENAI_API_KEY")
    return Client(
        base_url=url, key_env=key_env, endpoint=endpoint, timeout=order.timeout, profile=profile_of(order),
        tier=order.tier, strict=order.strict, connections=order.concurrency,
    )  # fmt: skip


def profile_of(order: Order) -> Profile:
    return profile(order.model, order.models)


def terms_of(order: Order, price: Price) -> Terms:
    return Terms.of(profile_of(order), price, strict=order.strict)


def check_params(order: Order, of: Profile) -> None:
    """UserError for a parameter that the model refuses, before anything is paid."""
    endpoint = "responses" if order.backend == "responses" else "chat"
    for number, step in enumerate(order.recipe.steps):
        request = Request("", 0, number, 0, order.model, (), {**step.params, **order.overrides})
        body(request, endpoint, of, tier=order.tier, strict=order.strict)


def price_of(order: Order) -> Price:
    """What a call of this order costs; nothing where no vendor is asked."""
    tier: Tier = "batch" if order.backend == "batch" else order.tier
    return Prices.load(order.prices).of(order.model, tier, free=order.free or order.backend in FREE)
