"""The tokenizer loses nothing, spends little on newlines, and is the same wherever it is trained."""

import io

import numpy as np
import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st

from tests.tsjax.test_corpus import CHARACTERS, stories
from tsjax import tokenizer as module
from tsjax.errors import UserError
from tsjax.tokenizer import Tokenizer, check_special_ids, evenly, train

TEXTS = stories(400)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
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
    loaded = Tokenizer.load(tmp_path / "tokenizer.model")
    assert loaded.fingerprint == tokenizer.fingerprint == Tokenizer.from_bytes(loaded._model).fingerprint
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
    path.write_bytes(damage(tokenizer._model))
    with pytest.raises(UserError, match=r"tokenizer\.model"):
        Tokenizer.load(path)
    with pytest.raises(UserError, match=r"nowhere\.model"):
        Tokenizer.load(tmp_path / "nowhere.model")


def test_special_ids_must_be_distinct_and_present(tokenizer):
    class Clash:
        unk, bos, eos, pad = 0, 1, 1, -1

    with pytest.raises(UserError, match="unk 0, bos 1, eos 1, pad -1"):
        check_special_ids(Clash())
    Clash.eos, Clash.pad = 2, 0
    with pytest.raises(UserError, match="pad 0"):
        check_special_ids(Clash())
    Clash.pad = -1
    check_special_ids(Clash())
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS), model_writer=model, vocab_size=100, bos_id=-1, minloglevel=2
    )
    with pytest.raises(UserError, match="bos -1"):
        Tokenizer.from_bytes(model.getvalue())


@given(lengths=st.lists(st.integers(1, 50), min_size=1, max_size=200), wanted=st.integers(1, 3000))
def test_the_sample_is_even(lengths, wanted):
    texts = ["x" * n for n in lengths]
    total = sum(lengths)
    taken = sum(map(len, evenly(texts, total, wanted)))
    assert min(wanted, total) <= taken < min(wanted, total) + 50
    head = sum(map(len, evenly(texts[: len(texts) // 2], total, wanted)))
    share = sum(lengths[: len(texts) // 2]) * min(wanted, total) / total
    assert share <= head < share + 50


def test_the_protocol_is_what_sentencepiece_offers(tokenizer):
    held: module.TextTokenizer = tokenizer  # mypy checks it; the attributes below are all that tsjax uses
    assert all(hasattr(held, name) for name in module.TextTokenizer.__annotations__)
