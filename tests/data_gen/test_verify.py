"""Every kind of damage to a run folder is told, and a sound one has none."""

import json
import shutil
import sqlite3

import pytest

from data_gen.curate import curate
from data_gen.ledger import Ledger
from data_gen.order import Order
from data_gen.raw import RawWriter
from data_gen.verify import problems
from tests.data_gen.raw_run import ask, bundled, write
from tests.expect import refused
from tsjax.workers import Processes


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    recipe = bundled("tinystories")
    folder = write(tmp_path_factory.mktemp("runs") / "run", ask(recipe, 2, range(120)), part_bytes=9000)
    curate(folder, recipe, seed=2, workers=Processes(1))
    book = Ledger(folder)
    totals = book.totals()
    book.close()
    manifest = {"kind": Order.kind, "order": {"key_env": "ODDLY_NAMED"}, "stopped": "done", "attempts": totals._asdict(),
                "tokens": {"input": totals.tokens_in, "output": totals.tokens_out},
                "cost_usd": {"settled": totals.cost / 1e12, "doubtful": totals.doubt / 1e12}}  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture
def run(sound, tmp_path):
    return shutil.copytree(sound, tmp_path / "run")


def only(folder, *words: str) -> None:
    found = problems(folder)
    assert len(found) == 1 and all(word in found[0] for word in words), found


def test_a_sound_run_has_no_problems(run):
    assert problems(run) == []
    shutil.rmtree(run / "documents")  # not curated yet
    (run / "rejected.jsonl.zst").unlink()
    assert problems(run) == []
    with refused("no "):
        problems(run / "nowhere")


@pytest.mark.parametrize("name", ["documents/train.jsonl.zst", "rejected.jsonl.zst", "report.json"])
def test_changed_and_lost_files(run, name):
    (run / name).write_bytes((run / name).read_bytes() + b" ")
    only(run, name.rpartition("/")[2], "sha256")
    (run / name).unlink()
    only(run, name.rpartition("/")[2], "no such file")


def test_documents_without_their_manifest(run):
    (run / "documents" / "manifest.json").unlink()
    only(run, "documents", "manifest.json")


def test_raw_answers_that_are_cut_or_broken(run):
    parts = sorted((run / "raw").iterdir())
    assert len(parts) > 1
    last = parts[-1].read_bytes()
    parts[-1].write_bytes(last + last[:40])
    only(run, parts[-1].name, "40 bytes")
    parts[-1].write_bytes(last)
    whole = parts[0].read_bytes()
    parts[0].write_bytes(whole[:500] + b"\0" * 8 + whole[508:])
    assert any("Zstandard" in problem for problem in problems(run))


def test_a_tail_of_a_kill_is_told_from_damage_to_what_was_booked(run):
    path = sorted((run / "raw").iterdir())[-1]
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:40])
    only(run, path.name, "a kill leaves that")
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    found = problems(run)
    assert any("the ledger has the answers up to byte" in problem for problem in found), found
    assert not any("a kill leaves that" in problem for problem in found)


def change(run, statement: str) -> None:
    base = sqlite3.connect(run / "ledger.sqlite")
    with base:
        base.execute(statement)
    base.close()


@pytest.mark.parametrize("what", ["cost = 0", "doubt = 5", "tokens_in = 0", "tokens_out = tokens_out + 1"])
def test_numbers_that_are_not_those_of_the_answers(run, what):
    change(run, f"update attempts set {what} where id = 7")
    found = problems(run)
    assert (
        len(found) == 2 and "1 answers with another cost or other tokens" in found[0] and "(attempt 7)" in found[0]
    ), found
    assert "by the ledger" in found[1]


def test_sums_that_are_not_the_manifests(run):
    change(run, "insert into attempts (id, request, place, step, sample, backend, sent, state, reserved, doubt)"
                " values (999, 'abc', 0, 0, 0, 'chat', 0, 'doubtful', 9, 9)")  # fmt: skip
    assert [problem.partition(" is ")[0] for problem in problems(run)] == [
        "manifest.json: cost_usd doubtful", "manifest.json: attempts attempts", "manifest.json: attempts doubtful",
    ]  # fmt: skip
    going(run)
    assert problems(run) == []


def test_a_ledger_with_pages_of_something_else(run):
    path = run / "ledger.sqlite"
    pages = bytearray(path.read_bytes())
    pages[8192:] = b"\xff" * (len(pages) - 8192)
    path.write_bytes(pages)
    assert any("ledger" in problem for problem in problems(run))


def test_a_folder_that_is_no_run(run, tmp_path):
    (tmp_path / "empty").mkdir()
    with refused("a run of tsjax generate"):
        problems(tmp_path / "empty")
    (run / "manifest.json").unlink()
    with refused("a run of tsjax generate"):
        problems(run)


def test_the_key_of_the_run_is_found_by_its_own_variable(run, monkeypatch):
    (run / "log.txt").write_text("said: plainwords")
    assert problems(run) == []
    monkeypatch.setenv("ODDLY_NAMED", "plainwords")
    only(run, "log.txt", "API key")


def test_rows_that_are_no_answers(run):
    raw = RawWriter(run)
    raw.append([{"odd": 1}])
    raw.close()
    assert any("no raw line" in problem for problem in problems(run))


def going(run) -> None:
    """As if the run had not ended: there are no sums yet."""
    manifest = json.loads((run / "manifest.json").read_text())
    del manifest["stopped"]
    (run / "manifest.json").write_text(json.dumps(manifest))


def test_ledger_and_answers_out_of_step(run):
    going(run)
    base = sqlite3.connect(run / "ledger.sqlite")
    with base:
        base.execute("update attempts set state = 'failed' where id = 7")
    only(run, "1 raw lines without an answer", "attempt 7")
    with base:
        base.execute("update attempts set state = 'settled' where id = 7")
        base.execute(
            "insert into attempts (id, request, place, step, sample, backend, sent, state, reserved)"
            " values (999, 'abc', 0, 0, 0, 'chat', 0, 'settled', 0)"
        )
    base.close()
    only(run, "1 answers in the ledger without a raw line", "abc (attempt 999)")
    (run / "ledger.sqlite").unlink()
    only(run, "ledger.sqlite", "none")


# In parts, so that no one takes this file for one with a key in it.
KEYS = ["sk-" + "proj-0123456789abcdefghij", "Bearer " + "abcdefgh0123456789ijkl", "hf_" + "abcdefghijklmnopqrstuvwx"]


@pytest.mark.parametrize("key", KEYS)
def test_keys_in_any_file_are_told_but_not_shown(run, key):
    (run / "note.json").write_text(json.dumps({"said": key}))
    only(run, "note.json", "API key")
    assert key.split()[-1] not in str(problems(run))
    (run / "note.json").unlink()
    request = ask(bundled("tinystories"), 2, range(1))[0]
    raw = RawWriter(run)
    raw.append([request | {"headers": {"authorization": key}}])
    raw.close()
    assert any("raw/" in problem and "API key" in problem for problem in problems(run))


def test_a_key_of_the_environment_is_found_whatever_its_form(run, monkeypatch):
    monkeypatch.setenv("OUR_API_KEY", "plain-letters-only")
    (run / "log.txt").write_text("x" * ((1 << 20) - 6) + "plain-letters-only")  # across two blocks
    only(run, "log.txt")
    monkeypatch.delenv("OUR_API_KEY")
    assert problems(run) == []


def test_words_of_stories_are_no_keys(run):
    (run / "story.txt").write_text(
        "Bearer of bad-news. The risk-taking-adventurers-of-yesterday sat at the desk-sized-table-of-oak."
    )
    assert problems(run) == []
