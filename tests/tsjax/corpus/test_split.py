"""No training document is a copy of a validation document, and nobody's place depends on who comes later."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.texts import stories
from tsjax.corpus import DROPPED, TRAIN, VALID
from tsjax.corpus.duplicates import near, normal_hash, signatures
from tsjax.corpus.split import split
from tsjax.errors import UserError


def drawn(hashes, fraction, live=None, **options):
    hashes = np.array(hashes, np.uint64)
    live = np.ones(len(hashes), bool) if live is None else np.array(live)
    return split(hashes, live, len(hashes), drawn=True, fraction=fraction, **options)


def given_files(train, valid, live=None, **options):
    hashes = np.array([*train, *valid], np.uint64)
    live = np.ones(len(hashes), bool) if live is None else np.array(live)
    return split(hashes, live, len(train), drawn=False, fraction=0, **options)


class Pairs:
    """A `near` that knows pairs of documents, and what it was asked."""

    def __init__(self, pairs):
        self.pairs = pairs

    def __call__(self, rank, first):
        self.rank, self.first = rank, first
        found = np.full(len(rank), -1, np.int64)
        for a, b in self.pairs:
            late, early = (a, b) if rank[a] > rank[b] else (b, a)
            if rank[early] >= 0 and (found[late] < 0 or rank[early] < rank[found[late]]):
                found[late] = early
        return found


@given(
    rows=st.lists(st.tuples(st.integers(0, 2**64 - 1), st.booleans()), min_size=2, max_size=40),
    fraction=st.floats(1e-6, 1 - 1e-6),
    drop=st.booleans(),
)
def test_a_split_is_never_empty_and_repeats_stay_together(rows, fraction, drop):
    hashes, live = zip(*(rows + rows[:3]), strict=True)
    alive = [h for h, ok in zip(hashes, live, strict=True) if ok]
    if len(set(alive)) < 2:
        with pytest.raises(UserError, match="validation split empty"):
            drawn(hashes, fraction, live, drop_duplicates=drop)
        return
    labels, counts = drawn(hashes, fraction, live, drop_duplicates=drop)
    sides = [{h for h, label in zip(hashes, labels, strict=True) if label == side} for side in (TRAIN, VALID)]
    assert sides[0] and sides[1] and not sides[0] & sides[1]
    assert sides[0] | sides[1] == set(alive)
    assert (labels[~np.array(live)] == DROPPED).all()
    kept = np.count_nonzero(labels == TRAIN)
    assert kept == len(sides[0]) + (0 if drop else counts["train_duplicates"])
    assert counts["documents"] == len(alive) and "train_near_duplicates" not in counts


def test_documents_added_later_move_no_others():
    hashes = [normal_hash(text) for text in stories(2000)]
    before, _ = drawn(hashes[:1500], 0.1)
    after, _ = drawn(hashes, 0.1)
    assert (after[:1500] == before).all()
    assert 0.07 < (after == VALID).mean() < 0.13


@given(st.lists(st.integers(0, 20), min_size=3, max_size=60), st.integers(0, 5), st.data())
def test_later_documents_move_no_others_with_near_copies_either(hashes, more, data):
    """They may drop a training document, as a copy of a new validation document, but never change its split."""
    hashes = [h * 2**59 for h in hashes]
    place = st.integers(0, len(hashes) - 1)
    pairs = Pairs(data.draw(st.lists(st.tuples(place, place).filter(lambda p: p[0] != p[1]), max_size=20)))
    some = len(hashes) - more
    # Otherwise the promise of at least one document on each side moves one.
    assume(some and min(hashes[:some]) < 0.3 * 2**64 <= max(hashes[:some]))
    kept = Pairs([pair for pair in pairs.pairs if max(pair) < some])
    try:
        before, _ = drawn(hashes[:some], 0.3, near=kept, drop_near_duplicates=True)
        after, counts = drawn(hashes, 0.3, near=pairs, drop_near_duplicates=True)
    except UserError:
        return  # nothing is left to train on
    moved = (before != after[:some]) & (before != DROPPED) & (after[:some] != DROPPED)
    assert not moved.any()
    assert counts["documents"] == len(hashes)


@pytest.mark.parametrize("fraction", [0, 1, -0.1, float("nan")])
def test_an_empty_split_is_refused(fraction):
    with pytest.raises(UserError, match="split empty"):
        drawn([1, 2], fraction)


def test_files_without_use_are_refused():
    with pytest.raises(UserError, match="validation inputs"):
        given_files([1, 2], [])
    with pytest.raises(UserError, match="validation inputs"):
        given_files([1, 2], [3], live=[True, True, False])
    with pytest.raises(UserError, match="not in the validation files"):
        given_files([1, 2], [2, 1])
    with pytest.raises(UserError, match="not in the validation files"):
        given_files([1, 1], [2], near=Pairs([(0, 2)]))


def test_copies_of_validation_documents_are_dropped_and_all_is_counted():
    #         0  1  2  3  4  5  6  7  8 | 9 10 11
    train, valid = [1, 2, 3, 3, 4, 4, 5, 6, 1], [2, 7, 7]
    live = [True] * 12
    live[7] = False
    asked = Pairs([(10, 2), (0, 6), (4, 6)])  # 3 is near 7; 1, 4 and 5 are alike
    labels, counts = given_files(train, valid, live, near=asked)
    assert counts == {
        "documents": 11,
        "train_in_valid": 1,
        "train_near_valid": 2,
        "train_duplicates": 2,
        "valid_duplicates": 1,
        "train_near_duplicates": 1,
        "valid_near_duplicates": 0,
    }
    assert labels.tolist() == [0, 2, 2, 2, 0, 0, 0, 2, 0, 1, 1, 1]
    # Only the first of each distinct live document takes part, validation first.
    assert asked.first == 2
    assert asked.rank.tolist() == [2, -1, 3, -1, 4, -1, 5, -1, -1, 0, 1, -1]
    labels, again = given_files(train, valid, live, near=asked, drop_duplicates=True)
    assert again == counts
    assert labels.tolist() == [0, 2, 2, 2, 0, 2, 0, 2, 2, 1, 1, 1]
    labels, again = given_files(train, valid, live, near=asked, drop_near_duplicates=True)
    assert again == counts
    assert labels.tolist() == [0, 2, 2, 2, 0, 0, 2, 2, 0, 1, 1, 1]


def test_every_dropped_near_copy_leaves_one_like_it():
    labels, counts = given_files([1, 2, 3, 4], [9], near=Pairs([(0, 1), (1, 2), (2, 3)]), drop_near_duplicates=True)
    assert labels.tolist() == [TRAIN, DROPPED, TRAIN, DROPPED, VALID]
    assert counts["train_near_duplicates"] == 2
    # And one that goes because of validation leaves its other neighbour in training.
    labels, _ = given_files([1, 2], [9], near=Pairs([(0, 1), (0, 2)]), drop_near_duplicates=True)
    assert labels.tolist() == [DROPPED, TRAIN, VALID]


def test_with_real_signatures_no_near_copy_crosses():
    texts = [f"{a} {b}" for a, b in zip(stories(60), stories(60, seed=1), strict=True)]
    copies = [text[: -len(text) // 12] for text in texts[:20]]
    packed = signatures([*texts[30:], *copies, *texts[:30]])
    hashes = [normal_hash(text) for text in (*texts[30:], *copies, *texts[:30])]
    search = lambda rank, first: near(packed.__getitem__, rank, 0.7, first)  # noqa: E731
    labels, counts = given_files(hashes[:50], hashes[50:], near=search)
    assert counts["train_near_valid"] == 20
    assert labels.tolist() == [TRAIN] * 30 + [DROPPED] * 20 + [VALID] * 30
