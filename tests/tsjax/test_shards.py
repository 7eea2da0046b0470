"""Shards give back the documents, come out the same however they are made, and are never half believed."""

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.expect import refused
from tests.texts import CHARACTERS, stories
from tsjax import prepare as stage
from tsjax.corpus import SEPARATOR
from tsjax.corpus.duplicates import normal_form
from tsjax.corpus.split import Splitting
from tsjax.prepare import prepare
from tsjax.shards import open_shards
from tsjax.tokenizer import Recipe
from tsjax.tokenizer.sentence_piece import train

SMALL: dict[str, Any] = dict(
    recipe=Recipe(vocab_size=400), record_tokens=500, shard_tokens=2000, splitting=Splitting(valid_fraction=0.2)
)
TEXTS = stories(120)


@pytest.fixture(scope="module")
def corpus_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "stories.txt"
    path.write_text(f"\n{SEPARATOR}\n".join(TEXTS), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tokenizer.model"
    train(TEXTS, 400).save(path)
    return path


@pytest.fixture(scope="module")
def prepared(corpus_file, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("prepared") / "shards"
    prepare([corpus_file], out, **SMALL)
    return out


@pytest.fixture
def copy(prepared, tmp_path) -> Path:
    """A folder of shards to damage."""
    out = tmp_path / "copy"
    out.mkdir()
    for path in prepared.iterdir():
        (out / path.name).write_bytes(path.read_bytes())
    return out


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def json_lines(path: Path, texts: list[str]) -> Path:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


def test_the_counts_are_those_of_the_documents(prepared):
    opened = open_shards(prepared)
    both = []
    for split in ("train", "valid"):
        texts = list(opened.texts(split))
        both += texts
        assert opened.documents_count(split) == len(texts) > 0
        assert opened.bytes(split) == sum(len(t.encode()) for t in texts) == opened.document_bytes(split).sum()
        assert opened.document_bytes(split).tolist() == [len(t.encode()) for t in texts]
        assert opened.words(split) == sum(len(t.split()) for t in texts)
        tokens, starts = opened.tokens(split), opened.document_starts(split)
        assert tokens.dtype == np.uint16 and not tokens.flags.writeable
        assert len(tokens) == opened.tokens_count(split) and len(starts) == len(texts)
        assert (tokens[starts] == 1).all() and (tokens == 1).sum() == (tokens == 2).sum() == len(texts)
        joined = np.concatenate(list(opened.documents(split)))
        assert (joined == tokens).all()
        entries = opened.manifest["splits"][split]["shards"]
        assert len(entries) > 1 and sum(e["tokens"] for e in entries) == len(tokens)
        assert all(e["records"] > 1 for e in entries[:-1])
    assert sorted(both) == sorted(TEXTS)
    assert opened.vocab_size == opened.tokenizer().vocab_size == 400
    assert opened.fingerprint == opened.manifest["fingerprint"]


def test_the_manifest_holds_no_place_and_no_time(prepared, corpus_file):
    text = (prepared / "manifest.json").read_text()
    assert str(corpus_file.parent) not in text and str(prepared) not in text
    assert json.loads(text)["inputs"][0]["name"] == "stories.txt"
    for path in prepared.iterdir():
        assert str(prepared.parent).encode() not in path.read_bytes()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.text(CHARACTERS, max_size=60), min_size=2, max_size=12), fraction=st.floats(0.01, 0.99))
def test_any_documents_come_back(tmp_path_factory, model, texts, fraction):
    wanted = [text.strip() for text in texts if text.strip() and SEPARATOR not in text]
    assume(len({normal_form(text) for text in wanted}) > 1)
    folder = tmp_path_factory.mktemp("any")
    path = json_lines(folder / "a.jsonl", wanted)
    prepare(
        [path],
        folder / "out",
        recipe=Recipe(path=model),
        splitting=Splitting(fraction),
        record_tokens=20,
        shard_tokens=50,
    )
    opened = open_shards(folder / "out")
    found = {split: list(opened.texts(split)) for split in ("train", "valid")}
    for part in found.values():
        places = iter(wanted)
        assert part and all(text in places for text in part)  # in order
    assert sorted(found["train"] + found["valid"]) == sorted(wanted)
    assert not {normal_form(t) for t in found["train"]} & {normal_form(t) for t in found["valid"]}


