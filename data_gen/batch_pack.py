"""The work's requests -> shards that are on disk and in the ledger, with money reserved; and those of earlier processes."""

import asyncio
import time
from pathlib import Path
from typing import Any

from data_gen.batch_collect import BatchWork
from data_gen.batch_shards import Limits, Roster, Shard, ShardDraft, Terms
from data_gen.budget import Budget
from data_gen.engine import Work
from data_gen.journal import Journal
from data_gen.request import Request

ENDED = ("collected", "abandoned", "lost")
FRESH = 500  # lines between two turns of the event loop


async def pack(
    work: Work, journal: Journal, budget: Budget, terms: Terms, limits: Limits, folder: Path, number: int, backend: str,
    failed: dict[str, int],
) -> tuple[Shard | None, bool]:  # fmt: skip
    """The next shard, as large as its limits, the money and the work let it be, and whether the money ended it.

    None where there is not a line for it. `failed`: request id -> how often it failed before. The row of the shard is
    written before those of its lines: a shard whose lines have none was never sent.
    """
    draft, capped = ShardDraft(folder, number, terms, limits), False
    requests: list[Request] = []
    reserves: list[int] = []
    while (request := work.take()) is not None:
        worst = terms.worst(request)
        if not budget.reserve(worst):
            capped = True
            work.put_back(request)
            break
        if draft.add(request, failed.get(request.id, 0)):
            failed.pop(request.id, None)
            requests.append(request)
            reserves.append(worst)
            if draft.n % FRESH == 0:
                await asyncio.sleep(0)
            continue
        budget.settle(worst)
        if draft.n:
            work.put_back(request)
            break
        work.gave_up(request, "larger than a batch may be")
    shard = draft.close()
    if shard is not None:
        await journal.batch(shard.name, backend=backend, status="written", written=time.time(), **shard.row())
        await journal.open(requests, reserves, backend, shard.name)
    return shard, capped


def open_rows(journal: Journal, backend: str) -> list[dict[str, Any]]:
    """The ledger's rows of shards that wait for results."""
    return [row for row in journal.open_batches() if row["status"] not in ENDED and row["backend"] == backend]


def claim(work: BatchWork, journal: Journal, shard: Shard) -> None:
    """Tells the work what is on its way in a shard."""
    roster = Roster(shard)
    for name in journal.open_attempts(shard.name):
        work.claim(roster[name].request)
    roster.close()
