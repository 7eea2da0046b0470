"""What the journal says is durable is, in the order that loses neither money nor answers."""

import asyncio
import errno
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from data_gen.answer import Reply
from data_gen.journal import KILLED, Journal
from data_gen.ledger import MOST, Ledger
from data_gen.raw import RawWriter, lines, read
from data_gen.request import Request
from tsjax.errors import UserError


def request(index: int, sample: int = 0) -> Request:
    return Request("r", index, 0, sample, "stub", ({"role": "user", "content": f"tell {index}"},), {})


def reply(text: str) -> Reply:
    choice = {"message": {"content": text}, "finish_reason": "stop"}
    return Reply(200, {"choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 7}})


def rows(n: int, start: int = 0) -> list[dict]:
    return [{"n": start + i, "text": f"Zoë {start + i}"} for i in range(n)]


def test_raw_lines_come_back_in_order_and_by_their_places(tmp_path):
    writer = RawWriter(tmp_path, part_bytes=200)
    marks = [writer.append(rows(3, 3 * i)) for i in range(12)]
    writer.close()
    assert list(read(tmp_path)) == rows(36)
    assert marks == sorted(marks) and marks[-1].part > 0
    for i, mark in enumerate(marks):
        assert list(read(tmp_path, mark)) == rows(33 - 3 * i, 3 * i + 3)
    places = [(line.file, line.number) for line in lines(tmp_path)]
    assert len(set(places)) == 36
    assert [line[:2] for line in lines(tmp_path, marks[5])] == places[18:]


def test_any_torn_tail_is_cut_and_nothing_before_it(tmp_path):
    writer = RawWriter(tmp_path)
    writer.append(rows(2))
    whole = writer.append(rows(2, 2)).offset
    writer.append(rows(2, 4))
    writer.close()
    path = tmp_path / "raw" / "00000.jsonl.zst"
    data = path.read_bytes()
    for size in range(whole, len(data)):
        path.write_bytes(data[:size])
        assert list(read(tmp_path)) == rows(4)
        again = RawWriter(tmp_path)
        again.append(rows(1, 9))
        again.close()
        assert list(read(tmp_path)) == rows(4) + rows(1, 9)


def test_damage_before_the_last_part_is_told(tmp_path):
    writer = RawWriter(tmp_path, part_bytes=1)
    for i in range(3):
        writer.append(rows(1, i))
    writer.close()
    path = tmp_path / "raw" / "00001.jsonl.zst"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(UserError, match=r"00001.*from byte 0 on"):
        list(read(tmp_path))


def test_a_lone_surrogate_survives(tmp_path):
    writer = RawWriter(tmp_path)
    writer.append([{"text": "\ud800 and é"}])
    writer.close()
    assert list(read(tmp_path)) == [{"text": "\ud800 and é"}]


async def _some(run, n: int = 20) -> None:
    journal, few = Journal(run, "run"), asyncio.Semaphore(4)

    async def one(i: int) -> None:
        async with few:
            await one_of_few(i)

    async def one_of_few(i: int) -> None:
        (attempt,) = await journal.open([request(i)], [100], "chat")
        if i % 3 == 0:
            await journal.fail([attempt], "no", [100] if i % 2 else None)
        else:
            assert await journal.settle(attempt, request(i), reply(f"story {i}"), 40)

    await asyncio.gather(*map(one, range(n)))
    await journal.close()


def test_money_adds_up_and_answers_are_there(tmp_path):
    asyncio.run(_some(tmp_path))
    totals = Ledger(tmp_path).totals()
    assert (totals.attempts, totals.settled, totals.open) == (20, 13, 0)
    assert (totals.doubtful, totals.failed) == (3, 4)
    assert (totals.cost, totals.doubt, totals.reserved) == (13 * 40, 300, 0)
    assert (totals.tokens_in, totals.tokens_out) == (39, 91)
    assert {row["index"] for row in read(tmp_path)} == {i for i in range(20) if i % 3}


def test_a_second_answer_is_kept_and_paid_for_but_settles_nothing(tmp_path):
    async def twice() -> None:
        journal = Journal(tmp_path, "run")
        a, b = await journal.open([request(1), request(1)], [10, 10], "chat")
        assert await journal.settle(a, request(1), reply("one"), 5)
        assert not await journal.settle(b, request(1), reply("two"), 6)
        await journal.close()

    asyncio.run(twice())
    totals = Ledger(tmp_path).totals()
    assert (totals.settled, totals.extra, totals.cost) == (1, 1, 11)
    assert len(list(read(tmp_path))) == 2


DRIVER = """
import asyncio, os, sys
from pathlib import Path
from data_gen.journal import Journal
from data_gen.ledger import Ledger
from data_gen.raw import RawWriter
from tests.data_gen.test_journal import _some
where, calls = sys.argv[2], int(sys.argv[3])
kind = RawWriter if where == "append" else Ledger if where == "settle" else Journal
inner = getattr(kind, {"append": "append", "settle": "settle", "book": "_book", "opened": "open"}[where])
def die():
    global calls
    calls -= 1
    if calls == 0:
        os.kill(os.getpid(), 9)
def outer(*a, **k):
    if where == "append":  # half of the frame is on disk
        before = a[0].mark.offset
        result = inner(*a, **k)
        if calls == 1:
            path = a[0]._path()
            os.truncate(path, (before + path.stat().st_size) // 2)
        die()
        return result
    die()
    return inner(*a, **k)
async def outer_open(*a, **k):
    result = await inner(*a, **k)
    die()
    return result
setattr(kind, {"append": "append", "settle": "settle", "book": "_book", "opened": "open"}[where],
        outer_open if where == "opened" else outer)
asyncio.run(_some(Path(sys.argv[1])))
"""


@pytest.mark.parametrize(("where", "call"), [("append", 1), ("book", 2), ("book", 3), ("settle", 4), ("opened", 7)])
def test_killed_anywhere_every_attempt_is_booked_once(tmp_path, where, call):
    """Killed with half a raw frame written, before the rows of a written frame, in their transaction, before a send."""
    code = subprocess.run(
        [sys.executable, "-c", DRIVER, str(tmp_path), where, str(call)], env=os.environ, timeout=60
    ).returncode
    assert code == -9
    journal = Journal(tmp_path, "run")
    totals = journal.ledger.totals()
    kept = list(read(tmp_path))
    assert totals.open == 0 and totals.settled == len(kept) and totals.cost == 40 * len(kept)
    assert totals.doubt == 100 * totals.doubtful
    assert journal.lost == 0 or KILLED in journal.ledger.reasons()
    assert {attempt for _, attempt in journal.ledger.settled()} == {row["attempt"] for row in kept}
    asyncio.run(journal.close())


def test_after_a_failed_write_nothing_more_is_promised(tmp_path, monkeypatch):
    async def full() -> None:
        journal = Journal(tmp_path, "run")
        (attempt,) = await journal.open([request(1)], [10], "chat")

        def no_room(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(journal.raw, "append", no_room)
        with pytest.raises(OSError, match="No space"):
            await journal.settle(attempt, request(1), reply("one"), 5)
        with pytest.raises(OSError, match="No space"):
            await journal.open([request(2)], [10], "chat")
        await journal.close()

    asyncio.run(full())
    assert Ledger(tmp_path).totals().open == 1


async def _answers(run, first: int, n: int, doubt: int = 0) -> None:
    journal = Journal(run, "run")
    for i in range(first, first + n):  # one at a time: a frame each
        (attempt,) = await journal.open([request(i)], [100], "chat")
        await journal.settle(attempt, request(i), reply(f"story {i}"), 40, doubt)
    await journal.close()


def content(run) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in run.rglob("*") if path.is_file() and "-shm" not in path.name}


def test_a_damaged_byte_before_the_mark_cuts_nothing(tmp_path):
    asyncio.run(_answers(tmp_path, 0, 6))
    path = tmp_path / "raw" / "00000.jsonl.zst"
    sound = path.read_bytes()
    for at in (10, len(sound) // 2, len(sound) - 2):  # the first frame, one in the middle, the last
        path.write_bytes(sound[:at] + bytes([sound[at] ^ 255]) + sound[at + 1 :])
        before = content(tmp_path)
        with pytest.raises(UserError, match=r"00000\.jsonl\.zst.*bring this file back"):
            Journal(tmp_path, "run")
        assert content(tmp_path) == before
        if at < len(sound) - 2:
            with pytest.raises(UserError, match="bring this file back"):  # also where no ledger is looked at
                list(read(tmp_path))
    path.write_bytes(sound[:-1])  # cut short, as no kill leaves it: the ledger had been told
    with pytest.raises(UserError, match="the ledger has the answers up to byte"):
        Journal(tmp_path, "run")
    path.write_bytes(sound + sound[:50])  # what a kill leaves
    asyncio.run(_answers(tmp_path, 6, 1))
    assert [row["index"] for row in read(tmp_path)] == list(range(7)) and Ledger(tmp_path).totals().cost == 7 * 40


def test_a_part_that_is_gone_is_told(tmp_path):
    for i in range(3):
        asyncio.run(_answers(tmp_path, i, 1))
        (tmp_path / "raw" / f"{i + 1:05}.jsonl.zst").touch()  # the next part
    (tmp_path / "raw" / "00001.jsonl.zst").rename(tmp_path / "away")
    with pytest.raises(UserError, match=r"no 00001\.jsonl\.zst"):
        list(read(tmp_path))
    (tmp_path / "away").rename(tmp_path / "raw" / "00001.jsonl.zst")
    for path in (tmp_path / "raw").glob("0000[23]*"):
        path.unlink()
    with pytest.raises(UserError, match=r"00002\.jsonl\.zst; found no such file|no such file"):
        Journal(tmp_path, "run")


def test_a_ledger_that_forgot_the_spending_is_refused(tmp_path):
    asyncio.run(_answers(tmp_path, 0, 3))
    ledger = tmp_path / "ledger.sqlite"
    sound = ledger.read_bytes()
    ledger.unlink()
    before = content(tmp_path)
    with pytest.raises(UserError, match="replay"):
        Journal(tmp_path, "run")
    assert content(tmp_path) == before and not ledger.exists()
    Ledger(tmp_path).close()  # a new, empty one
    with pytest.raises(UserError, match="attempt 1 at"):
        Journal(tmp_path, "run")
    assert len(list(read(tmp_path))) == 3
    pages = bytearray(sound)
    pages[4096:] = os.urandom(len(pages) - 4096)
    ledger.write_bytes(pages)
    with pytest.raises(UserError, match="bring it back from a copy"):
        Journal(tmp_path, "run")
    ledger.write_bytes(sound)
    asyncio.run(_answers(tmp_path, 3, 1))
    assert Ledger(tmp_path).totals().settled == 4


def test_a_full_disk_is_told_in_one_line_and_the_run_goes_on_with_room(tmp_path):
    async def full() -> None:
        journal = Journal(tmp_path, "run")
        ((pages,),) = journal.ledger._rows("pragma page_count")
        journal.ledger._rows(f"pragma max_page_count = {pages + 3}")  # SQLite's own SQLITE_FULL
        try:
            for i in range(10_000):
                (attempt,) = await journal.open([request(i)], [100], "chat")
                await journal.settle(attempt, request(i), reply(f"story {i}"), 40)
        finally:
            await journal.close()

    with pytest.raises(OSError, match="No space left") as told:
        asyncio.run(full())
    assert told.value.errno == errno.ENOSPC and str(tmp_path / "ledger.sqlite") in str(told.value)
    n = len(list(read(tmp_path)))
    asyncio.run(_answers(tmp_path, 20_000, 1))
    totals = Ledger(tmp_path).totals()
    assert n > 0 and totals.settled == n + 1 == len(list(read(tmp_path))) and totals.cost == 40 * totals.settled


LIMITED = """
import asyncio, resource, sys
from pathlib import Path
from tests.data_gen.test_journal import _answers
from tsjax.errors import UserError
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    asyncio.run(_answers(Path(sys.argv[1]), 0, 3000))
except (OSError, UserError) as e:
    sys.exit(9)
"""


@pytest.mark.parametrize("size", [70_000, 150_000])
def test_files_that_may_not_grow_are_told(tmp_path, size):
    code = subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path), str(size)], timeout=120, capture_output=True)
    assert code.returncode == 9, code.stderr[-1500:]
    n = len(list(read(tmp_path)))
    asyncio.run(_answers(tmp_path, 20_000, 1))
    totals = Ledger(tmp_path).totals()
    assert n > 0 and totals.settled == len(list(read(tmp_path))) == n + 1 and totals.open == 0


