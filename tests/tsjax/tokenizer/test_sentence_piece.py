"""The tokenizer loses nothing, spends little on newlines, and is the same wherever it is trained."""

import io

import numpy as np
import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st

from tests.expect import refused
from tests.texts import CHARACTERS, awkward, chats, stories
from tsjax.errors import UserError
from tsjax.tokenizer import MARKERS, SentencePiece
from tsjax.tokenizer.sentence_piece import train

TEXTS = stories(400)


@pytest.fixture(scope="module")
def tokenizer() -> SentencePiece:
    return train(TEXTS, 512)


def test_ids_are_where_every_format_expects_them(tokenizer):
    assert (tokenizer.unk, tokenizer.bos, tokenizer.eos, tokenizer.pad) == (0, 1, 2, 511)
    assert tokenizer.vocab_size == 512
    assert [tokenizer._pieces.piece_to_id(f"<0x{byte:02X}>") for byte in range(256)] == list(range(3, 259))


@given(text=st.text(CHARACTERS))
def test_round_trip_of_any_text(tokenizer, text):
    (ids,) = tokenizer.encode([text])
    assert tokenizer.decode(ids) == text
    assert not {tokenizer.unk, tokenizer.bos, tokenizer.eos, tokenizer.pad} & set(ids)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "  two  ",
        "\n",
        "a\n\nb\n",
        "\r\n\t",
        "😀👩‍👩‍👧",
        "<s></s><unk><pad><0x41>",
        "\0",
        "▁",
        " ▁▁ a▁\U0010ffff▁",
    ],
)
def test_round_trip_of_awkward_text(tokenizer, text):
    (ids,) = tokenizer.encode([text])
    around = [tokenizer.pad, tokenizer.bos, *ids, tokenizer.eos, tokenizer.pad]
    assert tokenizer.decode(around) == tokenizer.decode(np.array(around, np.uint16)) == text


def test_a_newline_costs_one_token_at_most(tokenizer):
    for text in ("ba. Da", 'ba."\n"Da', "ba da"):
        for newlines in (1, 2, 3):
            longer = text.replace(" ", " " + "\n" * newlines, 1)
            assert len(tokenizer.encode([longer])[0]) <= len(tokenizer.encode([text])[0]) + newlines
    unseen = train([text.replace("\n", " ") for text in TEXTS], 512)
    plain, broken = unseen.encode(["ba da", "ba\nda"])
    assert len(broken) <= len(plain) + 1 and unseen.decode(broken) == "ba\nda"


def test_training_is_deterministic_and_says_nothing(tokenizer, capfd):
    assert train(iter(TEXTS), 512).fingerprint == tokenizer.fingerprint
    assert capfd.readouterr() == ("", "")
    assert train(TEXTS[1:], 512).fingerprint != tokenizer.fingerprint


def test_workers_keep_order(tokenizer):
    assert tokenizer.encode(TEXTS, 1) == tokenizer.encode(TEXTS, 2) == tokenizer.encode(TEXTS, 3)


def test_save_and_load(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "tokenizer.model")
    loaded = SentencePiece.load(tmp_path / "tokenizer.model")
    assert loaded.fingerprint == tokenizer.fingerprint == SentencePiece(loaded.model).fingerprint
    assert loaded.encode(TEXTS[:3]) == tokenizer.encode(TEXTS[:3])


def test_training_bears_long_words_long_texts_and_reserved_signs():
    odd = ["ab" * 100_000, "word " * 100_000, "a\0b", "\u2585 box", "\u2581 bar", "tab\t"]
    assert train([*TEXTS, *odd], 512).vocab_size == 512
    assert train([f"\u2585{text}" for text in TEXTS], 512).vocab_size == 512
    assert (
        train(["\n".join(TEXTS)[:32_768]], 512).vocab_size == 512
    )  # SentencePiece alone leaves out texts over 4,192 bytes


@pytest.mark.parametrize("size, words", [(299, "at least 300"), (20_000, "at most"), (70_000, "at most")])
def test_a_vocabulary_that_cannot_be_is_refused_with_one_that_can(size, words):
    with pytest.raises(UserError) as caught:
        train(TEXTS[:50], size)
    message = str(caught.value)
    assert words in message and str(size) in message and "\n" not in message
    if words == "at most":
        most = int(message.split("at most ")[1].split()[0])
        assert train(TEXTS[:50], most).vocab_size == most
        with pytest.raises(UserError):
            train(TEXTS[:50], most + 1)


def test_a_vocabulary_smaller_than_the_alphabet_is_refused():
    alphabet = "".join(map(chr, range(0x4E00, 0x4E00 + 400)))
    with pytest.raises(UserError, match="every character") as caught:
        train([alphabet, *TEXTS], 400)
    least = int(str(caught.value).split("at least ")[1].split()[0])
    assert train([alphabet, *TEXTS], least).vocab_size == least


def test_no_text_is_refused():
    with pytest.raises(UserError, match="found none"):
        train([], 512)


