"""Diversity measures on texts of which the answer is known, against the packages that define them, and their honest gaps."""

import builtins
import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.diversity import (
    OUTSIDE,
    SIZE,
    VENDI_TEXTS,
    WORDS,
    compression,
    distinct,
    diversity,
    entropy,
    equal_samples,
    main_name,
    near_duplicates,
    self_bleu,
    vendi,
)
from tests.texts import stories


def test_distinct_by_hand():
    texts = ["a b a b", "A, b!"]
    assert distinct(texts, 1) == 2 / 6
    assert distinct(texts, 2) == 2 / 4  # ab, ba, ab, ab; none goes across texts
    assert distinct(texts, 5) is None


def test_samples_are_equal_disjoint_and_seeded():
    texts = [f"{i} " + "word " * (WORDS + i % 7) for i in range(100)] + ["short text"] * 5
    samples = equal_samples(texts, seed=1)
    assert [len(sample) for sample in samples] == [SIZE, SIZE]
    assert all(len(text.split()) == WORDS for sample in samples for text in sample)
    assert len({text for sample in samples for text in sample}) == 2 * SIZE
    assert samples == equal_samples(texts, seed=1) != equal_samples(texts, seed=2)
    assert equal_samples(texts[: SIZE - 1]) == []


def test_vendi_of_known_cases():
    assert vendi(["the same words here"] * 7) == pytest.approx(1)
    unlike = [f"a{i} b{i} c{i}" for i in range(7)]
    assert vendi(unlike) == pytest.approx(7)
    # Groups of 1, 2 and 4: exp of the entropy of their shares.
    groups = [unlike[0]] + [unlike[1]] * 2 + [unlike[2]] * 4
    assert vendi(groups) == pytest.approx(math.exp(-sum(p * math.log(p) for p in (1 / 7, 2 / 7, 4 / 7))))
    with pytest.raises(ValueError):
        vendi(["a"] * (VENDI_TEXTS + 1))


@given(st.lists(st.lists(st.sampled_from("abcd"), min_size=2, max_size=6).map(" ".join), min_size=1, max_size=8))
def test_vendi_is_between_one_and_the_number_of_texts_and_heeds_no_order(texts):
    score = vendi(texts)
    assert 1 - 1e-9 <= score <= len(texts) + 1e-9
    assert vendi(texts[::-1]) == pytest.approx(score)


@pytest.mark.peers
def test_vendi_equals_the_package():
    theirs = pytest.importorskip("vendi_score.vendi", reason="vendi-score is not installed")
    counts = pytest.importorskip("sklearn.feature_extraction.text", reason="scikit-learn is not installed")
    texts = stories(30, seed=5)
    kernels = []
    for n in (1, 2):
        x = (
            counts.CountVectorizer(ngram_range=(n, n), token_pattern=r"\w+")
            .fit_transform(texts)
            .toarray()
            .astype(float)
        )
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        kernels.append(x @ x.T)
    assert vendi(texts) == pytest.approx(theirs.score_K((kernels[0] + kernels[1]) / 2), rel=1e-6)


def test_entropy_and_names():
    assert entropy(["x"] * 5) == 0.0 == entropy([])
    assert entropy("aabb") == pytest.approx(1) and entropy(range(8)) == pytest.approx(3)
    text = 'Once there was a girl. She met Tom and a dog, Rex. "Hello," said Tom. Then I saw Rex and Tom.'
    assert main_name(text) == "Tom"
    assert main_name("They ran. Then I slept.") is None


def test_near_duplicates_and_compression():
    texts = stories(20, seed=2)
    assert near_duplicates(texts) == 0.0
    assert near_duplicates([*texts, texts[3].upper(), texts[4] + " Yes."]) == pytest.approx(2 / 22)
    assert compression([texts[0]] * 10) > 3 * compression(texts[:10])


