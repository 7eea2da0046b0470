"""Tallies: counts of documents and their defects that can be merged, in memory that does not grow with the corpus.

Tallies of parts add up to the tally of the whole. Whatever the batches, all numbers are the same; the numbers and
excerpts of examples too if parts are added in order. Two limits apply to texts with very many different words:

- Words: all are counted while there are at most WORDS different ones; beyond, those whose hash ends in enough zero
  bits, so that the number of different ones is an estimate (within 0.4 %). It too is the same whatever the batches.
- Openings and names: while there are at most COMMON different ones, counts are exact. Beyond, the rarest are
  forgotten, so a count may be too low by at most `missed`, which then depends on the batches.
"""

import bisect
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import compress, islice
from typing import Any

import numpy as np

from tsjax.corpus import Document
from tsjax.corpus.defects import LATIN, count_words, defects, excerpt, later_openings, script, scripts
from tsjax.corpus.duplicates import word_hashes

WORDS = 1 << 18  # about 30 MB
COMMON = 1 << 17
SAMPLE = 256  # documents of which the lines' openings are kept
LINES = 128  # of each
EXAMPLES = 3

# Lower edges of the lengths' bins, in words: each number up to 8, then four to a doubling.
BINS = sorted({*range(9), *(round(2 ** (i / 4)) for i in range(12, 81))})

# In mid-sentence: after a word or a comma. Two letters or more leave out "I".
_NAME = re.compile(r" (?<=[^\W\d_A-Z] |[,;] )([A-ZÀ-ÖØ-ÞΑ-ΩЀ-Я][^\W\d_]+)")


