"""Planted slips are found with their kind, and what is right, or meant, is passed."""

import pytest

from eval.grammar import clean_share, ends_well, faults, repeated_share
from eval.sentences import Passage, split

GOOD = """Once upon a time there was a unicorn. It had an umbrella, an hour-glass and a one-eyed uncle.
"Bye bye!" said Tom. "No, no, no! That is very, very bad," said Mr. Fox.
If he were big, he would fly. Did they have it? Tom and he were friends, and you and I are too.
"What did he do?" asked Mom. Tom looked at the sun; it was 3.5 miles up... or more!
She did not see him, so she went to the park. There was one hour left. "I wish he were here!"
The children's toys that he had had were gone. It ran up and down, up and down. The end"""


@pytest.mark.parametrize("line", GOOD.split("\n"))
def test_good_lines_are_clean(line):
    assert faults(Passage("", line + "\n")) == []


@pytest.mark.parametrize(
    "kind, sentence",
    [
        ("small letter at the start", "the dog ran."),
        ("small letter at the start", '"come here!" said Tom.'),
        ("i for I", "Then i ran."),
        ("i for I", "Mom, i'm here."),
        ("no mark at the end", "The dog ran\nIt sat."),
        ("spacing", "The dog ran ."),
        ("spacing", "The dog ran.Then it sat."),
        ("spacing", "The dog,, ran."),
        ("doubled word", "The the dog ran."),
        ("doubled word", "He went to to bed."),
        ("doubled word", "The dog happy happy ran."),
        ("a or an", "It was a apple."),
        ("a or an", "It was an banana."),
        ("a or an", "It was an unicorn."),
        ("a or an", "It was a umbrella."),
        ("a or an", "It took a hour and an house."),
        ("loop", "He went to the park and he went to the park and he went home."),
        ("agreement", "He have a dog."),
        ("agreement", "Then she were sad."),
        ("agreement", "They was happy."),
        ("agreement", "I is a boy."),
        ("agreement", "She don't like it."),
        ("agreement", "There was many dogs."),
        ("agreement", "He saw a children."),
        ("verb form", "He didn't went home."),
        ("verb form", "Did he took it?"),
        ("verb form", "He wanted to went home."),
        ("verb form", "It was more bigger."),
        ("quotation marks", 'Tom said, "I am here.'),
    ],
)
def test_planted_slips(kind, sentence):
    found = faults(Passage("Tom sat. ", f"{sentence}\nAll was well."))
    assert kind in {fault.kind for fault in found}
    assert clean_share(Passage("Tom sat. ", f"{sentence}\nAll was well.")) < 1


def test_a_sentence_told_again_and_again():
    assert [one.kind for one in faults(Passage("", "He ran. " * 3))] == ["loop"]
    assert faults(Passage("", "He ran. He ran. She sat.")) == []


def test_only_what_the_model_wrote_counts():
    """The cut sentence belongs to the model, those before it do not; and an unfinished end has its own metric."""
    passage = Passage("the dog ran. Then it saw a", " apple. It ate it. It was")
    assert [(one.kind, one.sentence) for one in faults(passage)] == [("a or an", "Then it saw a apple.")]
    assert clean_share(passage) == 1 / 2
    assert not ends_well(passage) and ends_well(Passage("", 'He said, "Bye!"'))
    assert clean_share(Passage("Tom", "")) is None and not ends_well(Passage("Tom sat.", ""))


def test_a_quotation_that_begins_in_the_prompt():
    assert faults(Passage('Tom said, "I am', ' here."')) == []
    assert [one.kind for one in faults(Passage('Tom said, "I am', " here."))] == ["quotation marks"]


def test_repeated_runs_count_what_stood_before():
    assert repeated_share(Passage("one two three four", " one two three four")) == 1.0
    assert repeated_share(Passage("", "a b c d e f g")) == 0
    assert repeated_share(Passage("", "a b c d a b c d")) == 1 / 5
    assert repeated_share(Passage("a b c", "")) is None


def test_sentences():
    assert [one.text for one in split('"Hi!" he said. Mr. Fox sat... "Oh," she said\n\nThe end.')] == [
        '"Hi!" he said.', "Mr. Fox sat...", '"Oh," she said', "The end.",
    ]  # fmt: skip
    assert split(" \n ") == []
