"""The engine: sends requests one call each, many at once, and never one that its budget and ledger do not know of.

    slot of the limiter -> money reserved -> row in the ledger -> call -> raw answer on disk -> row settled -> the work
    is told

A failed call is tried again by its kind (`failure.Kind`); a run that can't go on stops and can be resumed.
"""

import asyncio
import contextlib
import time
from collections import Counter
from typing import Protocol

from data_gen.answer import Answer, Reply, read_answer
from data_gen.breakers import Breakers, hopeless
from data_gen.budget import Budget
from data_gen.failure import Failure, Kind
from data_gen.journal import Journal
from data_gen.limiter import LONGEST_HOLD, Limiter
from data_gen.prices import Price, about_tokens, at_most_tokens
from data_gen.request import Request

TRIES = 6  # of a request that fails without a bill
DOUBTFUL_TRIES = 3  # sends of a request that may have been billed without an answer
LIMITED_TRIES = 50  # refusals for the rate, which the limiter is there to avoid

CAP, DONE, ASKED = "the cap is reached", "done", "asked to stop"


class Backend(Protocol):
    """Whatever answers one request at a time. Raises Failure."""

    name: str

    async def call(self, request: Request) -> Reply: ...


class Work(Protocol):
    """Whatever has requests. `take` gives None while it waits for answers; `answered` comes when one is on disk."""

    @property
    def finished(self) -> bool: ...
    def take(self) -> Request | None: ...
    def put_back(self, request: Request) -> None: ...
    def answered(self, request: Request, answer: Answer) -> None: ...
    def gave_up(self, request: Request, why: str) -> None: ...


def worst_cost(price: Price, request: Request) -> int:
    """The most that a request can cost, in picodollars."""
    schema = request.params.get("schema")
    return price.worst(at_most_tokens(request.messages, schema), request.params["max_output_tokens"])


