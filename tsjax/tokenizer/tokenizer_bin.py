"""llama2.c's `tokenizer.bin`, little endian: int32 longest piece; then for each id float32 score, int32 length, bytes.

It is a SentencePiece BPE in another coat: ids 0, 1, 2 are unk, bos, eos, byte b is id b + 3, a space is a space, and
run.c merges as SentencePiece does, the pair with the best score first. So it is read as one.
"""

import struct
from pathlib import Path

from tsjax.errors import UserError
from tsjax.tokenizer.sentence_piece import BYTE, NORMAL, SPACE, SentencePiece, messages

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
