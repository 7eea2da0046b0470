"""The words that requests ask for: `words.csv`, about 3,000 that a child of three or four knows, by part of speech.

A custom file has the same two columns. Its order counts: which words request `index` gets goes by their places.
"""

import csv
import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from data_gen.word_tables import (
    COMPARED,
    EITHER,
    FUNCTION_WORDS,
    NO_ADVERB,
    O_ES,
    PASTS,
    PLURAL_ENDINGS,
    PLURAL_ONLY,
    PLURALS,
    PREFIXES,
    REGULAR,
    STRESSED,
    STRESSED_ENDINGS,
)  # fmt: skip
from tsjax.errors import UserError

PARTS_OF_SPEECH = ("noun", "verb", "adjective")
# Combining marks, which are no \w to `re`: vowels of Hindi and Thai, accents that no letter has been composed with.
MARKS = "".join(
    character for character in map(chr, range(0x300, 0x1_0000)) if unicodedata.category(character) in ("Mn", "Mc")
)
_PART = rf"(?:[^\W_][{MARKS}\u200c\u200d]*)+"
ENTRY = re.compile(rf"{_PART}(?:['’ -]{_PART})*")  # a word or a phrase
WORDS_FILE = Path(__file__).with_name("words.csv")


@cache
def words() -> Mapping[str, tuple[str, ...]]:
    """The project's own list, by part of speech."""
    return load(WORDS_FILE)


def load(path: Path | str) -> Mapping[str, tuple[str, ...]]:
    """The words of a CSV file with the columns `word,pos`, by part of speech, in the order of the file.

    Raises UserError where it cannot be read, a row is not one word and its part of speech, or comes twice.
    """
    path = Path(path)
    todo = f"mend {path}"
    try:
        rows = list(csv.reader(path.read_text("utf-8-sig").splitlines(), strict=True))
    except (OSError, ValueError, csv.Error) as e:  # ValueError: no UTF-8, or a NUL in the path
        raise UserError(expected=f"a CSV file of words in UTF-8 at {path}", found=_line(e), todo=todo) from e
    if not rows or rows[0] != ["word", "pos"]:
        raise UserError(expected="the header word,pos", found=repr(",".join(rows[0])) if rows else "nothing", todo=todo)
    found: dict[str, dict[str, None]] = {pos: {} for pos in PARTS_OF_SPEECH}
    for number, row in enumerate(rows[1:], 2):
        row = [unicodedata.normalize("NFC", value) for value in row]
        if len(row) != 2 or row[1] not in found or not ENTRY.fullmatch(row[0]) or not any(map(str.isalpha, row[0])):
            expected = f"a word and one of {', '.join(PARTS_OF_SPEECH)} in row {number}"
            raise UserError(expected=expected, found=repr(",".join(row)), todo=todo)
        word, pos = row
        if word in found[pos]:
            raise UserError(expected=f"every {pos} once", found=f"{word!r} again in row {number}", todo=todo)
        found[pos][word] = None
    if not any(found.values()):
        raise UserError(expected="words below the header", found="none", todo=todo)
    return {pos: tuple(of) for pos, of in found.items()}


def is_english(language: str) -> bool:
    """Whether a language tag, such as en or en-GB, is of English."""
    return language.lower().split("-")[0] == "en"


def forms(word: str, pos: str) -> frozenset[str]:
    """The word and its inflections, to find it in a text: plural; -s, -ing, -ed; comparative, superlative.

    Irregular words and those made from them (withdraw, grandchild) are known, and both spellings where there are two
    (traveled, travelled); other words are taken as regular.
    """
    if pos == "noun":
        plurals = _plurals(word)
        return frozenset((word, *((_with_s(word),) if plurals is None else plurals)))
    if pos == "verb":
        irregular = _pasts(word)
        past = _with(word, "ed") if irregular is None else irregular
        present = () if word == "be" else ("has",) if word == "have" else (_with_s(word),)
        return frozenset((word, *present, *_with(word, "ing"), *past))
    one_syllable = len(re.findall("[aeiouy]+", re.sub("e$", "", word))) == 1 and not re.search("(ing|ed)$", word)
    short = one_syllable or re.search("([^aeiou]y|[^aeioub]le)$", word)
    compared = COMPARED.get(word, (*_with(word, "er"), *_with(word, "est")) if short else ())
    return frozenset((word, *compared))


