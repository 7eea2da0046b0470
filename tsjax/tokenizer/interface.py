"""What tsjax needs of a tokenizer, and what is asked of every one of them."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from tsjax.corpus.chat import MARKERS as MARKERS
from tsjax.errors import UserError

UNKNOWN = -1  # stands in `encode`'s ids for text that the vocabulary cannot spell
UNKNOWN_TEXT = " \u2047 "  # what `unk` and UNKNOWN decode as: SentencePiece's own sign


class Tokenizer(Protocol):
    """Text <-> ids in [0, vocab_size). A tokenizer can be pickled; its file's bytes are all that travels."""

    file: str  # the name under which a folder keeps it
    vocab_size: int
    bos: int  # begins every document
    eos: int  # ends every document and stops decoding; may be the same id as bos
    unk: int  # -1 where absent
    pad: int  # -1 where absent
    markers: dict[str, int]  # speaker -> id, for the chat markers (`MARKERS`) that are single tokens
    lossless: bool  # decode(encode(text)) == text for every text, known by construction
    fingerprint: str  # hex sha256 of everything that decides the ids

    def encode(self, texts: Sequence[str], workers: int = 1) -> list[list[int]]:
        """The ids of each text, in order, without bos and eos; the number of `workers` changes only time.

        UNKNOWN stands where the vocabulary has nothing and there is no unk.
        """

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids`. Bos, eos and pad are dropped, chat markers are text."""

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """What each id shows as: its text, bytes that are no text as <0x..>, special ids by name."""

    def save(self, path: Path) -> None:
        """Writes one file, atomically, from which `load` makes an equal tokenizer."""


def check_special_ids(tokenizer: Tokenizer, name: str = "the tokenizer") -> None:
    """UserError unless bos and eos exist (they may be one id), and unk and pad, where present, are other ids."""
    special = {key: getattr(tokenizer, key) for key in ("unk", "bos", "eos", "pad")}
    others = [special[key] for key in ("unk", "pad") if special[key] >= 0]
    clash = len(set(others)) < len(others) or {special["bos"], special["eos"]} & set(others)
    if min(special["bos"], special["eos"]) < 0 or clash:
        raise UserError(
            expected=f"ids for bos and eos, and other, distinct ones for unk and pad where present, in {name}",
            found=", ".join(f"{key} {i}" for key, i in special.items()),
            todo="train a tokenizer with `tsjax prepare`, or give another",
        )


def begin(tokenizer: Tokenizer, ids: Sequence[int]) -> list[int]:
    """`ids` with bos in front; a chat whose bos is the marker that it begins with has it already."""
    return list(ids) if ids and ids[0] == tokenizer.bos else [tokenizer.bos, *ids]


def printable(raw: bytes) -> str:
    """`raw` as text, and bytes that are no UTF-8 as <0x..>."""
    text = raw.decode(errors="surrogateescape")
    return "".join(f"<0x{ord(c) - 0xDC00:02X}>" if "\udc80" <= c <= "\udcff" else c for c in text)
