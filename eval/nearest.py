"""What in a corpus a story is nearest to: the document of the best Rouge-k precision (paper, Figs 17, 18), the longest copy.

Both are exact over the whole corpus: every document is compared with every story, every span that they share is seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from eval.grams import Block, Corpus, Grams, scan

FIG17 = (2, 3)
_NOWHERE = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Near:
    """The nearest document of one story.

    document:  its number in the corpus, the first of equally near ones; -1 where no document shares a k-gram.
    precision: share of the story's distinct k-grams that the document has; None where the story is shorter than k.
    """

    document: int
    precision: float | None


@dataclass(frozen=True)
class Span:
    """The longest run of a story's tokens that the corpus has, and its first place there; length 0: it shares no token."""

    length: int
    start: int  # in the story
    document: int
    offset: int  # in the document


class Best:
    """Collector: for each story and k the most distinct k-grams of it that one document has, and the first such document."""

    def __init__(self, grams: Grams, ks: Sequence[int] = FIG17):
        self.depth = max(ks)
        self.count = {k: np.zeros(grams.count, np.int64) for k in ks}
        self.document = {k: np.full(grams.count, -1, np.int64) for k in ks}
        self._has = {k: _table(grams, k) for k in ks}

    def see(self, block: Block, k: int, positions: np.ndarray, nodes: np.ndarray) -> None:
        if k not in self.count or not len(positions):
            return
        size = self._has[k].shape[0]
        bits = int(size).bit_length()
        keys = (block.document.take(positions) << bits) | nodes
        keys.sort()
        keys = keys[np.append(True, keys[1:] != keys[:-1])]  # how often a document has it does not count
        documents, grams = keys >> bits, keys & ((1 << bits) - 1)
        ends = np.searchsorted(documents, np.arange(block.size + 1))
        # 1 where a document (row) has a k-gram (column), times 1 where a k-gram is in a story.
        has = sparse.csr_array((np.ones(len(grams), np.int32), grams, ends), (block.size, size))
        shared = (has @ self._has[k]).toarray()
        row = shared.argmax(axis=0)
        self._take(k, shared[row, np.arange(len(row))], block.first + row)

    def merge(self, other: "Best") -> None:
        for k in self.count:
            self._take(k, other.count[k], other.document[k])

    def _take(self, k: int, count: np.ndarray, document: np.ndarray) -> None:
        better = count > self.count[k]
        self.count[k][better] = count[better]
        self.document[k][better] = document[better]


class Spans:
    """Collector: the first place in the corpus of every run of the stories' tokens, of any length.

    `place[k]`: int64 [nodes of level k], in `corpus.tokens`.
    """

    def __init__(self, grams: Grams):
        self.depth = grams.longest
        self.place: dict[int, np.ndarray] = {}
        self._grams = grams

    def see(self, block: Block, k: int, positions: np.ndarray, nodes: np.ndarray) -> None:
        if k not in self.place:
            self.place[k] = np.full(self._grams.level(k).size, _NOWHERE, np.int64)
        new = np.flatnonzero(self.place[k].take(nodes) == _NOWHERE)[::-1]  # the first one is written last, and stays
        self.place[k][nodes[new]] = block.begin + positions[new]

    def merge(self, other: "Spans") -> None:
        for k, place in other.place.items():
            self.place[k] = np.minimum(self.place[k], place) if k in self.place else place


def nearest(grams: Grams, best: Best, k: int) -> list[Near]:
    """For each story the document with the best Rouge-k precision."""
    found = zip(best.document[k].tolist(), best.count[k].tolist(), grams.distinct(k).tolist(), strict=True)
    return [Near(document, count / every if every else None) for document, count, every in found]


def longest(corpus: Corpus, grams: Grams, spans: Spans) -> list[Span]:
    """For each story its longest run of tokens that is anywhere in the corpus; the first in the story of equally long ones."""
    found = [Span(0, 0, -1, 0)] * grams.count
    for k in sorted(spans.place, reverse=True):
        level = grams.level(k)
        where = spans.place[k][level.node]
        seen = np.flatnonzero(where != _NOWHERE)
        stories, first = np.unique(grams.story(level.at[seen]), return_index=True)
        for story, at, place in zip(stories, level.at[seen[first]], where[seen[first]], strict=True):
            if not found[story].length:
                document = int(np.searchsorted(corpus.starts, place, "right")) - 1
                offset = int(place - corpus.starts[document])
                found[story] = Span(k, int(at - grams.begins[story]), document, offset)
    return found


def search(
    corpus: Corpus, grams: Grams, ks: Sequence[int] = FIG17, workers: int = 2
) -> tuple[dict[int, list[Near]], list[Span]]:
    """({k: nearest document of each story}, longest copied span of each story): exact, one pass."""

    def make() -> list[Best | Spans]:
        return [Best(grams, ks), Spans(grams)]

    best, spans = scan(corpus, grams, make, workers)
    assert isinstance(best, Best) and isinstance(spans, Spans)
    return {k: nearest(grams, best, k) for k in ks}, longest(corpus, grams, spans)


def _table(grams: Grams, k: int) -> sparse.csr_array:
    """int32 [nodes of level k, stories]: 1 where the story has the k-gram."""
    story, node = grams.stories_of(k)
    return sparse.csr_array((np.ones(len(node), np.int32), (node, story)), (grams.level(k).size, grams.count))
