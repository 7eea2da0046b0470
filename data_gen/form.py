"""Checks of a text's form: its size, its characters, how it ends, whether it goes in circles."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from typing import Any

from data_gen.draft import Draft
from tsjax.corpus.defects import is_cut
from tsjax.corpus.defects import script as script_of

Run = Callable[[Draft], tuple[str, Any]]

SCRIPTS = ("latin", "cyrillic", "greek", "armenian", "georgian", "hebrew", "arabic", "devanagari", "bengali", "gurmukhi",
           "gujarati", "tamil", "telugu", "kannada", "malayalam", "sinhala", "thai", "ethiopic", "hangul",
           "cjk")  # fmt: skip

_NEVER = {"Co", "Cs", "Cn"}
_MARKS = frozenset("‘’‚‛“”„‟‹›«»–—‐‑…·•¡¿′″°€£¥¢§©®™×÷½¼¾←↑→↓")  # ordinary in print
_JOINERS = "\u200c\u200d"  # spelling in Hindi and Persian
_SMILE = re.compile(r"(?<!\w)[:;=]-?[)(DPp]\Z")
_FLOOD = re.compile(r"\s{40}|(\S)\1{29}")
_NAMES = {  # reasons: (below, above)
    "words": ("too_short", "too_long"),
    "turn_words": ("turn_too_short", "turn_too_long"),
}


def within(key: str, least: int, most: int) -> Run:
    """Counts of `key` from `least` to `most`: words, characters, sentences, paragraphs, turns; words of each turn.

    Turns are those of a user and an assistant; a text that is not a chat has none.
    """
    below, above = _NAMES.get(key, (f"too_few_{key}", f"too_many_{key}"))

    def run(draft: Draft) -> tuple[str, Any]:
        counts = _counts(key, draft)
        reason = below if min(counts, default=0) < least else above if max(counts, default=0) > most else ""
        return reason, counts if key == "turn_words" else counts[0]

    return run


def _counts(key: str, draft: Draft) -> list[int]:
    turns = [turn for turn in draft.turns or () if turn.role != "system"]
    if key == "turn_words":
        return [len(turn.text.split()) for turn in turns]
    count = {
        "words": lambda: draft.words,
        "characters": lambda: len(draft.text),
        "sentences": lambda: len(draft.sentences),
        "paragraphs": lambda: draft.paragraphs,
        "turns": lambda: len(turns),
    }[key]
    return [count()]


def sound(draft: Draft) -> tuple[str, Any]:
    """No characters that say that something was lost, or that mean nothing outside one font: "bad_character"."""
    if draft.text.isascii():
        return "", ""
    bad = sorted(
        character
        for character in set(draft.text)
        if character == "\ufffd" or (character > "\x7f" and unicodedata.category(character) in _NEVER)
    )
    return "bad_character" if bad else "", _shown(bad)


def script(wanted: str) -> Run:
    """Only letters of one script, with its digits, and ordinary punctuation.

    Reasons: "foreign_script" for a letter of another, such as a Cyrillic one that looks Latin; "odd_character" for the
    rest (emoji, box drawing). Of a script other than Latin all of Unicode's punctuation and digits are taken.
    """
    family = wanted.upper()

    def run(draft: Draft) -> tuple[str, Any]:
        text = draft.prose
        if text.isascii() and family == "LATIN":
            control = sorted({character for character in text if character < " " and character not in "\n\t"})
            return "odd_character" if control else "", _shown(control)
        foreign, odd = [], []
        for character in sorted(set(text)):
            kind = unicodedata.category(character)
            if kind[0] == "L":
                # Ligatures and modifier letters have no script by themselves, but may have its name.
                if (script_of(character) or unicodedata.name(character, "").split(" ")[0]) != family:
                    foreign.append(character)
            elif not _ordinary(character, kind, family):
                odd.append(character)
        return "foreign_script" if foreign else "odd_character" if odd else "", _shown([*foreign, *odd])

    return run


def _ordinary(character: str, kind: str, family: str) -> bool:
    if character in "\n\t":
        return True
    if character < "\x7f":
        return character >= " "
    if kind[0] == "M":
        return True
    if family == "LATIN":
        return character in _MARKS
    return character in _MARKS or kind[0] == "P" or kind == "Nd" or character in _JOINERS


def ending(draft: Draft) -> tuple[str, Any]:
    """The text ends with an end mark, quotes after it allowed, or an emoji; of a chat its last turn: "cut_off".

    A chat may also end with :) or a number, such as that of an order.
    """
    text = draft.prose.rstrip()
    cut = is_cut(text) and not (draft.turns is not None and (text[-1].isdigit() or _SMILE.search(text)))
    return "cut_off" if cut else "", text[-20:]


def repeats(most: int) -> Run:
    """Loops: a sentence of four words or more that comes `most` times, or runs of three words mostly seen before;
    the whole text twice, or most of its sentences; of a chat a question again with the same answer.

    Reasons: "repeats", and "flood" for 40 white-space characters or 30 equal ones in a row in the answer as it came.
    """

    def run(draft: Draft) -> tuple[str, Any]:
        if _FLOOD.search(draft.raw):
            return "flood", 0
        counts = Counter(sentence.lower() for sentence in draft.sentences if sentence.count(" ") >= 3)
        top = max(counts.values(), default=0)
        words = draft.lowered
        looped = len(words) >= 40 and len(set(zip(words, words[1:], words[2:], strict=False))) < 0.5 * len(words)
        total = counts.total()
        again = total >= 6 and len(counts) <= 0.6 * total
        return "repeats" if top >= most or looped or again or _twice(draft) else "", top

    return run


def _twice(draft: Draft) -> bool:
    """Whether the second half says the same as the first, or a pair of turns comes twice."""
    if draft.turns is not None:
        said = [turn.text.lower() for turn in draft.turns if turn.role != "system"]
        pairs = list(zip(said[::2], said[1::2], strict=False))
        return len(set(pairs)) < len(pairs)
    words, half = draft.lowered, len(draft.lowered) // 2
    return half >= 8 and 2 * half == len(words) and words[:half] == words[half:]


def _shown(characters: list[str]) -> str:
    """At most ten characters by code point, which a terminal does not obey."""
    return " ".join(f"U+{ord(character):04X}" for character in characters[:10])