@pytest.mark.parametrize("damage", [lambda m: b"", lambda m: m[:-1], lambda m: m[: len(m) // 2], lambda m: b"no model"])
def test_a_damaged_model_is_named(tokenizer, tmp_path, damage):
    path = tmp_path / "tokenizer.model"
    path.write_bytes(damage(tokenizer.model))
    with pytest.raises(UserError, match=r"tokenizer\.model"):
        SentencePiece.load(path)
    with pytest.raises(UserError, match=r"nowhere\.model"):
        SentencePiece.load(tmp_path / "nowhere.model")


def test_a_model_without_bos_is_refused():
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS), model_writer=model, vocab_size=100, bos_id=-1, minloglevel=2
    )
    with refused("bos -1"):
        SentencePiece(model.getvalue())


def _model(**settings) -> SentencePiece:
    model = io.BytesIO()
    lossless = {
        "byte_fallback": True,
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
        "allow_whitespace_only_pieces": True,
        "model_type": "bpe",
        "vocab_size": 400,
    }
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS), model_writer=model, minloglevel=2, **lossless | settings
    )
    return SentencePiece(model.getvalue())


@pytest.mark.parametrize(
    "settings, lossless",
    [
        ({}, True),
        ({"add_dummy_prefix": False}, True),
        ({"model_type": "unigram"}, True),
        ({"byte_fallback": False, "vocab_size": 200}, False),
        ({"remove_extra_whitespaces": True}, False),
        ({"normalization_rule_name": "nfkc"}, False),
    ],
)
def test_lossless_is_claimed_where_it_holds(settings, lossless):
    tokenizer = _model(**settings)
    texts = [*awkward(300), *TEXTS[:50]]
    kept = [tokenizer.decode(ids) == text for ids, text in zip(tokenizer.encode(texts), texts, strict=True)]
    assert tokenizer.lossless == lossless == all(kept)


@pytest.fixture(scope="module", params=["bpe", "unigram"])
def chat(request) -> SentencePiece:
    return train([*TEXTS, *chats(100)], 512, kind=request.param, chat=True)


def test_chat_markers_are_single_pieces_behind_the_bytes(chat):
    assert (chat.unk, chat.bos, chat.eos, chat.pad, chat.vocab_size) == (0, 1, 2, 511, 512)
    assert chat.pieces(range(3, 259)) == [f"<0x{byte:02X}>" for byte in range(256)]
    assert chat.markers == {"system": 259, "user": 260, "assistant": 261}
    for text in chats(20, seed=1):
        (ids,) = chat.encode([text])
        for speaker, marker in MARKERS.items():
            assert ids.count(chat.markers[speaker]) == text.count(marker)
        assert chat.decode(ids) == text
        assert "".join(chat.pieces(ids)) == " " + text


@given(text=st.lists(st.text(CHARACTERS) | st.sampled_from([*MARKERS.values(), " ", "\u2581"])).map("".join))
def test_round_trip_with_markers(chat, text):
    (ids,) = chat.encode([text])
    assert chat.lossless and chat.decode(ids) == text


def test_the_kind_decides_and_training_is_deterministic():
    texts = [*TEXTS, *chats(50)]
    made = [train(texts, 512, kind=kind, chat=chat) for kind in ("bpe", "unigram") for chat in (False, True)]
    again = [train(iter(texts), 512, kind=kind, chat=chat) for kind in ("bpe", "unigram") for chat in (False, True)]
    assert [t.fingerprint for t in made] == [t.fingerprint for t in again]
    assert len({t.fingerprint for t in made}) == 4


@pytest.mark.parametrize("chat", [False, True])
def test_a_unigram_vocabulary_that_cannot_be_is_refused_with_one_that_can(chat):
    with pytest.raises(UserError) as caught:
        train(TEXTS[:50], 20_000, kind="unigram", chat=chat)
    most = int(str(caught.value).split("at most ")[1].split()[0])
    assert train(TEXTS[:50], most, kind="unigram", chat=chat).vocab_size == most
    with refused("at most"):
        train(TEXTS[:50], most + 1, kind="unigram", chat=chat)


def test_markers_can_be_added_and_change_no_other_id(tokenizer):
    added = tokenizer.with_markers()
    assert added.markers == {"system": 512, "user": 513, "assistant": 514} and added.vocab_size == 515
    assert added.encode(TEXTS) == tokenizer.encode(TEXTS)
    text = "[SYS]a [INST] b[/INST]"
    assert added.decode(added.encode([text])[0]) == text
    assert [i for i in added.encode([text])[0] if i >= 512] == [512, 513, 514]
    assert added.with_markers() is added


def test_pieces_show_the_text(tokenizer):
    (ids,) = tokenizer.encode(["Ba é"])
    shown = tokenizer.pieces([tokenizer.bos, *ids, tokenizer.eos, tokenizer.pad])
    assert "".join(shown) == "<s> Ba <0xC3><0xA9></s><pad>"
