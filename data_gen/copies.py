"""Copies among many documents, found on disk: the same text again, and nearly the same.

Documents are numbered as they are added. Of two copies the one with the higher number goes, so the documents of other
data sets, which are added first, always stay.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tsjax.corpus.duplicates import BANDS, HASHES, ROWS, form_hash, near, normal_words, signatures_of, word_hashes

PART = 1 << 16  # documents in a file of signatures
_NONE = np.empty((BANDS, 0), np.uint64)


class Marks(NamedTuple):
    """What copies are found by: hashes uint64 [texts], signatures uint64 [BANDS, texts] (or [BANDS, 0]: none asked for)."""

    hashes: np.ndarray
    signatures: np.ndarray


def marks(texts: Sequence[str], seed: int, near: bool) -> Marks:
    """Of texts: `duplicates.normal_hash` for `seed`, and the signatures where `near` copies are looked for."""
    forms = [normal_words(text) for text in texts]
    hashes = np.array([form_hash(" ".join(words), seed) for words in forms], np.uint64)
    return Marks(hashes, signatures_of([word_hashes(words) for words in forms]) if near and forms else _NONE)


class Copies:
    """Documents to compare. Memory: 8 bytes each, 80 more while near copies are searched; signatures (128) on disk."""

    def __init__(self, folder: Path, threshold: float):
        """`folder`: a place for the signatures. `threshold`: similarity of near copies; 0: none are looked for."""
        self._folder, self.threshold = folder, threshold
        folder.mkdir()
        self._hashes: list[np.ndarray] = []
        self._parts: list[Path] = []
        self._held: list[np.ndarray] = []
        self.count = 0

    def add(self, found: Marks) -> None:
        self._hashes.append(found.hashes)
        self.count += len(found.hashes)
        if self.threshold:
            self._held.append(found.signatures)
            if sum(held.shape[1] for held in self._held) >= PART:
                self._flush()

    def find(self, first: int) -> tuple[np.ndarray, np.ndarray]:
        """(exact, near) int64 [N]: the document that each one is a copy of, or -1. Documents below `first` are given,
        and have no entries. No document is near one that goes: where that one had stood between them, both stay."""
        hashes = np.concatenate(self._hashes) if self._hashes else np.empty(0, np.uint64)
        numbers = np.arange(self.count)
        _, where, inverse = np.unique(hashes, return_index=True, return_inverse=True)
        exact = np.where(where[inverse] != numbers, where[inverse], -1).astype(np.int64)
        almost = np.full(self.count, -1, np.int64)
        if self.threshold and self.count:
            self._flush()
            rank = np.where(exact < 0, numbers, -1)
            while len(copies := self._round(rank, first)):
                late, early = copies.T
                almost[late], rank[late] = early, -1
        exact[:first] = -1
        return exact, almost

    def similarity(self, late: np.ndarray, early: np.ndarray) -> np.ndarray:
        """float [pairs]: the share of equal minhashes, which estimates the Jaccard similarity of the five-word runs."""
        equal = np.zeros(len(late), np.int64)
        for band in range(BANDS) if len(late) else ():
            column = self._column(band)
            differ = (column[late] ^ column[early]).view(np.uint16).reshape(-1, ROWS)
            equal += (differ == 0).sum(axis=1)
        return equal / HASHES

    def _round(self, rank: np.ndarray, first: int) -> np.ndarray:
        """int64 [copies, 2]: documents that go, and those they are near, which stay.

        The search names the first partner of each. Where that one goes, or may yet, the next round decides.
        """
        partner = near(self._column, rank, self.threshold, first)
        partner[:first] = -1
        late = np.flatnonzero(partner >= 0)
        late = late[partner[partner[late]] < 0]
        return np.stack([late, partner[late]], axis=1)

    def _column(self, band: int) -> np.ndarray:
        return np.concatenate([np.load(path, mmap_mode="r", allow_pickle=False)[band] for path in self._parts])

    def _flush(self) -> None:
        if self._held:
            path = self._folder / f"{len(self._parts):05d}.npy"
            np.save(path, np.concatenate(self._held, axis=1), allow_pickle=False)
            self._parts.append(path)
            self._held = []
