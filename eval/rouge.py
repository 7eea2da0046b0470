"""Rouge-k of two texts by the paper's definition: precision of A against B is the share of A's distinct k-grams that B has.

A k-gram counts once however often it occurs; F is the harmonic mean of the precisions in both directions (recall is the other
direction's). ROUGE-N (Lin 2004; package rouge-score) counts every occurrence instead, clipped to the other text's, so that
both agree where no text repeats a k-gram, and a text that repeats itself scores differently. Words are those of
`tsjax.corpus.duplicates.normal_words`: casefolded, without punctuation; any other tokens may be given as a list.
"""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

from tsjax.corpus.duplicates import normal_words

Tokens = str | Sequence[Hashable]


class Rouge(NamedTuple):
    """Three shares from 0 to 1; None where a text is shorter than k, of which nothing can be said."""

    precision: float | None
    recall: float | None
    f: float | None


def kgrams(text: Tokens, k: int) -> frozenset[tuple[Hashable, ...]]:
    """The distinct k-grams of a text (of its normal words) or of a list of tokens."""
    tokens = normal_words(text) if isinstance(text, str) else list(text)
    return frozenset(zip(*(tokens[i:] for i in range(k)), strict=False))


def rouge(a: Tokens, b: Tokens, k: int) -> Rouge:
    """Rouge-k of A against B. ValueError for k < 1."""
    if k < 1:
        raise ValueError(f"k-grams of {k} tokens")
    return of_grams(kgrams(a, k), kgrams(b, k))


def of_grams(a: frozenset[tuple[Hashable, ...]], b: frozenset[tuple[Hashable, ...]]) -> Rouge:
    """Rouge of two texts of which the k-grams are known."""
    shared = len(a & b)
    precision = shared / len(a) if a else None
    recall = shared / len(b) if b else None
    f = 2 * shared / (len(a) + len(b)) if a and b else None
    return Rouge(precision, recall, f)


def highest_f(texts: Sequence[Tokens], k: int = 2) -> list[float | None]:
    """For each text its largest F to any other of them (paper, Fig 15); None where it, or every other, is shorter than k."""
    grams = [kgrams(text, k) for text in texts]
    best: list[float | None] = [None] * len(texts)
    for i, a in enumerate(grams):
        for j, b in enumerate(grams[:i]):
            f = of_grams(a, b).f
            if f is not None:
                best[i], best[j] = max(f, best[i] or 0.0), max(f, best[j] or 0.0)
    return best
