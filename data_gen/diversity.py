"""How varied all documents of a run are: what `monitor` watches on a window, counted over everything."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from data_gen.monitor import bits, shares
from tsjax.corpus.tally import Common


@dataclass
class Diversity:
    """Documents by opening, name and stock word. Counts are exact while there are at most tally.COMMON different keys,
    and bounded in memory beyond: the rarest are forgotten."""

    documents: int = 0
    openings: Common = field(default_factory=Common)
    names: Common = field(default_factory=Common)
    words: Common = field(default_factory=Common)

    def count(self, opening: str, names: list[str], words: set[str]) -> None:
        """Counts a document of a part; parts are then added up."""
        self.documents += 1
        self.openings.counts[opening] += 1
        self.names.counts.update(names)
        self.words.counts.update(words)

    def add(self, other: "Diversity") -> None:
        self.documents += other.documents
        for name in ("openings", "names", "words"):
            getattr(self, name).add(getattr(other, name))

    def summary(self) -> dict[str, Any]:
        """Shares of documents, the most frequent first; `opening_bits`: entropy of the openings (at most log2 of the
        documents)."""
        return {
            "documents": self.documents,
            "opening_bits": round(bits(self.openings.counts), 3),
            "different_openings": len(self.openings.counts),
            "different_names": len(self.names.counts),
            "openings": self._shares(self.openings.counts),
            "names": self._shares(self.names.counts),
            "stock_words": self._shares(self.words.counts),
        }

    def _shares(self, counts: Counter[str]) -> dict[str, float]:
        return shares(counts, self.documents)
