"""The results of a finished batch -> the journal. Both files are read, whatever state the batch ended in.

An answer is settled, and a line with an error costs nothing. A line in neither file may have been billed, so all that
was reserved for it is in doubt. May be killed anywhere and done again: the files on disk and the rows that are still
open say what is left.
"""

import asyncio
import json
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from data_gen.answer import Answer, Reply, Usage, read_answer
from data_gen.batch_results import Result, read_results
from data_gen.batch_shards import Item, Roster, Shard, Terms
from data_gen.budget import Budget
from data_gen.engine import Work
from data_gen.journal import Journal
from data_gen.request import Request

MISSING = "no line in the results of the batch"
TOGETHER = 256  # answers settled at once: one sync of the disk for all of them
_WRONG = (400, 404, 413, 422)  # the request itself is refused, and will be again
_UNRUN = ("batch_expired", "batch_cancelled")  # its turn never came


class BatchWork(Work, Protocol):
    """Work that can be told, before anything is asked, which requests the batches of an earlier process still hold."""

    def claim(self, request: Request) -> None: ...


@dataclass
class Tally:
    """What became of the lines of a shard, counted over its files; each line is in one of the first three."""

    ok: int = 0
    errors: int = 0
    missing: int = 0
    doubled: int = 0
    unknown: int = 0
    unreadable: int = 0
    without_usage: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    seen: set[str] = field(default_factory=set, repr=False)

    def row(self, usage: Any) -> dict[str, Any]:
        """As the ledger keeps it, beside the tokens that the vendor counted for the whole batch, if it told."""
        told = usage if isinstance(usage, dict) else {}
        given, made = told.get("input_tokens"), told.get("output_tokens")
        apart = (
            [given - self.tokens_in, made - self.tokens_out]
            if isinstance(given, int) and isinstance(made, int)
            else None
        )
        return {
            "n_ok": self.ok, "n_err": self.errors, "n_missing": self.missing, "n_doubled": self.doubled,
            "n_unknown": self.unknown, "n_unreadable": self.unreadable,
            "usage": {"lines": [self.tokens_in, self.tokens_out], "lines_without": self.without_usage,
                      "vendor": [given, made], "vendor_more": apart},
        }  # fmt: skip


