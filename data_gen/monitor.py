"""The monitor: whether the accepted texts of a run are still different from each other, on a sliding window.

Models have habits: one opening, one name, one lighthouse in nine stories of ten. What the recipe itself asks for is no
habit, so the words of the templates and of what was drawn for a document do not count for that document.
"""

import difflib
import math
from collections import Counter, deque
from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

import numpy as np

from data_gen.draft import WORD, wanted
from data_gen.examine import Finding
from data_gen.recipe import Factor, Recipe
from data_gen.word_tables import FUNCTION_WORDS
from tsjax.corpus.duplicates import HASHES, THRESHOLD, signatures
from tsjax.errors import UserError

# Shares of documents: above the first four or below the last is an alarm.
DEFAULTS: dict[str, float] = {
    "opening": 0.25,
    "name": 0.1,
    "stock_word": 0.3,
    "near_duplicates": 0.05,
    "acceptance": 0.5,
}
LEAST = 100  # documents before there are alarms; fewer say little about shares
_TOP = 10
_CANDIDATES = 8  # documents of an equal band that a new one is compared with, the last ones
_TOGETHER = 32  # texts whose signatures are made at once: three times as quick as one by one

# Not in the small words of `word_tables`, and in so many stories for children that it says nothing about a model.
_EVERYDAY = """
    ask asked asking bad became began begin big boy bright bring brought call called came child children come comes
    coming cried cry dad day days decided end excited eyes face father feel feeling felt find found friend friends
    full fun gave get gets getting girl give go goes going gone good got great hand hands happen happened happy hard
    head hear heard heart held help helped helping high hold hurt idea keep kept kind knew know laugh laughed learn
    learned leave left like liked little live lived long look looked looking looks love loved made make makes making
    man mean met mom moment morning mother move name named need needed new nice night old open opened play played
    playing put ran ready right run running sad safe said sat saw say saying says scared see seen share show showed
    side sit small smile smiled smiling soft special start started stay still stood stop stopped sure take talk tell
    thank thanked thing things think thought time times told took tried try trying turn turned use used voice wait
    waited walk walked want wanted wants warm watch watched way went wish word words work worked world yes young"""
_COMMON = FUNCTION_WORDS.union(_EVERYDAY.split())


class _Entry(NamedTuple):
    """What the window keeps of one text."""

    opening: str
    names: tuple[str, ...]
    words: tuple[str, ...]
    near: bool
    bands: tuple[Hashable, ...]
    minhashes: np.ndarray


def validate(alarms: Mapping[str, Any]) -> None:
    """Raises UserError for a key that is no alarm's, or a threshold that is no share."""
    for key, value in alarms.items():
        if key not in DEFAULTS:
            near = difflib.get_close_matches(key, DEFAULTS, 1, cutoff=0)[0]
            expected = f"the alarms {', '.join(DEFAULTS)}"
            raise UserError(expected=expected, found=repr(key), todo=f"did you mean {near!r}?")
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
            raise UserError(expected=f"alarm {key} to be a share from 0 to 1", found=repr(value), todo="change it")