class Wide:
    """Recipe and tokenizer in one."""

    file, sample_bytes = "tokenizer.model", 1
    vocab_size, unk, bos, eos, pad, fingerprint = 70_000, 0, 1, 2, -1, "f" * 64
    markers: ClassVar[dict[str, int]] = {}
    lossless = True

    def check(self):
        pass

    def settings(self):
        return {"kind": "wide"}

    def make(self, texts):
        return self

    def encode(self, texts, workers=1):
        return [[69_999, 65_536, 3 + len(text)] for text in texts]

    def save(self, path):
        Path(path).write_bytes(b"wide")


def test_a_wide_vocabulary_takes_four_bytes(corpus_file, tmp_path):
    manifest = prepare([corpus_file], tmp_path / "out", recipe=Wide(), record_tokens=50)
    opened = open_shards(tmp_path / "out")
    assert manifest["dtype"] == "uint32" == opened.tokens("train").dtype
    documents = [ids.tolist() for split in ("train", "valid") for ids in opened.documents(split)]
    assert sorted(documents) == sorted([1, 69_999, 65_536, 3 + len(text), 2] for text in TEXTS)


def test_a_complete_folder_is_left_alone(corpus_file, copy, monkeypatch, tmp_path):
    before = {path.name: path.stat().st_mtime_ns for path in copy.iterdir()}
    monkeypatch.setattr(stage, "survey", None)
    manifest = prepare([corpus_file], copy, **SMALL)
    assert manifest == json.loads((copy / "manifest.json").read_text())
    with refused(str(copy), "vocab_size (400, now 500)", "--out"):
        prepare([corpus_file], copy, **(SMALL | {"recipe": Recipe(vocab_size=500)}))
    other = json_lines(tmp_path / "other.jsonl", TEXTS)
    with refused(str(copy), "inputs", "--out"):
        prepare([other], copy, **SMALL)
    assert {path.name: path.stat().st_mtime_ns for path in copy.iterdir()} == before
    (copy / "valid-00000.arrayrecord").unlink()
    with refused("valid-00000.arrayrecord"):
        prepare([corpus_file], copy, **SMALL)


def test_inputs_that_change_meanwhile_are_noticed(tmp_path, model):
    path = json_lines(tmp_path / "a.jsonl", TEXTS)

    def progress(stage, done, total):
        if stage == "encode":
            json_lines(path, TEXTS[:-1])

    with refused("changed", "run prepare again"):
        prepare([path], tmp_path / "out", recipe=Recipe(path=model), progress=progress)


# ---- Damage ----


@pytest.mark.parametrize("place", [0, 0.3, 0.7, 1])
@pytest.mark.parametrize("name", ["train-00001.arrayrecord", "valid-00000.arrayrecord", "valid-00000.lengths.npy"])
def test_a_flipped_bit_is_found(copy, name, place):
    path = copy / name
    data = bytearray(path.read_bytes())
    data[int(place * (len(data) - 1))] ^= 1 << random.Random(place).randrange(8)
    path.write_bytes(data)
    opened = open_shards(copy)
    with refused(name, "run prepare again"):
        opened.tokens(name[:5])
        opened.document_bytes(name[:5])
    with refused(name):
        opened.verify()


@pytest.mark.parametrize("name", ["train-00000.arrayrecord", "valid-00000.lengths.npy"])
def test_a_truncated_or_missing_file_is_found(copy, name):
    path = copy / name
    path.write_bytes(path.read_bytes()[:-10])
    with refused(name):
        open_shards(copy).verify()
    path.unlink()
    with refused(name, "no file"):
        open_shards(copy).verify()


def test_another_tokenizer_is_refused(copy, tmp_path):
    other = train(TEXTS[:60], 400)
    wanted = open_shards(copy).tokenizer().fingerprint
    other.save(copy / "tokenizer.model")
    with refused("tokenizer.model", wanted[:12], other.fingerprint[:12]):
        open_shards(copy).tokenizer()


@pytest.mark.parametrize("manifest", [None, "", "{", "[]", "{}", '{"kind": "documents"}', '{"kind": "token_shards"}'])
def test_a_folder_that_is_none_is_refused(tmp_path, manifest):
    if manifest is not None:
        (tmp_path / "manifest.json").write_text(manifest)
    with refused("manifest.json"):
        open_shards(tmp_path)
    with refused("nowhere"):
        open_shards(tmp_path / "nowhere")


