"""The promises about money and answers, over random scripts of faults and at every point where a process can die."""

import json
import os
import signal
from collections import Counter

import pytest
import zstandard

from data_gen.engine import CAP, DONE
from data_gen.ledger import Ledger
from data_gen.offline import write_story
from data_gen.raw import read
from tests.data_gen import killed, runs
from tests.forks import Forks
from tests.openai_server import Rule, Script, StubServer, bill, random_script
from tests.openai_server.script import ANSWERS, FATAL, REFUSALS, SLOW, WIRE

KEY = "sk-test-0123456789abcdef0123456789"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setenv("TSJAX_TEST_KEY", KEY)
    runs.short_waits(monkeypatch)


def check_books(out, server) -> None:
    """I1, I2, I3, I7 of a run that has ended."""
    ledger = Ledger(out)
    totals = ledger.totals()
    rows = list(read(out))
    settled = [request for request, _ in ledger._db.execute("select request, id from attempts where state = 'settled'")]
    assert len(settled) == len(set(settled))  # I1
    assert {row["id"] for row in rows} == set(settled)
    received = [row for row in server.ledger.rows("received") if row["endpoint"].startswith("POST /v1/chat")]
    assert totals.attempts >= len(received)  # I2: each call had its row; some rows had no connection
    billed = bill(server.ledger.rows(), runs.PRICES) * runs.DOLLAR
    assert totals.cost <= billed + 0.5 <= totals.cost + totals.doubt + 1  # I3, to the rounding of the stub's floats
    assert totals.open == totals.reserved == 0
    assert not any(row["key_in_body"] for row in received)
    ledger.close()
    for path in out.rglob("*"):  # I7
        assert not path.is_file() or KEY.encode() not in path.read_bytes()


def test_the_random_scripts_hold_every_fault_that_a_run_gets_through():
    """Each of them in five scripts at least."""
    held = Counter(rule.fault for seed in range(runs.SCRIPTS) for rule in random_script(seed).rules)
    faults = set(REFUSALS) - set(FATAL) - set(SLOW) | set(WIRE) | set(ANSWERS)
    assert min(held[fault] for fault in faults) >= 5, held


@pytest.mark.parametrize("group", range(8))
def test_books_and_answers_hold_over_random_scripts(tmp_path, group):
    made = runs.recipe(tmp_path)
    for seed in range(group, runs.SCRIPTS, 8):
        out = tmp_path / f"run-{seed}"
        with StubServer(random_script(seed)) as server:
            why, plan, _ = runs.run(out, made, server.url, target=12)
            server.settle()
            assert why == DONE and plan.finished, (seed, why)
            check_books(out, server)
            assert plan.accepted == 12 or plan.exhausted, seed


@pytest.mark.parametrize("seed", range(0, 40, 4))
def test_the_cap_holds_at_every_instant_and_a_higher_one_goes_on(tmp_path, seed):
    """I4: `runs.Strict` looks at every change of the books; the bill itself stays below the cap as well."""
    made = runs.recipe(tmp_path)
    with StubServer(random_script(seed)) as server:
        worst = 400 * 500_000 + 600 * 100_000  # of one call, about
        spent = []
        for cap in (worst // 2, 3 * worst, 6 * worst):
            why, plan, budget = runs.run(tmp_path / "run", made, server.url, target=40, cap=cap)
            server.settle()
            assert bill(server.ledger.rows(), runs.PRICES) * runs.DOLLAR <= cap
            assert why == CAP and plan.accepted < 40
            spent.append(budget.committed)
        assert spent[0] == 0 and spent[1] < spent[2]
        why, plan, _ = runs.run(tmp_path / "run", made, server.url, target=40)
        server.settle()
        assert why == DONE
        check_books(tmp_path / "run", server)


def test_answers_at_the_dearer_tier_are_booked_at_its_price(tmp_path):
    """I3, I4: asked for flex, the stub answers at the standard tier, and bills that."""
    made = runs.recipe(tmp_path)
    with StubServer() as server:
        why, plan, budget = runs.run(tmp_path / "run", made, server.url, target=12, cap=10**9, tier="flex")
        server.settle()
        assert plan.accepted and budget.settled and (why == CAP or plan.accepted == 12)
        check_books(tmp_path / "run", server)


@pytest.mark.parametrize("tokens", [(30, 10**12), (30, 10**9), (10**9, 60), (10**25, 10**25)])
def test_absurd_usage_is_no_bill_and_the_run_goes_on(tmp_path, tokens):
    """I4: `runs.Strict` looks. The answer itself is as good as others."""
    made = runs.recipe(tmp_path)

    async def call(request):
        return runs.answer_of(write_story(0, request.index), (30, 60) if request.index % 2 else tokens)

    for target in (4, 8):  # and what is on disk can be read again
        why, plan, budget = runs.run(tmp_path / "run", made, "http://127.0.0.1:9", target=target, call=call)
        assert why == DONE and plan.accepted == target
    ledger = Ledger(tmp_path / "run")
    totals = ledger.totals()
    ledger.close()
    assert budget.doubtful == totals.doubt > 0 and budget.settled == totals.cost < totals.doubt


POINTS = [
    ("before open", 9), ("after open", 9), ("before call", 9), ("after call", 9), ("half raw", 3), ("after raw", 3),
    ("before row", 12), ("after row", 12), ("after book", 7), ("before fail", 1), ("after fail", 2), ("before told", 8),
    ("after told", 29), ("after attempt", 20), ("before curate", 1), ("before replace", 2), ("after replace", 3),
    ("before finish", 1),
]  # fmt: skip


def documents(folder) -> dict[str, bytes]:
    return {name: read_lines(folder / "run" / "documents" / f"{name}.jsonl.zst") for name in ("train", "valid")}


def read_lines(path) -> list:
    lines = zstandard.ZstdDecompressor().stream_reader(path.open("rb")).read().splitlines()
    return [{key: row[key] for key in ("id", "text", "split", "factors")} for row in map(json.loads, lines)]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    runs.recipe(folder)
    os.environ["TSJAX_TEST_KEY"] = KEY
    with StubServer(SCRIPT) as server:
        manifest = in_process(folder, server.url)
    assert manifest["stopped"] == DONE and manifest["documents"] == killed.TARGET
    return documents(folder)


@pytest.fixture(scope="module")
def forks(uninterrupted):
    with Forks("tests.data_gen.killed") as made:
        yield made


def in_process(folder, url) -> dict:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(killed.Processes.__init__, "__defaults__", (1,))
        runs.short_waits(patch)
        return killed.run(folder, url)


@pytest.mark.parametrize(("point", "n"), POINTS, ids=[f"{point} {n}" for point, n in POINTS])
def test_killed_at_any_point_and_resumed_the_documents_are_the_same(tmp_path, uninterrupted, forks, point, n):
    """I6, and I1 to I3 over both processes together."""
    runs.recipe(tmp_path)
    with StubServer(SCRIPT) as server:
        assert forks.code(str(tmp_path), server.url, point, n) == -signal.SIGKILL
        manifest = in_process(tmp_path, server.url)
        server.settle()
        assert manifest["stopped"] == DONE
        assert documents(tmp_path) == uninterrupted
        check_books(tmp_path / "run", server)


# Each fault goes away with the second try, so that a request that a kill made to be sent again meets the same answer.
SCRIPT = Script(
    seed=7, latency=0.002,
    rules=(Rule("error_500", 0.2), Rule("reset_after_work", 0.1), Rule("no_usage", 0.1, None), Rule("length", 0.1, None),
           Rule("rate_ms", 0.1, value=2)),
)  # fmt: skip
