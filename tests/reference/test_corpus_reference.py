"""The public samples are read as their README says, and come through `prepare` with its counts."""

import pytest

from tsjax.corpus import SEPARATOR, chat, instruct
from tsjax.corpus.readers import Reading, documents
from tsjax.prepare import prepare
from tsjax.shards import open_shards

pytestmark = pytest.mark.reference

WHY = [
    "turn 5 (user) is empty",
    "the last user turn has no answer",
    "",
    "the last user turn has no answer",
    "two assistant turns in a row",
    "two assistant turns in a row",
    "the last user turn has no answer",
    "the last user turn has no answer",
    "",
    "two assistant turns in a row",
    "turn 5 (assistant) is empty",
    "two assistant turns in a row",
]


def test_train_mix_against_v2_valid(shared, tmp_path):
    folder = shared / "data" / "tinystories"
    files = {"train": folder / "train_mix.txt.gz", "valid": folder / "v2_valid_head_5M.txt.gz"}
    manifest = prepare([files["train"]], tmp_path, valid_inputs=[files["valid"]])
    # The README counts the half stories at both ends of the validation file as stories.
    counts = manifest["counts"]
    assert counts.pop("documents") == 10_260 + 6_458 and not any(counts.values()), counts
    assert manifest["warnings"] == []
    opened = open_shards(tmp_path)
    assert [opened.documents_count(split) for split in files] == [10_260, 6_458]
    assert [opened.words(split) for split in files] == [1_674_954, 1_027_415]
    for split, file in files.items():
        assert list(opened.texts(split)) == [document.text for document in documents(file)]
    # Four bytes a token is what 4,096 pieces should give on this text.
    assert 3.9 < opened.bytes("valid") / opened.tokens_count("valid") < 4.1


@pytest.mark.parametrize(
    "name, count", [("train_mix.txt.gz", 10_260), ("v2_valid_head_5M.txt.gz", 6_458), ("v2_sample_tiny.txt", 5)]
)
def test_counts_of_stories(shared, name, count):
    found = list(documents(shared / "data" / "tinystories" / name))
    assert len(found) == count and not [d for d in found if d.fault]


def test_a_record_of_all_data(shared):
    path = shared / "data" / "tinystories" / "all_data_record_example.json"
    (found,) = documents(path, Reading(where=(("source", "GPT-4"),)))
    assert not found.fault and found.text == found.story
    assert found.text.startswith("Lily and Ben are friends.") and found.text.endswith("She wants to be friends again.")
    assert found.fields["words"] == ["hang", "foot", "cute"] and found.fields["features"] == ["Dialogue"]
    assert found.fields["source"] == "GPT-4" and found.fields["summary"].startswith("Lily and Ben play")
    assert found.fields["prompt"].endswith("Possible story:")


def test_instruct_examples_to_the_letter(shared):
    path = shared / "data" / "tinystories" / "instruct_format_examples.txt"
    *blocks, rest = path.read_text().split(f"{SEPARATOR}\n")
    assert len(blocks) == 2 and not rest
    assert [instruct.parse(block).render() for block in blocks] == blocks
    first, second = documents(path)
    assert first.fields["words"] == ["quit", "oak", "gloomy"] and first.fields["features"] == ["Dialogue"]
    assert instruct.parse(second.text).kinds == ["Summary", "Words", "Features"]
    assert second.fields["features"] == ["Dialogue", "BadEnding", "MoralValue"]
    assert first.text.endswith(first.story) and first.story.startswith("Sara and Ben were playing")


def test_generated_chats_and_what_is_malformed_in_them(shared):
    """A model wrote these 64 tokens a line, so that most end within a turn of the user, and one loses its place."""
    path = shared / "data" / "tinychat" / "craftgpt_generated_examples.txt"
    why = []
    for line in path.read_text().splitlines():
        try:
            turns = chat.parse(line)
        except ValueError as e:
            why.append(str(e))
        else:
            why.append("")
            assert chat.render(turns).lower() == " ".join(line.split())
    assert why == WHY
    assert [bool(d.fault) for d in documents(path)] == [bool(reason) for reason in why]


def test_a_line_of_the_form_of_tinychat():
    line = "[INST] Hello, how are you? [/INST] I am well, thank you. [INST] Good. [/INST] Goodbye, my friend."
    assert chat.render(chat.parse(line)) == line and len(chat.parse(line)) == 4
