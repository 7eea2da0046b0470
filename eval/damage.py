"""What anchors are made of sound stories by: errors, disorder, other names, repetition."""

import re
from collections.abc import Callable
from random import Random

_SENTENCE = re.compile(r"(?:(?<=[.!?])|(?<=[.!?][\"”]))\s+")
NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]{2,}\b")
_OTHERS = ("Zed", "Mira", "Otto", "Pia", "Hugo")
_SLIPS: tuple[tuple[str, Callable[[re.Match[str]], str]], ...] = (
    (r"\bwas\b", lambda m: "were"), (r"\bwere\b", lambda m: "was"), (r"\bhas\b", lambda m: "have"),
    (r"\bis\b", lambda m: "are"), (r"\ba (?=[a-z])", lambda m: "an "), (r"\ban (?=[a-z])", lambda m: "a "),
    (r"\bthe (?=[a-z])", lambda m: ""), (r"\b(\w{3,})ed\b", lambda m: m[1]), (r"\b(went|ran|saw|came|said|took|made|gave)\b",
    lambda m: {"went": "goed", "ran": "runned", "saw": "seed", "came": "comed", "said": "sayed", "took": "taked",
               "made": "maked", "gave": "gived"}[m[1]]),
    (r"\bto (?=[a-z])", lambda m: "for "), (r"\b(he|she|they)\b", lambda m: {"he": "him", "she": "her", "they": "them"}[m[1]]),
)  # fmt: skip


def misspelled(text: str, level: int, random: Random) -> str:
    """Errors of agreement, articles and verb forms: one for 25 words, one for 10, or wherever one can be made."""
    places: dict[int, tuple[int, str]] = {}
    for pattern, slip in _SLIPS:
        for match in re.finditer(pattern, text):
            places.setdefault(match.start(), (match.end(), slip(match)))
    words = len(text.split())
    count = {1: max(1, words // 25), 2: max(2, words // 10), 3: len(places)}[level]
    chosen = random.sample(sorted(places), min(count, len(places)))
    for start in sorted(chosen, reverse=True):
        end, instead = places[start]
        text = text[:start] + instead + text[end:]
    return text


def shuffled(text: str, level: int, random: Random) -> str:
    """Sentences behind the first out of order: a few of them, or all."""
    first, *others = sentences(text)
    first = text[: len(text) - len(text.lstrip())] + first  # the space behind the cut
    if level == 1:
        a, b = sorted(random.sample(range(len(others)), 2))
        others[a], others[b] = others[b], others[a]
        return " ".join([first, *others])
    mixed = others
    while sum(x == y for x, y in zip(mixed, others, strict=True)) > len(others) // 4:
        mixed = random.sample(others, len(others))
    return " ".join([first, *mixed])


def swapped(start: str, text: str, random: Random) -> str:
    """The most frequent name is another one, and yet another, each time it comes."""
    name = max(names := NAME.findall(f"{start} {text}"), key=names.count)
    others = [one for one in _OTHERS if one not in names]
    random.shuffle(others)
    count = iter(range(len(text)))
    return re.sub(rf"\b{name}\b", lambda _: others[next(count) % len(others)], text)


def looped(text: str) -> str:
    """One sentence over and over, to the length of the text."""
    first, second, *_ = sentences(text)
    first = text[: len(text) - len(text.lstrip())] + first
    return " ".join([first, *[second] * max(4, len(text) // max(1, len(second)))])


def sentences(text: str) -> list[str]:
    return [part.strip() for part in _SENTENCE.split(text) if part.strip()]
