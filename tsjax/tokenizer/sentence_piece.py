"""SentencePiece as a `Tokenizer`, and its training.

`train` makes models whose conversions are exact (to Hugging Face, llama2.c, GGUF): BPE or unigram with byte
fallback, identity normalisation and no collapsed spaces, so that `decode(encode(text)) == text` for any text.
"""

import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import sentencepiece
from sentencepiece import sentencepiece_model_pb2

from tsjax.atomic import write_atomic
from tsjax.errors import UserError
from tsjax.tokenizer.interface import MARKERS, check_special_ids

messages: Any = sentencepiece_model_pb2  # whose classes are made when it is imported

SPACE = "\u2581"  # SentencePiece's own sign for a space
MIN_VOCAB = 300  # 256 bytes, four special ids, and some letters
NORMAL, USER_DEFINED, UNUSED, BYTE = 1, 4, 5, 6  # types of pieces in a model


class SentencePiece:
    """A SentencePiece model (see `Tokenizer`). Make one with `load`, `train`, or from a serialized model.

    A chat marker is a user-defined piece; the space in front of it stays a piece of its own.
    """

    file = "tokenizer.model"

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
        self.model = model
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
        proto = self.proto()
        ids = {speaker: self._pieces.piece_to_id(marker) for speaker, marker in MARKERS.items()}
        self.markers = {speaker: i for speaker, i in ids.items() if proto.pieces[i].type == USER_DEFINED}
        normalizer, trainer = proto.normalizer_spec, proto.trainer_spec
        self.lossless: bool = (
            self._byte_ids is not None
            and trainer.byte_fallback
            and not trainer.treat_whitespace_as_suffix
            and not normalizer.precompiled_charsmap
            and not normalizer.remove_extra_whitespaces
            and normalizer.escape_whitespaces
            and not proto.denormalizer_spec.precompiled_charsmap
        )

    def __reduce__(self):
        return SentencePiece, (self.model,)

    @classmethod
    def load(cls, path: Path) -> "SentencePiece":
        """Reads a `tokenizer.model`; UserError if there is none, it is damaged, or its special ids clash."""
        try:
            return cls(Path(path).read_bytes(), str(path))
        except OSError as e:
            raise UserError(
                expected=f"a SentencePiece model at {path}",
                found=e.strerror or str(e),
                todo="check the path",
            ) from e

    def save(self, path: Path) -> None:
        """Writes the SentencePiece model file, atomically."""
        write_atomic(path, self.model)

    def proto(self) -> Any:
        """The model as SentencePiece's own message: pieces with scores and types, and how it was trained."""
        return messages.ModelProto.FromString(self.model)

    def encode(self, texts: Sequence[str], workers: int = 1) -> list[list[int]]:
        """See `Tokenizer.encode`."""
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
        """See `Tokenizer.decode`."""
        return self._pieces.decode([int(i) for i in ids])  # control pieces have no text

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """See `Tokenizer.pieces`."""
        return [self._pieces.id_to_piece(int(i)).replace(SPACE, " ") for i in ids]

    def with_markers(self) -> "SentencePiece":
        """This model with all chat markers as pieces; those that it lacks come after all other ids."""
        missing = [marker for speaker, marker in MARKERS.items() if speaker not in self.markers]
        proto = self.proto()
        taken = {piece.piece for piece in proto.pieces}
        if clash := taken.intersection(missing):
            raise UserError(
                expected="chat markers that are no ordinary pieces", found=min(clash), todo="train another tokenizer"
            )
        for marker in missing:
            proto.pieces.add(piece=marker, score=0, type=USER_DEFINED)
        return SentencePiece(proto.SerializeToString(deterministic=True)) if missing else self

    def parts(self) -> list[tuple[int, ...]]:
        """For each id the ids that spell the same text in smaller pieces.

        The two halves are those that SentencePiece puts together first. A piece with nothing smaller is its own part,
        an id that no text gives has none. UserError without byte fallback.
        """
        pieces = self.proto().pieces
        ids = {p.piece: i for i, p in enumerate(pieces) if p.type == NORMAL}
        if self._byte_ids is None or SPACE not in ids:
            raise UserError(
                expected="a tokenizer that can spell every byte, for rare = split",
                found="a SentencePiece model without byte fallback",
                todo="set rare to drop or unk, or give another tokenizer",
            )
        parts: list[tuple[int, ...]] = []
        for i, p in enumerate(pieces):
            text = p.piece
            halves = [(text[:at], text[at:]) for at in range(1, len(text))]
            splits = [(ids[a], ids[b]) for a, b in halves if a in ids and b in ids]
            if p.type in (BYTE, USER_DEFINED) or text == SPACE:
                # As a byte, the space that SentencePiece puts in front of every text would be taken for text.
                parts.append((i,))
            elif p.type != NORMAL:
                parts.append(())
            elif splits:
                parts.append(max(splits, key=lambda pair: min(pieces[half].score for half in pair)))
            else:
                spelled = ([ids[c]] if c == SPACE else [self._byte_ids[b] for b in c.encode()] for c in text)
                parts.append(tuple(chain.from_iterable(spelled)))
        return parts


