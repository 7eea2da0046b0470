"""Copies: who stays is what comparing all pairs would say."""

import random

import numpy as np
import pytest

from data_gen import copies as module
from data_gen.copies import Copies, marks
from tests.texts import stories
from tsjax.corpus.duplicates import BANDS, HASHES, ROWS


def variants(count: int) -> list[str]:
    """Stories with families of near copies, of which some are near to each other by way of a third one only."""
    draw, texts = random.Random(4), []
    for text in stories(count, seed=9):
        words = text.split()
        for _ in range(draw.randrange(4)):
            texts.append(" ".join(words))
            words = words[draw.randrange(4) :] + draw.choices(words, k=draw.randrange(5))
        texts.append(text.upper())
    draw.shuffle(texts)
    return texts


def test_a_row_of_copies_loses_every_second_one(tmp_path):
    """Each is near the one before it alone: none may go because of one that goes itself."""
    words = " ".join(stories(12, seed=3)).split()
    texts = [" ".join(words[12 * i : 12 * i + 100]) for i in range(30)]
    found = Copies(tmp_path / "signatures", 0.7)
    found.add(marks(texts, 0, near=True))
    _, near = found.find(0)
    late = np.flatnonzero(near >= 0)
    assert len(late) >= 10 and (near[near[late]] < 0).all() and (near < 0).sum() >= 10


@pytest.mark.parametrize("first", [0, 30])
def test_who_stays(tmp_path, monkeypatch, first):
    monkeypatch.setattr(module, "PART", 50)
    texts = variants(120)
    found = Copies(tmp_path / "signatures", 0.7)
    for start in range(0, len(texts), 30):
        found.add(marks(texts[start : start + 30], 1, near=True))
    exact, near = found.find(first)
    all_marks = marks(texts, 1, near=True)
    parts = all_marks.signatures.T.copy().view(np.uint16).reshape(len(texts), BANDS * ROWS)
    alike = (parts[:, None] == parts[None]).sum(-1) / HASHES
    stays = (exact < 0) & (near < 0)
    assert stays[:first].all() and (exact >= 0).sum() > 20 and (near >= 0).sum() > 20
    for late in range(first, len(texts)):
        earlier = np.arange(late)
        same = earlier[all_marks.hashes[earlier] == all_marks.hashes[late]]
        assert exact[late] == (same[0] if len(same) else -1)
        # A sixteenth of the pairs at the very threshold share no band and are not compared; none here.
        close = earlier[(alike[late, :late] >= 0.7) & stays[:late]]
        if exact[late] < 0:
            assert (near[late] >= 0) == bool(len(close)), late
        if near[late] >= 0:
            assert stays[near[late]] and near[late] in close
    late = np.flatnonzero(near >= 0)
    assert np.allclose(found.similarity(late, near[late]), alike[late, near[late]])


def test_near_copies_are_looked_for_only_when_asked(tmp_path):
    texts = [
        "One two three four five six seven.",
        "one two, three four five six seven!",
        "One two three four five six eight.",
    ]
    found = Copies(tmp_path / "signatures", 0.0)
    found.add(marks(texts, 0, near=False))
    exact, near = found.find(0)
    assert exact.tolist() == [-1, 0, -1] and near.tolist() == [-1, -1, -1]
    empty = Copies(tmp_path / "empty", 0.7)
    assert [len(of) for of in empty.find(0)] == [0, 0]
