"""Copies are found: exact ones by their normal form, near ones as an exhaustive search finds them."""

import random
import subprocess
import sys
import unicodedata

import numpy as np
import pytest
from datasketch import MinHash
from hypothesis import given
from hypothesis import strategies as st

from tests.texts import CHARACTERS, stories
from tsjax.corpus import duplicates
from tsjax.corpus.duplicates import BANDS, HASHES, near, normal_form, normal_hash, signatures


def runs(text: str) -> set[str]:
    words = normal_form(text).split()
    return {" ".join(words[i : i + 5]) for i in range(max(1, len(words) - 4))}


def jaccard(a: set[str], b: set[str]) -> float:
    return len(a & b) / len(a | b)


def estimates(packed: np.ndarray) -> np.ndarray:
    """Shares of equal minhashes [n, n]."""
    values = packed.T.copy().view(np.uint16)
    return (values[:, None] == values).mean(axis=2)


def test_normal_form_takes_case_and_punctuation_for_the_same():
    assert normal_form('  "Oh, no!" said  Tim_2.\n') == "oh no said tim 2"
    assert normal_form("STRASSE") == normal_form("straße")
    assert normal_form("cafe\u0301") == normal_form("Café")
    assert normal_form("😀") != normal_form("🎉")
    assert normal_form("I love you ❤️!") == normal_form("I love you.")
    assert normal_hash("Oh, no!", 3) == normal_hash("oh no", 3) != normal_hash("oh no", 4)


def test_marks_are_parts_of_words():
    assert normal_form("की, कु।") == "की कु" != normal_form("क क")
    assert normal_form("ก็ดี") == "ก็ดี"


@given(st.text(CHARACTERS))
def test_the_normal_form_keeps_letters_and_digits_and_is_idempotent_on_words(text):
    form = normal_form(text)
    folded = unicodedata.normalize("NFKC", text).casefold()
    assert [c for c in form if c.isalnum()] == [c for c in folded if c.isalnum()]
    assert form == " ".join(form.split())
    assert bool(form) == bool(folded.split())
    if any(c.isalnum() for c in form):
        assert all(c == " " or c.isalnum() or unicodedata.category(c)[0] == "M" for c in form)


def test_hashes_are_the_same_in_every_process():
    code = (
        "from tsjax.corpus.duplicates import *; print(normal_hash('Once, there was', 5), signatures(['a b'])[3, 0], "
        "signatures(['one two three four five six'])[0, 0])"
    )
    text = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    here = (
        normal_hash("Once, there was", 5),
        *(signatures([t])[band, 0] for t, band in [("a b", 3), ("one two three four five six", 0)]),
    )
    assert text.split() == [str(value) for value in here]
    # Pinned: half-done scans of another day must fit.
    assert here == (7853786080455303178, 10304944422767722982, 2653652157213903535)


@given(st.lists(st.text(CHARACTERS, max_size=60), max_size=12), st.integers(1, 100))
def test_signatures_do_not_depend_on_the_batch(texts, block):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "_BLOCK", block)
        patch.setattr(duplicates, "_CACHED_WORDS", 3)
        together = signatures(texts)
    assert together.shape == (BANDS, len(texts)) and together.dtype == np.uint64
    for i, text in enumerate(texts):
        assert (signatures([text])[:, 0] == together[:, i]).all()


def test_short_texts_are_like_themselves_only():
    packed = signatures(["one two", "One, two!", "one", "one two three", "", "one two three four five"])
    likeness = estimates(packed)
    assert likeness[0, 1] == 1
    assert likeness[0, 2:].max() < 0.1 and likeness[4, [0, 2, 3, 5]].max() < 0.1


@pytest.mark.parametrize("wanted", [0.2, 0.4, 0.6, 0.7, 0.8, 0.95])
def test_the_estimate_is_unbiased_and_as_precise_as_independent_hashes(wanted):
    rng = random.Random(round(wanted * 100))
    errors, peer = [], []
    for _ in range(150):
        words = [f"w{rng.randrange(10**9)}" for _ in range(200)]
        kept = round(2 * 196 * wanted / (1 + wanted)) + 4  # so many common words in a run, all others different
        a = " ".join(words)
        b = " ".join(words[:kept] + [f"v{i}x{rng.randrange(10**9)}" for i in range(200 - kept)])
        truth = jaccard(runs(a), runs(b))
        assert abs(truth - wanted) < 0.02
        errors.append(estimates(signatures([a, b]))[0, 1] - truth)
    deviation = (wanted * (1 - wanted) / HASHES) ** 0.5
    assert abs(np.mean(errors)) < 4 * deviation / len(errors) ** 0.5
    assert 0.8 * deviation < np.std(errors) < 1.25 * deviation
    for text in (a, b):
        sketch = MinHash(1024)
        sketch.update_batch([run.encode() for run in runs(text)])
        peer.append(sketch)
    assert abs(peer[0].jaccard(peer[1]) - truth) < 0.08  # our runs are those of the reference


def edited(text: str, rng: random.Random) -> str:
    """A near copy: a few words changed, the end cut, or a word (a name) changed everywhere."""
    words = text.split()
    kind = rng.randrange(3)
    if kind == 0:
        for _ in range(rng.randint(1, 6)):
            words[rng.randrange(len(words))] = "changed"
    elif kind == 1:
        words = words[: round(len(words) * rng.uniform(0.6, 1))]
    else:
        name = rng.choice(words)
        words = ["Lily" if word == name else word for word in words]
    return " ".join(words)


