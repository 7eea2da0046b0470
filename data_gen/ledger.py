"""The ledger: a row for every attempt, written before anything is sent. SQLite in WAL mode, one writer.

    sent      on its way, or the process died before it knew more
    settled   answered; the answer is in raw/. One such row a request, whatever happens.
    extra     answered too, after another attempt at the same request was: paid for, and of no use
    doubtful  no answer, but the vendor may have billed one
    failed    no answer and no bill

Money is in picodollars. `reserved` counts while a row is `sent`; `cost` is what the vendor reported; `doubt` is what
it may have billed without telling.
"""

import errno
import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from data_gen.raw import Mark
from tsjax.errors import UserError

FILE = "ledger.sqlite"
VERSION = 1
MOST = 10**16  # of one number: 10,000 USD, or as many tokens. More is no count, and sums of it would overflow SQLite

_SCHEMA = """
create table attempts (
  id integer primary key, request text not null, place integer not null, step integer not null, sample integer not null,
  backend text not null, batch text, sent real not null, ended real, state text not null,
  reserved integer not null, cost integer not null default 0, doubt integer not null default 0,
  tokens_in integer not null default 0, tokens_out integer not null default 0, why text not null default '');
create unique index one_answer on attempts (request) where state = 'settled';
create index open_ones on attempts (batch) where state = 'sent';
create table batches (shard text primary key, fields text not null);
create table facts (name text primary key, value text not null);
"""


class Totals(NamedTuple):
    """Sums over all attempts; money in picodollars."""

    attempts: int = 0
    settled: int = 0
    extra: int = 0
    doubtful: int = 0
    failed: int = 0
    open: int = 0
    cost: int = 0
    doubt: int = 0
    reserved: int = 0
    tokens_in: int = 0
    tokens_out: int = 0


