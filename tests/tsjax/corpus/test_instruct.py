"""Instruct blocks are read to the letter, and drawn ones ask only for what the story has."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.texts import CHARACTERS
from tsjax.corpus import Document, instruct
from tsjax.corpus.instruct import KINDS, Instruct, compose, draw, parse, sentences

LINE = st.text(CHARACTERS.filter(lambda c: c != "\n"), max_size=30)
SUMMARY = st.lists(LINE.filter(lambda line: not line.startswith((*KINDS, "Story:"))), min_size=1, max_size=3)
STORY = st.text(CHARACTERS, min_size=1).filter(lambda text: text.strip())


@st.composite
def blocks(draw) -> str:
    lines = []
    for kind in draw(st.permutations(KINDS))[: draw(st.integers(0, 4))]:
        body = "\n".join(draw(SUMMARY)) if kind in ("Summary", "Random sentence") else draw(LINE)
        lines.append(f"{kind}:{draw(st.sampled_from([' ', '', '  ']))}{body}\n")
    gap = draw(st.sampled_from([" \n\n", "\n\n", "\n", " \t\n", "\r\n\n"]))
    return "".join(lines) + f"Story:{gap}{draw(STORY)}"


@given(blocks())
def test_a_block_is_read_to_the_letter(text):
    assert parse(text).render() == text


@given(
    st.lists(st.sampled_from(["Words: a, b", "Summary:", "Story:", "Story: ", "x", "", "Features: ", "Story: y", "  "]))
)
def test_whatever_parses_renders_as_it_was(lines):
    text = "\n".join(lines)
    try:
        found = parse(text)
    except ValueError as e:
        assert str(e)
        return
    assert found.render() == text and found.story


EXAMPLE = (
    "Words: quit, oak,gloomy \nSummary: Sara went\nhome. \nFeatures: Dialogue\n"
    'Random sentence: "No," he said.\nStory: \n\nSara left.\nStory:\nend\n'
)


def test_what_a_block_says():
    block = parse(EXAMPLE)
    assert block.kinds == ["Words", "Summary", "Features", "Random sentence"]
    assert block.words == ["quit", "oak", "gloomy"] and block.features == ["Dialogue"]
    assert block.summary == "Sara went\nhome." and block.sentence == '"No," he said.'
    assert block.story == "Sara left.\nStory:\nend"
    assert block.document() == Document(
        EXAMPLE,
        block.story,
        {"words": block.words, "features": ["Dialogue"], "summary": block.summary, "sentence": block.sentence},
    )
    assert parse("Story:\nonce").document() == Document("Story:\nonce", "once", {})


@pytest.mark.parametrize(
    "text, why",
    [
        ("", "no line 'Story:'"),
        ("Words: a\nonce", "no line 'Story:'"),
        ("Words: a\nStory: once", "no line 'Story:'"),
        ("Words: a\nStory:", "no line 'Story:'"),
        ("Words: a\nStory:\n \n", "no story"),
        ("Once.\nWords: a\nStory:\nonce", "before the first"),
        ("Words: a\nb\nStory:\nonce", "below Words"),
        ("Words: a\nWords: b\nStory:\nonce", "two instructions"),
    ],
)
def test_what_is_no_block_is_refused(text, why):
    with pytest.raises(ValueError) as caught:
        parse(text)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    "story, wanted",
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ('"Stop!" she said. "Why?" He ran...', ['"Stop!" she said.', '"Why?"', "He ran..."]),
        ("Mr. Fox met Mrs. Hen. They ate.", ["Mr. Fox met Mrs. Hen.", "They ate."]),
        ("He said, “Go.” She went.\n\nThe end", ["He said, “Go.”", "She went.", "The end"]),
        ("Well... maybe. It is 3.5 big.", ["Well... maybe.", "It is 3.5 big."]),
        ("One\n***\ntwo", ["One", "two"]),
        ("", []),
    ],
)
def test_sentences(story, wanted):
    assert sentences(story) == wanted


@given(st.text(st.sampled_from("aB.!?\"' \n”…"), max_size=60))
def test_sentences_lose_no_word_and_stand_in_the_story(story):
    found = sentences(story)
    assert all(sentence in story and "\n" not in sentence for sentence in found)
    assert [c for sentence in found for c in sentence if c.isalnum()] == [c for c in story if c.isalnum()]


WORDS = st.text("abc", min_size=1, max_size=4)
RECORDS = st.builds(
    lambda words, features, summary, told: Document(
        told, told, {"words": words, "features": features, "summary": summary, "source": "x"}
    ),
    st.lists(WORDS, max_size=3),
    st.one_of(st.lists(WORDS, max_size=2), st.just("Twist, Dialogue"), st.none()),
    st.sampled_from(["", "They go\n\nhome.", "Story:\nx", "Words: y"]),
    st.lists(st.sampled_from(["One.", "Two!", '"Three?" he said.', "Words: four.", "Story:\nFive"]), min_size=1).map(
        " ".join
    ),
)


@given(RECORDS, st.integers(0, 1000), st.sampled_from([None, instruct.TRAIN, instruct.TEST]))
def test_drawn_instructions_are_what_the_record_supplies(record, seed, ood):
    try:
        block = draw(record, random.Random(seed), ood=ood)
    except ValueError as e:
        assert str(e) in ("nothing to ask for", "no words and summary")
        words, summary = bool(record.fields["words"]), bool(record.fields["summary"])
        rest = bool(record.fields["features"]) or len(set(sentences(record.story))) > 1
        assert not (words and summary) if ood == instruct.TEST else not (words or summary or rest)
        return
    assert block == draw(record, random.Random(seed), ood=ood)
    assert parse(block.render()) == block and block.story == record.story
    assert f"Story: \n\n{record.story}" in block.render()
    assert block.kinds and len(set(block.kinds)) == len(block.kinds)
    if "Words" in block.kinds:
        assert block.words == record.fields["words"]
    if "Summary" in block.kinds:
        assert block.summary == " ".join(record.fields["summary"].split())
    if "Random sentence" in block.kinds:
        first, *later = sentences(record.story)
        assert block.sentence in later and block.sentence != first and block.sentence in record.story
    both = {"Words", "Summary"} <= set(block.kinds)
    assert not (both and ood == instruct.TRAIN) and not (not both and ood == instruct.TEST)


RECORD = Document("One. Two.", "One. Two.", {"words": ["a", "b"], "features": ["Twist"], "summary": "S."})


@pytest.mark.parametrize("ood, subsets", [(None, 15), (instruct.TRAIN, 11), (instruct.TEST, 4)])
def test_every_allowed_subset_and_order_is_drawn_equally_often(ood, subsets):
    rng = random.Random(0)
    drawn = [tuple(draw(RECORD, rng, ood=ood).kinds) for _ in range(6000)]
    counts = {frozenset(kinds): 0 for kinds in drawn}
    for kinds in drawn:
        counts[frozenset(kinds)] += 1
    assert len(counts) == subsets and min(counts.values()) > 0.75 * 6000 / subsets
    assert len({kinds for kinds in drawn if len(kinds) == 4}) == (0 if ood == instruct.TRAIN else 24)


def test_either_kind_of_random_numbers_will_do():
    assert draw(RECORD, np.random.default_rng(0), ood=None).kinds
    assert compose([("Words", "a, b")], " once ") == Instruct((("Words", " a, b"),), " \n\nonce")
