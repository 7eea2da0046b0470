"""A tokenizer cut down to the tokens that a corpus uses most, as TinyStories keeps the top 10,000 of GPT-2's.

Rare tokens (those cut off) become one of three things: "split", the smaller tokens that they are made of, so that no
text is lost; "unk", one id for all; "drop", UNKNOWN, which marks the document as one to leave out.
"""

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from tsjax.atomic import sha256_json, write_atomic
from tsjax.errors import UserError
from tsjax.tokenizer.hugging_face import HuggingFace
from tsjax.tokenizer.interface import UNKNOWN, UNKNOWN_TEXT
from tsjax.tokenizer.sentence_piece import SentencePiece

FORMAT = "tsjax restricted tokenizer 1"
RARE = ("drop", "unk", "split")
Base = HuggingFace | SentencePiece
_TEXTS = 1000  # encoded together, so that the arrays between stay small


class Restricted:
    """The `kept` tokens of `base`, in its order (see `Tokenizer`). Make one with `restrict`, or from the file's text.

    With "unk" the last id stands for every rare token, unless the base has an unknown token already.
    """

    file = "tokenizer.restricted.json"

    def __init__(self, text: str, name: str = "the tokenizer"):
        """`text`: what `save` wrote; `name` stands in errors. UserError if it is not whole."""
        try:
            data = json.loads(text)
            if data["format"] != FORMAT or data["rare"] not in RARE:
                raise ValueError("another format")
            is_json = data["base_file"] == HuggingFace.file
            base: Base = HuggingFace(data["base"]) if is_json else SentencePiece(base64.b64decode(data["base"]))
            kept = np.array(data["kept"], np.int64)
            if kept.ndim != 1 or np.any(np.diff(kept) <= 0) or not 0 <= kept[0] <= kept[-1] < base.vocab_size:
                raise ValueError("kept ids that are not in the base, in order")
        except (ValueError, LookupError, TypeError) as e:
            raise UserError(
                expected=f"a whole restricted tokenizer in {name}",
                found=f"{type(e).__name__}: {e}"[:200],
                todo="copy or make it again",
            ) from e
        self._text, self._base, self._kept, self.rare = text, base, kept, data["rare"]
        new = np.full(base.vocab_size, UNKNOWN, np.int32)
        new[kept] = np.arange(len(kept))
        self.vocab_size: int = len(kept)
        self.bos, self.eos, self.unk, self.pad = (
            int(new[i]) if i >= 0 else -1 for i in (base.bos, base.eos, base.unk, base.pad)
        )
        if self.rare == "unk" and self.unk < 0:
            self.unk = self.vocab_size
            self.vocab_size += 1
        self.markers = {speaker: int(new[i]) for speaker, i in base.markers.items()}
        self.lossless: bool = base.lossless and self.rare == "split"
        self.rare_share: list[float] = data.pop("rare_share", [])  # of the tokens, and of the texts, of `restrict`
        self.fingerprint: str = sha256_json(data)
        # Base id -> new ids, which lie one after the other: `count` of them from `start` on.
        self._is_kept = new >= 0
        if self.rare == "split":
            spelled = _spelled(base.parts(), new)
            self._count = np.array([len(ids) for ids in spelled], np.int32)
            self._flat = np.array([i for ids in spelled for i in ids], np.int32)
            self._start = np.cumsum(self._count, dtype=np.int32) - self._count
        else:
            self._new = np.where(self._is_kept, new, self.unk if self.rare == "unk" else UNKNOWN)

    def __reduce__(self):
        return Restricted, (self._text,)

    def save(self, path: Path) -> None:
        """Writes one JSON file, atomically: the base, the kept ids, the rule."""
        write_atomic(path, self._text)

    def encode(self, texts: Sequence[str], workers: int = 1) -> list[list[int]]:
        """See `Tokenizer.encode`."""
        out: list[list[int]] = []
        for rows in _rows(self._base, texts, workers):
            out += self._encode(rows)
        return out

    def _encode(self, rows: list[list[int]]) -> list[list[int]]:
        ids, ends = _joined(rows), np.cumsum([0, *map(len, rows)])
        if self.rare != "split":
            flat = self._new[ids]
        else:
            counts = self._count[ids]
            spelled = np.cumsum(counts, dtype=np.int32)
            # The j-th new id of a base id lies j places after its start.
            places = np.arange(spelled[-1] if len(spelled) else 0, dtype=np.int32) + np.repeat(
                self._start[ids] - spelled + counts, counts
            )
            flat = self._flat[places]
            ends = np.append(0, spelled)[ends]
        listed = flat.tolist()
        return [listed[start:end] for start, end in pairwise(ends.tolist())]

    def decode(self, ids: Iterable[int]) -> str:
        """See `Tokenizer.decode`."""
        runs: list[list[int]] = [[]]
        for i in map(int, ids):
            if i in (self.unk, UNKNOWN):
                runs.append([])
            else:
                runs[-1].append(int(self._kept[i]))
        return UNKNOWN_TEXT.join(map(self._base.decode, runs))

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """See `Tokenizer.pieces`."""
        inside = range(len(self._kept))
        return [self._base.pieces([int(self._kept[i])])[0] if i in inside else "<unk>" for i in map(int, ids)]

    def measure(self, texts: Iterable[str]) -> list[float]:
        """What share of the base's tokens of `texts` is rare, and what share of the texts holds a rare one."""
        tokens = rare_tokens = documents = rare_documents = 0
        for rows in _rows(self._base, texts, workers=2):
            for row in rows:
                rare = int(np.count_nonzero(~self._is_kept[row])) if row else 0
                tokens, rare_tokens = tokens + len(row), rare_tokens + rare
                documents, rare_documents = documents + 1, rare_documents + bool(rare)
        return [rare_tokens / max(tokens, 1), rare_documents / max(documents, 1)]


