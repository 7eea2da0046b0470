"""Rouge-k equals a naive counter, and the package rouge-score where both definitions say the same."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.rouge import highest_f, kgrams, rouge
from tests.texts import CHARACTERS, stories
from tsjax.corpus.duplicates import normal_words

TOKENS = st.lists(st.sampled_from("abcd"), max_size=12)


def naive(a, b, k):
    """Share of A's distinct k-grams that stand somewhere in B, looked for one by one."""
    of_a, of_b = [], [b[i : i + k] for i in range(len(b) - k + 1)]
    for i in range(len(a) - k + 1):
        if a[i : i + k] not in of_a:
            of_a.append(a[i : i + k])
    return sum(gram in of_b for gram in of_a) / len(of_a) if of_a else None


@given(TOKENS, TOKENS, st.integers(1, 5))
def test_equals_a_naive_counter(a, b, k):
    precision, recall, f = rouge(a, b, k)
    assert precision == naive(a, b, k) and recall == naive(b, a, k)
    if precision is None or recall is None:
        assert f is None
    else:
        assert f == pytest.approx(2 * precision * recall / (precision + recall) if precision + recall else 0.0)


@given(st.text(CHARACTERS, max_size=60), st.text(CHARACTERS, max_size=60), st.integers(1, 3))
def test_texts_are_compared_by_their_normal_words(a, b, k):
    assert rouge(a, b, k) == rouge(normal_words(a), normal_words(b), k)
    assert kgrams(a, k) == kgrams(a.upper().casefold(), k)


def test_by_hand():
    a, b = "The cat sat. The cat ran!", "the cat ran, the dog ran"
    # A's pairs: the cat, cat sat, sat the, cat ran; B has the first and the last.
    # B's: the cat, cat ran, ran the, the dog, dog ran.
    assert rouge(a, b, 2) == (2 / 4, 2 / 5, pytest.approx(2 * 2 / 9))
    assert rouge("one", b, 2) == (None, 0.0, None)
    with pytest.raises(ValueError):
        rouge(a, b, 0)


@given(st.lists(TOKENS, max_size=6), st.integers(1, 3))
def test_highest_f_looks_at_all_others(texts, k):
    for i, found in enumerate(highest_f(texts, k)):
        others = [rouge(texts[i], other, k).f for j, other in enumerate(texts) if j != i]
        assert found == max((f for f in others if f is not None), default=None)


@pytest.mark.peers
def test_equals_rouge_score():
    """Where no text repeats a k-gram, rouge-score's clipped counts are ours; elsewhere its definition is recounted here."""
    scorer = pytest.importorskip("rouge_score.rouge_scorer", reason="rouge-score is not installed")
    scorer = scorer.RougeScorer(["rouge1", "rouge2", "rouge3"], use_stemmer=False)
    texts = stories(40, seed=3, words=60)
    same = 0
    for a, b in zip(texts[::2], texts[1::2], strict=True):
        for k in (1, 2, 3):
            theirs, ours = scorer.score(target=b, prediction=a)[f"rouge{k}"], rouge(a, b, k)
            words = [normal_words(text) for text in (a, b)]
            counts = [Counter(zip(*(w[i:] for i in range(k)), strict=False)) for w in words]
            clipped = (counts[0] & counts[1]).total()
            assert theirs.precision == pytest.approx(clipped / counts[0].total())
            assert theirs.recall == pytest.approx(clipped / counts[1].total())
            if max(max(one.values()) for one in counts) == 1:
                same += 1
                assert tuple(theirs) == pytest.approx(tuple(ours))
    assert same >= 5  # and the comparison was of something
