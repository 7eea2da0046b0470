"""A tokenizer.json keeps its ids and loses what would change documents; GPT-2's two files are one tokenizer."""

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.expect import refused
from tests.texts import CHARACTERS, awkward, chats, stories
from tsjax.tokenizer import MARKERS, HuggingFace
from tsjax.tokenizer.hugging_face import LETTERS, train
from tsjax.tokenizer.restricted import restrict

library = pytest.importorskip("tokenizers")
TEXTS = stories(300)


@pytest.fixture(scope="module")
def tokenizer() -> HuggingFace:
    return train(TEXTS, 500)


def changed(tokenizer: HuggingFace, **settings) -> HuggingFace:
    return HuggingFace(json.dumps(json.loads(tokenizer.json) | settings))


def word_piece(**settings) -> HuggingFace:
    tokenizer = library.Tokenizer(library.models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = library.normalizers.Lowercase()
    tokenizer.pre_tokenizer = library.pre_tokenizers.Whitespace()
    tokenizer.decoder = library.decoders.WordPiece()
    special = ["[UNK]", "[EOS]"]
    trainer = library.trainers.WordPieceTrainer(vocab_size=300, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(TEXTS, trainer)
    return HuggingFace(json.dumps(json.loads(tokenizer.to_str()) | settings))


def test_training_is_deterministic_and_says_nothing(tokenizer, capfd):
    assert train(iter(TEXTS), 500).fingerprint == tokenizer.fingerprint
    assert capfd.readouterr() == ("", "")
    assert train(TEXTS[1:], 500).fingerprint != tokenizer.fingerprint
    assert (tokenizer.vocab_size, tokenizer.bos, tokenizer.eos, tokenizer.unk, tokenizer.pad) == (500, 0, 0, -1, -1)


def test_the_library_gives_the_same_ids(tokenizer):
    direct = library.Tokenizer.from_str(tokenizer.json)
    texts = [text.replace("<|endoftext|>", "") for text in awkward(500)]
    assert tokenizer.encode(texts) == [done.ids for done in direct.encode_batch(texts)]


def test_chat_markers_take_no_merges():
    tokenizer = train(chats(300), 330, chat=True)
    assert tokenizer.markers == {"system": 1, "user": 2, "assistant": 3}
    shown = tokenizer.pieces(range(tokenizer.vocab_size))
    assert not any("INST" in piece for piece in shown if piece not in MARKERS.values())


@given(text=st.lists(st.text(CHARACTERS) | st.sampled_from([*MARKERS.values(), " ", "<|endoftext|>"])).map("".join))
def test_round_trip_with_markers(tokenizer, text):
    added = tokenizer.with_markers()
    (ids,) = added.encode([text])
    assert added.lossless and added.decode([added.bos, *ids, added.eos]) == text
    assert added.eos not in ids


def test_markers_can_be_added_and_change_no_other_id(tokenizer):
    added = tokenizer.with_markers()
    assert added.markers == {"system": 500, "user": 501, "assistant": 502} and added.vocab_size == 503
    assert added.encode(TEXTS) == tokenizer.encode(TEXTS)
    assert added.with_markers() is added


def test_settings_that_would_change_documents_are_off(tokenizer):
    cut = {"max_length": 3, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    full = {"strategy": {"Fixed": 64}, "direction": "Right", "pad_to_multiple_of": None,
            "pad_id": 0, "pad_type_id": 0, "pad_token": "<|endoftext|>"}  # fmt: skip
    ends = {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}},
            {"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}], "pair": [{"Sequence": {"id": "A", "type_id": 0}}],
            "special_tokens": {"<|endoftext|>": {"id": "<|endoftext|>", "ids": [0], "tokens": ["<|endoftext|>"]}}}  # fmt: skip
    other = changed(tokenizer, truncation=cut, padding=full, post_processor=ends)
    assert other.encode(TEXTS) == tokenizer.encode(TEXTS) and other.fingerprint == tokenizer.fingerprint
    direct = library.Tokenizer.from_str(json.dumps(json.loads(tokenizer.json) | {"truncation": cut, "padding": full}))
    assert {len(done.ids) for done in direct.encode_batch(TEXTS)} == {64}  # so they would have


@pytest.mark.parametrize("version", [False, True])
def test_gpt2s_files_are_the_same_tokenizer(tokenizer, tmp_path, version):
    model = json.loads(tokenizer.json)["model"]
    (tmp_path / "vocab.json").write_text(json.dumps(model["vocab"]))
    lines = ["#version: 0.2"] * version + [" ".join(pair) for pair in model["merges"]]
    (tmp_path / "merges.txt").write_text("\n".join(lines) + "\n")
    made = HuggingFace.from_gpt2(tmp_path / "vocab.json", tmp_path / "merges.txt")
    texts = [*TEXTS, *awkward(200)]
    assert made.encode(texts) == tokenizer.encode(texts) and made.lossless
    assert (made.bos, made.eos, made.vocab_size) == (0, 0, 500)
    (tmp_path / "merges.txt").write_text("\n".join([*lines, "x y z"]))
    with refused("merges.txt"):
        HuggingFace.from_gpt2(tmp_path / "vocab.json", tmp_path / "merges.txt")


@pytest.mark.parametrize(
    "names, ids",
    [
        (["<s>", "</s>", "<unk>", "<pad>"], "0 1 2 3"),
        (["[PAD]", "[UNK]", "[CLS]", "[SEP]"], "2 3 1 0"),
        (["[UNK]", "[EOS]"], "1 1 0 -1"),
        (["<|endoftext|>"], "0 0 -1 -1"),
        (["<|endoftext|>", "<|im_start|>", "<|im_end|>"], "0 0 -1 -1"),
        (["<|startoftext|>", "<|endoftext|>", "<pad>"], "0 1 -1 2"),
        (["<|im_start|>", "<|im_end|>"], "0 1 -1 -1"),
    ],
)
def test_special_ids_are_found_by_their_usual_names(names, ids):
    tokenizer = library.Tokenizer(library.models.BPE())
    tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = library.decoders.ByteLevel()
    alphabet = library.pre_tokenizers.ByteLevel.alphabet()
    trainer = library.trainers.BpeTrainer(special_tokens=names, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([], trainer)
    made = HuggingFace(tokenizer.to_str())
    assert f"{made.bos} {made.eos} {made.unk} {made.pad}" == ids
    (shown,) = made.encode([" ".join(names)])
    assert not {made.bos, made.eos, made.pad, made.unk} & {*shown}
    assert made.decode(shown) == " ".join(names)


def test_a_word_that_is_called_as_a_special_token_is_none(tokenizer):
    """`</s>` may be in a vocabulary as text."""
    data = json.loads(tokenizer.json)
    vocab, merges = data["model"]["vocab"], data["model"]["merges"]
    for left, right in (("<", "/"), ("</", "s"), ("</s", ">")):
        vocab.setdefault(left + right, len(vocab))
        merges.append([left, right])
    whole = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    made = changed(tokenizer, model=data["model"], pre_tokenizer=whole)
    (ids,) = made.encode(["</s>"])
    assert made.pieces(ids) == ["</s>"] and made.bos == made.eos == 0 != ids[0]
    assert made.decode(ids) == "</s>"


def test_word_pieces_load_and_settle():
    tokenizer = word_piece()
    assert (tokenizer.bos, tokenizer.eos, tokenizer.unk, tokenizer.pad) == (1, 1, 0, -1)
    assert not tokenizer.lossless
    assert tokenizer.decode(tokenizer.encode(["Ba  da, [EOS] 世"])[0]).startswith("ba da")
    for text in awkward(300):
        once = tokenizer.decode(tokenizer.encode([text])[0])
        assert tokenizer.decode(tokenizer.encode([once])[0]) == once
    assert "[EOS]" in tokenizer.pieces([1, 0]) and tokenizer.decode([1, 0, 1]) == " \u2047 "


@pytest.mark.parametrize(
    "settings",
    [
        {"normalizer": {"type": "Lowercase"}},
        {"normalizer": {"type": "NFC"}},
        {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}},
        {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Whitespace"},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}]}},
        {"added_tokens": [{"id": 0, "content": "<|endoftext|>", "special": True, "single_word": False, "lstrip": True,
                           "rstrip": False, "normalized": False}]},
    ],
)  # fmt: skip
def test_lossless_is_not_claimed_where_text_changes(tokenizer, settings):
    assert tokenizer.lossless and not changed(tokenizer, **settings).lossless


def test_what_cannot_be_used_is_refused(tokenizer, monkeypatch, tmp_path):
    data = json.loads(tokenizer.json)
    with refused("ends documents"):
        changed(tokenizer, added_tokens=[], model=data["model"] | {"vocab": LETTERS_ONLY, "merges": []})
    with refused("dropout"):
        changed(tokenizer, model=data["model"] | {"dropout": 0.1})
    with refused("characters would be lost"):
        letters = {"<|endoftext|>": 0, "a": 1}
        changed(tokenizer, model=data["model"] | {"vocab": letters, "merges": []})
    for text in ("", "{}", '{"model": {}}', "[1]", tokenizer.json[:-20], tokenizer.json.replace("BPE", "None")):
        with refused("tokenizer.json", "here"):
            HuggingFace(text, "here")
    with refused("nowhere.json"):
        HuggingFace.load(tmp_path / "nowhere.json")
    (tmp_path / "latin.json").write_bytes(b"\xff\xfe{}")
    with refused("latin.json", "UTF-8"):
        HuggingFace.load(tmp_path / "latin.json")
    with refused("at least 257"):
        train(TEXTS, 256)
    with refused("at most"):
        train(["ba da"], 5000)
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with refused("pip install 'tsjax[hf]'"):
        HuggingFace(tokenizer.json)


LETTERS_ONLY = {letter: i for i, letter in enumerate(LETTERS.values())}


def test_bytes_have_the_letters_of_the_library():
    assert {*LETTERS.values()} == {*library.pre_tokenizers.ByteLevel.alphabet()} and len(LETTERS) == 256


def test_pieces_show_bytes_that_are_no_text(tokenizer):
    (ids,) = tokenizer.encode(["Ba 世"])
    assert "".join(tokenizer.pieces([*ids, 0])) == "Ba <0xE4><0xB8><0x96><|endoftext|>"


def test_merges_as_strings_are_the_same_tokenizer():
    """Older files, GPT-2's on the hub among them, write a merge as one string and may leave the model's type out."""
    made = train(TEXTS, 400, chat=False)
    data = json.loads(made.json)
    data["model"]["merges"] = [" ".join(pair) for pair in data["model"]["merges"]]
    del data["model"]["type"]
    old = HuggingFace(json.dumps(data))
    assert old.fingerprint == made.fingerprint and old.encode(TEXTS) == made.encode(TEXTS)
    assert restrict(old, 300, "split", TEXTS).encode(TEXTS) == restrict(made, 300, "split", TEXTS).encode(TEXTS)
