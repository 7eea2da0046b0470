"""What the lines of a finished batch become: books and verdicts like those of single calls."""

import asyncio

import pytest

from data_gen.answer import LENGTH, STOP, read_answer
from data_gen.batch_collect import Collector
from data_gen.batch_pack import pack
from data_gen.batch_shards import Limits
from data_gen.budget import Budget
from data_gen.journal import Journal
from data_gen.ledger import Totals
from data_gen.raw import read
from tests.data_gen.batch_world import TERMS, TOKEN, Tales, request, result_line


def collected(run, made: int, given: int = 5) -> tuple[Tales, Totals, Budget]:
    """A batch of one line whose answer says that it has `made` tokens."""

    async def go() -> tuple[Totals, Budget]:
        journal, budget = Journal(run, "run"), Budget(None)
        shard, _ = await pack(work, journal, budget, TERMS, Limits(), run / "batches", 0, "batch", {})
        assert shard
        line = result_line(request(0).id).replace('"prompt_tokens": 5', f'"prompt_tokens": {given}')
        shard.file("output").write_text(line.replace('"completion_tokens": 2', f'"completion_tokens": {made}'))
        collector = Collector(shard, journal, budget, TERMS, work, {}, 3, backend="batch")
        await collector.read(shard.file("output"))
        await collector.close(ran=True)
        totals = journal.ledger.totals()
        await journal.close()
        return totals, budget

    work = Tales(1)
    return work, *asyncio.run(go())


def test_live_and_restored_verdicts_agree(tmp_path):
    for made, finish in ((699, STOP), (700, LENGTH)):
        work, totals, _ = collected(tmp_path / str(made), made)
        (row,) = read(tmp_path / str(made))
        answer = work.answers[request(0).id]
        assert answer == read_answer(row["body"], row["params"]) and answer.finish == finish
        assert (totals.tokens_out, totals.cost) == (made, (5 + made) * TOKEN)


@pytest.mark.parametrize(("made", "given"), [(10**12, 5), (4 * 700 + 1, 5), (2, 10**8)])
def test_absurd_usage_is_doubted_like_none(tmp_path, made, given):
    work, totals, budget = collected(tmp_path, made, given)
    assert work.answers and (totals.cost, totals.doubt) == (0, TERMS.worst(request(0)))
    assert (budget.settled, budget.doubtful, budget.reserved) == (0, totals.doubt, 0)