@dataclass
class Common:
    """Counts of strings, exact for the common ones."""

    counts: Counter[str] = field(default_factory=Counter)
    missed: int = 0  # the most that any count may be too low

    def add(self, other: "Common") -> None:
        self.counts.update(other.counts)
        self.missed += other.missed
        if len(self.counts) > COMMON:
            rarest = sorted(self.counts.values())[-COMMON // 2]
            self.missed += rarest
            self.counts = Counter({key: count for key, count in self.counts.items() if count > rarest})


@dataclass
class Vocabulary:
    """Counts of words, or of an even sample of the different ones."""

    counts: Counter[str] = field(default_factory=Counter)
    level: int = 0  # one in 2**level different words is counted

    def add(self, other: "Vocabulary") -> None:
        level = max(self.level, other.level)
        if level > self.level:
            self._thin(level)
        self.counts.update(other.counts if level == other.level else _sampled(other.counts, level))
        while len(self.counts) > WORDS:
            self._thin(self.level + 1)

    def _thin(self, level: int) -> None:
        self.counts, self.level = _sampled(self.counts, level), level


@dataclass
class Tally:
    """Counts of a set of documents. Sizes are of the texts, all else of the stories."""

    seen: int = 0  # documents, those left out included: what examples are numbered by, from 0
    documents: int = 0
    words: int = 0  # between spaces
    characters: int = 0
    bytes: int = 0  # of UTF-8
    shortest: int = 0  # words
    longest: int = 0
    lengths: Counter[int] = field(default_factory=Counter)  # documents by place in BINS
    length_words: Counter[int] = field(default_factory=Counter)  # their words
    faults: Counter[str] = field(default_factory=Counter)
    repairs: Counter[str] = field(default_factory=Counter)
    defects: Counter[str] = field(default_factory=Counter)
    scripts: Counter[str] = field(default_factory=Counter)  # "LATIN CYRILLIC": both, more of the first
    vocabulary: Vocabulary = field(default_factory=Vocabulary)  # of normal forms
    openings: Common = field(default_factory=Common)
    names: Common = field(default_factory=Common)
    examples: dict[str, list[tuple[int, str]]] = field(default_factory=dict)  # (document, excerpt) by kind
    sample: dict[int, tuple[int, list[str]]] = field(default_factory=dict)  # hash: document, openings of later lines

    def leave_out(self, fault: str) -> None:
        """Counts a document that goes no further."""
        self.seen += 1
        self.faults[fault] += 1

    def count(self, document: Document, words: list[str], form: str) -> None:
        """Counts a document of a batch: `words` are those of the story's normal `form`.

        Into a tally that nothing has been added to: memory is bounded where tallies are added up.
        """
        text, story = document.text, document.story
        utf8 = text.encode()
        size = count_words(text, utf8)
        self.shortest = min(self.shortest, size) if self.documents else size
        self.longest = max(self.longest, size)
        self.documents += 1
        self.words += size
        self.characters += len(text)
        self.bytes += len(utf8)
        place = bisect.bisect_right(BINS, size) - 1
        self.lengths[place] += 1
        self.length_words[place] += size

        self.vocabulary.counts.update(words)
        self.openings.counts[" ".join(words[:4])] += 1
        for name in set(_NAME.findall(story)):
            self.names.counts[name] += 1
        for kind, where in defects(story, utf8 if text is story else story.encode(), form):
            self.defects[kind] += 1
            self._note(kind, story, where)
        self._count_scripts(story)
        self.seen += 1

    def look_into(self, number: int, story: str, key: int) -> None:
        """Takes the story of document `number` into the sample; wanted are the SAMPLE lowest hashes (`key`)."""
        self.sample.setdefault(key, (number, later_openings(story)[:LINES]))

    def add(self, other: "Tally") -> None:
        """Counts `other` too, whose documents come after these. `other` must not be used afterwards."""
        self.shortest = min((t.shortest for t in (self, other) if t.documents), default=0)
        self.longest = max(self.longest, other.longest)
        for kind, examples in other.examples.items():
            mine = self.examples.setdefault(kind, [])
            mine += [(self.seen + number, text) for number, text in examples[: EXAMPLES - len(mine)]]
        for key, (number, openings) in other.sample.items():
            self.sample.setdefault(key, (self.seen + number, openings))
        self.sample = dict(islice(sorted(self.sample.items()), SAMPLE))
        for name in ("seen", "documents", "words", "characters", "bytes"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("lengths", "length_words", "faults", "repairs", "defects", "scripts"):
            getattr(self, name).update(getattr(other, name))
        for name in ("vocabulary", "openings", "names"):
            getattr(self, name).add(getattr(other, name))

    def to_json(self) -> dict[str, Any]:
        """For JSON, and back by `from_json`."""
        return vars(self) | {name: dict(vars(getattr(self, name))) for name in ("vocabulary", "openings", "names")}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Tally":
        loaded: dict[str, Any] = dict(values)
        for name in ("faults", "repairs", "defects", "scripts"):
            loaded[name] = Counter(values[name])
        for name in ("lengths", "length_words"):  # JSON made strings of these keys
            loaded[name] = Counter({int(key): count for key, count in values[name].items()})
        for name, kind in (("vocabulary", Vocabulary), ("openings", Common), ("names", Common)):
            loaded[name] = kind(**values[name] | {"counts": Counter(values[name]["counts"])})
        loaded["examples"] = {kind: [(n, text) for n, text in those] for kind, those in values["examples"].items()}
        loaded["sample"] = {int(key): (n, openings) for key, (n, openings) in values["sample"].items()}
        return cls(**loaded)

    def _note(self, kind: str, story: str, where: int) -> None:
        examples = self.examples.setdefault(kind, [])
        if len(examples) < EXAMPLES:
            examples.append((self.seen, excerpt(story, where)))

    def _count_scripts(self, story: str) -> None:
        names = scripts(story)
        self.scripts[" ".join(names[:4])] += 1
        for name in names:
            # Latin words are at home in other scripts; whole documents may not be.
            if len(self.examples.get(f"script {name}", ())) < EXAMPLES and (name != LATIN or name == names[0]):
                where = next(place for place, letter in enumerate(story) if script(letter) == name)
                self._note(f"script {name}", story, where)


def _sampled(counts: Counter[str], level: int) -> Counter[str]:
    """The words whose hash ends in `level` zero bits."""
    kept = word_hashes(list(counts)) & np.uint64((1 << level) - 1) == 0
    return Counter(dict(compress(counts.items(), kept.tolist())))
