"""What is drawn for a document: a function of (recipe, seed, index) alone, in any order, on any machine.

Unique factors share one space, the product of their values. Index i gets the i-th place of a shuffled order of that
space, so no combination comes again before all of them have come; each further pass has an order of its own. The
order is never stored: it is a Feistel network with addition (Black and Rogaway, 2002) over a rectangle that is a
little larger than the space, and a place outside the space is put through again until it falls inside.

Any other factor has random numbers of its own, that follow from (seed, its name, index): adding a factor or removing
one leaves the others as they were.
"""

from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from hashlib import blake2b
from itertools import accumulate
from math import isqrt, prod
from typing import Any

from data_gen.recipe import Factor, Recipe

_ROUNDS = 8
_MASK = (1 << 64) - 1
_STEP = 0x9E3779B97F4A7C15  # of SplitMix64, as are the numbers in _mix (Steele, Lea and Flood, 2014)


class Sampler:
    """`draw(index)` for index 0, 1, 2, ... without end."""

    def __init__(self, recipe: Recipe, seed: int):
        unique = [factor for factor in recipe.factors if factor.unique]
        self.space = prod(len(factor.labels) for factor in unique)  # combinations of the unique factors; 1 without any
        self._seed = seed
        self._factors = [(factor.name, None if factor.unique else _Draw(factor, seed)) for factor in recipe.factors]
        self._unique = [(factor.name, factor.labels) for factor in unique]

    def draw(self, index: int) -> dict[str, Any]:
        """Labels by factor: a string, or a list for a factor with a `number`. A factor that is absent has no entry."""
        if index < 0:
            raise ValueError(f"index {index} is below 0")
        drawn: dict[str, Any] = {}
        if self._unique:
            epoch, place = divmod(index, self.space)
            place = _shuffled(place, self.space, _keys(self._seed, epoch))
            for name, labels in self._unique:
                place, digit = divmod(place, len(labels))
                drawn[name] = labels[digit]
        values: dict[str, Any] = {}
        for name, draw in self._factors:  # in the order of the recipe
            value = drawn[name] if draw is None else draw(index)
            if value is not None:
                values[name] = value
        return values


class _Draw:
    """One factor that is not unique: index -> label, list of labels, or None where it is absent."""

    def __init__(self, factor: Factor, seed: int):
        self.labels, self.number, self.present = factor.labels, factor.number, factor.present
        self.key = _key("factor", seed, factor.name)
        self.weights = factor.weights
        self.sums = list(accumulate(factor.weights or ()))

    def __call__(self, index: int) -> Any:
        state = _mix(self.key ^ _mix(index))
        if self.present < 1 and _mix(state) >= self.present * 2**64:
            return None
        if self.number is None:
            return self.labels[self._one(_mix(state + _STEP))]
        least, most = self.number
        count = least + (_mix(state + _STEP) * (most - least + 1) >> 64)
        return self._several(state + 2 * _STEP, count)

    def _one(self, bits: int) -> int:
        return _weighted(bits, self.sums) if self.weights else bits * len(self.labels) >> 64

    def _several(self, state: int, count: int) -> list[str]:
        """Different labels: those that were drawn take no more part."""
        bits = [_mix(state + k * _STEP) for k in range(count)]
        return [self.labels[place] for place in (self._heavy(bits) if self.weights else self._even(bits))]

    def _even(self, bits: list[int]) -> Iterator[int]:
        """The first steps of a Fisher-Yates shuffle; the places that it moved are all that is kept of the list."""
        moved: dict[int, int] = {}
        for last, number in zip(range(len(self.labels) - 1, -1, -1), bits, strict=False):
            place = number * (last + 1) >> 64
            yield moved.get(place, place)
            moved[place] = moved.get(last, last)

    def _heavy(self, bits: list[int]) -> Iterator[int]:
        left, weights = list(range(len(self.labels))), list(self.weights or ())
        for number in bits:
            place = _weighted(number, list(accumulate(weights)))
            weights.pop(place)
            yield left.pop(place)


def _weighted(bits: int, sums: list[float]) -> int:
    return min(bisect_right(sums, bits / 2**64 * sums[-1]), len(sums) - 1)


def _shuffled(place: int, space: int, keys: tuple[int, ...]) -> int:
    """Where `place` of range(space) goes: a permutation."""
    rows = isqrt(space - 1) + 1
    columns = -(-space // rows)
    while True:
        row, column = divmod(place, columns)
        for k in range(0, _ROUNDS, 2):
            row = (row + _mix(keys[k] ^ column)) % rows
            column = (column + _mix(keys[k + 1] ^ row)) % columns
        place = row * columns + column
        if place < space:
            return place


@lru_cache(maxsize=64)
def _keys(seed: int, epoch: int) -> tuple[int, ...]:
    return tuple(_key("unique", seed, epoch, k) for k in range(_ROUNDS))


def _key(*parts: str | int) -> int:
    return int.from_bytes(blake2b(repr(parts).encode(), digest_size=8).digest(), "big")


def _mix(bits: int) -> int:
    """A number of 64 bits, shuffled: the finisher of SplitMix64."""
    bits &= _MASK
    bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EB & _MASK
    return bits ^ (bits >> 31)
