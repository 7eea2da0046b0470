"""Twins: batches of a shard beyond the one that is read, made because the vendor's list was late to show the first."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from data_gen.batch_shards import Shard
from data_gen.budget import Budget
from data_gen.failure import Failure
from data_gen.journal import Journal
from data_gen.vendor_batches import FINAL, VendorBatches


async def book_twins(
    shard: Shard, found: Sequence[Mapping[str, Any]], own: str, journal: Journal, budget: Budget, vendor: VendorBatches
) -> None:
    """Books the most that the shard's batches in `found`, apart from `own`, can cost as doubt, and has them cancelled."""
    twins = [batch for batch in found if batch.get("id") != own]
    row = next((row for row in journal.open_batches() if row["shard"] == shard.name), {})
    if len(twins) <= row.get("twins", 0):
        return
    doubt = len(twins) * journal.reserved_in(shard.name)
    await journal.batch(shard.name, twins=len(twins), twin_doubt=doubt)
    budget.settle(0, 0, doubt - row.get("twin_doubt", 0))
    for twin in twins:
        if twin.get("status") not in FINAL:
            with suppress(Failure):  # it is booked as if it ran to its end
                await vendor.cancel(str(twin["id"]))
