"""The split goes by groups: whole, stable, never empty; files are the same bytes for the same lines."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_gen.documents import Lines, group_hash, publish, validation
from tests.expect import refused
from tsjax.atomic import sha256_file
from tsjax.corpus.readers import documents
from tsjax.corpus.sources import sources


def groups(ids) -> np.ndarray:
    return np.array([group_hash(str(i), 3) for i in ids], np.uint64)


@given(st.lists(st.integers(0, 300), min_size=2), st.floats(0.001, 0.999))
def test_groups_stay_together_and_neither_split_is_empty(ids, fraction):
    if len(set(ids)) < 2:
        with pytest.raises(ValueError, match="1 groups"):
            validation(groups(ids), fraction)
        return
    chosen = validation(groups(ids), fraction)
    sides = [{i for i, valid in zip(ids, chosen, strict=True) if valid == side} for side in (True, False)]
    assert sides[0] and sides[1] and not sides[0] & sides[1]
    # The order of the documents does not matter.
    assert validation(groups(ids[::-1]), fraction).tolist() == chosen.tolist()[::-1]


def test_the_share_is_about_what_was_asked_and_later_groups_move_no_others():
    few, many = validation(groups(range(2000)), 0.1), validation(groups(range(20_000)), 0.1)
    assert 0.08 < few.mean() < 0.12 and 0.09 < many.mean() < 0.11
    assert (many[:2000] == few).all()
    assert validation(groups(range(5)), 1e-6).sum() == 1
    other = validation(np.array([group_hash(str(i), 4) for i in range(2000)], np.uint64), 0.1)
    assert (other != few).any()


@pytest.mark.parametrize("fraction", [0, 1, -0.1, float("nan")])
def test_odd_fractions_are_refused(fraction):
    with refused("valid_fraction"):
        validation(groups(range(9)), fraction)


def test_what_is_published_is_what_readers_take(tmp_path):
    work, run = tmp_path / "work", tmp_path / "run"
    work.mkdir(), run.mkdir()
    made = {}
    for split, texts in {"train": ["One.", "Two — más."], "valid": ["Three."]}.items():
        with Lines(work / f"{split}.jsonl.zst") as made[split]:
            for text in texts:
                made[split].write(f'{{"text": "{text}"}}'.encode())
        assert [line["text"] for line in made[split].read()] == texts
    (work / "beside.json").write_text("{}")
    files = {split: lines.described() for split, lines in made.items()}
    assert files["train"]["count"] == 2 and files["valid"]["sha256"] == sha256_file(work / "valid.jsonl.zst")
    names = [file["name"] for file in files.values()]
    publish(work, run, ["beside.json"], names, {"kind": "documents", "files": files})
    found = sources(run / "documents")
    assert [(s.split, [d.text for d in documents(s.path)]) for s in found] == [
        ("train", ["One.", "Two — más."]),
        ("valid", ["Three."]),
    ]
    assert (run / "beside.json").exists() and not any(work.iterdir())
