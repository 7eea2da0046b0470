"""A draft: a clean text that is being examined, with its words and sentences as the checks want them, made once."""

import re
from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import Any

from data_gen.clean import QUOTES, clean
from data_gen.words import MARKS, adverb, forms
from tsjax.corpus.chat import Turn
from tsjax.corpus.duplicates import normal_words

WORD = re.compile(rf"[^\W_]+(?:['’][^\W_]+|[{MARKS}\u200c\u200d]+[^\W_]*)*")
_POSSESSIVE = re.compile(r"['’]s\b")
_SENTENCE_END = re.compile(
    r"[.!?…。！？।॥]+(?:(?<=[。！？।॥])"
    r"|(?<!\bMr\.)(?<!\bMrs\.)(?<!\bMs\.)(?<!\bDr\.)[\"”'’)\]]*(?:\s+(?=[\"“'‘(\[]*[^\sa-z\"“'‘(\[])|\s*$))"
)
# A capital of its own by what stands before it. The ranges hold the capitals of Latin, Greek and Cyrillic letters.
_CAPITAL = re.compile(r"[A-Z\u00c0-\u024f\u0370-\u052f](?:(?<=[^\W\d_] .)|(?<=[,;:] .))[^\W\d_]+")
_UNSPACED = frozenset(["bo", "dz", "ja", "km", "lo", "my", "th", "yue", "zh"])
_PARTICLES = frozenset(
    ("about", "across", "along", "apart", "around", "away", "back", "by", "down",
     "in", "off", "on", "out", "over", "through", "together", "up")
)  # fmt: skip
_BLANK_LINE = re.compile(r"\n\s*\n")
_NO_NAMES = """Mr Mrs Ms Miss Dr Mom Mum Mommy Mummy Dad Daddy Mama Papa Ma Pa Grandma Grandpa Granny Grandad
    Nana Auntie Uncle Aunt I'm I'll I'd I've God Christmas Halloween Easter Monday Tuesday Wednesday Thursday Friday
    Saturday Sunday January February March April May June July August September October November December"""
_TITLES = frozenset(_NO_NAMES.split())


class Draft:
    """`text` is clean. `turns` are those of a chat. `values`: the drawn factors and the texts of earlier steps.

    raw: the answer as it came, which alone shows a flood of white space.
    """

    def __init__(self, text: str, turns: tuple[Turn, ...] | None, values: Mapping[str, Any], raw: str):
        self.text, self.turns, self.values, self.raw = text, turns, values, raw

    @cached_property
    def prose(self) -> str:
        """The text without the marks of a chat: each turn is a paragraph."""
        return self.text if self.turns is None else "\n\n".join(turn.text for turn in self.turns)

    @cached_property
    def plain(self) -> str:
        """The prose with straight quotes in every language, to look for what `normal` made."""
        return self.prose if self.prose.isascii() else self.prose.translate(QUOTES)

    @cached_property
    def tokens(self) -> list[str]:
        """The running words, as they are written; parts of hyphenated words are words."""
        return WORD.findall(self.prose)

    @cached_property
    def lowered(self) -> list[str]:
        return WORD.findall(_POSSESSIVE.sub("", self.plain.lower()))

    @cached_property
    def seen(self) -> frozenset[str]:
        """The words in lower case, without possessive -'s."""
        return frozenset(self.lowered)

    @cached_property
    def joined(self) -> str:
        """The words of `lowered` between single spaces, to look for phrases."""
        return f" {' '.join(self.lowered)} "

    @cached_property
    def words(self) -> int:
        return len(self.prose.split())

    @cached_property
    def sentences(self) -> list[str]:
        return [part.strip() for line in self.prose.split("\n") for part in _SENTENCE_END.split(line) if part.strip()]

    @cached_property
    def paragraphs(self) -> int:
        """Blocks between blank lines; lines, where no line is blank."""
        blocks = _BLANK_LINE.split(self.prose)
        return len(blocks if len(blocks) > 1 else [line for line in self.prose.split("\n") if line.strip()])

    @cached_property
    def names(self) -> list[str]:
        """Words with a capital in mid-sentence that are never in lower case here, titles and calendar words left out."""
        capital = {word for word in _CAPITAL.findall(self.prose) if word[0].isupper() and not word.isupper()} - _TITLES
        return sorted(word for word in capital if word.lower() not in self.tokens) if capital else []

    def stats(self) -> dict[str, Any]:
        return {
            "characters": len(self.text),
            "words": self.words,
            "sentences": len(self.sentences),
            "paragraphs": self.paragraphs,
            "opening": " ".join(normal_words(self.prose[:80])[:4]),
            "names": self.names,
        }


@lru_cache(1 << 14)
def normal(label: str) -> str:
    """A label as cleaning would leave it in a text, and with straight quotes."""
    return clean(label)[0]


def is_spaced(language: str) -> bool:
    """Whether the language, a tag such as en or zh-Hans, puts spaces between words."""
    return language.lower().split("-")[0] not in _UNSPACED


def has_word(draft: Draft, label: str, pos: str) -> bool:
    """Whether a word or phrase occurs, in any inflection if its part of speech is known; capitals and -'s count."""
    single, phrases = wanted(label, pos)
    if not single.isdisjoint(draft.seen) or any(phrase in draft.joined for phrase in phrases):
        return True
    apart = _apart(label) if pos == "verb" and phrases else None
    return apart is not None and apart.search(draft.joined) is not None


@lru_cache(1 << 14)
def _apart(label: str) -> re.Pattern[str] | None:
    """Finds a verb and its particle with up to three words between them: gave it up."""
    verb, *rest = WORD.findall(normal(label).lower())
    if len(rest) != 1 or rest[0] not in _PARTICLES:
        return None
    return re.compile(rf" (?:{'|'.join(sorted(forms(verb, 'verb')))}) (?:\S+ ){{1,3}}{rest[0]} ")


@lru_cache(1 << 14)
def wanted(label: str, pos: str) -> tuple[frozenset[str], tuple[str, ...]]:
    """The words of which one must occur, and the phrases (between spaces): the forms of a label.

    Of a phrase the last word is inflected, of a verb's phrase the first: ice creams, looked after. Adverbs count as
    forms of their adjectives.
    """
    parts = WORD.findall(_POSSESSIVE.sub("", normal(label).lower()))
    if not parts:
        return frozenset(), ()
    place = 0 if pos == "verb" else len(parts) - 1
    inflected = forms(parts[place], pos) if pos else frozenset((parts[place],))
    if pos == "adjective" and (adverb_of := adverb(parts[place])):
        inflected |= {adverb_of}
    if len(parts) == 1:
        return inflected, ()
    phrases = [" ".join([*parts[:place], form, *parts[place + 1 :]]) for form in sorted(inflected)]
    return frozenset(), tuple(f" {phrase} " for phrase in phrases)


def drawn(draft: Draft, factor: str) -> list[str]:
    """The labels of a factor that were drawn for this document; none if it is absent."""
    value = draft.values.get(factor, ())
    return [value] if isinstance(value, str) else [label for label in value if isinstance(label, str)]
