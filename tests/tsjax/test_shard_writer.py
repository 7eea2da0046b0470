"""The bytes of a shard folder are the same however often prepare was killed and however many threads it had."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.expect import refused
from tests.tsjax.test_shards import SMALL, TEXTS, contents
from tsjax import prepare as stage
from tsjax import shard_writer
from tsjax.corpus import SEPARATOR, survey
from tsjax.corpus.scan import Scanner
from tsjax.errors import UserError
from tsjax.prepare import prepare
from tsjax.shards import open_shards
from tsjax.tokenizer import Recipe
from tsjax.tokenizer.sentence_piece import SentencePiece, train
from tsjax.workers import Processes


@pytest.fixture(scope="module")
def corpus_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "stories.txt"
    path.write_text(f"\n{SEPARATOR}\n".join(TEXTS), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def prepared(corpus_file, tmp_path_factory) -> Path:
    """What an uninterrupted prepare makes."""
    out = tmp_path_factory.mktemp("prepared") / "shards"
    prepare([corpus_file], out, **SMALL)
    return out


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_change_no_byte(corpus_file, prepared, tmp_path, workers, monkeypatch):
    monkeypatch.setattr(stage, "BATCH", 700)
    monkeypatch.setattr(survey, "BATCH", 900)
    prepare([corpus_file], tmp_path / "out", workers=Processes(workers), **SMALL)
    assert contents(tmp_path / "out") == contents(prepared)


@pytest.mark.parametrize("ids", [[5, 2, 6], [70_000]])
def test_ids_that_would_break_documents_are_refused(corpus_file, tmp_path, monkeypatch, ids):
    monkeypatch.setattr(SentencePiece, "encode", lambda self, texts, workers=1: [ids for _ in texts])
    with pytest.raises((UserError, OverflowError)):
        prepare([corpus_file], tmp_path / "out", recipe=Recipe(vocab_size=400))
    with refused("manifest.json"):
        open_shards(tmp_path / "out")


class Killed(BaseException):
    pass


@pytest.mark.parametrize("moment", range(0, 24, 3))
def test_a_killed_prepare_is_never_taken_for_whole_and_continues(corpus_file, prepared, tmp_path, monkeypatch, moment):
    out, left = tmp_path / "out", moment
    replace = os.replace
    kept = []

    def dying(source, target):
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed
        replace(source, target)

    monkeypatch.setattr(os, "replace", dying)
    try:
        prepare([corpus_file], out, **SMALL)
    except Killed:
        with refused("manifest.json", "did not finish"):
            open_shards(out)
        kept = [p.name for p in out.glob("[tv]*.arrayrecord")]
    else:
        assert moment > 20
    monkeypatch.undo()

    written = []
    writer = shard_writer.ArrayRecordWriter
    monkeypatch.setattr(
        shard_writer, "ArrayRecordWriter", lambda path, options: written.append(Path(path)) or writer(path, options)
    )
    prepare([corpus_file], out, **SMALL)
    assert contents(out) == contents(prepared)
    # The last shard may lack its line in the journal; all others are kept.
    again = {path.name.removeprefix(".").removesuffix(".tmp") for path in written}
    assert len(again & set(kept)) <= 1


@pytest.mark.parametrize("killed_in", ["survey", "encode"])
def test_kill_minus_nine(corpus_file, prepared, tmp_path, killed_in, monkeypatch):
    script = (
        "import os, pathlib, sys; from tests.tsjax.test_shards import SMALL\n"
        "from tsjax import prepare as stage; from tsjax.corpus import survey\n"
        "stage.BATCH = survey.BATCH = 2000; survey.PART = 16\n"
        "def progress(name, done, total):\n"
        f"    if name == '{killed_in}' and done > (total or 40_000) // 2: os.kill(os.getpid(), 9)\n"
        "workers = stage.Processes(1)\n"
        "stage.prepare([sys.argv[1]], pathlib.Path(sys.argv[2]), progress=progress, workers=workers, **SMALL)\n"
    )
    out = tmp_path / "out"
    result = subprocess.run([sys.executable, "-c", script, corpus_file, out], cwd=Path(__file__).parents[2])
    assert result.returncode == -signal.SIGKILL
    if killed_in == "encode":
        assert list(out.glob("train-*")) and list(out.glob(".train-*.tmp"))
    with refused("did not finish"):
        open_shards(out)
    # What was surveyed is not surveyed again.
    scanned = []
    scan = Scanner.__call__
    monkeypatch.setattr(Scanner, "__call__", lambda self, batch: scanned.extend(batch) or scan(self, batch))
    monkeypatch.setattr(survey, "PART", 16)
    prepare([corpus_file], out, **SMALL)
    assert len(scanned) < len(TEXTS) / 2 if killed_in == "survey" else not scanned
    assert contents(out) == contents(prepared)


@pytest.mark.parametrize("damage", ["journal", "shard", "tokenizer", "other tokenizer", "settings"])
def test_a_damaged_leftover_is_made_anew(corpus_file, prepared, tmp_path, monkeypatch, damage):
    out = tmp_path / "out"
    monkeypatch.setattr(stage, "_manifest", lambda *_: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        # Other settings leave more shards than there will be: none of them may stay.
        prepare([corpus_file], out, **(SMALL | ({"shard_tokens": 500} if damage == "settings" else {})))
    monkeypatch.undo()
    victim = {"journal": "unfinished.json", "shard": "train-00001.arrayrecord"}.get(damage, "tokenizer.model")
    if damage == "other tokenizer":
        train(TEXTS[:60], 400).save(out / victim)
    elif damage != "settings":
        data = (out / victim).read_bytes()
        (out / victim).write_bytes(data[: len(data) // 2])
    prepare([corpus_file], out, **SMALL)
    assert contents(out) == contents(prepared)
