"""A small run of batches against the stub: work, money and time of its own, and the invariants at its end."""

import asyncio
import itertools
import json
import os
import random
import signal
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from data_gen.answer import Answer
from data_gen.batch import Outcome, Pace, run_batches
from data_gen.batch_shards import Limits, ShardDraft, Terms
from data_gen.budget import Budget
from data_gen.capabilities import Profile
from data_gen.client import Client
from data_gen.journal import Journal
from data_gen.prices import Price
from data_gen.raw import read
from data_gen.request import Request
from data_gen.vendor_batches import VendorBatches
from tests.openai_server import StubServer, bill

KEY = "sk-batch-key-that-must-not-be-written"
TOKEN = 500_000  # picodollars: half of 1 USD per million
PRICE = Price("stub", "batch", TOKEN, TOKEN, TOKEN, TOKEN)
TERMS = Terms.of(Profile(), PRICE)


def request(index: int, model: str = "stub", text: str = "Tell a story about") -> Request:
    return Request("r", index, 0, 0, model, ({"role": "user", "content": f"{text} {index}."},),
                   {"max_output_tokens": 700}, {"noun": f"n{index}"})  # fmt: skip


class Tales:
    """Work: the first `n` requests that have no answer yet, `most` of them on their way at once."""

    def __init__(self, n: int, settled: Iterable[str] = (), most: int | None = None):
        done = set(settled)
        self.todo = [r for r in map(request, range(n)) if r.id not in done]
        self.most, self.given = most, dict[str, Request]()
        self.answers, self.lost = dict[str, Answer](), dict[str, str]()

    def take(self) -> Request | None:
        if not self.todo or (self.most is not None and len(self.given) >= self.most):
            return None
        taken = self.todo.pop(0)
        assert taken.id not in self.given
        self.given[taken.id] = taken
        return taken

    def claim(self, request: Request) -> None:
        if request.id not in self.given:
            self.todo.remove(request)
            self.given[request.id] = request

    def put_back(self, request: Request) -> None:
        self.todo.append(self.given.pop(request.id))

    def answered(self, request: Request, answer: Answer) -> None:
        assert self.given.pop(request.id) == request and request.factors
        self.answers[request.id] = answer

    def gave_up(self, request: Request, why: str) -> None:
        del self.given[request.id]
        self.lost[request.id] = why

    @property
    def finished(self) -> bool:
        return not self.todo and not self.given


class Purse(Budget):
    """A budget that never passes its cap, or the test ends."""

    def settle(self, reserved: int, cost: int = 0, doubt: int = 0) -> None:
        super().settle(reserved, cost, doubt)
        assert self.reserved >= 0 and (self.cap is None or self.committed <= self.cap)


class Clock:
    """Time that passes only in sleep."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now += seconds
        await asyncio.sleep(0)


async def session(url: str, run: Path, n: int = 6, *, cap: int | None = None, pace: Pace = Pace(), most: int | None = None,
                  work: Tales | None = None, **more: Any) -> tuple[Outcome, Tales]:  # fmt: skip
    """One process's life: opens the folder, works until nothing is left or it stops, closes it."""
    journal = Journal(run, "run-1")
    totals = journal.ledger.totals()
    budget = Purse(cap, totals.cost, totals.doubt, totals.reserved)
    clock = Clock()
    work = work or Tales(n, (name for name, _ in journal.ledger.settled()), most)
    async with Client(url, "BATCH_TEST_KEY") as client:
        vendor = VendorBatches(client, sleep=clock.sleep, rng=random.Random(0))
        try:
            outcome = await run_batches(work, journal, budget, vendor, TERMS, run, pace=pace, clock=clock, **more)
            if outcome.reason in ("done", "cap"):
                totals = journal.ledger.totals()
                assert (budget.settled, budget.doubtful, budget.reserved) == (totals.cost, totals.doubt, 0)
        finally:
            await journal.close()
    return outcome, work


def check(run: Path, server: StubServer) -> dict[str, int]:
    """The invariants I1, I3 and I7 of what is on disk. Returns request id -> cost of what is settled."""
    server.settle()
    journal = Journal(run, "run-1")
    totals, settled = journal.ledger.totals(), list(journal.ledger.settled())
    rows = list(read(run))
    asyncio.run(journal.close())
    assert sorted(name for name, _ in settled) == sorted(row["id"] for row in rows)
    assert len({name for name, _ in settled}) == totals.settled
    billed = round(bill(server.ledger.rows("billed"), dict.fromkeys(server.script.models, (1.0, 1.0))) * 1e12)
    assert totals.cost <= billed <= totals.cost + totals.doubt + totals.reserved, (totals, billed)
    assert totals.cost == sum(row["cost"] for row in rows) and all(row["batch"] for row in rows)
    for path in run.rglob("*"):
        assert path.is_dir() or KEY.encode() not in path.read_bytes()
    return {row["id"]: row["cost"] for row in rows}


def vendor_shards(server: StubServer) -> list[str]:
    """The shard of every batch that the vendor has ever made."""
    return [row["metadata"]["shard"] for row in server.ledger.rows("batch") if row["status"] == "created"]


def result_line(name: str, text: str = "Once.", **more: Any) -> str:
    body = {"choices": [{"message": {"content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 5, "completion_tokens": 2}}  # fmt: skip
    response = {"status_code": 200, "request_id": "req", "body": body}
    return json.dumps({"id": "x", "custom_id": name, "response": response, "error": None} | more) + "\n"


STEPS = {"Journal": Journal, "VendorBatches": VendorBatches, "ShardDraft": ShardDraft}
POINTS = ("ShardDraft.close", "Journal.open", "Journal.batch", "VendorBatches.upload", "VendorBatches.create",
          "VendorBatches.retrieve", "VendorBatches.download", "Journal.settle", "Journal.fail", "Journal._book")  # fmt: skip


def watch(point: str, called: Callable[[int], None]) -> Callable[[], None]:
    """Has `called(n)` run before call n of a method; returns what undoes that."""
    owner, name = STEPS[point.partition(".")[0]], point.partition(".")[2]
    method, count = getattr(owner, name), itertools.count(1)

    def watched(*args: Any, **more: Any) -> Any:
        called(next(count))
        return method(*args, **more)

    setattr(owner, name, watched)
    return lambda: setattr(owner, name, method)


def pace_of(lines: int, parallel: int = 1) -> Pace:
    return Pace(parallel=parallel, limits=Limits(lines=lines), tries=9, empty=12)


def main(url: str, run: str, point: str, nth: int, n: int, lines: int, parallel: int) -> None:
    """For `tests.forks`: a session that SIGKILL ends before call `nth` of `point`."""

    def called(number: int) -> None:
        if number == nth:
            os.kill(os.getpid(), signal.SIGKILL)

    watch(point, called)
    asyncio.run(session(url, Path(run), n, pace=pace_of(lines, parallel)))


def warm() -> None:
    """Imports what is imported late."""
    os.environ.setdefault("BATCH_TEST_KEY", KEY)
    with StubServer(answer=lambda body: "Once.") as server, tempfile.TemporaryDirectory() as run:
        asyncio.run(session(server.url, Path(run), 1))
