"""Every tokenizer keeps the same promises: it loads as saved, travels small, begins documents once, shows its text."""

import pickle
import re
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.expect import refused
from tests.texts import CHARACTERS, awkward, chats, stories
from tsjax.tokenizer import (
    UNKNOWN,
    HuggingFace,
    Recipe,
    Restricted,
    SentencePiece,
    Tokenizer,
    WordList,
    begin,
    check_special_ids,
    load,
)

TEXTS = [*stories(300), *chats(100)]
RECIPES = {
    "bpe": Recipe("bpe", 512),
    "bpe chat": Recipe("bpe", 512, chat=True),
    "unigram chat": Recipe("unigram", 512, chat=True),
    "byte-bpe": Recipe("byte-bpe", 512),
    "byte-bpe chat": Recipe("byte-bpe", 512, chat=True),
    "byte-bpe split": Recipe("byte-bpe", 600, top=400, rare="split", chat=True),
    "byte-bpe unk": Recipe("byte-bpe", 600, top=300, rare="unk"),
    "byte-bpe drop": Recipe("byte-bpe", 600, top=300, rare="drop", chat=True),
    "bpe split": Recipe("bpe", 600, top=400, rare="split", chat=True),
    "unigram split": Recipe("unigram", 600, top=400, rare="split"),
    "bpe unk": Recipe("bpe", 600, top=400, rare="unk"),
    "bpe drop": Recipe("bpe", 600, top=300, rare="drop"),
    "words": Recipe("words", 512),
    "words chat": Recipe("words", 512, chat=True),
    "words unk": Recipe("words", 512, rare="unk", chat=True),
}


@cache
def made(name: str) -> Tokenizer:
    return RECIPES[name].make(TEXTS)


@pytest.fixture(params=RECIPES)
def tokenizer(request) -> Tokenizer:
    return made(request.param)


def described(tokenizer: Tokenizer) -> dict:
    return {key: getattr(tokenizer, key) for key in Tokenizer.__annotations__}


def test_what_it_says_of_itself(tokenizer):
    about = described(tokenizer)
    assert {type(value) for key, value in about.items() if key in ("vocab_size", "bos", "eos", "unk", "pad")} == {int}
    assert len(about["fingerprint"]) == 64
    check_special_ids(tokenizer)
    used = {i for ids in tokenizer.encode(TEXTS) for i in ids} - {UNKNOWN}
    assert used and used <= set(range(tokenizer.vocab_size))
    assert not used & ({tokenizer.bos, tokenizer.eos, tokenizer.pad} - set(tokenizer.markers.values()))
    assert max(tokenizer.bos, tokenizer.eos, tokenizer.unk, tokenizer.pad) < tokenizer.vocab_size


def test_saved_and_loaded_and_pickled_it_is_the_same(tokenizer, tmp_path):
    tokenizer.save(tmp_path / tokenizer.file)
    raw = (tmp_path / tokenizer.file).read_bytes()
    travelled = pickle.dumps(tokenizer)
    assert len(travelled) < 2 * len(raw) + 1000
    for other in (load(tmp_path / tokenizer.file), load(tmp_path), pickle.loads(travelled)):  # noqa: S301
        assert type(other) is type(tokenizer) and described(other) == described(tokenizer)
        assert other.encode(TEXTS) == tokenizer.encode(TEXTS)
        other.save(tmp_path / tokenizer.file)
        assert (tmp_path / tokenizer.file).read_bytes() == raw


def test_workers_change_nothing(tokenizer):
    rows = tokenizer.encode(TEXTS, 1)
    assert rows == tokenizer.encode(TEXTS, 2) == [ids for text in TEXTS for ids in tokenizer.encode([text], 3)]
    assert tokenizer.encode([]) == [] and tokenizer.encode([""]) == [[]]
    assert tokenizer.decode([]) == "" and tokenizer.pieces([]) == []


def test_a_document_shows_as_its_text(tokenizer):
    """Where nothing is unknown. Lower case is a word list's own."""
    checked = 0
    for text, ids in zip(TEXTS, tokenizer.encode(TEXTS), strict=True):
        if UNKNOWN not in ids and tokenizer.unk not in ids:
            checked += 1
            wanted = text.lower() if isinstance(tokenizer, WordList) else text
            end = [tokenizer.eos] + [tokenizer.pad] * (tokenizer.pad >= 0)
            document = [*begin(tokenizer, ids), *end]
            if tokenizer.bos not in tokenizer.markers.values() or ids[0] == tokenizer.bos:
                assert tokenizer.decode(document) == wanted
            assert tokenizer.decode(ids) == wanted
            shown = "".join(tokenizer.pieces(ids))
            shown = re.sub("<0x(..)>", lambda byte: bytes.fromhex(byte[1]).decode(), shown)  # the texts are ASCII
            assert shown.removeprefix(" ") == wanted
    assert checked == len(TEXTS) or (checked and not tokenizer.lossless)


@given(text=st.text(CHARACTERS))
@pytest.mark.parametrize("name", RECIPES)
def test_lossless_is_lossless(name, text):
    tokenizer = made(name)
    (ids,) = tokenizer.encode([text])
    if tokenizer.lossless:
        assert tokenizer.decode(ids) == text and UNKNOWN not in ids
        assert not {tokenizer.bos, tokenizer.eos, tokenizer.pad, tokenizer.unk} & {*ids}
    else:
        assert UNKNOWN not in ids or tokenizer.unk < 0 or tokenizer.rare == "drop"
        tokenizer.decode(ids), tokenizer.pieces(ids)


def test_lossless_is_claimed_where_it_is_due(tokenizer):
    rare = getattr(tokenizer, "rare", "split")
    assert tokenizer.lossless == (not isinstance(tokenizer, WordList) and rare == "split")
    if tokenizer.lossless:
        texts = awkward(300)
        assert [tokenizer.decode(ids) for ids in tokenizer.encode(texts)] == texts


def test_chat_markers_are_single_ids(tokenizer):
    assert tokenizer.markers.keys() == {"system", "user", "assistant"} or not tokenizer.markers
    for text in chats(10, seed=3):
        (ids,) = tokenizer.encode([text])
        for speaker, marker in (("user", "[INST]"), ("assistant", "[/INST]")):
            if tokenizer.markers:
                assert ids.count(tokenizer.markers[speaker]) == text.count(marker) > 0


def test_every_class_is_tried():
    assert {type(made(name)) for name in RECIPES} == {SentencePiece, HuggingFace, Restricted, WordList}


def test_a_document_begins_once():
    class Chat:
        bos = 7

    assert begin(Chat, [7, 1]) == [7, 1]
    assert begin(Chat, [1, 7]) == [7, 1, 7]
    assert begin(Chat, []) == [7]


def test_special_ids_must_be_present_and_clear():
    class Ids:
        unk, bos, eos, pad = 0, 1, 2, 0

    with refused("unk 0, bos 1, eos 2, pad 0"):
        check_special_ids(Ids())
    Ids.pad = 2
    with refused("pad 2"):
        check_special_ids(Ids())
    Ids.pad, Ids.bos = -1, -1
    with refused("bos -1"):
        check_special_ids(Ids())
    Ids.bos = 2  # one id may begin and end documents
    check_special_ids(Ids())
