"""The words that requests ask for: `words.csv`, about 3,000 that a child of three or four knows, by part of speech.

A custom file has the same two columns. Its order counts: which words request `index` gets goes by their places.
"""

import csv
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from data_gen.word_tables import COMPARED, FUNCTION_WORDS, O_ES, PASTS, PLURALS, STRESSED
from tsjax.errors import UserError

PARTS_OF_SPEECH = ("noun", "verb", "adjective")
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
        if len(row) != 2 or row[1] not in found or not re.fullmatch(r"[^\W\d_]+(['’ -][^\W\d_]+)*", row[0]):
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

    The irregular words of `words.csv` are known; other words are taken as regular.
    """
    if pos == "noun":
        return frozenset((word, *PLURALS.get(word, (_with_s(word),))))
    if pos == "verb":
        past = PASTS.get(word, (_with(word, "ed"),))
        present = () if word == "be" else ("has",) if word == "have" else (_with_s(word),)
        return frozenset((word, *present, _with(word, "ing"), *past))
    one_syllable = len(re.findall("[aeiouy]+", re.sub("e$", "", word))) == 1 and not re.search("(ing|ed)$", word)
    short = one_syllable or re.search("([^aeiou]y|[^aeioub]le)$", word)
    compared = COMPARED.get(word, (_with(word, "er"), _with(word, "est")) if short else ())
    return frozenset((word, *compared))


def vocabulary(lists: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """Every form of the words, and the small words that no list by part of speech holds; lower case, no names, no -'s."""
    return FUNCTION_WORDS.union(*(forms(word.lower(), pos) for pos, of in lists.items() for word in of))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _with_s(word: str) -> str:
    if word.endswith("s") and not word.endswith(("ss", "us", "gas")):
        return word  # pants, scissors
    if re.search("[^aeiou]y$", word):
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "x", "z", "ch", "sh")) or word in O_ES else "s")


def _with(word: str, ending: str) -> str:
    """With -ed, -er, -est or -ing: hope, hoping; hop, hopping; try, tried; lie, lying; mimic, mimicking."""
    if ending == "ing" and word.endswith("ie"):
        return word[:-2] + "ying"
    if word.endswith("e"):
        keeps = ending == "ing" and (word.endswith(("ee", "oe", "ye")) or word == "be")
        return word + ending if keeps else word[:-1] + ending
    if re.search("[^aeiou]y$", word) and ending != "ing":
        return word[:-1] + "i" + ending
    if word.endswith("ic"):
        return word + "k" + ending
    short = re.fullmatch("[^aeiou]*[aeiouy][^aeiouwxy]", word.replace("qu", "q"))
    return word + (word[-1] if short or word in STRESSED else "") + ending
