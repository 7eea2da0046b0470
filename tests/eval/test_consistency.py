"""Names, pronouns and things of the prompt in what follows."""

from eval.consistency import names, names_kept, new_names, pronoun_clashes, pronouns, words_kept
from eval.sentences import Passage

PROMPT = "Once there was a girl named Lily. She had a brown dog called Rex. One day, Lily and Rex went to the"


def test_names_carried_over_and_new():
    assert names(PROMPT) == {"Lily", "Rex"}
    good = Passage(PROMPT, " park. Lily threw a ball. Rex ran after it.")
    assert names_kept(good) == 1 and new_names(good) == 0
    swapped = Passage(PROMPT, " park. Then Tom saw Anna. Anna waved.")
    assert names_kept(swapped) == 0 and new_names(swapped) == 2
    assert names_kept(Passage("A dog ran.", " It sat.")) is None


def test_a_name_that_only_the_completion_shows_to_be_one():
    passage = Passage("Rose was sad.", " One day, Rose ran.")
    assert names_kept(passage) == 1 and new_names(passage) == 0


def test_titles_days_and_openings_are_no_names():
    assert names("Suddenly, Mom came on Monday. Hey! Don't run. The End") == frozenset()


def test_what_shows_a_pronoun():
    assert pronouns("A girl named Lily sat.")["Lily"] == {"she": 1}
    assert pronouns("So Tom was a very little boy.")["Tom"] == {"he": 1}
    assert pronouns("Zed ran home. He was tired.")["Zed"] == {"he": 1}


def test_what_shows_none():
    for text in (
        "Zed ran to his mom. She was there.",
        "Zed met Zoe. She was there.",
        "Zed ran. Mom called. She was there.",
        'Zed said, "She is here."\n"He is not."',
        "It was far from Zed. He sat.",
    ):
        assert pronouns(text) == {}, text


def test_clashes():
    assert pronoun_clashes(Passage("A girl named Lily sat.", " Lily ran. She was fast.")) == 0
    assert pronoun_clashes(Passage("A girl named Lily sat.", " Lily ran. He was fast.")) == 1
    assert pronoun_clashes(Passage("A girl named Lily sat. Zed sat.", " He ran. Lily ran. He was fast.")) == 0.5
    assert pronoun_clashes(Passage("A dog sat.", " It ran.")) is None


def test_content_words_without_names():
    assert words_kept(Passage("Lily had a brown dog.", " The dogs and Lily ran.")) == 1 / 2
    assert words_kept(Passage("Then Lily and", " Zed ran.")) is None