def adverb(adjective: str) -> str:
    """happy: happily; "" where there is none, or it means something else (hardly)."""
    if adjective in NO_ADVERB or adjective.endswith("ly") or not adjective.isalpha():
        return ""
    if re.search("[^aeiou]y$", adjective) and len(re.findall("[aeiouy]+", adjective)) > 1:
        return adjective[:-1] + "ily"
    if re.search("[^aeiou]le$", adjective) or adjective in ("true", "due"):
        return adjective[:-1] + ("ly" if adjective.endswith("ue") else "y")
    if adjective.endswith("ll"):
        return adjective + "y"
    return "wholly" if adjective == "whole" else adjective + ("ally" if adjective.endswith("ic") else "ly")


def vocabulary(lists: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """Every form of the words, and the small words that no list by part of speech holds; lower case, no names, no -'s."""
    return FUNCTION_WORDS.union(*(forms(word.lower(), pos) for pos, of in lists.items() for word in of))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _plurals(noun: str) -> tuple[str, ...] | None:
    """The irregular ones; None where the noun is regular."""
    if noun in PLURALS:
        return PLURALS[noun]
    for ending, plural in PLURAL_ENDINGS.items():
        if noun.endswith(ending) and noun not in REGULAR:
            return (noun.removesuffix(ending) + plural,)
    return None


def _pasts(verb: str) -> tuple[str, ...] | None:
    """The irregular ones; None where the verb is regular."""
    if verb in PASTS:
        return PASTS[verb]
    if base := _base(verb):
        return tuple(verb.removesuffix(base) + past for past in PASTS[base])
    return None


def _base(verb: str) -> str:
    """The irregular verb that it is made from: draw of withdraw; "" if there is none."""
    found = (verb.removeprefix(prefix) for prefix in PREFIXES if verb.startswith(prefix))
    return next((base for base in found if base in PASTS and verb not in REGULAR), "")


def _with_s(word: str) -> str:
    if word.endswith("s") and (
        word in PLURAL_ONLY or not word.endswith(("ss", "us", "as", "is", "lens", "chaos", "ceros"))
    ):
        return word  # pants, scissors
    if re.search("[^aeiou]y$", word):
        return word[:-1] + "ies"
    if word in ("quiz", "whiz"):
        return word + "zes"
    return word + ("es" if word.endswith(("s", "x", "z", "ch", "sh")) or word in O_ES else "s")


def _with(word: str, ending: str) -> tuple[str, ...]:
    """With -ed, -er, -est or -ing: hope, hoping; hop, hopping; try, tried; lie, lying; mimic, mimicking.

    Two where the spelling is a matter of taste: traveling, travelling.
    """
    if ending == "ing" and word.endswith("ie"):
        return (word[:-2] + "ying",)
    if word.endswith("e"):
        keeps = ending == "ing" and (word.endswith(("ee", "oe", "ye")) or word == "be")
        return (word + ending if keeps else word[:-1] + ending,)
    if re.search("[^aeiou]y$", word) and ending != "ing":
        return (word[:-1] + "i" + ending,)
    if word.endswith("ic"):
        return (word + "k" + ending,)
    once, twice = word + ending, word + word[-1] + ending
    ends_in_l = re.search("[^aeiou](?:[aeiou]|[ui]a|ue)l$", word) and len(re.findall("[aeiouy]", word)) > 1
    if ending in ("ed", "ing") and word not in STRESSED and (ends_in_l or word in EITHER):
        return (once, twice)
    short = re.fullmatch("[^aeiou]*[aeiouy][^aeiouwxy]", (_base(word) or word).replace("qu", "q"))
    stressed = word in STRESSED or (word.endswith(STRESSED_ENDINGS) and word not in REGULAR)
    return (twice if short or stressed else once,)
