"""What the journal says is durable is, in the order that loses neither money nor answers."""

import asyncio
import os
import subprocess
import sys

import pytest

from data_gen.answer import Reply
from data_gen.journal import KILLED, Journal
from data_gen.ledger import Ledger
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
