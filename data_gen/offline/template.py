"""Templates of the offline writer: text with fields and alternatives, and the plot that is made of them.

A template is a sentence or a few, with `{fields}` that words fill and `[this|that]` alternatives that are
multiplied out once, at import, so that telling a story is a few picks and one `str.format_map`.
Fields of the two characters keep to one convention, whatever their sex: `{A}` is the hero, whose pronouns are
the he-words (`{he}`, `{him}`, `{his}`, `{himself}`, `{He}`, `{His}`); `{B}` is the friend, whose pronouns are
the she-words (`{she}`, `{her}`, `{hers}` for the possessive, `{herself}`, `{She}`, `{Hers}`).
"""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Words = Mapping[str, str]  # field name -> the word or phrase that fills it
Beat = tuple[tuple[str, ...], ...]  # templates, each as its multiplied-out variants

_VOWEL_SOUND = re.compile(r"(?!one\b|uni|use)[aeiou]|hour|honest", re.IGNORECASE)


def with_article(noun: str) -> str:
    """`noun` after "a" or "an", by its first sound."""
    return f"{'an' if _VOWEL_SOUND.match(noun) else 'a'} {noun}"


def capital(text: str) -> str:
    """`text` as it opens a sentence; unlike `str.capitalize` the rest keeps its case."""
    first = 1 if text.startswith("{") else 0  # a field opens the sentence: its capital form does, "{he}" -> "{He}"
    return text[:first] + text[first : first + 1].upper() + text[first + 1 :]


def variants(template: str) -> tuple[str, ...]:
    """All readings of a template: every `[this|that]` multiplied out, in reading order."""
    parts = re.split(r"\[([^\]]*)\]", template)
    choices = [part.split("|") if i % 2 else [part] for i, part in enumerate(parts)]
    return tuple("".join(reading) for reading in itertools.product(*choices))


def readings(*templates: str) -> tuple[str, ...]:
    """All readings of several templates that may stand for each other."""
    return tuple(text for template in templates for text in variants(template))


def beat(*templates: str) -> Beat:
    """One part of a plot: templates that may stand for each other."""
    return tuple(variants(template) for template in templates)


def slot(fields: str, *rows: str | tuple[str, ...]) -> tuple[Words, ...]:
    """Rows of words that fill `fields` together; each field `x` also gets `a_x`, with its article,
    and `X` and `A_x`, which open a sentence."""
    names = fields.split()
    filled = []
    for row in rows:
        values = (row,) if isinstance(row, str) else row
        words = dict(zip(names, values, strict=True))
        articles = {f"a_{name}": with_article(word) for name, word in words.items()}
        words |= articles
        filled.append(words | {capital(name): capital(word) for name, word in words.items()})
    return tuple(filled)


@dataclass(frozen=True)
class Way:
    """A way out of the trouble: turns, and the endings that follow from each of them."""

    turn: Beat
    ending: Beat


@dataclass(frozen=True)
class Plot:
    """A kind of story. Any want, any obstacle, any one way and any moral of a plot go together."""

    name: str
    places: tuple[str, ...]  # names in offline_words.PLACES
    slots: tuple[tuple[Words, ...], ...]
    want: Beat
    obstacle: Beat
    ways: tuple[Way, ...]
    moral: Beat

    def templates(self) -> Sequence[str]:
        """Every template of the plot, multiplied out: what the vocabulary and its fingerprint are made of."""
        beats = [self.want, self.obstacle, self.moral]
        for way in self.ways:
            beats += [way.turn, way.ending]
        return [text for part in beats for texts in part for text in texts]
