"""The two ways to guess a number of tokens, against the GPT-2 ids of the same stories."""

import gzip

import numpy as np
import pytest

from data_gen.prices import about_tokens, at_most_tokens

pytestmark = pytest.mark.reference
END = 50256  # <|endoftext|>


def test_tokens_of_stories(shared):
    folder = shared / "data" / "tinystories"
    with gzip.open(folder / "v2_valid_head_5M.txt.gz", "rt", encoding="utf-8", newline="") as file:
        stories = file.read().split("<|endoftext|>")
    ids = np.frombuffer(gzip.open(folder / "v2_valid_head_5M.gpt2.uint16.bin.gz").read(), "<u2")
    counts = np.diff(np.concatenate([[-1], np.flatnonzero(ids == END), [len(ids)]])) - 1
    assert len(stories) == len(counts)
    about = np.array([about_tokens(story) for story in stories])
    at_most = np.array([at_most_tokens([{"role": "user", "content": story}]) for story in stories])
    assert (counts + 7 <= at_most).all()
    assert about.sum() == pytest.approx(counts.sum(), rel=0.01)
    off = np.abs(about / np.maximum(counts, 1) - 1)[counts > 20]
    assert np.mean(off < 0.14) > 0.98