def restrict(base: Any, top: int, rare: str, texts: Sequence[str]) -> Restricted:
    """`base` with exactly `top` ids: special ids, chat markers, and the tokens that `texts` use most (ties by id).

    With "split" the bytes are kept too. UserError, with the number that works, if `top` is too small or too large.
    """
    if not isinstance(base, Base):
        raise UserError(
            expected="a SentencePiece model or a tokenizer.json to keep the top tokens of",
            found=f"a {type(base).__name__}",
            todo="set top to 0, or give another tokenizer",
        )
    needed = np.zeros(base.vocab_size, bool)
    needed[[i for i in (base.bos, base.eos, base.unk, base.pad, *base.markers.values()) if i >= 0]] = True
    if rare == "split":
        needed |= [ids == (i,) for i, ids in enumerate(base.parts())]
    extra = int(rare == "unk" and base.unk < 0)
    least, most = int(needed.sum()) + extra, base.vocab_size + extra
    if not least <= top <= most:
        raise UserError(
            expected=f"top from {least} to {most} for this tokenizer and rare = {rare}",
            found=str(top),
            todo=f"set top to {least if top < least else most}, or give another tokenizer",
        )
    counts = np.zeros(base.vocab_size, np.int64)
    for rows in _rows(base, texts, workers=2):
        counts += np.bincount(_joined(rows), minlength=base.vocab_size)
    order = np.lexsort((np.arange(base.vocab_size), -counts, ~needed))
    data = {
        "format": FORMAT,
        "rare": rare,
        "kept": np.sort(order[: top - extra]).tolist(),
        "base_file": base.file,
        "base": base.json if isinstance(base, HuggingFace) else base64.b64encode(base.model).decode(),
    }
    data["rare_share"] = Restricted(_text(data)).measure(texts)
    return Restricted(_text(data))


def _text(data: dict[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


def _spelled(parts: list[tuple[int, ...]], new: np.ndarray) -> list[list[int]]:
    """The new ids of every base id: its own if it is kept, else those of its parts."""
    done: dict[int, list[int]] = {}

    def spell(i: int) -> list[int]:
        if i not in done:
            cut = new[i] < 0 and parts[i] != (i,)
            done[i] = [j for part in parts[i] for j in spell(part)] if cut else [int(new[i])]
        return done[i]

    return [spell(i) for i in range(len(parts))]


def _rows(base: Base, texts: Iterable[str], workers: int) -> Iterator[list[list[int]]]:
    texts = iter(texts)
    while batch := list(islice(texts, _TEXTS)):
        yield base.encode(batch, workers)


def _joined(rows: list[list[int]]) -> np.ndarray:
    return np.fromiter(chain.from_iterable(rows), np.int32, sum(map(len, rows)))
