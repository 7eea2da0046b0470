"""The documents of a data set, counted as they are written: what the card and the report say of them."""

import json
from collections import Counter
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from data_gen.diversity import Diversity
from data_gen.recipe import Recipe

SHOWN = 5  # values of a factor at each end of its counts


class Exported:
    """Coverage of the factors, diversity, edits. Memory: 8 bytes a different combination of the unique factors."""

    def __init__(self, recipe: Recipe):
        self.recipe = recipe
        self.diversity = Diversity()
        self.edits: Counter[str] = Counter()
        self._labels: Counter[tuple[str, str]] = Counter()
        self._combinations: set[int] = set()

    def add(self, item: Mapping[str, Any], habits: tuple[str, list[str], list[str]]) -> None:
        """Counts a document's record; `habits`: its opening, names and stock words."""
        opening, names, words = habits
        self.diversity.count(opening, names, set(words))
        self.edits.update(item["edits"])
        unique = []
        for factor in self.recipe.factors:
            drawn = item["factors"].get(factor.name)
            labels = [drawn] if isinstance(drawn, str) else drawn or [""]  # "": absent
            self._labels.update((factor.name, label) for label in labels)
            if factor.unique:
                unique.append(labels)
        digest = blake2b(json.dumps(unique).encode(), digest_size=8).digest()
        self._combinations.add(int.from_bytes(digest, "little"))

    def coverage(self, space: int) -> dict[str, Any]:
        """How much of what could be drawn is in the documents; `space`: combinations of the unique factors."""
        factors = {}
        for factor in self.recipe.factors:
            counts = {label: self._labels[factor.name, label] for label in factor.labels}
            ranked = [[label, n] for label, n in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
            factors[factor.name] = {
                "possible": len(factor.labels),
                "seen": sum(n > 0 for n in counts.values()),
                "absent": self._labels[factor.name, ""],
                "most": ranked[:SHOWN],
                "least": ranked[-SHOWN:],
            }
        return {"factors": factors, "combinations": {"used": len(self._combinations), "space": space}}
