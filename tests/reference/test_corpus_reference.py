"""The public TinyStories samples come through `prepare` with the counts that their README gives."""

import pytest

from tsjax.corpus import documents
from tsjax.shards import open_shards, prepare

pytestmark = pytest.mark.reference


def test_train_mix_against_v2_valid(shared, tmp_path):
    folder = shared / "data" / "tinystories"
    files = {"train": folder / "train_mix.txt.gz", "valid": folder / "v2_valid_head_5M.txt.gz"}
    manifest = prepare([files["train"]], tmp_path, valid_inputs=[files["valid"]])
    # The README counts the half stories at both ends of the validation file as stories.
    assert manifest["counts"] == {
        "documents": 10_260 + 6_458,
        "dropped_as_in_valid": 0,
        "train_duplicates": 0,
        "valid_duplicates": 0,
    }
    opened = open_shards(tmp_path)
    assert [opened.documents_count(split) for split in files] == [10_260, 6_458]
    assert [opened.words(split) for split in files] == [1_674_954, 1_027_415]
    for split, file in files.items():
        assert list(opened.texts(split)) == list(documents(file))
    # Four bytes a token is what 4,096 pieces should give on this text.
    assert 3.9 < opened.bytes("valid") / opened.tokens_count("valid") < 4.1


def test_the_small_sample(shared):
    assert len(list(documents(shared / "data" / "tinystories" / "v2_sample_tiny.txt"))) == 5