def test_closed_with_calls_on_their_way_these_are_in_doubt_but_not_batches(tmp_path):
    async def cancelled() -> None:
        journal = Journal(tmp_path, "run")
        await journal.open([request(1)], [10], "chat")
        await journal.open([request(2)], [20], "batch", "00000-abc")
        await journal.close()

    asyncio.run(cancelled())
    totals = Ledger(tmp_path, readonly=True).totals()
    assert (totals.doubtful, totals.doubt, totals.open, totals.reserved) == (1, 10, 1, 20)


def test_absurd_numbers_in_a_raw_line_do_not_stop_recovery(tmp_path):
    asyncio.run(_answers(tmp_path, 0, 1))
    journal = Journal(tmp_path, "run")
    row = next(iter(read(tmp_path)))

    async def killed() -> None:
        await journal.open([request(5), request(6)], [10, 10], "chat")
        for attempt, index in ((2, 5), (3, 6)):
            journal.raw.append([row | {"id": request(index).id, "attempt": attempt, "index": index, "cost": 10**25}])

    asyncio.run(killed())
    asyncio.run(_answers(tmp_path, 7, 1))
    totals = Ledger(tmp_path).totals()
    assert totals.settled == 4 and totals.cost == 80 + 2 * MOST


def test_a_ledger_that_can_only_be_read_is_read(tmp_path_factory):
    """On a folder that may not be written: as another user where this one is root."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        asyncio.run(_answers(run, 0, 2))
        for path, mode in ((Path(folder), 0o755), (run, 0o555), (run / "ledger.sqlite", 0o444)):
            path.chmod(mode)
        assert _as_another(lambda: Ledger(run, readonly=True).totals().settled == 2)
        (run / "ledger.sqlite-wal").write_bytes(b"x" * 100)

        def refused() -> bool:
            with pytest.raises(UserError, match="copy the run's folder"):
                Ledger(run, readonly=True)
            return True

        assert _as_another(refused)
        run.chmod(0o755)


def _as_another(check) -> bool:
    if not (child := os.fork()):
        code = 1
        try:
            if os.geteuid() == 0:
                os.setuid(65_534)
            code = 0 if check() else 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
