"""The ways in which a run's requests go out: one call each, in batches, or in files for a tool of the user's.

A sender is made before there is a run folder, so that it can refuse what can never be sent; it works once it has the
run's books.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from data_gen import batch_file
from data_gen.batch import Pace, run_batches
from data_gen.batch_collect import BatchWork
from data_gen.batch_shards import Limits, Terms
from data_gen.capabilities import Profile, body, profile
from data_gen.engine import CAP, DONE, Backend, Engine
from data_gen.job import Job
from data_gen.limiter import Limiter
from data_gen.prices import Price
from data_gen.request import Request
from data_gen.run_folder import Books
from tsjax.errors import UserError

WAITING = "results are waited for"


class Sender(Protocol):
    """Sends what a work asks for. `send` returns why it ended; `state` tells of batches and files, for the eye."""

    async def send(self, work: BatchWork, books: Books) -> str: ...
    def stop(self, why: str) -> None: ...
    async def close(self) -> None: ...
    @property
    def in_flight(self) -> int: ...
    @property
    def state(self) -> str: ...


class Calls:
    """One call a request, many at once, as a backend answers them."""

    def __init__(self, job: Job, backend: Backend):
        self.job, self.backend = job, backend
        self.limiter = Limiter(
            min(16, job.concurrency), job.concurrency, job.requests_per_minute, job.tokens_per_minute
        )
        self.engine: Engine | None = None
        self._why = ""

    async def send(self, work: BatchWork, books: Books) -> str:
        self.engine = Engine(self.backend, books.journal, books.budget, books.price, self.limiter, books.breakers,
                             most=2 * self.job.concurrency)  # fmt: skip
        if self._why:
            return self._why
        return await self.engine.run(work)

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

    def __init__(self, job: Job):
        from data_gen.vendor_batches import VendorBatches

        self.job, self.client = job, client_of(job, "chat")
        self.vendor = VendorBatches(self.client)
        self.progress: dict[str, Any] = {}
        self._stopping, self._why = asyncio.Event(), ""

    async def send(self, work: BatchWork, books: Books) -> str:
        outcome = await run_batches(
            work, books.journal, books.budget, self.vendor, terms_of(self.job, books.price), books.out,
            pace=Pace(limits=Limits(tokens=self.job.enqueued_tokens)), progress=self.progress, stop=self._stopping,
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

    def __init__(self, job: Job, results: Sequence[Path] = ()):
        self.job, self.results = job, results
        self.waiting: list[str] = []  # commands whose results are waited for

    async def send(self, work: BatchWork, books: Books) -> str:
        args = work, books.journal, books.budget, terms_of(self.job, books.price), books.out
        failed: dict[str, int] = {}
        await batch_file.read(*args, self.results, failed=failed)
        await batch_file.write(*args, failed=failed)
        self.results = ()
        shards = batch_file.waiting(books.journal, books.out)
        self.waiting = [batch_file.command(shard, self.job.model) for shard in shards]
        return WAITING if shards else DONE if work.finished else CAP

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


def sender_of(job: Job, results: Sequence[Path] = ()) -> Sender:
    """The sender of a job. UserError for a missing cap or price, and for what can never work: parameters, key, address."""
    price = job.price
    if job.cap is None and price.worst(1, 1):
        raise UserError(
            expected="a cap on the money: --cap USD", found=f"none, and {job.model} costs money",
            todo=f"see `{job.verb} ... --estimate`, then choose a cap",
        )  # fmt: skip
    if job.backend == "offline":
        return Calls(job, job.offline())
    if job.backend == "replay":
        from data_gen.replay import Replay

        assert job.replay is not None
        return Calls(job, Replay(job.replay))
    check_params(job, profile_of(job))
    if job.backend == "batch":
        return Batches(job)
    if job.backend == "file":
        return Files(job, results)
    return Calls(job, client_of(job, job.backend))


def client_of(job: Job, endpoint: str) -> Any:
    from data_gen.client import VENDOR, Client

    # Said in full: the environment may name another server by now than when the run began.
    url = job.base_url or VENDOR
    key_env = job.key_env or (None if job.base_url else "OPENAI_API_KEY")
    return Client(
        base_url=url, key_env=key_env, endpoint=endpoint, timeout=job.timeout, profile=profile_of(job), tier=job.tier,
        strict=job.strict, connections=job.concurrency,
    )  # fmt: skip


def profile_of(job: Job) -> Profile:
    return profile(job.model, job.models)


def terms_of(job: Job, price: Price) -> Terms:
    return Terms.of(profile_of(job), price, strict=job.strict)


def check_params(job: Job, of: Profile) -> None:
    """UserError for a parameter that the model refuses, before anything is paid."""
    endpoint = "responses" if job.backend == "responses" else "chat"
    for params in job.params():
        request = Request("", 0, 0, 0, job.model, (), params)
        body(request, endpoint, of, tier=job.tier, strict=job.strict)
