"""How often a corpus has what stories are made of: frequencies of k-grams (paper, Fig 16), and the share that is new.

A model that copied would have few new n-grams, but how few is many? Stories that people (or the large model) wrote and that
were held out from training repeat n-grams of the training set too, so their curve belongs beside every model's.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from eval.grams import Block, Corpus, Grams, scan

FIG16 = (2, 3, 4, 5)
CURVE = tuple(range(1, 11))
NEVER = -10.0  # log10 frequency of what the corpus does not have, as in the paper
EDGES = np.linspace(NEVER, 0, 21)


class Counts:
    """Collector: how often each k-gram, up to `depth`, occurs in the corpus. `of[k]`: int64 [nodes of level k]."""

    def __init__(self, grams: Grams, depth: int):
        self.depth = depth
        self.of = {k: np.zeros(grams.level(k).size, np.int64) for k in range(1, depth + 1)}

    def see(self, block: Block, k: int, positions: np.ndarray, nodes: np.ndarray) -> None:
        self.of[k] += np.bincount(nodes, minlength=len(self.of[k]))

    def merge(self, other: "Counts") -> None:
        for k, counts in other.of.items():
            self.of[k] += counts


def count(corpus: Corpus, grams: Grams, depth: int = max(CURVE), workers: int = 2) -> Counts:
    """Counts every k-gram of the stories in the corpus: exact, one pass."""
    return scan(corpus, grams, lambda: [Counts(grams, depth)], workers)[0]


def log_frequencies(grams: Grams, counts: Counts, corpus: Corpus, k: int, stories: Sequence[int]) -> np.ndarray:
    """float64: log10 of the share of the corpus' k-grams that each distinct k-gram of each of `stories` makes up, or NEVER."""
    found = counts.of[k][_nodes(grams, k, stories)]
    frequencies = np.full(len(found), NEVER)
    seen = found > 0
    frequencies[seen] = np.log10(found[seen] / max(corpus.total(k), 1))
    return frequencies


def frequency_histogram(grams: Grams, counts: Counts, corpus: Corpus, k: int, stories: Sequence[int]) -> dict[str, Any]:
    """Fig 16 for one k: {"edges", "counts", "n", "what", "never"}; the first bin holds those that the corpus never has."""
    values = log_frequencies(grams, counts, corpus, k, stories)
    # A k-gram that a corpus of over 3e9 tokens has once stays apart from one that it never has.
    seen = np.maximum(values[values > NEVER], EDGES[1])
    heights = np.histogram(seen, EDGES)[0]
    never = len(values) - len(seen)
    heights[0] += never
    return {
        "edges": EDGES.tolist(),
        "counts": heights.tolist(),
        "n": len(values),
        "never": never / len(values) if len(values) else None,
        "what": f"log10 frequency in the training tokens of each story's distinct token {k}-grams; {NEVER:g}: never",
    }


def new_shares(grams: Grams, counts: Counts, stories: Sequence[int], n: int) -> np.ndarray:
    """float64: share of each story's distinct n-grams that the corpus does not have; stories shorter than n are left out."""
    story, node = grams.stories_of(n)
    every = np.bincount(story, minlength=grams.count)
    new = np.bincount(story, counts.of[n][node] == 0, minlength=grams.count)
    chosen = np.array([i for i in stories if every[i]], np.int64)
    return new[chosen] / every[chosen]


def curve(grams: Grams, counts: Counts, stories: Sequence[int], lengths: Sequence[int] = CURVE) -> dict[str, Any]:
    """{"x": n, "y": mean share of new n-grams over stories, "se", "stories", "what"}; None where no story is as long as n."""
    shares = [new_shares(grams, counts, stories, n) for n in lengths]
    return {
        "x": list(lengths),
        "y": [float(s.mean()) if len(s) else None for s in shares],
        "se": [float(s.std(ddof=1) / len(s) ** 0.5) if len(s) > 1 else None for s in shares],
        "stories": [len(s) for s in shares],
        "what": "share of a story's distinct token n-grams that are nowhere in the training tokens, mean over stories",
    }


def _nodes(grams: Grams, k: int, stories: Sequence[int]) -> np.ndarray:
    story, node = grams.stories_of(k)
    return node[np.isin(story, np.asarray(stories, np.int64))]
