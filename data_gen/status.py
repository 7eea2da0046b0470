"""How a run stands, from its folder alone, also while another process works on it."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_gen import job as jobs
from data_gen.ledger import Ledger
from data_gen.prices import DOLLAR, dollars


def lines(run: Path) -> list[str]:
    """What `tsjax generate status` prints. UserError where `run` is no run."""
    manifest = jobs.load(run)
    ledger = Ledger(run, readonly=True)
    try:
        return [*_told(manifest), *_booked(ledger, manifest), *_batches(ledger)]
    finally:
        ledger.close()


def _told(manifest: dict[str, Any]) -> Iterator[str]:
    order = manifest["order"]
    where = f"{order['backend']} at {manifest['host']}" if manifest["host"] else order["backend"]
    if manifest["kind"] == "judging":
        yield f"judge       {manifest['judge']} (seed {manifest['seed']}) through {where}"
        wanted = f"{manifest['judgements']:,} judgements wanted"
        done = f"{wanted}, {sum(manifest['missing'].values()):,} without grades" if "stopped" in manifest else ""
    else:
        yield f"recipe      {manifest['recipe']} (seed {manifest['seed']}), {manifest['model']} through {where}"
        wanted = f"{order['target']:,} documents wanted"
        done = f"{manifest['documents']:,} documents, {wanted}" if "stopped" in manifest else ""
    if done:
        yield f"state       {manifest['stopped']}; {done}; ended {manifest['ended']}"
    else:
        yield f"state       not finished, {wanted}; started {manifest['started']}"


def _booked(ledger: Ledger, manifest: dict[str, Any]) -> Iterator[str]:
    totals = ledger.totals()
    yield (
        f"attempts    {totals.attempts:,}: {totals.settled:,} answered, {totals.failed:,} failed without a bill, "
        f"{totals.doubtful:,} possibly billed without an answer, {totals.extra:,} answered twice, {totals.open:,} on their way"
    )
    yield f"tokens      {totals.tokens_in:,} in, {totals.tokens_out:,} out"
    cap = manifest["cap_usd"]
    yield (
        f"cost        {dollars(totals.cost)} paid, {dollars(totals.doubt)} possibly billed, {dollars(totals.reserved)} reserved"
        + (f"; cap {dollars(round(cap * DOLLAR))}" if cap is not None else "; no cap")
    )
    if last := ledger.last_answer():
        yield f"last answer {max(0, time.time() - last):,.0f} s ago"
    for why, count in ledger.reasons().items():
        yield f"            {count:,} x {why}"


def _batches(ledger: Ledger) -> Iterator[str]:
    for row in ledger.batches():
        state = row.get("status") or "written"
        counts = " ".join(f"{name[2:]} {row[name]:,}" for name in ("n_ok", "n_err", "n_missing") if row.get(name))
        twins = f"; {row['twins']} more of it by mistake, possibly billed" if row.get("twins") else ""
        yield f"batch       {row['shard']}: {state}, {row.get('n', 0):,} lines {counts}".rstrip() + twins
