"""The instruct folder holds what its manifest says, the same bytes for the same stories, and keeps the variant apart."""

import io
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import zstandard

from data_gen.instruct import write_instruct
from tests.expect import refused
from tests.texts import stories
from tsjax.corpus import instruct
from tsjax.corpus.readers import Reading, documents
from tsjax.corpus.sources import sources

STORIES = stories(600, seed=3)
RECORDS = [
    {
        "story": story,
        "instruction": {"prompt:": "p", "words": ["a", "b", "c"][: i % 4], "features": ["Twist"][: i % 2]},
        "summary": "They met." if i % 3 else "",
        "source": f"GPT-{3 + i % 2}",
    }
    for i, story in enumerate(STORIES)
]


@pytest.fixture
def records(tmp_path):
    path = tmp_path / "data00.json"
    path.write_text(json.dumps(RECORDS))
    return path


def lines(folder, split: str) -> list[dict]:
    with open(folder / f"{split}.jsonl.zst", "rb") as f:
        return [json.loads(line) for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(f), "utf-8")]


def content(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_folder_is_read_as_documents_with_splits(records, tmp_path):
    manifest = write_instruct([records], tmp_path / "out", ood=False, valid_fraction=0.2, seed=5)
    assert json.loads((tmp_path / "out" / "manifest.json").read_text()) == manifest
    found = sources(tmp_path / "out")
    assert [s.split for s in found] == ["train", "valid"]
    told = []
    for source in found:
        read, kept = list(documents(source.path)), lines(tmp_path / "out", source.split)
        assert len(read) == len(kept) == manifest["files"][source.split]["count"] > 50
        for document, record in zip(read, kept, strict=True):
            block = instruct.parse(document.text)
            assert not document.fault and document.text == record["text"] == block.render()
            assert document.story == record["story"] == block.story
            assert record["instructions"] == block.kinds and record["sentence"] == block.sentence
            original = RECORDS[STORIES.index(document.story)]
            asked = original["instruction"] | {"summary": original["summary"], "source": original["source"]}
            assert all(
                record.get(key, type(asked[key])()) == asked[key] for key in ("words", "features", "summary", "source")
            )
            told.append(document.story)
    none = [
        r["story"] for r in RECORDS if not (r["summary"] or r["instruction"]["words"] or r["instruction"]["features"])
    ]
    assert sorted(told) == sorted(set(STORIES) - set(none))
    assert manifest["left_out"] == {"no words, features or summary": len(none)} and none


def test_the_variant_keeps_words_and_summary_apart_until_the_test(records, tmp_path):
    manifest = write_instruct([records], tmp_path / "out", ood=True, valid_fraction=0.3)
    both = {"Words", "Summary"}
    assert not [r for r in lines(tmp_path / "out", "train") if both <= set(r["instructions"])]
    assert all(both <= set(r["instructions"]) for r in lines(tmp_path / "out", "valid"))
    assert lines(tmp_path / "out", "valid") and manifest["left_out"]["no words and summary"]
    kept = sum(file["count"] for file in manifest["files"].values())
    assert kept + sum(manifest["left_out"].values()) == len(RECORDS)


def test_a_document_depends_on_its_story_alone(records, tmp_path):
    write_instruct([records], tmp_path / "a", ood=False, valid_fraction=0.2)
    write_instruct([records], tmp_path / "b", ood=False, valid_fraction=0.2)
    assert content(tmp_path / "a") == content(tmp_path / "b")
    backwards = tmp_path / "back.json"
    backwards.write_text(json.dumps(RECORDS[300::-1]))
    write_instruct([backwards], tmp_path / "c", ood=False, valid_fraction=0.2)
    for split in ("train", "valid"):
        before = {r["id"]: r for r in lines(tmp_path / "a", split)}
        again = lines(tmp_path / "c", split)
        assert again and all(before[r["id"]] == r for r in again)
    write_instruct([records], tmp_path / "d", ood=False, valid_fraction=0.2, seed=1)
    assert lines(tmp_path / "d", "valid") != lines(tmp_path / "a", "valid")


def test_copies_of_a_story_share_a_split(tmp_path):
    told = [
        r | {"story": change(r["story"])}
        for r in RECORDS
        for change in (str, str.upper, lambda s: s.replace(".", " !"))
    ]
    (tmp_path / "a.json").write_text(json.dumps(told))
    write_instruct([tmp_path / "a.json"], tmp_path / "out", ood=False, valid_fraction=0.5)
    sides = [
        {"".join(filter(str.isalnum, r["story"].lower())) for r in lines(tmp_path / "out", s)}
        for s in ("train", "valid")
    ]
    assert sides[0] and sides[1] and not sides[0] & sides[1]


def test_a_finished_folder_is_left_alone_and_others_are_refused(records, tmp_path):
    out = tmp_path / "out"
    manifest = write_instruct([records], out, ood=False, valid_fraction=0.2)
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    assert write_instruct([records], out, ood=False, valid_fraction=0.2) == manifest
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before
    with refused("seed 1", "seed 0", str(out)):
        write_instruct([records], out, ood=False, valid_fraction=0.2, seed=1)
    (out / "valid.jsonl.zst").write_bytes(b"changed")
    with refused("valid.jsonl.zst", "sha256"):
        write_instruct([records], out, ood=False, valid_fraction=0.2)


def test_what_is_left_out_is_counted(records, tmp_path):
    reading = Reading(where=(("source", "GPT-4"),))
    manifest = write_instruct([records], tmp_path / "out", reading=reading, ood=False, valid_fraction=0.2)
    assert manifest["left_out"]["filtered"] == 300
    assert {r["source"] for split in ("train", "valid") for r in lines(tmp_path / "out", split)} == {"GPT-4"}


def test_what_gives_no_split_is_refused(records, tmp_path):
    for fraction in (0, 1, float("nan")):
        with refused("valid_fraction"):
            write_instruct([records], tmp_path / "out", ood=False, valid_fraction=fraction)
    (tmp_path / "plain.txt").write_text("<|endoftext|>".join(STORIES))
    with refused("train and valid", "600 with no words, features or summary"):
        write_instruct([tmp_path / "plain.txt"], tmp_path / "out", ood=False)
    assert not (tmp_path / "out").exists()
    with refused("none for valid"):
        write_instruct([records], tmp_path / "out", ood=False, valid_fraction=1e-9)


def test_a_killed_call_leaves_no_folder_that_passes_for_whole(records, tmp_path):
    """Killed at five moments: each time the folder is refused or whole, and the next call makes it whole."""
    whole = write_instruct([records], tmp_path / "whole", ood=False, valid_fraction=0.2)
    # Slow enough at each step to be killed between any two.
    code = (
        "import sys, os, time; from pathlib import Path; import data_gen.instruct as d; "
        "steps = [(d, '_record'), (os, 'fsync'), (os, 'replace'), (d, 'write_json')]\n"
        "for n, (m, f) in enumerate(steps):\n"
        "    def slow(*a, old=getattr(m, f), n=n, **k):\n"
        "        print(n, flush=True) or time.sleep(0.03 if n else 0.0002); return old(*a, **k)\n"
        "    setattr(m, f, slow)\n"
        f"d.write_instruct([{str(records)!r}], Path({str(tmp_path / 'out')!r}), ood=False, valid_fraction=0.2)"
    )
    killed = 0
    for step in ("0", "1", "2", "3"):
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for line in process.stdout:
            if line.strip() == step:
                time.sleep(0.01)
                process.send_signal(signal.SIGKILL)
                break
        killed += process.wait() == -signal.SIGKILL
        process.stdout.close()
        with refused("out"):
            sources(tmp_path / "out")
    assert killed == 4 and os.listdir(tmp_path / "out")
    assert write_instruct([records], tmp_path / "out", ood=False, valid_fraction=0.2) == whole
    assert len(sources(tmp_path / "out")) == 2