def test_a_changed_manifest_is_refused(copy):
    path = copy / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["splits"]["valid"]["bytes"] += 1
    path.write_text(json.dumps(manifest))
    with refused("manifest.json"):
        open_shards(copy)


def test_an_unknown_split_is_refused(prepared):
    with refused("'test'", "valid"):
        open_shards(prepared).tokens("test")


# ---- The split ----


def test_duplicates_never_cross_the_split(tmp_path, model):
    rng = random.Random(1)
    texts = [variant for text in TEXTS for variant in (text, text.upper() + "!", "  ".join(text.split()))]
    rng.shuffle(texts)
    path = json_lines(tmp_path / "a.jsonl", texts)
    manifest = prepare([path], tmp_path / "out", recipe=Recipe(path=model), splitting=Splitting(0.3))
    opened = open_shards(tmp_path / "out")
    forms = {split: [normal_form(text) for text in opened.texts(split)] for split in ("train", "valid")}
    assert not set(forms["train"]) & set(forms["valid"])
    assert manifest["counts"]["train_duplicates"] == len(forms["train"]) - len(set(forms["train"]))
    assert len(forms["train"]) == 3 * len(set(forms["train"]))
    once = prepare([path], tmp_path / "once", recipe=Recipe(path=model), splitting=Splitting(0.3, drop_duplicates=True))
    assert once["splits"]["train"]["documents"] == len(set(forms["train"]))
    assert once["counts"]["train_duplicates"] == manifest["counts"]["train_duplicates"]


def test_validation_files_keep_their_documents_to_themselves(tmp_path, model):
    first = json_lines(tmp_path / "a.jsonl", TEXTS)
    second = json_lines(tmp_path / "b.jsonl", [TEXTS[7].upper(), "something new", TEXTS[7]])
    manifest = prepare([first], tmp_path / "out", recipe=Recipe(path=model), valid_inputs=[second])
    opened = open_shards(tmp_path / "out")
    assert list(opened.texts("train")) == TEXTS[:7] + TEXTS[8:]
    assert list(opened.texts("valid")) == [TEXTS[7].upper(), "something new", TEXTS[7]]
    counts = {name: count for name, count in manifest["counts"].items() if count}
    assert counts == {"documents": 123, "train_in_valid": 1, "valid_duplicates": 1}
    with refused("training documents"):
        prepare([first], tmp_path / "none", recipe=Recipe(path=model), valid_inputs=[first])


def test_two_documents_make_two_splits(tmp_path, model):
    for fraction in (1e-9, 0.999999):
        path = json_lines(tmp_path / "a.jsonl", ["one story", "another story"])
        out = tmp_path / f"out{fraction}"
        prepare([path], out, recipe=Recipe(path=model), splitting=Splitting(fraction))
        assert [open_shards(out).documents_count(split) for split in ("train", "valid")] == [1, 1]


@pytest.mark.parametrize("texts, fraction", [(["one"], 0.5), (["One!", "one"], 0.5), (["one", "two"], 0)])
def test_a_split_that_would_be_empty_is_refused(tmp_path, model, texts, fraction):
    path = json_lines(tmp_path / "a.jsonl", texts)
    with refused("validation split empty"):
        prepare([path], tmp_path / "out", recipe=Recipe(path=model), splitting=Splitting(fraction))
    assert not (tmp_path / "out").exists()


def test_bad_places_are_refused(tmp_path, corpus_file, model):
    with refused("nowhere.txt"):
        prepare([tmp_path / "nowhere.txt"], tmp_path / "out")
    with refused("nowhere.model"):
        prepare([corpus_file], tmp_path / "out", recipe=Recipe(path=tmp_path / "nowhere.model"))
    with refused("stories.txt", "--out"):
        prepare([corpus_file], corpus_file)
    with refused("at most"):
        prepare([corpus_file], tmp_path / "out", recipe=Recipe(vocab_size=50_000))
    (tmp_path / "manifest.json").write_text('{"kind": "documents"}')
    with refused("manifest.json", "documents"):
        prepare([corpus_file], tmp_path)


def test_importing_shards_does_not_import_jax():
    code = "import sys, tsjax.prepare; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2]).returncode == 0
