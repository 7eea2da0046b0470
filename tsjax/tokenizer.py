"""The tokenizer: text <-> ids, with a fingerprint that every later stage checks.

`TextTokenizer` is the small protocol that the rest of tsjax relies on; `Tokenizer` is SentencePiece behind
it, and `train` makes one whose conversions are exact (to Hugging Face, llama2.c, GGUF): BPE with byte
fallback, identity normalisation and no collapsed spaces, so that `decode(encode(text)) == text` for any text.
"""

import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import sentencepiece

from tsjax.atomic import write_atomic
from tsjax.errors import UserError

SPACE = "\u2581"  # SentencePiece's own sign for a space
MIN_VOCAB = 300  # 256 bytes, four special ids, and some letters


class TextTokenizer(Protocol):
    """What tsjax needs of a tokenizer. Ids are in [0, vocab_size); `pad` and `unk` are -1 where absent."""

    vocab_size: int
    bos: int  # begins every document
    eos: int  # ends every document, and stops decoding
    unk: int
    pad: int
    fingerprint: str  # hex sha256 of everything that decides the ids

    def encode(self, texts: Sequence[str], workers: int = 1) -> list[list[int]]:
        """The ids of each text, in order, without special ids; the number of `workers` changes only time."""

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids`; bos, eos and pad are dropped."""

    def save(self, path: Path) -> None:
        """Writes one file, atomically, from which `load` makes an equal tokenizer."""


class Tokenizer:
    """SentencePiece as a `TextTokenizer`. Make one with `load`, `from_bytes` or `train`."""

    def __init__(self, model: bytes, name: str = "the tokenizer"):
        """`model`: a serialized SentencePiece model; `name` stands in errors. UserError if unusable."""
        try:
            if not model:
                raise RuntimeError("empty")
            self._pieces = sentencepiece.SentencePieceProcessor(model_proto=model)
        except RuntimeError as e:
            raise UserError(
                expected=f"a whole SentencePiece model in {name}",
                found=f"{len(model):,} bytes that are none",
                todo="copy or train it again",
            ) from e
        self._model = model
        self.vocab_size: int = self._pieces.get_piece_size()
        self.bos: int = self._pieces.bos_id()
        self.eos: int = self._pieces.eos_id()
        self.unk: int = self._pieces.unk_id()
        self.pad: int = self._pieces.pad_id()
        self.fingerprint: str = hashlib.sha256(model).hexdigest()
        check_special_ids(self, name)
        # Only a model with byte fallback can spell the sign that SentencePiece keeps for itself.
        spelled = [self._pieces.piece_to_id(f"<0x{byte:02X}>") for byte in range(256)]
        self._byte_ids = spelled if all(map(self._pieces.is_byte, spelled)) else None

    @classmethod
    def load(cls, path: Path) -> "Tokenizer":
        """Reads a `tokenizer.model`; UserError if there is none, it is damaged, or its special ids clash."""
        try:
            return cls(Path(path).read_bytes(), str(path))
        except OSError as e:
            raise UserError(
                expected=f"a SentencePiece model at {path}",
                found=e.strerror or str(e),
                todo="check the path",
            ) from e

    @classmethod
    def from_bytes(cls, model: bytes) -> "Tokenizer":
        """The tokenizer of a serialized SentencePiece model."""
        return cls(model)

    def save(self, path: Path) -> None:
        """Writes the SentencePiece model file, atomically."""
        write_atomic(path, self._model)

    def encode(self, texts: Sequence[str], workers: int = 1) -> list[list[int]]:
        """See `TextTokenizer.encode`."""
        ids = self._pieces.encode(list(texts), num_threads=workers)
        if self._byte_ids is not None:
            for i, text in enumerate(texts):
                if SPACE in text:
                    ids[i] = self._encode_with_sign(text, self._byte_ids)
        return ids

    def _encode_with_sign(self, text: str, byte_ids: list[int]) -> list[int]:
        """Ids of a text with U+2581, which SentencePiece would read as a space: it is spelled by its bytes.

        A character that neither the vocabulary nor the text has stands in for it, and is then replaced.
        """
        rare = (chr(c) for c in range(0x10FFFF, 0xFFFF, -1))
        stand_in = next(c for c in rare if c not in text and self._pieces.piece_to_id(c) == self.unk)
        old, new = ([byte_ids[byte] for byte in c.encode()] for c in (stand_in, SPACE))
        ids = self._pieces.encode(text.replace(SPACE, stand_in))
        out: list[int] = []
        i = 0
        while i < len(ids):
            found = ids[i : i + len(old)] == old
            out.extend(new if found else ids[i : i + 1])
            i += len(old) if found else 1
        return out

    def decode(self, ids: Iterable[int]) -> str:
        """See `TextTokenizer.decode`."""
        return self._pieces.decode([int(i) for i in ids])  # control pieces have no text


def check_special_ids(tokenizer: TextTokenizer, name: str = "the tokenizer") -> None:
    """UserError unless bos and eos exist, and bos, eos, unk and pad (where present) are pairwise distinct."""
    special = {key: getattr(tokenizer, key) for key in ("unk", "bos", "eos", "pad")}
    present = [i for i in special.values() if i >= 0]
    if min(special["bos"], special["eos"]) < 0 or len(set(present)) < len(present):
        raise UserError(
            expected=f"distinct ids for bos and eos, and for unk and pad where present, in {name}",
            found=", ".join(f"{key} {i}" for key, i in special.items()),
            todo="train a tokenizer with `tsjax prepare`, or give another",
        )


def train(texts: Iterable[str], vocab_size: int, *, character_coverage: float = 1.0) -> Tokenizer:
    """A SentencePiece BPE of exactly `vocab_size` pieces: unk, bos, eos = 0, 1, 2; bytes 3 to 258; pad last.

    The same texts give the same model bytes, on any machine with the same SentencePiece. Give it 10 to 20 MB
    of text (`evenly`); more changes little. Raises UserError, with the size that works, if `vocab_size` is
    below `MIN_VOCAB` or the letters of the texts, or above what the words of the texts can fill.
    """
    if vocab_size < MIN_VOCAB:
        raise UserError(
            expected=f"a vocabulary of at least {MIN_VOCAB} (256 bytes, special ids, letters)",
            found=str(vocab_size),
            todo=f"set vocab_size to {MIN_VOCAB} or more",
        )
    texts = list(texts)
    try:
        return Tokenizer(_train(texts, vocab_size, vocab_size - 1, character_coverage))
    except RuntimeError as e:
        error = e
    if "pieces_size() - 1) == (it->first)" in str(error):
        # With a pad id past the last piece SentencePiece stops before it says how many pieces it can make.
        try:
            _train(texts, vocab_size, -1, character_coverage)
        except RuntimeError as e:
            error = e
    raise _explained(error, vocab_size) from error


def evenly(texts: Iterable[str], total_bytes: int, wanted_bytes: int) -> Iterator[str]:
    """About `wanted_bytes` of whole texts, spread evenly over texts of `total_bytes` (UTF-8) together."""
    seen = taken = 0
    for text in texts:
        seen += len(text.encode())
        # Behind its even share, the sample takes this text whole.
        if taken * total_bytes < seen * min(wanted_bytes, total_bytes):
            taken += len(text.encode())
            yield text


def _train(texts: list[str], vocab_size: int, pad: int, character_coverage: float) -> bytes:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=_sentences(texts),
        model_writer=model,
        model_type="bpe",
        vocab_size=vocab_size,
        character_coverage=character_coverage,
        split_digits=True,
        allow_whitespace_only_pieces=True,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=pad,
        unk_surface=r" \342\201\207 ",  # " ⁇ ", as llama2.c
        max_sentence_length=4 * _MAX_SENTENCE,  # bytes; longer ones would be left out without a word
        num_threads=2,  # a constant, because the model file records it
        minloglevel=2,
    )
    return model.getvalue()


_MAX_SENTENCE = 16_384  # characters
# SentencePiece's trainer would skip or misread texts with these.
_NOT_FOR_TRAINING = dict.fromkeys(map(ord, "\0\u2581\u2585"), " ")


def _sentences(texts: list[str]) -> Iterator[str]:
    """Texts as SentencePiece's sentences: a newline is a letter like any other, so it gets pieces of its own.

    A word of over 65,535 letters would be too long for its tables, so long texts are cut.
    """
    for text in texts:
        text = text.translate(_NOT_FOR_TRAINING)
        for start in range(0, len(text), _MAX_SENTENCE):
            yield text[start : start + _MAX_SENTENCE]


def _explained(error: RuntimeError, vocab_size: int) -> UserError:
    message = str(error)
    if high := re.search(r"Please set it to a value <= (\d+)", message):
        # The trial had no pad; with it there is one piece more.
        most = int(high[1]) + 1
        return UserError(
            expected=f"a vocabulary of at most {most} (the texts have no more pieces)",
            found=str(vocab_size),
            todo=f"set vocab_size to {most} or less, or give more text",
        )
    if low := re.search(r"smaller than required_chars\. \d+ vs (\d+)", message):
        return UserError(
            expected=f"a vocabulary of at least {low[1]} (every character of the texts is a piece)",
            found=str(vocab_size),
            todo=f"set vocab_size to {low[1]} or more, or clean rare characters out of the texts",
        )
    if "sentences_.empty()" in message:
        return UserError(expected="text to train a tokenizer on", found="none", todo="give more text")
    return UserError(
        expected="texts that SentencePiece can train on",
        found=" ".join(message.split())[:200],
        todo="look at the texts, or give a trained tokenizer",
    )