def test_self_bleu():
    pytest.importorskip("sacrebleu", reason="sacrebleu is not installed")
    texts = stories(10, seed=1)
    assert self_bleu([texts[0]] * 4) == pytest.approx(1)
    unlike = [" ".join(f"w{i}x{j}" for j in range(20)) for i in range(4)]
    assert self_bleu(unlike) < 0.05 < self_bleu(texts) < 0.9


@pytest.fixture
def no_sacrebleu(monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **named):
        if name.partition(".")[0] == "sacrebleu":
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)


def test_report_of_a_model(no_sacrebleu):
    texts = stories(200, seed=9)
    texts += [""] * 3 + texts[:2]
    found = diversity("m", texts, seed=4)
    metrics = found["metrics"]
    assert found == diversity("m", texts, seed=4) and found["model"] == "m"
    assert set(found["missing"]) == {"self_bleu", "name_entropy", OUTSIDE}
    assert "sacrebleu" in found["missing"]["self_bleu"]
    assert metrics["near_duplicates"]["mean"] == pytest.approx(2 / 202) and metrics["near_duplicates"]["n"] == 202
    samples = equal_samples([text for text in texts if text], seed=4)
    assert len(samples) >= 2 and metrics["distinct_2"]["n"] == SIZE * len(samples)
    shares = [distinct(sample, 2) for sample in samples]
    assert metrics["distinct_2"]["mean"] == pytest.approx(np.mean(shares))
    assert metrics["distinct_2"]["se"] == pytest.approx(np.std(shares, ddof=1) / len(shares) ** 0.5)
    assert all(one["sees"] and one["blind"] for one in metrics.values())
    assert 1 < metrics["vendi"]["mean"] < SIZE
    inside = SIZE * len(samples)
    assert found["missing"][OUTSIDE].startswith(f"{202 - inside} of 202:") and inside < 202
    assert {one["n"] for name, one in metrics.items() if name != "near_duplicates"} == {inside}


def varied(n: int) -> list[str]:
    """Texts of WORDS words and more, each with a name of five and words drawn from a thousand."""
    rng = random.Random(0)
    names = ["Tom", "Mia", "Rex", "Lily", "Ben"]
    return [" ".join(["then", rng.choice(names), *(f"w{rng.randrange(1000)}" for _ in range(WORDS))]) for _ in range(n)]


def test_more_texts_do_not_change_what_is_measured():
    """Of one source, three times as many texts are neither more nor less diverse; no metric of samples grows with n."""
    pytest.importorskip("sacrebleu", reason="sacrebleu is not installed")
    few, many = (diversity("m", texts)["metrics"] for texts in (varied(240)[:80], varied(240)))
    assert few.keys() == many.keys() and {"self_bleu", "opening_entropy", "name_entropy", "vendi"} < few.keys()
    for name, one in few.items():
        assert many[name]["mean"] == pytest.approx(one["mean"], rel=0.1, abs=0.002), name
        if name != "near_duplicates":
            assert (one["n"], many[name]["n"]) == (80, 240) and one["se"] is not None
    sample = equal_samples(varied(240)[:80])
    assert few["self_bleu"]["mean"] == pytest.approx(np.mean([self_bleu(one) for one in sample]))
    assert entropy(main_name(text) for text in varied(80)[:SIZE]) == pytest.approx(math.log2(5), abs=0.3)


def test_too_little_text_is_told_not_measured():
    found = diversity("m", ["A cat."] * 3)
    distincts = {f"distinct_{n}" for n in (1, 2, 3, 4)}
    of_samples = {"gzip_ratio", "vendi", "self_bleu", "name_entropy", "opening_entropy"}
    assert distincts | of_samples | {OUTSIDE} == found["missing"].keys()
    assert found["metrics"].keys() == {"near_duplicates"} and found["missing"][OUTSIDE].startswith("3 of 3:")
    nothing = diversity("m", [" ", ""])
    assert not nothing["metrics"] and len(nothing["missing"]) == 10