@pytest.fixture(scope="module")
def planted():
    """Texts, their signatures and the true similarity of each pair."""
    rng = random.Random(3)
    originals = [" ".join(pair) for pair in zip(stories(400), stories(400, seed=1), strict=True)]
    texts = originals + [edited(originals[i % 400], rng) for i in range(600)]
    rng.shuffle(texts)
    sets = [runs(text) for text in texts]
    return texts, signatures(texts), np.array([[jaccard(a, b) for a in sets] for b in sets])


def test_recall_and_precision_against_all_pairs(planted):
    texts, packed, truth = planted
    rank = np.arange(len(texts))
    found = near(packed.__getitem__, rank)
    before = np.tril(truth, -1)
    sure, possible = (before >= 0.85).any(1), (before >= 0.6).any(1)
    assert sure.sum() > 200 and (~possible).sum() > 300
    assert (found[sure] >= 0).mean() > 0.99
    hits = np.flatnonzero(found >= 0)
    assert (truth[hits, found[hits]] >= 0.55).all()
    assert (truth[hits, found[hits]] >= 0.65).mean() > 0.95
    exact = (before >= 0.7).any(1)
    assert ((found >= 0) == exact).mean() > 0.93


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.9, 1.0])
def test_near_is_what_comparing_all_signatures_finds(planted, threshold):
    _, packed, _ = planted
    rng = np.random.default_rng(0)
    count = packed.shape[1]
    rank = rng.permutation(count)
    rank[rng.random(count) < 0.1] = -1
    found = near(packed.__getitem__, rank, threshold)
    likeness, shared = estimates(packed), (packed[:, :, None] == packed[:, None]).any(0)
    wanted = np.full(count, -1)
    for i in range(count):
        others = np.flatnonzero((likeness[i] >= threshold) & shared[i] & (rank >= 0) & (rank < rank[i]))
        if len(others):
            wanted[i] = others[np.argmin(rank[others])]
    assert (wanted >= 0).sum() > 5
    assert (found == wanted).all()


@given(
    keys=st.lists(st.integers(0, 2), min_size=1, max_size=40),
    considered=st.lists(st.booleans(), min_size=40, max_size=40),
    first=st.integers(0, 40),
    pairs=st.integers(1, 50),
    seed=st.integers(0, 5),
)
def test_block_sizes_change_nothing_and_ranks_go_down(keys, considered, first, pairs, seed):
    rng = np.random.default_rng(seed)
    packed = np.array(keys, np.uint64)[rng.integers(0, len(keys), (BANDS, len(keys)))]
    rank = rng.permutation(len(keys))
    rank[~np.array(considered[: len(keys)])] = -1
    expected = near(packed.__getitem__, rank, 0.7, first)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "_PAIRS", pairs)
        found = near(packed.__getitem__, rank, 0.7, first)
    assert (found == expected).all()
    hits = np.flatnonzero(found >= 0)
    assert (rank[found[hits]] >= 0).all() and (rank[found[hits]] < rank[hits]).all()
    assert (found[rank < 0] == -1).all()


def test_big_buckets_cost_little_and_still_find_protected_documents(monkeypatch):
    """3,000 documents share a band, 300 are protected: every copy of a protected one is found in that band."""
    rng = np.random.default_rng(0)
    count, protected = 3000, 300
    packed = rng.integers(0, 2**64, (BANDS, count), dtype=np.uint64)
    packed[0] = 7
    rank = np.roll(np.arange(count), -protected)  # the last ones come first, so 0 to 7 are the first of the others
    copies, leaked = np.array([2001, 2003]), np.arange(8, 608, 2)
    packed[:, copies] = packed[:, [1, 7]]
    packed[:, leaked] = packed[:, rng.permutation(np.arange(count - protected, count))]
    packed[1:, [*copies, *leaked]] ^= np.uint64(1)  # three of four minhashes are still equal, but no other band
    compared = []
    alike = duplicates._alike
    monkeypatch.setattr(duplicates, "_alike", lambda *args: compared.append(len(args[1])) or alike(*args))
    found = near(packed.__getitem__, rank, 0.7, first=protected)
    assert (rank[found[leaked]] < protected).all()
    assert found[copies].tolist() == [1, 7]
    assert (np.flatnonzero(found >= 0) == [*leaked, *copies]).all()
    assert sum(compared) < count * (protected + 8)
    # Where even that is too much, the lowest ranks of both kinds are left.
    monkeypatch.setattr(duplicates, "_PROTECTED_PAIRS", 0)
    compared.clear()
    found = near(packed.__getitem__, rank, 0.7, first=protected)
    assert 0 < (found[leaked] >= 0).sum() < 20
    assert found[copies].tolist() == [1, 7]
    assert 0 < sum(compared) < count * 17


def test_nothing_and_no_threshold():
    none = np.zeros((BANDS, 0), np.uint64)
    assert len(near(none.__getitem__, np.zeros(0, np.int64))) == 0
    assert signatures([]).shape == (BANDS, 0)
    with pytest.raises(ValueError, match="threshold"):
        near(none.__getitem__, np.zeros(0, np.int64), 0)
