"""Checks of a text's words: those it must have, those it may, those it must not."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

from data_gen.draft import Draft, drawn, has_word, wanted
from data_gen.recipe import Factor
from data_gen.words import vocabulary as known_words
from data_gen.words import words as word_list

Run = Callable[[Draft], tuple[str, Any]]

# A document with one of these is for no child, whatever it says. Words that children's books use too (to die, a knife,
# a witch) are not here: a recipe denies what its readers should not meet.
_LISTED = """
    abortion arsehole asshole bastard bitch bitches blowjob boobs bullshit cannabis cocaine corpse corpses cunt
    decapitate decapitated decapitation dildo ejaculate erotic fuck fucked fucker fucking fucks genitals gore
    gory hooker heroin homicide incest intestines jihad ketamine lynch lynched marijuana massacre massacred
    masturbate masturbated masturbating masturbation meth methamphetamine molest molested molester motherfucker murder
    murdered murderer murderers murdering murderous murders mutilate mutilated mutilation nazi nazis nigger niggers
    nipple nipples nude nudity orgasm orgasms paedophile pedophile penis pimp porn pornographic pornography prostitute
    prostitutes prostitution rape raped rapes raping rapist semen sex sexual sexually sexy shit shits shitty slaughter
    slaughtered slut sluts strangle strangled strangling strangulation suicidal suicide suicides swastika terrorism
    terrorist terrorists testicles torture tortured torturing vagina vodka whiskey whore whores
"""
UNSUITABLE = tuple(_LISTED.split())


def required(factors: Sequence[Factor]) -> Run:
    """Every value drawn of the factors occurs, inflected or not: "missing_word:FACTOR"."""

    def run(draft: Draft) -> tuple[str, Any]:
        reason, missing = "", []
        for factor in factors:
            for label in drawn(draft, factor.name):
                if not has_word(draft, label, factor.pos):
                    reason = reason or f"missing_word:{factor.name}"
                    missing.append(label)
        return reason, missing

    return run


def names(factor: str) -> Run:
    """Every name drawn occurs as it is written: "missing_name:FACTOR"."""

    def run(draft: Draft) -> tuple[str, Any]:
        missing = [
            name for name in drawn(draft, factor) if not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", draft.prose)
        ]
        return f"missing_name:{factor}" if missing else "", missing

    return run


def opening(factor: str) -> Run:
    """The first letter, digit or word of the text is the one drawn, capital or not: "wrong_opening"."""

    def run(draft: Draft) -> tuple[str, Any]:
        first = re.sub(r"^[\W_]+", "", draft.prose[:200]).casefold()
        found = [label for label in drawn(draft, factor) if not _begins(first, label.casefold())]
        return "wrong_opening" if found else "", first[:20]

    return run


def _begins(text: str, label: str) -> bool:
    rest = text[len(label) : len(label) + 1]
    return text.startswith(label) and (len(label) == 1 or not rest.isalnum())


def vocabulary(least: float, factors: Iterable[Factor]) -> Run:
    """At least this share of the running words is known: "vocabulary".

    Known: every form of the project's word list and of the recipe's own words that have a part of speech, what was
    drawn for this document, names (a capital in mid-sentence), numbers. -'s does not count.
    """
    known = set(_children())
    for factor in factors:
        if factor.pos:
            for label in factor.labels:
                single, phrases = wanted(label, factor.pos)
                known.update(single, *(phrase.split() for phrase in phrases))

    def run(draft: Draft) -> tuple[str, Any]:
        rare = set(draft.seen - known)
        if rare:
            own = {name.lower() for name in draft.names}
            own.update(word for factor in draft.values.values() for word in _words_of(factor))
            rare = {word for word in rare if word not in own and not word.isdigit() and word.split("'")[0] not in own}
        if not rare:
            return "", 1.0 if draft.lowered else 0.0
        counts = Counter(draft.lowered)
        share = 1 - sum(counts[word] for word in rare) / len(draft.lowered)
        return "vocabulary" if share < least else "", round(share, 4)

    return run


def without(words: Iterable[str], key: str) -> Run:
    """None of the words or phrases, whole, capital or not: "deny:WORD"; "unsuitable" for the project's own list."""
    listed = [wanted(word, "") for word in words]
    denied = frozenset[str]().union(*(single for single, _ in listed))
    phrases = [phrase for _, several in listed for phrase in several]

    def run(draft: Draft) -> tuple[str, Any]:
        found = sorted(denied & draft.seen) + [phrase.strip() for phrase in phrases if phrase in draft.joined]
        if not found:
            return "", []
        return "unsuitable" if key == "suitable" else f"deny:{found[0]}", found

    return run


@lru_cache(1)
def _children() -> frozenset[str]:
    return known_words(word_list())


def _words_of(value: Any) -> list[str]:
    """The words of a factor's value; texts of earlier steps are no list of words."""
    labels = [value] if isinstance(value, str) else value if isinstance(value, (list, tuple)) else []
    short = [label for label in labels if isinstance(label, str) and len(label) < 60]
    return [word for label in short for word in _label_words(label)]


@lru_cache(1 << 14)
def _label_words(label: str) -> tuple[str, ...]:
    single, phrases = wanted(label, "")
    return (*single, *(word for phrase in phrases for word in phrase.split()))
