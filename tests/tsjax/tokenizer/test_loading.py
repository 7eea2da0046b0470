"""`load` finds out what a file or a folder holds, and names what it cannot read."""

import json

import pytest

from tests.expect import refused
from tests.texts import stories
from tsjax.tokenizer import HuggingFace, SentencePiece, WordList, hugging_face, load, sentence_piece

TEXTS = stories(200)


@pytest.fixture(scope="module")
def byte_level() -> HuggingFace:
    return hugging_face.train(TEXTS, 400)


def gpt2_files(folder, tokenizer, prefix=""):
    folder.mkdir(exist_ok=True)
    model = json.loads(tokenizer.json)["model"]
    # GPT-2 has tokens with these names; they must not be taken for the keys of another format.
    vocab = model["vocab"] | {"model": len(model["vocab"]), "format": len(model["vocab"]) + 1}
    (folder / f"{prefix}vocab.json").write_text(json.dumps(vocab))
    (folder / f"{prefix}merges.txt").write_text("\n".join(map(" ".join, model["merges"])))


@pytest.mark.parametrize("prefix", ["", "gpt2_", "gpt2-"])
def test_gpt2s_pair_is_found_by_either_file_or_the_folder(tmp_path, byte_level, prefix):
    gpt2_files(tmp_path, byte_level, prefix)
    paths = [tmp_path / f"{prefix}vocab.json", tmp_path / f"{prefix}merges.txt", tmp_path]
    made = [load(path) for path in paths]
    assert len({t.fingerprint for t in made}) == 1
    assert made[0].encode(TEXTS) == byte_level.encode(TEXTS)


def test_a_pair_must_be_whole_and_one(tmp_path, byte_level):
    gpt2_files(tmp_path, byte_level, "a_")
    gpt2_files(tmp_path, byte_level, "b_")
    with refused("one tokenizer", "a_vocab.json", "b_vocab.json"):
        load(tmp_path)
    (tmp_path / "a_merges.txt").unlink()
    with refused("a_merges.txt"):
        load(tmp_path / "a_vocab.json")
    (tmp_path / "b_vocab.json").unlink()
    with refused("b_vocab.json"):
        load(tmp_path / "b_merges.txt")


@pytest.mark.parametrize("name", ["tokenizer.json", "other.json", "no suffix"])
def test_json_is_known_by_its_content(tmp_path, byte_level, name):
    byte_level.save(tmp_path / name)
    assert load(tmp_path / name).fingerprint == byte_level.fingerprint


def test_a_folder_gives_the_file_that_every_format_has(tmp_path, byte_level):
    model = sentence_piece.train(TEXTS, 400)
    model.save(tmp_path / "tokenizer.model")
    assert isinstance(load(tmp_path), SentencePiece)
    byte_level.save(tmp_path / "tokenizer.json")
    assert isinstance(load(tmp_path), HuggingFace)
    WordList(["a"]).save(tmp_path / "words.txt")
    assert isinstance(load(str(tmp_path / "words.txt")), WordList)


@pytest.mark.parametrize("name, content", [
    ("a.model", b""), ("a.model", b"no model"), ("a.json", b"{"), ("a.json", b"[]"), ("a.json", b"{}"), ("a.json", b""),
    ("a.json", b"\xff"), ("a.json", b'{"format": "tsjax restricted tokenizer 1"}'), ("a.bin", b"\0"), ("a.txt", b"Up\n"),
    ("a.txt", b""), ("a_vocab.json", b'{"a": 0}'), ("a_merges.txt", b"a b"), ("a", b"version https://git-lfs"),
    ("a", b"#version: 0.2\na b"),
])  # fmt: skip
def test_what_is_no_tokenizer_is_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with refused(str(tmp_path)):
        load(tmp_path / name)


def test_nothing_is_named(tmp_path):
    with refused("nowhere"):
        load(tmp_path / "nowhere")
    with refused("an empty folder", "tokenizer.json"):
        load(tmp_path)
    (tmp_path / "story.md").write_text("x")
    with refused("story.md"):
        load(tmp_path)
