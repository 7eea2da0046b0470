"""The journal of a run: money and answers become durable here, in the order that loses neither.

Before a send: the attempt's row. After an answer: first the raw line, then the row that says so. Many coroutines
write at once, so what they ask for is gathered and made durable together, by one thread, with one sync of each file.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from data_gen.answer import Reply, read_answer
from data_gen.ledger import FILE, Ledger
from data_gen.raw import FOLDER, RawWriter, parts, read
from data_gen.request import Request
from tsjax.errors import UserError

RAW_VERSION = 1
KILLED = "the process ended before the answer came"
STOPPED = "the run was stopped before the answer came"

Entry = tuple[dict[str, Any] | None, Callable[[], Any]]  # a raw line, if any, and what books it


class Journal:
    """Use it in one event loop: `open`, then `settle` or `fail`. What a killed process left is booked on construction.

    UserError, and nothing changed, where the folder has answers that its ledger does not know, or less than it knows.
    """

    def __init__(self, run: Path, run_id: str, price_id: str = ""):
        self.run_id, self.price_id = run_id, price_id
        run.mkdir(parents=True, exist_ok=True)
        if not (run / FILE).exists() and any(part.stat().st_size for part in parts(run / FOLDER)):
            raise _forgotten(run, "none, though there are answers")  # a new one would not know what was spent
        self.ledger = Ledger(run)
        try:
            self.lost = self._recover(run)
        except BaseException:
            self.ledger.close()
            raise
        self._last = self.ledger.last_attempt()
        self.tokens = sum(self.ledger.totals()[-2:])  # of all answers, in and out
        self._thread = ThreadPoolExecutor(1, "journal")
        self._waiting: list[tuple[Entry, asyncio.Future[Any]]] = []
        self._writer: asyncio.Task[None] | None = None
        self._broken: BaseException | None = None

    def _recover(self, run: Path) -> int:
        """Books answers whose rows were not written, then doubts what is still on its way; returns how many those are."""
        with self.ledger.transaction():
            for row in read(run, self.ledger.mark):
                if self.ledger.request_of(row["attempt"]) != row["id"]:
                    raise _forgotten(run, f"one without attempt {row['attempt']} at {row['id']}, which was answered")
                tokens = tokens_of(row["body"], row["params"])
                self.ledger.settle(row["attempt"], row["cost"], row["doubt"], *tokens, row["received"])
            self.raw = RawWriter(run, mark=self.ledger.mark)
            self.ledger.mark = self.raw.mark
            return self.ledger.doubt_all_sent(KILLED)

    async def open(
        self, requests: Sequence[Request], reserved: Sequence[int], backend: str, batch: str | None = None
    ) -> list[int]:
        """Attempt numbers for requests about to be sent; their rows are durable before this returns."""
        numbers = list(range(self._last + 1, self._last + 1 + len(requests)))
        self._last += len(requests)
        now = time.time()
        rows = [
            (number, r.id, r.index, r.step, r.sample, backend, batch, now, most)
            for number, r, most in zip(numbers, requests, reserved, strict=True)
        ]
        await self._durable((None, lambda: self.ledger.open(rows)))
        return numbers

    async def settle(
        self, attempt: int, request: Request, reply: Reply, cost: int, doubt: int = 0, *,
        backend: str = "", batch: str | None = None, sent: float | None = None,
    ) -> bool:  # fmt: skip
        """Keeps an answer, then books it; False where the request had one before (this one is kept all the same)."""
        now = time.time()
        row = {
            "v": RAW_VERSION, "run": self.run_id, "id": request.id, "index": request.index, "step": request.step,
            "sample": request.sample, "attempt": attempt, "backend": backend, "batch": batch, "sent": sent, "received": now,
            "status": reply.status, "headers": reply.headers, "model": request.model, "params": reply.params,
            "dropped": reply.dropped, "messages": [dict(m) for m in request.messages], "cost": cost, "doubt": doubt,
            "price": self.price_id, "body": reply.body,
        }  # fmt: skip
        tokens = tokens_of(reply.body, reply.params)
        self.tokens += sum(tokens)
        return await self._durable((row, lambda: self.ledger.settle(attempt, cost, doubt, *tokens, now)))

    async def fail(self, attempts: Sequence[int], why: str, doubt: Sequence[int] | None = None) -> None:
        """Attempts that have no answer; `doubt` says what each may have been billed (none: nothing)."""
        rows = [(d, a, why) for a, d in zip(attempts, doubt or [0] * len(attempts), strict=True)]
        await self._durable((None, lambda: self.ledger.fail(rows, time.time())))

    async def batch(self, shard: str, **fields: Any) -> None:
        """Adds what became known of a batch to its row."""
        await self._durable((None, lambda: self.ledger.put_batch(shard, fields)))

    def open_batches(self) -> list[dict[str, Any]]:
        """The rows of all batches, finished ones too; before or between awaits of this loop only."""
        return self._thread.submit(self.ledger.batches).result()

    def open_attempts(self, shard: str) -> dict[str, tuple[int, int]]:
        """Request id -> (attempt, reserved), of a batch's lines that have neither answer nor failure."""
        return self._thread.submit(self.ledger.sent_in, shard).result()

    def reserved_in(self, shard: str) -> int:
        """The most that all lines of a batch can cost."""
        return self._thread.submit(self.ledger.reserved_in, shard).result()

    async def close(self) -> None:
        """Waits for what is being written, then closes the files.

        What is still on its way then (calls that were cancelled; not batches) can't be booked any more, so it is in
        doubt now and not only from the next start on.
        """
        if self._writer:
            with suppress(Exception):
                await self._writer
        self._thread.shutdown()
        if not self._broken:
            with suppress(OSError, UserError), self.ledger.transaction():  # else the next start does it
                self.ledger.doubt_all_sent(STOPPED)
        self.raw.close()
        self.ledger.close()

    async def _durable(self, entry: Entry) -> Any:
        if self._broken:
            raise self._broken
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, future))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
        return await future

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            taken, self._waiting = self._waiting, []
            try:
                results = await loop.run_in_executor(self._thread, self._commit, [entry for entry, _ in taken])
            except BaseException as e:  # a full disk: what is on its way can't be booked, so nothing more may be sent
                self._broken = e
                taken, self._waiting = taken + self._waiting, []
                for _, future in taken:
                    if not future.done():
                        future.set_exception(e)
                break
            for (_, future), result in zip(taken, results, strict=True):
                if not future.done():  # its coroutine may have been cancelled; the entry is durable all the same
                    future.set_result(result)
        self._writer = None

    def _commit(self, entries: Sequence[Entry]) -> list[Any]:
        if rows := [row for row, _ in entries if row is not None]:
            self.raw.append(rows)
        return self._book([book for _, book in entries])

    def _book(self, books: Sequence[Callable[[], Any]]) -> list[Any]:
        with self.ledger.transaction():
            results = [book() for book in books]
            self.ledger.mark = self.raw.mark
        return results


def tokens_of(body: dict[str, Any], params: Mapping[str, Any]) -> tuple[int, int]:
    """Tokens in and out, as the ledger has them: 0 where they are not told, or the body is no answer."""
    with suppress(ValueError):
        if usage := read_answer(body, params).usage:
            return usage.input, usage.output
    return 0, 0


def _forgotten(run: Path, found: str) -> UserError:
    return UserError(
        expected=f"the ledger that goes with the answers in {run / FOLDER}, at {run / FILE}: it knows what was spent",
        found=found,
        todo="bring it back from a copy that is as new as the answers; or generate into another folder with --backend "
        "replay --replay and this one, which asks nobody and pays nothing",
    )