class Monitor:
    """Counts over the last `window` accepted texts, and over as many findings for the accepted share.

    The recipe's alarms override DEFAULTS. An added text costs about 0.2 ms, whatever the window.
    """

    def __init__(self, recipe: Recipe, window: int = 1000):
        validate(recipe.alarms)
        self.window = window
        self.limits = DEFAULTS | dict(recipe.alarms)
        self._factors = {factor.name: factor for factor in recipe.factors}
        self._asked: dict[tuple[str, str], frozenset[str]] = {}
        prompts = " ".join(f"{step.prompt} {step.system}" for step in recipe.steps)
        self._common = _COMMON.union(WORD.findall(prompts.lower()))
        self._verdicts: deque[bool] = deque(maxlen=window)
        self._entries: deque[_Entry] = deque()
        self._openings: Counter[str] = Counter()
        self._names: Counter[str] = Counter()
        self._words: Counter[str] = Counter()
        self._near = 0
        self._new: list[tuple[str, str, list[str], set[str]]] = []  # text, opening, names, words
        self._buckets: dict[Hashable, deque[_Entry]] = {}

    def judged(self, accepted: bool) -> None:
        """A document was accepted or not, for the share of those that are."""
        self._verdicts.append(accepted)

    def add(self, text: str, factors: Mapping[str, Any], finding: Finding) -> None:
        """Takes in one finding; `text` is that of the document, and counts if the finding is accepted."""
        self.judged(not finding.reason)
        if finding.reason or not text:
            return
        self._new.append((told(text, finding), *self.habits(text, factors, finding)))
        if len(self._new) >= _TOGETHER:
            self._take_in()

    def _take_in(self) -> None:
        """Counts what was added since the last time."""
        new, self._new = self._new, []
        columns = signatures([text for text, *_ in new]).T.copy()
        for column, (_, opening, names, words) in zip(columns, new, strict=True):
            bands = tuple(enumerate(column.tolist()))
            minhashes = column.view(np.uint16)
            near = self._is_near(bands, minhashes)
            entry = _Entry(opening, tuple(names), tuple(words), near, bands, minhashes)
            self._entries.append(entry)
            self._count(entry, 1)
            for band in bands:
                self._buckets.setdefault(band, deque()).append(entry)
            if len(self._entries) > self.window:
                self._forget()

    def habits(self, text: str, factors: Mapping[str, Any], finding: Finding) -> tuple[str, list[str], set[str]]:
        """The opening, names and stock words of an accepted text; what was asked for is in none of them."""
        asked = self._words_asked(factors)
        names = [name for name in finding.stats.get("names", ()) if name.lower() not in asked]
        # "lighthouse's" counts as it stands: rarely more often than "lighthouse", and this is a tenth of the time.
        words = set(WORD.findall(told(text, finding).lower())) - self._common - asked
        words.difference_update(name.lower() for name in finding.stats.get("names", ()))
        return finding.stats.get("opening", ""), names, words

    def alarms(self) -> list[str]:
        """What is wrong now, a sentence each with the numbers; none while there are few documents."""
        self._take_in()
        found = []
        least = min(LEAST, self.window)
        if len(self._verdicts) >= least and self._accepted() < self.limits["acceptance"]:
            found.append(
                f"{self._accepted():.1%} of the last {len(self._verdicts)} answers were accepted,"
                f" less than {self.limits['acceptance']:.1%}"
            )
        number = len(self._entries)
        if number < least:
            return found
        for key, counts, says in (
            ("opening", self._openings, "begin with"),
            ("name", self._names, "have the name"),
            ("stock_word", self._words, "have the word"),
        ):
            top, count = max(counts.items(), key=lambda item: (item[1], item[0]), default=("", 0))
            if count > self.limits[key] * number:
                found.append(
                    f"{count / number:.1%} of the last {number} documents {says} {top!r}, more than {self.limits[key]:.1%}"
                )
        if self._near > self.limits["near_duplicates"] * number:
            found.append(
                f"{self._near / number:.1%} of the last {number} documents are near copies of one before,"
                f" more than {self.limits['near_duplicates']:.1%}"
            )
        return found

    def summary(self) -> dict[str, Any]:
        """For the report: shares of documents in the window, the most frequent first, and the entropy of openings."""
        self._take_in()
        number = len(self._entries)
        return {
            "window": self.window,
            "documents": number,
            "accepted": round(self._accepted(), 4),
            "opening_bits": round(bits(self._openings), 3),
            "openings": shares(self._openings, number),
            "names": shares(self._names, number),
            "stock_words": shares(self._words, number),
            "near_duplicates": round(self._near / number, 4) if number else 0.0,
        }

    def _accepted(self) -> float:
        return sum(self._verdicts) / len(self._verdicts) if self._verdicts else 0.0

    def _count(self, entry: _Entry, sign: int) -> None:
        self._near += sign * entry.near
        for counts, keys in (
            (self._openings, (entry.opening,)),
            (self._names, entry.names),
            (self._words, entry.words),
        ):
            for key in keys:
                counts[key] += sign
                if not counts[key]:
                    del counts[key]

    def _forget(self) -> None:
        """The oldest text is the first of each of its buckets."""
        entry = self._entries.popleft()
        self._count(entry, -1)
        for band in entry.bands:
            bucket = self._buckets[band]
            bucket.popleft()
            if not bucket:
                del self._buckets[band]

    def _is_near(self, bands: tuple[Hashable, ...], minhashes: np.ndarray) -> bool:
        need = THRESHOLD * HASHES
        compared: set[int] = set()
        for band in bands:
            bucket = self._buckets.get(band, ())
            for place in range(1, min(_CANDIDATES, len(bucket)) + 1):
                entry = bucket[-place]
                if id(entry) not in compared:
                    compared.add(id(entry))
                    if np.count_nonzero(entry.minhashes == minhashes) >= need:
                        return True
        return False

    def _words_asked(self, factors: Mapping[str, Any]) -> set[str]:
        """The words, in all their forms, of what was drawn for a document."""
        asked: set[str] = set()
        for name, value in factors.items():
            factor = self._factors.get(name)
            for label in [value] if isinstance(value, str) else value:
                if factor is not None and isinstance(label, str):
                    if (name, label) not in self._asked:
                        self._asked[name, label] = _words_of(factor, label)
                    asked |= self._asked[name, label]
        return asked


def told(text: str, finding: Finding) -> str:
    """The text without the marks of a chat."""
    return " ".join(message["content"] for message in finding.messages) if finding.messages else text


def _words_of(factor: Factor, label: str) -> frozenset[str]:
    single, phrases = wanted(label, factor.pos)
    said = factor.said.get(label, "")
    return single.union(*(phrase.split() for phrase in phrases), WORD.findall(said.lower()))


def shares(counts: Counter[str], number: int) -> dict[str, float]:
    """The most frequent keys, with their counts as shares of `number`."""
    top = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_TOP]
    return {key: round(count / number, 4) for key, count in top}


def bits(counts: Counter[str]) -> float:
    """The entropy of counts."""
    total = sum(counts.values())
    return sum(count / total * math.log2(total / count) for count in counts.values())