def train(
    texts: Iterable[str], vocab_size: int, *, kind: str = "bpe", chat: bool = False, character_coverage: float = 1.0
) -> SentencePiece:
    """A SentencePiece model of exactly `vocab_size` pieces: unk, bos, eos = 0, 1, 2; bytes 3 to 258; pad last.

    `kind`: bpe or unigram. With `chat` the markers are pieces 259 to 261. The same texts give the same model bytes,
    on any machine with the same SentencePiece. Give it 10 to 20 MB of text (`evenly`); more changes little. Raises
    UserError, with the size that works, if `vocab_size` is below `MIN_VOCAB` or the letters of the texts, or above
    what the words of the texts can fill.
    """
    if vocab_size < MIN_VOCAB:
        raise UserError(
            expected=f"a vocabulary of at least {MIN_VOCAB} (256 bytes, special ids, letters)",
            found=str(vocab_size),
            todo=f"set vocab_size to {MIN_VOCAB} or more",
        )
    texts = list(texts)
    settings: dict[str, Any] = {"model_type": kind, "vocab_size": vocab_size, "character_coverage": character_coverage}
    if chat:
        settings["user_defined_symbols"] = [*MARKERS.values()]
    try:
        model = _train(texts, pad_id=vocab_size - 1, **settings)
        return SentencePiece(_bytes_first(model) if chat else model)
    except RuntimeError as e:
        error = e
    if "pieces_size() - 1) == (it->first)" in str(error):
        # With a pad id past the last piece SentencePiece stops before it says how many pieces it can make.
        try:
            _train(texts, pad_id=-1, **settings)
        except RuntimeError as e:
            error = e
    raise _explained(error, vocab_size) from error


def _train(texts: list[str], **settings: Any) -> bytes:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=_sentences(texts),
        model_writer=model,
        split_digits=True,
        allow_whitespace_only_pieces=True,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        unk_surface=r" \342\201\207 ",  # " ⁇ ", as llama2.c
        max_sentence_length=4 * _MAX_SENTENCE,  # bytes; longer ones would be left out without a word
        num_threads=2,  # a constant, because the model file records it
        minloglevel=2,
        **settings,
    )
    return model.getvalue()


def _bytes_first(model: bytes) -> bytes:
    """`model` with its user-defined pieces behind the bytes: llama2.c looks for byte b at id b + 3."""
    proto = messages.ModelProto.FromString(model)
    pieces = [messages.ModelProto.SentencePiece.FromString(piece.SerializeToString()) for piece in proto.pieces]
    place = {BYTE: 1, USER_DEFINED: 2}  # among them; the special ids come before, all others after
    last = max(i for i, piece in enumerate(pieces) if piece.type in place)
    pieces[: last + 1] = sorted(pieces[: last + 1], key=lambda piece: place.get(piece.type, 0))
    del proto.pieces[:]
    proto.pieces.extend(pieces)
    return proto.SerializeToString(deterministic=True)


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
