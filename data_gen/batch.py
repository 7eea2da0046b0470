"""The batch backend: requests go out in shards, at half the price, and answers come within a day.

A shard's life, a row in the ledger after each step, so that a process that is killed anywhere goes on from there:

    written    the files are on disk and every line has its attempt row
    uploaded   the vendor has the file
    created    the vendor has the batch: from here on it costs money; then the states as the vendor tells them
    collected  both result files are read and every line is ended
    abandoned  killed before its lines had rows: nothing was sent
    lost       the vendor knows the batch no more: its lines may have been billed, and go out again

A shard without the name of a batch is looked for in the vendor's list by its metadata before a batch is created. The
list may be late, so a shard that was looked for is looked for once more at its end: a second batch of it is a twin,
whose worst cost is in doubt (`twin_doubt` in its row).
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from data_gen.batch_collect import BatchWork, Collector, Tally, refusals
from data_gen.batch_pack import claim, open_rows, pack
from data_gen.batch_shards import FOLDER, Limits, Shard, Terms, next_number
from data_gen.batch_twins import book_twins
from data_gen.budget import Budget
from data_gen.engine import ASKED, CAP, DONE
from data_gen.failure import QUOTA_CODES, Failure, Kind
from data_gen.journal import Journal
from data_gen.vendor_batches import FINAL, VendorBatches
from tsjax.atomic import write_json

BACKEND = "batch"
ENQUEUED = "token_limit_exceeded"
TURNS = 6  # tries at creating a batch, with looks at the list between
UPLOADS = 2  # more of the same file, where the vendor refuses a batch of it
LOOK_AFTER = 5.0  # seconds: the list may be late to show a batch whose reply was lost
LOST_LOOKS = 3  # at a batch that the vendor says it does not have, and at its list, before it counts as lost
LOST = "the vendor has the batch no more"
GONE = (404, 410)
LATE_POLLS = 5  # after the end, while the vendor names no file for results that it counted


@dataclass(frozen=True)
class Pace:
    """Times in seconds.

    parallel: batches on their way at once; a limit on enqueued tokens is shared among them.
    poll:     between two looks at a batch at first; it grows by half up to `poll_most`.
    patience: without any change in what the vendor tells of a batch, before the run stops.
    tries:    of a line that had its turn and got no answer.
    empty:    batches one after the other without a single answer, before the run stops.
    """

    parallel: int = 4
    poll: float = 10.0
    poll_most: float = 300.0
    patience: float = 26 * 3600.0
    tries: int = 5
    empty: int = 5
    limits: Limits = field(default_factory=Limits)


@dataclass
class Outcome:
    """How a run of batches ended; whatever the reason, it can go on.

    reason:  done, asked, cap, quota, refused, unreachable, stuck or empty.
    message: the same for people: the engine's DONE, ASKED or CAP, or a sentence of its own.
    """

    reason: str = "done"
    message: str = DONE
    shards: int = 0
    answers: int = 0


class Stop(Exception):
    """Ends the run; all that is on its way can be taken up again."""

    def __init__(self, reason: str, message: str):
        super().__init__(message)
        self.reason, self.message = reason, message


async def run_batches(
    work: BatchWork, journal: Journal, budget: Budget, vendor: VendorBatches, terms: Terms, run: Path, *,
    pace: Pace = Pace(), progress: dict[str, Any] | None = None, stop: asyncio.Event | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Outcome:  # fmt: skip
    """Takes up what is on its way, then sends what `work` gives until it has nothing more, and waits for all of it.

    work:     is told first, by `claim`, what is on its way.
    budget:   must count the reserves of the attempts that are still open in the journal.
    progress: shard -> {"state", "n", "completed", "failed", "age"}, as of the last poll.
    stop:     when set, the run ends soon; batches go on at the vendor.
    """
    return await _Batches(work, journal, budget, vendor, terms, run, pace, progress, clock).run(stop or asyncio.Event())


class _Batches:
    def __init__(
        self, work: BatchWork, journal: Journal, budget: Budget, vendor: VendorBatches, terms: Terms, run: Path, pace: Pace,
        progress: dict[str, Any] | None, clock: Callable[[], float],
    ):  # fmt: skip
        self.journal, self.budget, self.vendor, self.terms, self.pace = journal, budget, vendor, terms, pace
        self.folder, self.progress, self.clock = run / FOLDER, {} if progress is None else progress, clock
        self.open = open_rows(journal, BACKEND)
        self.work, self.failed = work, dict[str, int]()
        self.tasks: dict[asyncio.Task[Tally], Shard] = {}
        tokens = pace.limits.tokens
        self.limits = replace(pace.limits, tokens=max(1, tokens // pace.parallel) if tokens else None)
        self.outcome, self.empty = Outcome(), 0
        self.capped = self.crowded = False

    async def run(self, stop: asyncio.Event) -> Outcome:
        self.number = next_number(self.folder)
        told = asyncio.create_task(stop.wait())
        try:
            for row in self.open:
                await self._take_up(row)
            while self.outcome.reason == "done":
                await self._fill()
                if not self.tasks:
                    if self.capped:
                        self.outcome.reason, self.outcome.message = "cap", CAP
                    break
                done, _ = await asyncio.wait([told, *self.tasks], return_when=asyncio.FIRST_COMPLETED)
                if told in done:
                    self.outcome.reason, self.outcome.message = "asked", ASKED
                for task in done - {told}:
                    self._done(task)  # type: ignore[arg-type]
        finally:
            for task in (told, *self.tasks):
                task.cancel()
            await asyncio.gather(told, *self.tasks, return_exceptions=True)
        return self.outcome

    def _done(self, task: asyncio.Task[Tally]) -> None:
        shard = self.tasks.pop(task)
        self.progress.pop(shard.name, None)
        try:
            tally = task.result()
        except Stop as why:
            self.outcome.reason, self.outcome.message = why.reason, why.message
            return
        self.outcome.shards += 1
        self.outcome.answers += tally.ok
        self.capped = False
        if tally.ok:
            self.empty, self.crowded = 0, False

    async def _fill(self) -> None:
        while len(self.tasks) < self.pace.parallel and not (self.crowded and self.tasks):
            shard = await self._next_shard()
            if shard is None:
                return
            self._start(shard, {"written": time.time()})

    def _start(self, shard: Shard, row: Mapping[str, Any]) -> None:
        self.tasks[asyncio.create_task(self._see_through(shard, row))] = shard

    async def _take_up(self, row: Mapping[str, Any]) -> None:
        shard = Shard.of(self.folder, row)
        if row["status"] == "written" and not self.journal.open_attempts(shard.name):
            await self.journal.batch(shard.name, status="abandoned")
            return
        claim(self.work, self.journal, shard)
        self._start(shard, row)

    async def _next_shard(self) -> Shard | None:
        shard, self.capped = await pack(self.work, self.journal, self.budget, self.terms, self.limits,
                                        self.folder, self.number, BACKEND, self.failed)  # fmt: skip
        self.number += shard is not None
        return shard

    async def _see_through(self, shard: Shard, row: Mapping[str, Any]) -> Tally:
        """One shard to its end."""
        self._show(shard, {"status": row.get("status", "written")})
        try:
            name, unsure = await self._batch(shard, row)
            if (view := await self._final(shard, name, row)) is None:
                return await self._lose(shard, row)
            if unsure:
                found = await self.vendor.find(self._about(shard), row["written"])
                await book_twins(shard, found, name, self.journal, self.budget, self.vendor)
            return await self._collect(shard, view, row)
        except Failure as why:
            reasons = {Kind.QUOTA: "quota", Kind.PERMANENT: "refused", Kind.FATAL: "refused"}
            raise Stop(reasons.get(why.kind, "unreachable"), f"batch {shard.name}: {why}") from why

    def _about(self, shard: Shard) -> dict[str, str]:
        return {"run": self.journal.run_id, "shard": shard.name, "sha256": shard.sha256}

    async def _batch(self, shard: Shard, row: Mapping[str, Any]) -> tuple[str, bool]:
        """The vendor's name of the shard's batch: known, found in its list, or created; and whether there may be two."""
        if row.get("batch_id"):
            return str(row["batch_id"]), bool(row.get("unsure"))
        file, known = row.get("file_id"), "status" not in row  # known: no batch of this shard can be there yet
        about, unsure = self._about(shard), not known
        why = Failure(Kind.TRANSIENT, "the batch could not be created")
        for turn in range(TURNS):
            batch = None
            if not known and (found := await self.vendor.find(about, row["written"])):
                batch = found[-1]  # the first that was created
                await book_twins(shard, found, str(batch["id"]), self.journal, self.budget, self.vendor)
            try:
                if batch is None:
                    if not file:
                        file = await self.vendor.upload(shard.file())
                        await self.journal.batch(shard.name, status="uploaded", file_id=file)
                    batch = await self.vendor.create(file, self.terms.url, about)
                await self.journal.batch(shard.name, batch_id=batch["id"], status="created", created=time.time(),
                                         unsure=unsure)  # fmt: skip
                return str(batch["id"]), unsure
            except Failure as failure:
                why = failure
            if why.kind is Kind.QUOTA or why.status in (401, 403):
                break
            if why.status in (400, 404) and turn < UPLOADS:
                file = None  # it may be gone: once more with a new one
                continue
            if why.kind in (Kind.PERMANENT, Kind.FATAL):
                break
            known = known and why.kind in (Kind.RATE, Kind.CAPACITY)  # nothing was done; else it may have been
            unsure = unsure or not known
            await self.vendor.pause(turn, max(why.retry_after or 0.0, LOOK_AFTER))
        raise why

    async def _final(self, shard: Shard, batch: str, row: Mapping[str, Any]) -> dict[str, Any] | None:
        """Polls until the batch has ended and its files are named. None where the vendor has no such batch any more."""
        wait, late, gone, seen = self.pace.poll, 0, 0, None
        changed = self.clock()
        if not row.get("batch_id"):
            await self.vendor.sleep(wait)
        while True:
            try:
                view = await self.vendor.retrieve(batch)
            except Failure as why:
                if why.status in GONE:
                    # A list that can't be had, as with a wrong address, raises: then the batch is not lost.
                    found = await self.vendor.find(self._about(shard), row["written"])
                    gone += batch not in [view.get("id") for view in found]
                    if gone >= LOST_LOOKS:
                        return None
                elif why.kind in (Kind.QUOTA, Kind.PERMANENT, Kind.FATAL):
                    raise
            else:
                gone = 0
                state, counts = str(view.get("status")), _counts(view)
                if (state, counts) != seen:
                    if seen is None or seen[0] != state:
                        await self.journal.batch(shard.name, status=state)
                    seen, changed = (state, counts), self.clock()
                self._show(shard, view)
                if state in FINAL:
                    unnamed = (counts["completed"] and not view.get("output_file_id")) or (
                        counts["failed"] and not view.get("error_file_id")
                    )
                    late += 1
                    if not unnamed or late > LATE_POLLS:
                        return view
            if self.clock() - changed > self.pace.patience:
                told = f"{seen[0] if seen else 'out of reach'} for {self.pace.patience / 3600:g} hours"
                raise Stop(
                    "stuck", f"batch {batch} (shard {shard.name}) is {told} without a change; run again to wait on"
                )
            await self.vendor.sleep(wait)
            wait = min(1.5 * wait, self.pace.poll_most)

    async def _lose(self, shard: Shard, row: Mapping[str, Any]) -> Tally:
        tally = await self._collector(shard, row, row.get("batch_id")).close(ran=True, missing=LOST)
        await self.journal.batch(shard.name, status="lost", **tally.row(None))
        self._without_answer(f"the last is {shard.name}: {LOST}")
        return tally

    def _collector(self, shard: Shard, row: Mapping[str, Any], batch: str | None) -> Collector:
        return Collector(shard, self.journal, self.budget, self.terms, self.work, self.failed, self.pace.tries,
                         backend=BACKEND, batch=batch, sent=row.get("written"))  # fmt: skip

    def _without_answer(self, last: str) -> None:
        self.empty += 1
        if self.empty >= self.pace.empty:
            raise Stop("empty", f"{self.empty} batches one after the other without an answer; {last}")

    async def _collect(self, shard: Shard, batch: dict[str, Any], row: Mapping[str, Any]) -> Tally:
        name, state = shard.name, batch["status"]
        write_json(self.folder / f"{name}.batch.json", batch)
        names = {key: batch[key] for key in ("output_file_id", "error_file_id") if batch.get(key)}
        await self.journal.batch(name, status=state, **names)
        collector = self._collector(shard, row, batch["id"])
        paths = []
        for what, key, least in (("output", "output_file_id", "completed"), ("error", "error_file_id", "failed")):
            if key in names and await self._fetch(names[key], shard.file(what), _counts(batch)[least]):
                paths.append(shard.file(what))
        await collector.read(*paths)
        codes, why = set[str](), ""
        if state == "failed":
            bad, codes, why = refusals(batch)
            tally = await collector.refuse(bad, why, billed=bool(names) or any(_counts(batch).values()))
        else:
            tally = await collector.close(ran=state == "completed")
        await self.journal.batch(name, status="collected", state=state, **tally.row(batch.get("usage")))
        if batch.get("input_file_id"):
            await self.vendor.delete(batch["input_file_id"])
        if codes & QUOTA_CODES:
            raise Stop("quota", why)
        if ENQUEUED in codes:
            self._shrink(shard, why)
        elif not tally.ok:
            seen = why or f"see {name}.error.jsonl and {name}.batch.json in {FOLDER}/"
            self._without_answer(f"the last is {name}, {state}: {seen}")
        return tally

    async def _fetch(self, file: str, path: Path, least: int) -> bool:
        """Whether the file is on disk. One that is shorter than the vendor counted is fetched once more."""
        if not path.exists() and not await self.vendor.download(file, path):
            return False
        with open(path, "rb") as lines:
            ends = [line[-1:] for line in lines]
        if len(ends) < least or ends[-1:] != [b"\n"]:
            again = path.with_suffix(".again")
            with suppress(Failure):
                if await self.vendor.download(file, again) and again.stat().st_size > path.stat().st_size:
                    again.replace(path)
            again.unlink(missing_ok=True)
        return True

    def _shrink(self, shard: Shard, why: str) -> None:
        """More tokens are enqueued than the vendor lets us: smaller shards, and one after the other for now."""
        if shard.n == 1 and len(self.tasks) == 1:
            raise Stop("refused", f"{why} (a single line: other programs may fill the queue; run again later)")
        self.crowded = True
        self.limits = replace(self.limits, tokens=max(1, shard.tokens // 2))

    def _show(self, shard: Shard, view: Mapping[str, Any]) -> None:
        before = self.progress.get(shard.name, {})
        since = before.get("since", self.clock())
        self.progress[shard.name] = {"state": view.get("status"), "n": shard.n, **_counts(view), "since": since,
                                     "age": self.clock() - since, "batch": view.get("id")}  # fmt: skip


def _counts(view: Mapping[str, Any]) -> dict[str, int]:
    counts = view.get("request_counts")
    counts = counts if isinstance(counts, dict) else {}
    return {name: counts[name] if isinstance(counts.get(name), int) else 0 for name in ("completed", "failed")}
