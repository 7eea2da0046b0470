"""The words of a completion: whether a child knows them, and whether they are those that were asked for."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from data_gen.draft import WORD, Draft, has_word
from data_gen.words import PARTS_OF_SPEECH, vocabulary, words
from eval.lemmas import carried, content_words
from eval.sentences import Passage

VOCABULARY_SEES = (
    "share of running words that are forms of the project's list of about 3,000, small words, names or numbers"
)
VOCABULARY_BLIND = "meaning; a made-up word with a capital counts as a name"
WORDS_SEES = "share of the requested words that occur, in any inflection"
WORDS_BLIND = "whether the word is used rightly; a part of speech that the request names"
SENTENCE_SEES = (
    "whether the requested sentence stands in the story to the letter, but for white space and kinds of quotes"
)
SENTENCE_BLIND = "whether it fits there"
DIALOGUE_SEES = "whether somebody speaks between quotation marks, where Dialogue was asked for"
DIALOGUE_BLIND = "who speaks, and to whom. Bad ending, twist, conflict, moral and foreshadowing have no stand-in"
SUMMARY_SEES = "share of the requested summary's content words that the story has in any inflection"
SUMMARY_BLIND = "whether what the summary tells happens; who did what to whom"

_SPOKEN = re.compile(r'"[^"\n]*\w[^"\n]*"|“[^”\n]*\w[^”\n]*”')
_QUOTES = str.maketrans("“”‘’", "\"\"''")


def vocabulary_rate(passage: Passage) -> float | None:
    """Share of the completion's running words that are known; names come from prompt and completion."""
    names = {name.lower() for name in Draft(passage.whole, None, {}, passage.whole).names}
    found = Draft(passage.text, None, {}, passage.text).lowered
    known = _known()
    return sum(w in known or w in names or w.isdigit() for w in found) / len(found) if found else None


def words_used(text: str, wanted: list[str]) -> float | None:
    """Share of `wanted` (words or phrases) that occur in any inflection; None where nothing is wanted."""
    draft = Draft(text, None, {}, text)
    listed = [word for word in wanted if WORD.search(word)]
    return (
        sum(any(has_word(draft, word, pos) for pos in _parts(word)) for word in listed) / len(listed)
        if listed
        else None
    )


def has_sentence(text: str, sentence: str) -> bool:
    return _plain(sentence) in _plain(text)


def has_dialogue(text: str) -> bool:
    return bool(_SPOKEN.search(text))


def instructions(text: str, asks: Mapping[str, Any]) -> dict[str, float]:
    """What `asks` of an INSTRUCT prompt asks for, as far as rules can tell, 0..1 each: "required_words",
    "required_sentence", "dialogue", "summary_words"."""
    found: dict[str, float | None] = {"required_words": words_used(text, _listed(asks.get("words")))}
    if sentence := asks.get("sentence"):
        found["required_sentence"] = float(has_sentence(text, sentence))
    if "dialogue" in (feature.lower() for feature in _listed(asks.get("features"))):
        found["dialogue"] = float(has_dialogue(text))
    if summary := asks.get("summary"):
        found["summary_words"] = carried(content_words(summary), text)
    return {name: value for name, value in found.items() if value is not None}


def _listed(value: Any) -> list[str]:
    """["quit", "oak"], or "quit, oak"."""
    items = value.split(",") if isinstance(value, str) else value or ()
    return [item.strip() for item in items if item.strip()]


def _parts(word: str) -> tuple[str, ...]:
    """The parts of speech under which the list has the word; all, where it has it not."""
    lists = words()
    return tuple(pos for pos in PARTS_OF_SPEECH if word.lower() in lists[pos]) or PARTS_OF_SPEECH


def _plain(text: str) -> str:
    return " ".join(text.translate(_QUOTES).split())


@cache
def _known() -> frozenset[str]:
    return vocabulary(words())
