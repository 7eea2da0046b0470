"""llama2.c's tokenizer.bin is read as a SentencePiece model that gives run.c's ids."""

import struct

import pytest

from tests.expect import refused
from tests.run_c_tokenizer import RunC
from tests.texts import awkward, stories
from tsjax.tokenizer import SentencePiece, load, tokenizer_bin
from tsjax.tokenizer.sentence_piece import train

TEXTS = stories(300)


def exported(tokenizer: SentencePiece) -> bytes:
    """As llama2.c's tokenizer.py writes it."""
    pieces = []
    for i, piece in enumerate(tokenizer.proto().pieces):
        text = piece.piece.replace("\u2581", " ")
        pieces.append((f"\n{text}\n" if i in (1, 2) else text, piece.score))
    longest = max(len(text.encode()) for text, _ in pieces)
    return struct.pack("<i", longest) + b"".join(
        struct.pack("<fi", score, len(text.encode())) + text.encode() for text, score in pieces
    )


@pytest.fixture(scope="module")
def raw() -> bytes:
    return exported(train(TEXTS, 512))


def test_ids_are_those_of_run_c_and_of_the_model_it_came_from(raw, tmp_path):
    (tmp_path / "tokenizer.bin").write_bytes(raw)
    read, reference = tokenizer_bin.read(tmp_path / "tokenizer.bin"), RunC(raw)
    assert (read.vocab_size, read.unk, read.bos, read.eos, read.pad) == (512, 0, 1, 2, -1)
    texts = [*awkward(600), *TEXTS[:20]]
    rows = read.encode(texts)
    assert rows == [reference.encode(text) for text in texts] == train(TEXTS, 512).encode(texts)
    assert [read.decode([1, *ids, 2]) for ids in rows] == [reference.decode(ids) for ids in rows] == texts
    assert read.lossless
    assert load(tmp_path).fingerprint == read.fingerprint
    sign = "a \u2581 b"
    assert read.encode([sign]) == [reference.encode(sign)]


@pytest.mark.parametrize("damage", [lambda r: b"", lambda r: r[:-1], lambda r: r[:2000], lambda r: b"x" * 5000,
                                    lambda r: r[:4] + r[13:], lambda r: b"\0\0\0\0" + r[4:]])  # fmt: skip
def test_a_damaged_file_is_named(raw, tmp_path, damage):
    (tmp_path / "tokenizer.bin").write_bytes(damage(raw))
    with refused("tokenizer.bin"):
        load(tmp_path / "tokenizer.bin")
    with refused("nowhere.bin"):
        tokenizer_bin.read(tmp_path / "nowhere.bin")
