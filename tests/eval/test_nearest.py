"""The nearest document and the longest copied span equal those of a search one by one; planted copies are found whole."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import eval.grams
from eval.grams import Grams
from eval.nearest import Span, search
from tests.eval.corpora import DOCUMENTS, STORIES, corpus, grams, longest_common


@settings(max_examples=200)
@given(
    DOCUMENTS,
    STORIES,
    st.integers(0, 2),
    st.integers(1, 3),
    st.sampled_from([1, 5, 1 << 15]),
)
def test_equals_a_search_one_by_one(documents, stories, gap, workers, block):
    where = corpus(documents, gap=gap)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(eval.grams, "_BLOCK", block)
        near, spans = search(where, Grams(stories), ks=(1, 2, 3), workers=workers)
    for k, found in near.items():
        for ids, one in zip(stories, found, strict=True):
            mine = set(grams(ids, k))
            shares = [len(mine & set(grams(document, k))) / len(mine) if mine else 0 for document in documents]
            best = max(shares, default=0)
            assert one.document == (shares.index(best) if best else -1)
            assert one.precision == (best if mine else None)
    for ids, span in zip(stories, spans, strict=True):
        assert span.length == max((longest_common(ids, document) for document in documents), default=0)
        if span.length:
            mine, runs = grams(ids, span.length), [grams(document, span.length) for document in documents]
            start = next(i for i, gram in enumerate(mine) if any(gram in run for run in runs))
            document = next(i for i, run in enumerate(runs) if mine[start] in run)
            assert span == Span(span.length, start, document, runs[document].index(mine[start]))


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32])
@pytest.mark.parametrize("length", [1, 2, 9, 64, 300])
@pytest.mark.parametrize("edge", ["begin", "middle", "end", "whole"])
def test_a_planted_copy_is_found_at_its_length(dtype, length, edge):
    """Also where it touches the edge of a document, and where the neighbour goes on as the story does."""
    rng = np.random.default_rng(length)
    low = 0 if dtype == np.uint16 else 100_000
    documents = [rng.integers(low, low + 1000, 400).tolist() for _ in range(200)]
    copy = (low + 2000 + np.arange(length)).tolist()  # ids that nothing else has
    after, before = [low + 5000], [low + 5001]  # what the story goes on with, and what it comes from
    at = 117
    own, behind = {"begin": (0, 25), "middle": (13, 12), "end": (25, 0), "whole": (0, 0)}[edge]
    documents[at] = documents[at][:own] + copy + documents[at][:behind]
    documents[at - 1][-1:], documents[at + 1][:1] = before, after  # across the edges it would seem longer
    story = [*before, *copy, *after]
    where = corpus(documents, dtype, gap=0)
    near, (span,) = search(where, Grams([story]), ks=(2,))
    if length > 1:
        assert span == Span(length, 1, at, own)
        assert near[2][0].document == at and near[2][0].precision == pytest.approx((length - 1) / (length + 1))
    else:  # the single tokens at the edges of the neighbours are as long, and one of them comes first
        assert span == Span(1, 0, at - 1, 399)
        assert near[2][0].document == -1 and near[2][0].precision == 0.0


def test_of_equal_ones_the_first_is_named():
    where = corpus([[9, 9], [1, 2, 3], [1, 2, 3], [3, 1, 2]])
    near, spans = search(where, Grams([[1, 2, 3, 9], [7, 7]]), ks=(2,), workers=3)
    assert (near[2][0].document, near[2][0].precision) == (1, pytest.approx(2 / 3))
    assert spans[0] == Span(3, 0, 1, 0) and spans[1] == Span(0, 0, -1, 0)
    assert (near[2][1].document, near[2][1].precision) == (-1, 0.0)


def test_repeats_count_once():
    """A document that has one pair of the story many times is not nearer than one that has two of them."""
    near, _ = search(corpus([[1, 2] * 30, [1, 2, 3]]), Grams([[1, 2, 3, 4, 5]]), ks=(2,))
    assert near[2][0].document == 1
