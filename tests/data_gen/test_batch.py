"""The batch backend against the stub: every fault of its batches, random scripts, and a kill at every step."""

import asyncio

import pytest

from data_gen.batch import Pace
from data_gen.batch_shards import Limits
from data_gen.ledger import Ledger
from tests.data_gen.batch_world import KEY, check, session, vendor_shards
from tests.openai_server import BATCHES, Rule, Script, StubServer, random_script


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("BATCH_TEST_KEY", KEY)


def rows_of(run) -> list[dict]:
    ledger = Ledger(run)
    rows = ledger.batches()
    ledger.close()
    return rows


AGAIN = ("error_only", "some_errors", "missing", "missing_billed", "status_0", "torn_line", "expired", "cancelled",
         "output_gone")  # fmt: skip


@pytest.mark.parametrize("fault", ["", *(fault for fault in BATCHES if fault != "invalid_line")])
def test_every_fault_of_batches(fault, tmp_path):
    rules = (Rule(fault, value=3 if fault == "stuck" else None),) if fault else ()
    with StubServer(Script(rules=rules, polls=2), answer=lambda body: "Once.") as server:
        outcome, work = asyncio.run(session(server.url, tmp_path, 10))
        assert outcome.reason == "done", outcome
        rows, costs = rows_of(tmp_path), check(tmp_path, server)
        assert {row["status"] for row in rows} == {"collected"}
        assert len(set(vendor_shards(server))) == len(vendor_shards(server)) == len(rows)
        assert len(costs) == len(work.answers) == 10 and not work.lost and work.finished
        assert (len(rows) > 1) == (fault in AGAIN) and sum(row["n_ok"] for row in rows) == 10
        for row in rows:
            assert row["n_ok"] + row["n_err"] + row["n_missing"] == row["n"]
            lost = fault in ("missing_billed", "torn_line", "output_gone") and row["n_missing"]
            assert (row["usage"]["vendor_more"] != [0, 0]) == bool(lost), row
        counts = {name: sum(row[name] for row in rows) for name in ("n_doubled", "n_unknown", "n_unreadable")}
        assert {name for name, count in counts.items() if count} == {
            "doubled": {"n_doubled"}, "unknown_id": {"n_unknown"}, "torn_line": {"n_unreadable"}}.get(fault, set())  # fmt: skip


def test_a_line_that_the_vendor_blames_is_given_up_and_the_others_go_again(tmp_path):
    script = Script(rules=(Rule("invalid_line", share=0.6),), seed=4)
    with StubServer(script, answer=lambda body: "Once.") as server:
        outcome, work = asyncio.run(session(server.url, tmp_path, 10))
        failed = [row for row in rows_of(tmp_path) if row["state"] == "failed"]
        assert outcome.reason == "done" and 1 <= len(failed) == len(work.lost) < 5
        assert len(check(tmp_path, server)) == len(work.answers) == 10 - len(failed)
        assert all("invalid_json_line" in why for why in work.lost.values())


def test_random_scripts(tmp_path):
    for seed in range(80):
        run = tmp_path / str(seed)
        with StubServer(random_script(seed), answer=lambda body: "Once.") as server:
            pace = Pace(parallel=1 + seed % 3, limits=Limits(lines=2 + seed % 5), tries=9, empty=12)
            outcome, work = asyncio.run(session(server.url, run, 9, pace=pace, cap=10**12))
            assert outcome.reason == "done" and not work.lost, (seed, outcome, server.script.rules)
            assert len(check(run, server)) == len(work.answers) == 9
            assert len(set(vendor_shards(server))) == len(vendor_shards(server)), seed
