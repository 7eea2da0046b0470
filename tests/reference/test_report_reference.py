"""The public TinyStories samples are sound, and what would spoil them is warned of."""

import gzip
import random

import numpy as np
import pytest

from tests.tsjax.corpus.test_tally import joined, mojibake, tallied
from tsjax.corpus import SEPARATOR
from tsjax.corpus.duplicates import near, signatures
from tsjax.corpus.report import report, warnings

pytestmark = pytest.mark.reference


@pytest.fixture(scope="module")
def samples(shared):
    def texts(name: str) -> list[str]:
        with gzip.open(shared / "data" / "tinystories" / name, "rt", encoding="utf-8") as f:
            return [text for part in f.read().split(SEPARATOR) if (text := part.strip())]

    return {name: texts(f"{name}.txt.gz") for name in ("train_mix", "v2_valid_head_5M")}


@pytest.mark.parametrize(("name", "words"), [("train_mix", 1_674_954), ("v2_valid_head_5M", 1_027_415)])
def test_no_false_warnings(samples, name, words):
    found = report(tallied(samples[name]))
    assert warnings(found) == []
    assert found["words"] == words
    broken = {"mojibake", "replacement", "control", "markup", "foreign_script", "lower_case"}
    assert not broken & set(found["defects"])
    assert found["openings"][0][0] == "once upon a time" and 0.5 < found["openings"][0][1] < 0.7
    assert {"Lily", "Tom"} <= {text for text, _ in found["names"]}


def test_small_parts_give_no_false_warnings(samples):
    for size in (20, 100, 500):
        for start in range(20, 20 + 6 * size, size):
            assert warnings(report(tallied(samples["train_mix"][start : start + size]))) == []


@pytest.mark.parametrize("name", ["train_mix", "v2_valid_head_5M"])
def test_spoilt_samples_give_each_their_warning(samples, name):
    rng, texts = random.Random(0), samples[name]
    mild = [mojibake(text) if rng.random() < 0.01 else text for text in texts]
    for spoilt, word in [
        ([mojibake(text) for text in texts], "mojibake"),
        (mild, "mojibake"),
        ([text.lower() for text in texts], "capital"),
        (joined(texts, "\n", rng), "separator"),
        (joined(texts, "\n\n", rng), "separator"),
        (joined(texts, " ", rng), "separator"),
    ]:
        lines = warnings(report(tallied(spoilt)))
        assert lines and all(word in line or "end mark" in line for line in lines)


def test_there_are_hardly_any_near_copies_in_the_samples(samples):
    texts = samples["train_mix"][:5000]
    packed = signatures(texts)
    found = near(packed.__getitem__, np.arange(len(texts)))
    assert (found >= 0).mean() < 0.005
