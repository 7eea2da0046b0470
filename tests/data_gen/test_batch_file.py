"""The file backend: shards out, results of a tool such as `vllm run-batch` in."""

import asyncio
import json
import shlex

import pytest

from data_gen import batch_file
from data_gen.batch_shards import Limits
from data_gen.budget import Budget
from data_gen.journal import Journal
from data_gen.raw import read
from tests.data_gen.batch_world import TERMS, Tales, request, result_line
from tsjax.errors import UserError

N = 6


def turn(run, paths=(), ended=True, lines=4):
    """One start of the program: results are read, then what is to be asked is written."""

    async def one():
        journal = Journal(run, "run-1")
        totals = journal.ledger.totals()
        work = Tales(N, (name for name, _ in journal.ledger.settled()))
        budget = Budget(None, totals.cost, totals.doubt, totals.reserved)
        try:
            readings = await batch_file.read(work, journal, budget, TERMS, run, paths, ended=ended)
            shards = await batch_file.write(work, journal, budget, TERMS, run, limits=Limits(lines=lines))
            return readings, shards, work, journal.ledger.totals(), budget
        finally:
            await journal.close()

    return asyncio.run(one())


def ids(shard) -> list[str]:
    return [json.loads(line)["custom_id"] for line in shard.file().read_text().splitlines()]


def tool(shard, answered, more="") -> None:
    """As vLLM writes it: in order, errors with status 400 and no body."""
    error = {"response": {"status_code": 400, "request_id": "v", "body": None}, "error": "the prompt is too long"}
    lines = [result_line(name, **({} if name in answered else error)) for name in ids(shard)]
    shard.file("output").write_text("".join(lines) + more)


def test_shards_are_written_once_and_their_command_runs_in_a_shell(tmp_path):
    _, shards, work, _, _ = turn(tmp_path / "my run")
    assert [shard.n for shard in shards] == [4, 2] and not work.answers
    command = shlex.split(batch_file.command(shards[0], "my/model"))
    assert command == ["vllm", "run-batch", "-i", str(shards[0].file()), "-o", str(shards[0].file("output")),
                       "--model", "my/model"]  # fmt: skip
    readings, again, work, totals, _ = turn(tmp_path / "my run")
    assert not again and not any(reading.closed for reading in readings) and totals.open == N
    assert [reading.tally.missing for reading in readings] == [4, 2]


def test_answers_are_settled_and_the_rest_goes_into_the_next_shard(tmp_path):
    _, (first, second), *_ = turn(tmp_path)
    names = ids(first)
    tool(first, names[:2])
    tool(second, ids(second)[:1])
    second.file("output").write_text(second.file("output").read_text().splitlines()[0] + "\n")  # and one is missing
    readings, shards, work, totals, budget = turn(tmp_path)
    assert [(r.tally.ok, r.tally.errors, r.tally.missing, r.closed) for r in readings] == [
        (2, 2, 0, True),
        (1, 0, 1, True),
    ]
    assert len(work.answers) == 3 and set(work.lost) == set(names[2:])  # refused for what they are
    assert [shard.n for shard in shards] == [1] and ids(shards[0]) == ids(second)[1:]
    assert (totals.settled, totals.failed, totals.doubtful, totals.open) == (3, 3, 0, 1) and budget.doubtful == 0
    tool(shards[0], ids(shards[0]))
    _, shards, work, totals, _ = turn(tmp_path)
    assert totals.settled == 4 and [shard.n for shard in shards] == [2]  # given up is until the run is resumed
    assert len({row["id"] for row in read(tmp_path)}) == len(list(read(tmp_path))) == 4


def test_a_tool_that_still_writes_loses_nothing(tmp_path):
    _, (shard,), *_ = turn(tmp_path, lines=9)
    names, whole = ids(shard), ""
    tool(shard, names)
    whole = shard.file("output").read_text()
    for size in (0, len(whole) // 3, len(whole) - 5):
        shard.file("output").write_text(whole[:size])
        (reading,), shards, *_ = turn(tmp_path, ended=False)
        assert not reading.closed and not shards
    shard.file("output").write_text(whole)
    (reading,), shards, _, totals, _ = turn(tmp_path, ended=False)
    assert reading.closed and reading.tally.ok == N == totals.settled and not shards


def test_results_elsewhere_of_several_shards_in_one_file(tmp_path):
    _, shards, *_ = turn(tmp_path, lines=2)
    mine = [name for shard in shards for name in ids(shard)]
    merged = tmp_path / "merged.jsonl"
    merged.write_text("".join(map(result_line, [*reversed(mine), mine[0], "nobody"])))
    readings, more, work, totals, _ = turn(tmp_path, [merged])
    assert len(readings) == 3 and all(reading.closed for reading in readings) and not more
    assert totals.settled == len(work.answers) == N and sum(reading.tally.doubled for reading in readings) == 1
    assert {reading.tally.unknown for reading in readings} == {1}
    with pytest.raises(UserError, match="none does"):
        turn(tmp_path, [merged])
    with pytest.raises(UserError, match="result file"):
        turn(tmp_path, [tmp_path / "absent"])
    assert request(0).id in mine
