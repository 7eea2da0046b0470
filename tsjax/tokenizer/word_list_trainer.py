"""Making a word list for a corpus: letters and marks, so that its texts parse; frequent endings; and its words.

A twelfth of the list are short endings of words that are not in it. On TinyStories (half of the stories for the list, the
others to count) 1,920 ids then give 1.368 tokens a word, and 1.412 without endings; 4,096 ids give 1.247 and 1.256.
"""

import re
import string
from collections import Counter
from collections.abc import Iterable

from tsjax.errors import UserError
from tsjax.tokenizer.word_list import MULTIPLE, TURNS, UNK, WordList

ALWAYS = (*string.ascii_lowercase, *"-!.,?;'")  # as TinyChat's
ENDINGS = 12  # one in so many ids
_LONGEST_ENDING = 3  # longer ones serve too few words
COMMON = 100_000  # a character that is one in so many gets a token
# A word with what is inside it, or a single sign, each with the space in front of it if there is one.
_UNIT = re.compile(r" ?(?:[^\W\d_]+(?:'[^\W\d_]+)?|.)", re.DOTALL)


def train_word_list(texts: Iterable[str], vocab_size: int, *, chat: bool = False, unk: bool = False) -> WordList:
    """A word list of at most `vocab_size` ids, padding ids and all; `chat`: markers first; `unk`: with an <unk>.

    The same texts give the same list. Every text of a-z, spaces, - ! . , ? ; ' and of what is common in `texts` can be
    spelled. UserError, with the size that works, when not even the characters have room.
    """
    turns = [TURNS["user"], TURNS["assistant"], TURNS["system"]] if chat else []
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text.lower().split(" "))
    for turn in turns:
        del counts[turn.lstrip()]
    units: Counter[str] = Counter()
    for word, count in counts.items():
        for unit in _UNIT.findall(" " + word):
            units[unit] += count
    characters: Counter[str] = Counter()
    for unit, count in units.items():
        for character in unit:
            characters[character] += count
    common = sorted(c for c, count in characters.items() if count * COMMON >= characters.total() and _can_be(c))
    always = dict.fromkeys((*turns, " ", *ALWAYS, *common))
    # One id for padding; without a user marker bos and eos as well.
    reserved = (1 if chat else 3) + unk
    room = vocab_size // MULTIPLE * MULTIPLE - reserved - len(always)
    if room < 0:
        least = -(-(len(always) + reserved) // MULTIPLE) * MULTIPLE
        raise UserError(
            expected=f"a vocabulary of at least {least} (a multiple of {MULTIPLE} that holds every common character)",
            found=str(vocab_size),
            todo=f"set vocab_size to {least} or more",
        )
    ranked = sorted((u for u in units if u not in always and _can_be(u)), key=lambda u: (-units[u], u))
    endings = min(room, vocab_size // ENDINGS) if len(ranked) > room else 0
    tokens = [*always, *ranked[: room - endings]]
    tokens += _endings(units, {*tokens})[:endings]
    tokens = [*dict.fromkeys(tokens + ranked)][: len(always) + room]  # where there were fewer endings
    return WordList([*tokens, UNK] if unk else tokens)


def _endings(units: Counter[str], tokens: set[str]) -> list[str]:
    """What could end words behind the longest token that begins them: first what saves the most letters."""
    saved: Counter[str] = Counter()
    for unit, count in units.items():
        if unit not in tokens:
            begun = next((k for k in range(len(unit) - 1, 0, -1) if unit[:k] in tokens), 0)
            for start in range(max(begun, len(unit) - _LONGEST_ENDING), len(unit) - 1):
                saved[unit[start:]] += count * (len(unit) - start - 1)
    usable = (ending for ending in saved if ending not in tokens and _can_be(ending))
    return sorted(usable, key=lambda ending: (-saved[ending], ending))


def _can_be(token: str) -> bool:
    """Whether the file can hold it."""
    return token == token.lower() and not {*token} & {"_", "\r"}