class Collector:
    """Books result lines of one shard.

    failed: request id -> how often it has failed by now, of requests given back to the work; shared by all shards.
    tries:  of a line, before it is given up.
    others: request ids of other shards, whose lines may be in the same files.
    billed: a line that is missing may have been paid for.
    backend, batch, sent: as raw lines have them.
    """

    def __init__(
        self, shard: Shard, journal: Journal, budget: Budget, terms: Terms, work: Work, failed: dict[str, int],
        tries: int, *, backend: str, batch: str | None = None, sent: float | None = None,
        others: Container[str] = (), billed: bool = True,
    ):  # fmt: skip
        self.shard, self.journal, self.budget, self.terms, self.work = shard, journal, budget, terms, work
        self.failed, self.tries, self.backend, self.batch, self.sent = failed, tries, backend, batch, sent
        self.others, self.billed = others, billed
        self.roster, self.left, self.tally = Roster(shard), journal.open_attempts(shard.name), Tally()
        self._errors: dict[str, Result] = {}

    async def read(self, *paths: Path) -> None:
        """Settles the answers in these files, once each, and keeps the errors in mind for `close`."""
        due: list[tuple[Result, Item, int, int]] = []
        for path in paths:
            for result in read_results(path):
                if result.custom_id not in self.roster:
                    if result.custom_id not in self.others:
                        self._strange(result)
                elif result.body is None:
                    self._errors.setdefault(result.custom_id, result)
                elif result.custom_id in self.tally.seen:
                    self.tally.doubled += 1
                else:
                    item = self.roster[result.custom_id]
                    self._count(result, item)
                    if result.custom_id in self.left:
                        due.append((result, item, *self.left.pop(result.custom_id)))
                if len(due) == TOGETHER:
                    await self._settle(due)
                    due = []
        await self._settle(due)

    def count(self) -> Tally:
        """What was read so far."""
        tally = self.tally
        tally.ok = len(tally.seen)
        tally.errors = len(self._errors.keys() - tally.seen)
        tally.missing = self.shard.n - tally.ok - tally.errors
        return tally

    async def close(self, ran: bool, missing: str = MISSING) -> Tally:
        """Ends the lines that have no answer. `ran`: the batch came to its end, so they had their turn.

        missing: why a line that is in no file ends.
        """
        tally, whys = self.count(), dict[str, list[tuple[int, int, int]]]()
        ends: list[Callable[[], None]] = []
        for name, (attempt, reserved) in self.left.items():
            result, item = self._errors.get(name), self.roster[name]
            doubt, why, again = reserved if self.billed else 0, missing, True
            counts = ran
            if result is not None:
                doubt = doubt if result.status == 200 else 0  # work was done, but what came can't be read
                why = f"{result.status} {result.code}".strip()
                again, counts = result.status not in _WRONG, result.code not in _UNRUN
            whys.setdefault(why, []).append((attempt, reserved, doubt))
            ends.append(
                self._end(item, why if result is None else f"{why}: {result.error}", again, item.tries + counts)
            )
        await self.fail(whys)
        for end in ends:
            end()
        self.roster.close()
        return tally

    async def refuse(self, bad: dict[int, str], why: str, billed: bool = False) -> Tally:
        """The batch was refused as a whole. `bad`: the vendor's words on lines (from 1) that are to blame.

        billed: some of it ran all the same, so a line without answer or error may have been paid for.
        """
        names = {name: number for number, name in enumerate(self.roster, 1)}
        ends, rows = [], []
        for name, (attempt, reserved) in self.left.items():
            word, result = bad.get(names[name]), self._errors.get(name)
            item = self.roster[name]
            ends.append(self._end(item, word or why, word is None, item.tries + (billed and word is None)))
            free = not billed or word is not None or (result is not None and result.status != 200)
            rows.append((attempt, reserved, 0 if free else reserved))
        await self.fail({why: rows})
        for end in ends:
            end()
        self.roster.close()
        tally = self.count()
        if not billed:
            tally.errors, tally.missing = self.shard.n - tally.ok, 0
        return tally

    async def fail(self, whys: dict[str, list[tuple[int, int, int]]]) -> None:
        """Ends attempts without an answer: why -> (attempt, reserved, doubt)."""
        for why, rows in whys.items():
            await self.journal.fail([row[0] for row in rows], why, [row[2] for row in rows])
            for _, reserved, doubt in rows:
                self.budget.settle(reserved, 0, doubt)

    def _end(self, item: Item, why: str, again: bool, tries: int) -> Callable[[], None]:
        request: Request = item.request

        def back() -> None:
            self.failed[request.id] = tries
            self.work.put_back(request)

        return back if again and tries < self.tries else lambda: self.work.gave_up(request, why)

    def _count(self, result: Result, item: Item) -> None:
        assert result.body is not None
        self.tally.seen.add(result.custom_id)
        usage: Usage | None = read_answer(result.body, item.sent).usage
        self.tally.without_usage += usage is None
        self.tally.tokens_in += usage.input if usage else 0
        self.tally.tokens_out += usage.output if usage else 0

    def _strange(self, result: Result) -> None:
        """A line that belongs to no request of this shard, or can't be read: kept, as it may have been paid for."""
        if result.code == "unreadable" and not result.custom_id:
            self.tally.unreadable += 1
        else:
            self.tally.unknown += 1
        with open(self.shard.file("unknown"), "ab") as side:
            side.write(result.raw if result.raw.endswith(b"\n") else result.raw + b"\n")

    async def _settle(self, due: list[tuple[Result, Item, int, int]]) -> None:
        settled: list[tuple[Request, Answer, int, int, int]] = []
        calls = []
        for result, item, attempt, reserved in due:
            assert result.body is not None
            answer = read_answer(result.body, item.sent)
            cost, doubt = self.terms.booked(answer, reserved)
            headers = {"x-request-id": result.request} if result.request else {}
            reply = Reply(result.status, result.body, headers, item.sent, item.dropped)
            calls.append(self.journal.settle(attempt, item.request, reply, cost, doubt,
                                             backend=self.backend, batch=self.batch, sent=self.sent))  # fmt: skip
            settled.append((item.request, answer, reserved, cost, doubt))
        firsts = await asyncio.gather(*calls)
        for first, (request, answer, reserved, cost, doubt) in zip(firsts, settled, strict=True):
            self.budget.settle(reserved, cost, doubt)
            if first:
                self.work.answered(request, answer)


def refusals(batch: dict[str, Any]) -> tuple[dict[int, str], set[str], str]:
    """What a batch that failed was refused for: words by line number, all codes, and one sentence."""
    errors = batch.get("errors")
    data = errors.get("data") if isinstance(errors, dict) else None
    rows = [row for row in data or [] if isinstance(row, dict)]
    bad = {row["line"]: f"{row.get('code')}: {row.get('message')}" for row in rows if isinstance(row.get("line"), int)}
    codes = {str(row.get("code")) for row in rows}
    first = rows[0] if rows else {}
    return bad, codes, f"the batch was refused: {first.get('code')}: {json.dumps(first.get('message'))}"
