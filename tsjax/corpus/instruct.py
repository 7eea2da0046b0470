"""TinyStories-Instruct: a story below some of four kinds of instruction lines.

    Features: Dialogue
    Words: quit, oak, gloomy
    Summary: Sara and Ben go home from the park.
    Story:

    Sara and Ben were playing in the park. ...

Kinds come in any order, each once at most. A summary or a sentence may run on over several lines.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Any, Protocol

from tsjax.corpus import Document

KINDS = ("Features", "Words", "Summary", "Random sentence")
TRAIN, TEST = "train", "test"  # the two halves of the out-of-distribution variant

_LABEL = re.compile(rf"^({'|'.join(KINDS)}):", re.MULTILINE)
_STORY = re.compile(r"^Story:(?=[^\S\n]*\n)", re.MULTILINE)
_ONE_LINE = ("Features", "Words")

# A sentence ends with its marks and the quotation marks that close, before a space and not before a small letter
# ('"Stop!" she said.' is one sentence); abbreviations end none, and a line break ends any.
_END = re.compile(r"""\n+|(?<!\bMr)(?<!\bMs)(?<!\bDr)(?<!\bSt)(?<!\bMrs)[.!?]+["'”’)]*(?=\s|$)(?!\s+[a-z])""")


class Random(Protocol):
    """`random.Random` or a NumPy generator: of both, only this method gives the same numbers in every version."""

    def random(self) -> float: ...


@dataclass(frozen=True)
class Instruct:
    """One block, to the letter: `parse(text).render() == text`.

    `lines` are (kind, everything behind its colon up to the line break), in order; `told` is everything behind
    `Story:`, with its white space. The properties say what that means.
    """

    lines: tuple[tuple[str, str], ...]
    told: str

    def render(self) -> str:
        return "".join(f"{kind}:{body}\n" for kind, body in self.lines) + f"Story:{self.told}"

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.lines]

    @property
    def story(self) -> str:
        return self.told.strip()

    @property
    def words(self) -> list[str]:
        return self._list("Words")

    @property
    def features(self) -> list[str]:
        return self._list("Features")

    @property
    def summary(self) -> str:
        return self._body("Summary")

    @property
    def sentence(self) -> str:
        return self._body("Random sentence")

    def _body(self, kind: str) -> str:
        return dict(self.lines).get(kind, "").strip()

    def _list(self, kind: str) -> list[str]:
        return [item for part in self._body(kind).split(",") if (item := part.strip())]

    def document(self) -> Document:
        """The block as a document: its text, the story in it, and what the instructions ask for."""
        said = {"words": self.words, "features": self.features, "summary": self.summary, "sentence": self.sentence}
        return Document(self.render(), self.story, {key: value for key, value in said.items() if value})


def compose(instructions: Sequence[tuple[str, str]], story: str) -> Instruct:
    """The block of these (kind, one line of text), spaced as in the published data."""
    return Instruct(tuple((kind, f" {text}") for kind, text in instructions), f" \n\n{story.strip()}")


def parse(text: str) -> Instruct:
    """The block that `text` is. ValueError says why it is none."""
    start = _STORY.search(text)
    if start is None:
        raise ValueError("no line 'Story:'")
    if not text[start.end() :].strip():
        raise ValueError("no story below 'Story:'")
    before, *parts = _LABEL.split(text[: start.start()])
    if before:
        raise ValueError("text that is no instruction before the first one")
    lines = tuple((kind, body.removesuffix("\n")) for kind, body in zip(parts[::2], parts[1::2], strict=True))
    for kind, body in lines:
        if kind in _ONE_LINE and "\n" in body.rstrip():
            raise ValueError(f"text that is no instruction below {kind}")
    if len({kind for kind, _ in lines}) < len(lines):
        raise ValueError("two instructions of one kind")
    return Instruct(lines, text[start.end() :])


def sentences(story: str) -> list[str]:
    """The sentences of a story, in order, as they stand in it."""
    found, start = [], 0
    for end in _END.finditer(story):
        found.append(story[start : end.end()].strip())
        start = end.end()
    found.append(story[start:].strip())
    return [sentence for sentence in found if any(c.isalnum() for c in sentence)]


def draw(record: Document, random: Random, *, ood: str | None) -> Instruct:
    """Random instructions above the story of a record, of the kinds that it can supply: `words`, `features` and
    `summary` from its fields, and a sentence of the story that is not the first.

    Each subset with at least one instruction is equally likely, and so is each order. With `ood`, records for
    training (TRAIN) never get words and a summary together, and records for testing (TEST) always get both.
    ValueError says what a record lacks.
    """
    supply = _supply(record.fields)
    if later := _later_sentences(record.story):
        supply["Random sentence"] = _pick(later, random)
    kinds = sorted(supply)
    subsets = [subset for size in range(1, len(kinds) + 1) for subset in combinations(kinds, size)]
    if ood is not None:
        both = {"Words", "Summary"}
        subsets = [subset for subset in subsets if (both <= set(subset)) == (ood == TEST)]
    if not subsets:
        raise ValueError("no words and summary" if ood == TEST else "nothing to ask for")
    order = _pick([*permutations(_pick(subsets, random))], random)
    return compose([(kind, supply[kind]) for kind in order], record.story)


def _supply(fields: Mapping[str, Any]) -> dict[str, str]:
    """The instructions that come from what the record says, by kind."""
    found = {}
    for kind, value in ("Words", fields.get("words")), ("Features", fields.get("features")):
        items = value.split(",") if isinstance(value, str) else value or []
        if text := ", ".join(item for part in items if (item := " ".join(str(part).split()))):
            found[kind] = text
    if text := " ".join(str(fields.get("summary") or "").split()):
        found["Summary"] = text
    return found


def _later_sentences(story: str) -> list[str]:
    first, *later = sentences(story) or [""]
    return [sentence for sentence in later if sentence != first]


def _pick(options: Sequence[Any], random: Random) -> Any:
    return options[int(random.random() * len(options))]
