"""Tokenizers beside the weights: what is written can be read back, and foreign ones are taken in whole."""

import json

import pytest

from tests.expect import refused
from tests.texts import chats, stories
from tests.tsjax.formats.models import CONFIGS, tokenizer, trained
from tsjax.formats import hf_tokenizer
from tsjax.formats.huggingface import open_hf, write_hf
from tsjax.tokenizer import HuggingFace, load
from tsjax.tokenizer.restricted import restrict

library = pytest.importorskip("tokenizers")
KINDS = ["bpe", "unigram", "chat", "byte-bpe", "byte-bpe chat", "words", "words chat"]
TEXTS = [*stories(20, 5), *chats(20, 5)]


@pytest.mark.parametrize("kind", KINDS)
def test_the_tokenizer_comes_back(kind, tmp_path):
    words = tokenizer(kind)
    write_hf(trained(CONFIGS["llama"], words), tmp_path / "m")
    back = open_hf(tmp_path / "m").tokenizer
    assert type(back) is type(words) and back.fingerprint == words.fingerprint
    assert (tmp_path / "m" / "chat_template.jinja").exists() == ("chat" in kind)


@pytest.mark.parametrize("kind", ["bpe", "unigram", "chat", "byte-bpe", "byte-bpe chat"])
def test_as_a_foreign_folder_it_gives_the_same_ids(kind, tmp_path):
    words = tokenizer(kind)
    write_hf(trained(CONFIGS["llama"], words), tmp_path / "m")
    (tmp_path / "m" / "tsjax.json").unlink()
    back = open_hf(tmp_path / "m").tokenizer
    assert isinstance(back, HuggingFace) and back.encode(TEXTS) == words.encode(TEXTS)
    assert (back.bos, back.eos, back.vocab_size) == (words.bos, words.eos, words.vocab_size)
    assert back.markers == words.markers


def test_a_tokenizer_that_is_a_part_of_another_is_refused_or_left_out(tmp_path):
    part = restrict(tokenizer("byte-bpe"), 300, "split", stories(50))
    given = trained(CONFIGS["llama"], part)
    with refused("Restricted", "--without-tokenizer"):
        write_hf(given, tmp_path / "m")
    write_hf(given, tmp_path / "m", with_tokenizer=False)
    assert not (tmp_path / "m" / "tokenizer.json").exists()
    assert open_hf(tmp_path / "m").tokenizer.fingerprint == part.fingerprint


def foreign_folder(folder, words, config: dict | None = None, **hf):
    write_hf(trained(CONFIGS["llama"], words), folder)
    (folder / "tsjax.json").unlink()
    for name, changes in ("tokenizer_config.json", config or {}), ("config.json", hf):
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder


def test_rows_without_a_token_get_one_that_no_text_gives(tmp_path):
    for kind in ("bpe", "byte-bpe"):
        words = hf_tokenizer.fitted(tokenizer(kind), 520)
        assert words.vocab_size == 520 and words.encode(TEXTS) == tokenizer(kind).encode(TEXTS)
        assert words.encode(["<id 515>"]) == tokenizer(kind).encode(["<id 515>"])
        assert "515" in words.pieces([515])[0] and words.decode([515]) is not None
        words.save(tmp_path / words.file)
        assert load(tmp_path / words.file).fingerprint == words.fingerprint
    with refused("500"):
        hf_tokenizer.fitted(tokenizer("words"), 500)
    with refused("at most 300"):
        hf_tokenizer.fitted(tokenizer("byte-bpe"), 300)


def test_names_past_the_embedding_go():
    words = tokenizer("byte-bpe")
    data = json.loads(words.json)
    data["added_tokens"].append({"id": 512, "content": "<pad>", "single_word": False, "lstrip": False, "rstrip": False,
                                 "normalized": False, "special": True})  # fmt: skip
    more = HuggingFace(json.dumps(data))
    assert more.vocab_size == 513 and hf_tokenizer.fitted(more, 512).vocab_size == 512


def test_an_end_that_has_another_name(tmp_path):
    """What tokenizer_config.json calls bos and eos counts, whatever the names; it comes back with the tokenizer."""
    words = tokenizer("byte-bpe")
    folder = foreign_folder(tmp_path / "m", words, {"bos_token": "<begin>", "eos_token": {"content": "<end>"}})
    data = json.loads((folder / "tokenizer.json").read_text())
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    data["added_tokens"] = [{"id": 0, "content": "<end>", **flags}]
    vocab = data["model"]["vocab"]
    vocab["<end>"] = vocab.pop("<|endoftext|>")
    last = max(vocab, key=vocab.get)
    data["model"]["merges"] = [m for m in data["model"]["merges"] if "".join(m) != last]
    vocab["<begin>"] = vocab.pop(last)
    data["added_tokens"].append({"id": 511, "content": "<begin>", **flags})
    data["post_processor"] = None
    (folder / "tokenizer.json").write_text(json.dumps(data))
    with refused("ends documents"):
        load(folder / "tokenizer.json")
    model = open_hf(folder)
    found = model.tokenizer
    assert (found.bos, found.eos, found.vocab_size) == (511, 0, 512)
    assert found.decode(found.encode(["<end> of <begin>"])[0]) == "<end> of <begin>"
    found.save(tmp_path / "tokenizer.json")
    assert load(tmp_path / "tokenizer.json").fingerprint == found.fingerprint
    write_hf(model, tmp_path / "again")
    assert "tsjax" not in json.loads((tmp_path / "again" / "tokenizer.json").read_text())
    assert open_hf(tmp_path / "again").tokenizer.fingerprint == found.fingerprint


def test_an_end_that_config_json_calls_otherwise_is_told(tmp_path, capsys):
    open_hf(foreign_folder(tmp_path / "m", tokenizer("byte-bpe"), eos_token_id=7))
    assert "eos_token_id 7" in capsys.readouterr().err


def test_gpt2s_two_files(tmp_path):
    """As the oldest repositories have them: vocab.json and merges.txt, no tokenizer.json."""
    words = tokenizer("byte-bpe")
    folder = foreign_folder(tmp_path / "m", words)
    data = json.loads((folder / "tokenizer.json").read_text())["model"]
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    (folder / "vocab.json").write_text(json.dumps(data["vocab"]))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in data["merges"]))
    back = open_hf(folder).tokenizer
    assert back.encode(TEXTS) == words.encode(TEXTS) and back.eos == words.eos


def test_no_tokenizer_at_all_is_refused_unless_one_is_given(tmp_path):
    folder = foreign_folder(tmp_path / "m", tokenizer("bpe"))
    for name in ("tokenizer.json", "tokenizer.model", "tokenizer_config.json"):
        (folder / name).rename(tmp_path / name)
    with refused("a tokenizer in"):
        open_hf(folder)
    assert open_hf(folder, tmp_path / "tokenizer.model").tokenizer.fingerprint == tokenizer("bpe").fingerprint
