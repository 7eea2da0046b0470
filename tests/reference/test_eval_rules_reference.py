"""The rules on published stories: how often they raise a false alarm."""

import gzip
import re

import pytest

from eval.consistency import names_kept, new_names, pronouns
from eval.grammar import ends_well, faults
from eval.sentences import Passage
from eval.wording import vocabulary_rate

pytestmark = pytest.mark.reference


@pytest.fixture(scope="module")
def stories(shared) -> list[str]:
    text = gzip.open(shared / "data" / "tinystories" / "v2_valid_head_5M.txt.gz", "rt", encoding="utf-8").read()
    return [story.strip() for story in text.split("<|endoftext|>")][1:-1][:2000]


def halves(story: str) -> Passage:
    cut = story.rfind(" ", 0, int(len(story) * 0.4))
    return Passage(story[:cut], story[cut:])


def mean(values) -> float:
    there = [value for value in values if value is not None]
    return sum(there) / len(there)


def test_grammar_seldom_finds_fault(stories):
    """Real slips are among them; asked for: under 3 % of sentences. Measured over all 6,456 stories: 0.03 %."""
    passages = [Passage("", story) for story in stories]
    faulty = sum(len({fault.sentence for fault in faults(passage)}) for passage in passages)
    assert faulty / sum(len(passage.sentences) for passage in passages) < 0.002
    assert mean(map(ends_well, passages)) > 0.98


@pytest.mark.parametrize(
    "right, wrong, least",
    [
        (r"\ba (?=[bcdfgjklmnpqrstvw])", "an ", 0.99),
        (r"\ban ", "a ", 0.9),
        (r"\b([Ss]?[Hh]e) was\b", r"\1 were", 0.8),
        (r"\b([Tt]hey) were\b", r"\1 was", 0.8),
        (r"\bto go\b", "to went", 0.99),
        (r'"', "", 0.95),
        (r"(\w)([.!?])", r"\1 \2", 0.95),
        (r"\b(the|and|to|was)\b", r"\1 \1", 0.99),
    ],
)
def test_one_planted_slip_in_a_clean_story_is_found(stories, right, wrong, least):
    planted = [re.sub(right, wrong, story, count=1) for story in stories[:500] if re.search(right, story)]
    assert len(planted) > 30
    assert mean(bool(faults(Passage("", story))) for story in planted) > least


def test_names_and_words(stories):
    passages = [halves(story) for story in stories]
    strangers = [Passage(one.prompt, other.text) for one, other in zip(passages, passages[7:], strict=False)]
    assert mean(map(names_kept, passages)) > 0.9
    assert mean(map(names_kept, strangers)) < 0.2
    assert mean(map(new_names, passages)) < 0.3
    assert mean(map(vocabulary_rate, passages)) > 0.96


def test_pronouns_seldom_clash(stories):
    shown = [kinds for story in stories for kinds in pronouns(story).values()]
    assert len(shown) > 1000
    assert mean(len(kinds) > 1 for kinds in shown) < 0.01