class Engine:
    """Runs a work to its end, or to the reason that stops it. `most`: requests that it has in hand at once."""

    def __init__(
        self, backend: Backend, journal: Journal, budget: Budget, price: Price, limiter: Limiter, breakers: Breakers,
        most: int,
    ):  # fmt: skip
        self.backend, self.journal, self.budget, self.price = backend, journal, budget, price
        self.limiter, self.breakers, self.most = limiter, breakers, most
        self.stopped = ""  # why, once it is to stop
        self.in_flight = 0
        self._error: BaseException | None = None  # of ours, not of a vendor: a full disk
        self._changed = asyncio.Event()  # something ended: money, slots or work may be free
        self._stopping = asyncio.Event()
        self._idle: set[asyncio.Task[None]] = set()  # that wait for a slot or money, with nothing sent
        self._reserved = 0  # requests whose money is reserved here; the budget may hold more, of batches

    def stop(self, why: str = ASKED) -> None:
        """Sends nothing more; what is on its way is waited for."""
        self.stopped = self.stopped or why
        self._stopping.set()
        self._changed.set()
        for task in self._idle - {asyncio.current_task()}:  # a slot may be minutes away
            task.cancel()

    async def run(self, work: Work) -> str:
        """Returns why it ended: DONE, CAP, ASKED or a breaker's sentence."""
        running: set[asyncio.Task[None]] = set()
        try:
            while not self.stopped and not work.finished:
                self._changed.clear()
                if why := self.breakers.tripped():
                    self.stop(why)
                elif len(running) < self.most and (request := work.take()):
                    task = asyncio.create_task(self._one(work, request))
                    running.add(task)
                    task.add_done_callback(running.discard)
                    task.add_done_callback(self._ended)
                    await asyncio.sleep(0)  # let it take its slot, and others move
                elif running:
                    # A breaker may trip with nothing happening. (`wait_for` of Python 3.11 can lose a cancellation that
                    # comes together with what it waits for: two signals at once.)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(1.0):
                            await self._changed.wait()
                else:
                    break  # nothing to ask and nothing on its way: the work has less than it wants
        except asyncio.CancelledError:  # the rows of what is on its way stay open: the next start doubts them
            for task in running:
                task.cancel()
            raise
        finally:
            self._stopping.set()
            if running:
                await asyncio.gather(*running, return_exceptions=True)
        if self._error:
            raise self._error
        return self.stopped or DONE

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._changed.set()
        if not task.cancelled() and (error := task.exception()):
            self._error = error
            self.stop(f"{type(error).__name__}: {error}")

    async def _one(self, work: Work, request: Request) -> None:
        """One request to its answer, however often it takes; gives up, or leaves it for the next start."""
        reserve = worst_cost(self.price, request)
        tokens = sum(about_tokens(m["content"]) for m in request.messages) + request.params["max_output_tokens"]
        seen: Counter[Kind] = Counter()
        messages: list[str] = []
        task = asyncio.current_task()
        assert task is not None
        while not self.stopped:
            self._idle.add(task)
            try:
                async with self.limiter.slot(tokens):
                    if self.stopped or not await self._reserve(reserve):
                        return
                    self._idle.discard(task)
                    self._reserved += 1
                    try:
                        failure = await self._attempt(work, request, reserve)
                    finally:
                        self._reserved -= 1
            finally:
                self._idle.discard(task)
            if failure is None:
                return
            kind, message = failure.kind, failure.message
            seen[kind] += 1
            messages.append(message)
            if kind in (Kind.QUOTA, Kind.FATAL):
                self.stop(message)
            elif kind is Kind.PERMANENT or self._enough(kind, seen) or (kind is Kind.TRANSIENT and hopeless(messages)):
                self.breakers.gave_up(message)
                work.gave_up(request, message)
                return
            elif kind is not Kind.RATE:  # the limiter holds everybody back after that
                asked = min(failure.retry_after or 0.0, LONGEST_HOLD)
                await self._pause(max(asked, self.limiter.backoff(seen.total())))

    @staticmethod
    def _enough(kind: Kind, seen: Counter[Kind]) -> bool:
        most = {
            Kind.DOUBTFUL: DOUBTFUL_TRIES,
            Kind.TRANSIENT: TRIES,
            Kind.CAPACITY: LIMITED_TRIES,
            Kind.RATE: LIMITED_TRIES,
        }
        return seen[kind] >= most[kind]

    async def _attempt(self, work: Work, request: Request, reserve: int) -> Failure | None:
        """One send. Its money is reserved; None when it was answered."""
        cost = doubt = 0
        sent = time.time()
        try:
            (attempt,) = await self.journal.open([request], [reserve], self.backend.name)
            self.in_flight += 1
            try:
                reply = await self.backend.call(request)
            except Failure as failure:
                doubt = reserve if failure.kind is Kind.DOUBTFUL else 0
                await self.journal.fail([attempt], f"{failure.kind}: {failure.message}", [doubt])
                self.breakers.failed(failure)
                if failure.kind is Kind.RATE:
                    self.limiter.limited(failure.retry_after)
                return failure
            finally:
                self.in_flight -= 1
            answer = read_answer(reply.body, reply.params)
            cost, doubt = self.price.booked(answer.usage, answer.tier, reserve)
            await self.journal.settle(attempt, request, reply, cost, doubt, backend=self.backend.name, sent=sent)
        except asyncio.CancelledError:
            doubt = reserve
            raise
        finally:
            self.budget.settle(reserve, cost, doubt)
            self._changed.set()
        self.limiter.answered(reply.headers)
        self.breakers.succeeded()
        work.answered(request, answer)
        return None

    async def _reserve(self, amount: int) -> bool:
        """Takes the money, once what others have reserved comes back if it must; False when the run stops instead."""
        while not self.budget.reserve(amount):
            if not self._reserved:
                self.stop(CAP)
            if self.stopped:
                return False
            freed = asyncio.ensure_future(self._changed.wait())
            await asyncio.wait({freed}, timeout=0.2)
            freed.cancel()
        return True

    async def _pause(self, seconds: float) -> None:
        """Sleeps, unless the run stops before that."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
