"""Small random corpora and stories for tests, and naive counters."""

import numpy as np
from hypothesis import strategies as st

from eval.grams import Corpus

DOCUMENTS = st.lists(st.lists(st.integers(0, 4), max_size=12), max_size=8)
STORIES = st.lists(st.lists(st.integers(-1, 5), max_size=10), max_size=5)  # -1: not in the vocabulary


def corpus(documents, dtype=np.uint16, gap: int = 2, offset: int = 0) -> Corpus:
    """The documents with `gap` tokens before each that the stories have too, so that a k-gram across would be seen."""
    tokens: list[int] = []
    starts, ends = [], []
    for ids in documents:
        tokens += [1 + offset] * gap
        starts.append(len(tokens))
        tokens += [i + offset for i in ids]
        ends.append(len(tokens))
    tokens += [1 + offset] * gap
    return Corpus(np.array(tokens, dtype), np.array(starts, np.int64), np.array(ends, np.int64))


def grams(ids, k: int) -> list[tuple[int, ...]]:
    return [tuple(ids[i : i + k]) for i in range(len(ids) - k + 1)]


def longest_common(story, document) -> int:
    """Length of the longest run of tokens that both have."""
    lengths = range(min(len(story), len(document)), 0, -1)
    return next((k for k in lengths if set(grams(story, k)) & set(grams(document, k))), 0)
