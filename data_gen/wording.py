"""Checks of a text's words: those it must have, those it may, those it must not."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

from data_gen.draft import Draft, drawn, has_word, is_spaced, normal, wanted
from data_gen.recipe import Factor
from data_gen.words import ENTRY, is_english
from data_gen.words import vocabulary as known_words
from data_gen.words import words as word_list

Run = Callable[[Draft], tuple[str, Any]]

# A document with one of these is for no child, whatever it says. Words that children's books use too (to die, a knife,
# a witch, to shoot) are not here: a recipe denies what its readers should not meet.
_LISTED = """
    abortion arsehole asshole bastard bitch bitches blowjob boobs bullshit cannabis cocaine corpse corpses cunt
    decapitate decapitated decapitation dildo drunkard drunken ejaculate erotic fuck fucked fucker fucking fucks genitals
    gory gunman gunshot gunshots hooker heroin homicide incest intestines jihad ketamine lynch lynched marijuana massacre
    massacred masturbate masturbated masturbating masturbation meth methamphetamine molest molested molester motherfucker
    murder murdered murderer murderers murdering murderous murders mutilate mutilated mutilation nazi nazis nigger
    niggers nipple nipples nudity orgasm orgasms paedophile pedophile penis pimp porn pornographic pornography prostitute
    prostitutes prostitution rape raped rapes raping rapist semen sex sexual sexually sexy shit shits shitty slaughter
    slaughtered slut sluts stab stabbed stabbing stabs strangle strangled strangling strangulation suicidal suicide
    suicides swastika terrorism terrorist terrorists testicles tortured torturing vagina vodka whiskey whore whores
"""
# What only other words make unsuitable: a toy gun, root beer, blood on a knee, nude shoes are all right.
_PHRASES = """
    killed with, with a gun, shot him dead, shot her dead, shot dead, shot in the head, blood everywhere, pool of blood,
    covered in blood, covered with blood, bled to death, bleeding to death, blood and gore, drank beer, drink beer,
    drinking beer, drinks beer, a beer, of beer, some beer, more beer, was drunk, were drunk, is drunk, got drunk,
    get drunk, getting drunk, very drunk, too drunk, drunk man, drunk driver, in the nude, was nude, were nude, nude man,
    nude woman, nude women, nude girl, nude boy, nude photo, nude photos, nude picture, nude pictures
"""
_HARMLESS = (" murder of crows ", " killed with kindness ", " drunk by ")
UNSUITABLE = (*_LISTED.split(), *(" ".join(phrase.split()) for phrase in _PHRASES.split(",")))


def required(factors: Sequence[Factor], language: str = "en") -> Run:
    """Every value drawn of the factors occurs, inflected or not: "missing_word:FACTOR".

    Where the language puts no spaces between words, it may be part of a longer run of letters.
    """
    spaced = is_spaced(language)

    def run(draft: Draft) -> tuple[str, Any]:
        reason, missing = "", []
        for factor in factors:
            for label in drawn(draft, factor.name):
                if not (has_word(draft, label, factor.pos) if spaced else normal(label) in draft.plain):
                    reason = reason or f"missing_word:{factor.name}"
                    missing.append(label)
        return reason, missing

    return run


def names(factor: str, language: str = "en") -> Run:
    """Every name drawn occurs as it is written, but for the kind of quotes: "missing_name:FACTOR"."""
    edge = (r"(?<!\w)", r"(?!\w)") if is_spaced(language) else ("", "")

    def run(draft: Draft) -> tuple[str, Any]:
        missing = [
            name
            for name in drawn(draft, factor)
            if not re.search(rf"{edge[0]}{re.escape(normal(name))}{edge[1]}", draft.plain)
        ]
        return f"missing_name:{factor}" if missing else "", missing

    return run


def opening(factor: str) -> Run:
    """The first letter, digit or word of the text is the one drawn, capital or not: "wrong_opening"."""

    def run(draft: Draft) -> tuple[str, Any]:
        first = re.sub(r"^[\W_]+", "", draft.plain[:200]).casefold()
        found = [label for label in drawn(draft, factor) if not _begins(first, normal(label).casefold())]
        return "wrong_opening" if found else "", first[:20]

    return run


def _begins(text: str, label: str) -> bool:
    rest = text[len(label) : len(label) + 1]
    return text.startswith(label) and (len(label) == 1 or not rest.isalnum())


def vocabulary(least: float, factors: Iterable[Factor], language: str = "en") -> Run:
    """At least this share of the running words is known: "vocabulary".

    Known: every form of the project's word list (in English only) and of the recipe's own words that have a part of
    speech, what was drawn for this document, names (a capital in mid-sentence), numbers. -'s does not count.
    """
    known = set(_children()) if is_english(language) else set()
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


def without(words: Iterable[str]) -> Run:
    """None of the words or phrases, whole, capital or not: "deny:WORD".

    What has other characters in it than words, spaces, hyphens and apostrophes (C++, example.com) is looked for as it
    stands.
    """
    entries = [normal(word) for word in words]
    listed = [wanted(word, "") for word in entries if ENTRY.fullmatch(word)]
    denied = frozenset[str]().union(*(single for single, _ in listed))
    phrases = [phrase for _, several in listed for phrase in several]
    exact = [(word, _exactly(word)) for word in entries if not ENTRY.fullmatch(word)]

    def run(draft: Draft) -> tuple[str, Any]:
        found = sorted(denied & draft.seen) + [phrase.strip() for phrase in phrases if phrase in draft.joined]
        found += [word for word, pattern in exact if pattern.search(draft.plain)]
        return (f"deny:{found[0]}", found) if found else ("", [])

    return run


def _exactly(word: str) -> re.Pattern[str]:
    before, after = ("(?<!\\w)" if word[0].isalnum() else ""), "(?!\\w)" if word[-1].isalnum() else ""
    return re.compile(before + re.escape(word) + after, re.I)


def suitable(draft: Draft) -> tuple[str, Any]:
    """Nothing of the project's list of words and phrases that are for no child: "unsuitable"."""
    found = _unsuitable(draft.seen, draft.joined)
    if found and any(harmless in draft.joined for harmless in _HARMLESS):
        joined = draft.joined
        for harmless in _HARMLESS:
            joined = joined.replace(harmless, " ")
        found = _unsuitable(frozenset(joined.split()), joined)
    return "unsuitable" if found else "", found


_SINGLE = frozenset(_LISTED.split())
_SEVERAL = re.compile("|".join(rf"(?<= ){re.escape(word)}(?= )" for word in UNSUITABLE if " " in word))
_CUES = frozenset(
    ["killed", "gun", "shot", "blood", "bled", "bleeding", "beer", "drunk", "nude"]
)  # one is in each phrase


def _unsuitable(seen: frozenset[str], joined: str) -> list[str]:
    phrases = _SEVERAL.findall(joined) if not _CUES.isdisjoint(seen) else []
    return sorted(_SINGLE & seen) + list(dict.fromkeys(phrases))


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
