"""Words that are known, words that were asked for."""

import pytest

from eval.lemmas import carried, content_words
from eval.sentences import Passage
from eval.wording import has_dialogue, has_sentence, instructions, vocabulary_rate, words_used


def test_vocabulary_of_the_completion_alone():
    assert vocabulary_rate(Passage("A perspicacious dog", " ran home with 2 cats.")) == 1
    assert vocabulary_rate(Passage("", "The perspicacious dog ran.")) == 3 / 4
    assert vocabulary_rate(Passage("", "")) is None


def test_a_name_is_known_from_the_prompt():
    assert vocabulary_rate(Passage("One day, Zorblatt sat.", " Zorblatt ran.")) == 1
    assert vocabulary_rate(Passage("", " zorblatt ran.")) == 1 / 2


@pytest.mark.parametrize(
    "text, share",
    [
        ("He quit. The gloomy oak stood there.", 1.0),
        ("Oaks are the gloomiest; he is quitting.", 1.0),
        ("The gloom of oaken boards.", 0.0),
        ("He quit.", 1 / 3),
    ],
)
def test_requested_words_count_in_any_inflection(text, share):
    assert words_used(text, ["quit", "oak", "gloomy"]) == pytest.approx(share)


def test_a_word_that_no_list_has_counts_as_any_part_of_speech():
    assert words_used("They zorbled.", ["zorble"]) == 1
    assert words_used("Anything.", []) is None


def test_a_sentence_to_the_letter_but_for_quotation_marks_and_lines():
    story = "It rained. “Let's go  home,”\nsaid Ben. They went."
    assert has_sentence(story, '"Let\'s go home," said Ben.')
    assert not has_sentence(story, '"Let\'s go home," said Tom.')


@pytest.mark.parametrize(
    "text, spoken", [('He said, "Go!"', True), ("“Go!”", True), ('An odd " mark', False), ('""', False)]
)
def test_dialogue(text, spoken):
    assert has_dialogue(text) is spoken


def test_instructions_score_what_was_asked_for_alone():
    asks = {
        "words": "quit, oak",
        "features": ["Dialogue", "Twist"],
        "summary": "A boy climbs an oak.",
        "sentence": "He sat.",
    }
    text = 'A boy sat. He climbed the oaks. "Oh!"'
    assert instructions(text, asks) == {
        "required_words": 0.5, "required_sentence": 0.0, "dialogue": 1.0, "summary_words": 1.0,
    }  # fmt: skip
    assert instructions(text, {"words": ["oak"]}) == {"required_words": 1.0}
    assert instructions(text, {}) == {}


def test_content_words_and_what_is_carried_over():
    assert content_words("The boy's 3 dogs ran to the park.") == ["boy", "dogs", "ran", "park"]
    assert carried(["dogs", "ran", "park"], "A dog runs.") == pytest.approx(2 / 3)
    assert carried([], "A dog.") is None