class Ledger:
    """Opens or makes the ledger of a run folder. `with ledger.transaction():` around whatever changes it.

    readonly: for looking, also at a file system that can't be written. All methods raise OSError where the disk is full
              and UserError for whatever else is wrong with the file.
    """

    def __init__(self, run: Path, readonly: bool = False):
        self.path = run / FILE
        if readonly and not self.path.exists():
            raise UserError(expected=f"a ledger at {self.path}", found="none", todo="give the folder of a run")
        with _told(self.path):
            self._db = _reader(self.path) if readonly else _connect(str(self.path))
            if not readonly:
                self._db.execute("pragma journal_mode=wal")
                self._db.execute("pragma synchronous=full")
            (version,) = self._db.execute("pragma user_version").fetchone()
            if not version and not readonly:
                self._make()
            elif version != VERSION:
                raise _damaged(self.path, f"version {version}" if version else "an empty file")

    def _make(self) -> None:
        with self.transaction() as db:
            for statement in _SCHEMA.split(";"):
                db.execute(statement)
            db.execute(f"pragma user_version = {VERSION}")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """The connection, in a transaction that ends with the `with` block."""
        with _told(self.path):
            self._db.execute("begin immediate")
            try:
                yield self._db
                self._db.execute("commit")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._db.execute("rollback")
                raise

    def _rows(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        with _told(self.path):
            return self._db.execute(query, values).fetchall()

    def close(self) -> None:
        self._db.close()

    def open(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Rows of (id, request, place, step, sample, backend, batch, sent, reserved), about to be sent."""
        self._db.executemany(
            "insert into attempts (id, request, place, step, sample, backend, batch, sent, reserved, state)"
            " values (?, ?, ?, ?, ?, ?, ?, ?, ?, 'sent')", rows
        )  # fmt: skip

    def settle(self, attempt: int, cost: int, doubt: int, tokens_in: int, tokens_out: int, ended: float) -> bool:
        """Books an answer that is on disk; False where another attempt at the request had one before. Idempotent."""
        ((request, state),) = self._rows("select request, state from attempts where id = ?", (attempt,))
        cost, doubt, tokens_in, tokens_out = (min(number, MOST) for number in (cost, doubt, tokens_in, tokens_out))
        if state in ("settled", "extra"):
            return state == "settled"
        first = not self._rows("select 1 from attempts where request = ? and state = 'settled'", (request,))
        self._db.execute(
            "update attempts set state = ?, cost = ?, doubt = ?, tokens_in = ?, tokens_out = ?, ended = ?, why = ''"
            " where id = ?", ("settled" if first else "extra", cost, doubt, tokens_in, tokens_out, ended, attempt)
        )  # fmt: skip
        return first

    def request_of(self, attempt: int) -> str | None:
        """The id of the request that an attempt is at; None where there is no such attempt."""
        return next(
            (request for (request,) in self._rows("select request from attempts where id = ?", (attempt,))), None
        )

    def fail(self, rows: Sequence[tuple[int, int, str]], ended: float) -> None:
        """Rows of (doubt, attempt, why): no answer, billed perhaps (doubt > 0) or not."""
        self._db.executemany(
            "update attempts set state = iif(?1 > 0, 'doubtful', 'failed'), doubt = ?1, why = ?3, ended = ?4"
            " where id = ?2 and state = 'sent'", [(*row, ended) for row in rows]
        )  # fmt: skip

    def doubt_all_sent(self, why: str) -> int:
        """What a killed process left on its way, batches apart, may have been billed. Returns how many rows."""
        return self._db.execute(
            "update attempts set state = iif(reserved > 0, 'doubtful', 'failed'), doubt = reserved, why = ?, ended = ?"
            " where state = 'sent' and batch is null", (why, time.time())
        ).rowcount  # fmt: skip

    def put_batch(self, shard: str, fields: dict[str, Any]) -> None:
        """Adds `fields` to the row of a batch shard, or makes it."""
        self._db.execute(
            "insert into batches values (?1, ?2) on conflict (shard) do update set fields = json_patch(fields, ?2)",
            (shard, json.dumps(fields)),
        )

    def batches(self) -> list[dict[str, Any]]:
        rows = self._rows("select shard, fields from batches order by shard")
        return [{"shard": shard, **json.loads(fields)} for shard, fields in rows]

    def sent_in(self, shard: str) -> dict[str, tuple[int, int]]:
        """Request id -> (attempt, reserved), of a batch's lines that are still on their way."""
        rows = self._rows("select request, id, reserved from attempts where state = 'sent' and batch = ?", (shard,))
        return {request: (attempt, reserved) for request, attempt, reserved in rows}

    def reserved_in(self, shard: str) -> int:
        """What was reserved for the lines of a batch, whatever became of them."""
        return self._rows("select coalesce(sum(reserved), 0) from attempts where batch = ?", (shard,))[0][0]

    def totals(self) -> Totals:
        (row,) = self._rows(
            "select count(*), sum(state = 'settled'), sum(state = 'extra'), sum(state = 'doubtful'),"
            " sum(state = 'failed'), sum(state = 'sent'), sum(cost), sum(doubt),"
            " sum(iif(state = 'sent', reserved, 0)), sum(tokens_in), sum(tokens_out) from attempts"
        )
        totals = Totals(*(value or 0 for value in row))
        # A second batch of the same lines has no attempts of its own, and may be billed like the first.
        ((twins,),) = self._rows("select coalesce(sum(json_extract(fields, '$.twin_doubt')), 0) from batches")
        return totals._replace(doubt=totals.doubt + twins)

    def reasons(self) -> dict[str, int]:
        """How often attempts ended without an answer, by why."""
        return dict(
            self._rows("select why, count(*) from attempts where why != '' group by why order by 2 desc, 1 limit 20")
        )

    def settled(self) -> Iterator[tuple[str, int]]:
        """(request id, attempt) of every answer."""
        with _told(self.path):
            yield from self._db.execute(
                "select request, id from attempts where state in ('settled', 'extra') order by id"
            )

    def booked(self) -> Iterator[tuple[str, int, int, int, int, int]]:
        """(request id, attempt, cost, doubt, tokens in, tokens out) of every answer."""
        with _told(self.path):
            yield from self._db.execute(
                "select request, id, cost, doubt, tokens_in, tokens_out from attempts"
                " where state in ('settled', 'extra') order by id"
            )

    def unsound(self) -> list[str]:
        """What SQLite finds wrong with its own file."""
        return [str(row[0]) for row in self._rows("pragma integrity_check(5)") if row[0] != "ok"]

    def last_answer(self) -> float | None:
        """When the last one came, in seconds since 1970."""
        return self._rows("select max(ended) from attempts where state in ('settled', 'extra')")[0][0]

    def last_attempt(self) -> int:
        ((last,),) = self._rows("select max(id) from attempts")
        return last or 0

    @property
    def mark(self) -> Mark:
        """How far the raw answers are booked."""
        rows = self._rows("select value from facts where name = 'raw'")
        return Mark(*json.loads(rows[0][0])) if rows else Mark(0, 0)

    @mark.setter
    def mark(self, mark: Mark) -> None:
        self._db.execute("insert or replace into facts values ('raw', ?)", (json.dumps(mark),))


def _connect(name: str, **how: Any) -> sqlite3.Connection:
    # The writer thread uses the connection that another thread opened, never both at once.
    return sqlite3.connect(name, isolation_level=None, check_same_thread=False, timeout=30, **how)


def _reader(path: Path) -> sqlite3.Connection:
    """A connection that changes nothing. Where the files beside the ledger can't be made, it is read as it lies there."""
    name = f"{path.absolute().as_uri()}?mode=ro"
    try:
        db = _connect(name, uri=True)
        db.execute("select count(*) from sqlite_master").fetchone()
        return db
    except sqlite3.OperationalError as e:
        if _code(e) not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise
    changes = path.with_name(f"{path.name}-wal")
    if changes.exists() and changes.stat().st_size:
        raise UserError(
            expected=f"a folder that can be written, to read the changes in {changes}",
            found="a file system or a folder that can't be",
            todo="copy the run's folder to where you can write, and look there",
        )
    return _connect(f"{name}&immutable=1", uri=True)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Says what SQLite found in the words of this program. A mistake of ours (no code of SQLite's) stays as it is."""
    try:
        yield
    except sqlite3.Error as e:
        match _code(e):
            case None:
                raise
            case sqlite3.SQLITE_FULL:
                raise OSError(errno.ENOSPC, "No space left on device", str(path)) from e
            case sqlite3.SQLITE_IOERR:
                expected, todo = f"a disk that holds {path}", "make room or check the disk, then resume the run"
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                expected, todo = f"{path} for this process alone", "wait for the other program that has it open"
            case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
                expected, todo = f"a ledger that can be opened and written at {path}", "check who may write there"
            case _:
                raise _damaged(path, str(e)) from e
        raise UserError(expected=expected, found=str(e), todo=todo) from e


def _code(e: sqlite3.Error) -> int | None:
    """SQLite's primary code of an error."""
    code = getattr(e, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _damaged(path: Path, found: str) -> UserError:
    return UserError(expected=f"a ledger of version {VERSION} at {path}", found=found, todo="bring it back from a copy")
