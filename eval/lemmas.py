"""Content words by what they are forms of, so that "ran" carries "run" over."""

import re
from collections.abc import Iterable
from functools import cache

from data_gen.draft import WORD
from data_gen.word_tables import FUNCTION_WORDS
from data_gen.words import forms, words

_ENDING = re.compile(r"(?<=\w{3})(?:ing|ed|es|s)$")  # of a word that is not listed: taken as regular
_POSSESSIVE = re.compile(r"['’]s\b")


def content_words(text: str) -> list[str]:
    """The words of a text in lower case, in order, without -'s, small words and numbers."""
    found = WORD.findall(_POSSESSIVE.sub("", text.lower()))
    return [word for word in found if word not in FUNCTION_WORDS and not word.isdigit()]


def lemmas(word: str) -> frozenset[str]:
    """The listed words of which it may be a form ("left": leave, left); its stem where none is listed."""
    return _bases().get(word) or frozenset((_ENDING.sub("", word),))


def carried(wanted: Iterable[str], text: str) -> float | None:
    """Share of the distinct content words of `wanted` that `text` has in some form; None without any."""
    distinct = set(wanted)
    there = frozenset().union(*(lemmas(word) for word in content_words(text)))
    return sum(not there.isdisjoint(lemmas(word)) for word in distinct) / len(distinct) if distinct else None


@cache
def _bases() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for pos, listed in words().items():
        for word in listed:
            for form in forms(word.lower(), pos):
                found.setdefault(form, set()).add(word.lower())
    return {form: frozenset(bases) for form, bases in found.items()}
