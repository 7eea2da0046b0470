"""llama2.c's `tokenizer.bin`, little endian: int32 longest piece; then for each id float32 score, int32 length, bytes.

It is a SentencePiece BPE in another coat: ids 0, 1, 2 are unk, bos, eos, byte b is id b + 3, a space is a space, and
run.c merges as SentencePiece does, the pair with the best score first. So it is read as one.
"""

import struct
from pathlib import Path
from typing import Any

from tsjax.errors import UserError
from tsjax.tokenizer.interface import Tokenizer
from tsjax.tokenizer.sentence_piece import BYTE, NORMAL, SPACE, USER_DEFINED, SentencePiece, messages

UNKNOWN, CONTROL = 2, 3  # types of pieces in a model
FIRST_PIECE = 3 + 256


def read(path: Path) -> SentencePiece:
    """The tokenizer in a `tokenizer.bin`; UserError if it is not whole."""
    try:
        raw = Path(path).read_bytes()
        pieces = _pieces(raw)
    except OSError as e:
        raise UserError(expected=f"a tokenizer.bin at {path}", found=e.strerror or str(e), todo="check the path") from e
    except (struct.error, ValueError) as e:
        raise UserError(
            expected=f"a whole llama2.c tokenizer.bin in {path}",
            found=f"{len(raw):,} bytes that are none",
            todo="copy or export it again",
        ) from e
    proto = messages.ModelProto()
    for i, (text, score) in enumerate(pieces):
        if i < 3:
            proto.pieces.add(piece=("<unk>", "<s>", "</s>")[i], score=0, type=CONTROL if i else UNKNOWN)
        elif i < FIRST_PIECE:
            proto.pieces.add(piece=f"<0x{i - 3:02X}>", score=0, type=BYTE)
        else:
            proto.pieces.add(piece=text.replace(" ", SPACE), score=score, type=NORMAL)
    spec = proto.trainer_spec
    spec.model_type, spec.vocab_size, spec.byte_fallback = messages.TrainerSpec.BPE, len(pieces), True
    spec.unk_id, spec.bos_id, spec.eos_id, spec.pad_id, spec.unk_surface = 0, 1, 2, -1, " \u2047 "
    spec = proto.normalizer_spec
    spec.name, spec.add_dummy_prefix, spec.remove_extra_whitespaces = "identity", True, False
    return SentencePiece(proto.SerializeToString(deterministic=True), str(path))


def _pieces(raw: bytes) -> list[tuple[str, float]]:
    (longest,) = struct.unpack_from("<i", raw)
    pieces = []
    at = 4
    while at < len(raw):
        score, length = struct.unpack_from("<fi", raw, at)
        text = raw[at + 8 : at + 8 + length]
        if not 0 < length <= longest or len(text) < length:
            raise ValueError("a piece is cut")
        pieces.append((text.decode(), score))
        at += 8 + length
    if len(pieces) <= FIRST_PIECE or pieces[3][0] != "<0x00>" or pieces[FIRST_PIECE - 1][0] != "<0xFF>":
        raise ValueError("no byte pieces at ids 3 to 258")
    return pieces


def written(tokenizer: Tokenizer) -> tuple[bytes, list[str]]:
    """The tokenizer.bin, and a line on each thing that run.c will do otherwise.

    UserError for a tokenizer that the file can't hold: its place for bytes is fixed, and run.c merges as BPE does.
    """
    if not isinstance(tokenizer, SentencePiece):
        raise _not_held(f"a {type(tokenizer).__name__} one ({tokenizer.file})")
    proto = tokenizer.proto()
    _check(tokenizer, proto)
    texts = [piece.piece.replace(SPACE, " ") for piece in proto.pieces]
    for i in (tokenizer.bos, tokenizer.eos):
        texts[i] = f"\n{texts[i]}\n"  # as llama2.c's own: no text has it, so a prompt can't spell the token
    raw = [text.encode() for text in texts]
    head = struct.pack("<i", max(map(len, raw)))
    rows = (struct.pack("<fi", p.score, len(text)) + text for p, text in zip(proto.pieces, raw, strict=True))
    notes = []
    if proto.normalizer_spec.remove_extra_whitespaces:
        notes.append("run.c keeps doubled, leading and trailing spaces of a prompt, which this tokenizer drops")
    if markers := [p.piece for p in proto.pieces if p.type == USER_DEFINED]:
        notes.append(f"run.c reads {', '.join(markers)} in a prompt letter by letter, not as one token")
    return head + b"".join(rows), notes


def _check(tokenizer: SentencePiece, proto: Any) -> None:
    kind, normalizer = proto.trainer_spec.model_type, proto.normalizer_spec
    special = tokenizer.unk, tokenizer.bos, tokenizer.eos
    bytes_there = [p.piece for p in proto.pieces[3:FIRST_PIECE]] == [f"<0x{byte:02X}>" for byte in range(256)]
    for wrong, found in (
        (kind != messages.TrainerSpec.BPE, f"model type {messages.TrainerSpec.ModelType.Name(kind)}"),
        (special != (0, 1, 2), f"unk, bos, eos = {', '.join(map(str, special))}"),
        (not bytes_there or not proto.trainer_spec.byte_fallback, "other pieces than <0x00> to <0xFF> at ids 3 to 258"),
        (bool(normalizer.precompiled_charsmap), f"normalization rule {normalizer.name!r}"),
        (not normalizer.add_dummy_prefix, "no space in front of a text"),
        (proto.trainer_spec.treat_whitespace_as_suffix, "spaces behind words"),
        (not normalizer.escape_whitespaces, "spaces that are not escaped"),
    ):
        if wrong:
            raise _not_held(found)


def _not_held(found: str) -> UserError:
    return UserError(
        expected="a tokenizer that llama2.c's tokenizer.bin can hold: a SentencePiece BPE with unk, bos, eos = 0, 1, 2 and "
        "the bytes at ids 3 to 258",
        found=found,
        todo="export to another format, or prepare and train with the default tokenizer",
    )
