"""Our word list against lists of others: how much of theirs it holds. They are measured against, not copied."""

import csv

import pytest

from data_gen.words import vocabulary, words

pytestmark = pytest.mark.reference


def rows(path) -> list[dict[str, str]]:
    with open(path, newline="") as f:
        return list(csv.DictReader(f))


def share(theirs: set[str], ours: set[str] | frozenset[str]) -> float:
    return len(theirs & ours) / len(theirs)


@pytest.mark.parametrize("pos, least", [("noun", 0.66), ("verb", 0.85), ("adjective", 0.81)])
def test_words_of_tinystories_under_their_part_of_speech(shared, pos, least):
    theirs = {row["word"] for row in rows(shared / "data" / "words" / "tinystories_words_pos.csv") if row["pos"] == pos}
    assert share(theirs, set(words()[pos])) > least


@pytest.mark.parametrize("kind, least", [("nouns", 0.93), ("verbs", 0.99), ("adjectives", 0.97)])
def test_words_that_parents_report_of_toddlers(shared, kind, least):
    """The items of the Wordbank form that are one word; some of its nouns are plural, and two are anatomy."""
    items = rows(shared / "data" / "words" / "wordbank_english_cdi_items.csv")
    named = {item["definition"].split(" (")[0].rstrip("*") for item in items if item["lexical_class"] == kind}
    assert share({word for word in named if word.isalpha() and word.islower()}, vocabulary(words())) > least


def test_words_that_parents_use_most(shared):
    text = (shared / "data" / "words" / "wordbank_english_frequent_words.txt").read_text()
    assert share({word.lower() for word in text.split()}, vocabulary(words())) > 0.8


def test_it_is_our_own(shared):
    """Close to half of it is in none of their lists."""
    folder = shared / "data" / "words"
    theirs = {row["word"] for row in rows(folder / "tinystories_words_pos.csv")}
    theirs |= {row["definition"] for row in rows(folder / "wordbank_english_cdi_items.csv")}
    theirs |= set((folder / "wordbank_english_frequent_words.txt").read_text().split())
    assert share({word for of in words().values() for word in of}, theirs) < 0.54
