"""The k-grams of a few stories, and every place where a corpus has them: exact, in one pass, in bounded memory.

The k-grams are numbered level by level: a node of level k is one of level k - 1 and the token after it, and a hash table
finds it by these two numbers. All positions of a block of the corpus walk down these levels together, and those that no
story goes on with fall out, so that nothing is compared that cannot match, and equal hashes are told apart by their keys.
Memory: the tokens, about 400 bytes for each of the _BLOCK tokens that a worker looks at (a document is not cut, so more
for a longer one), and about 80 bytes for each token of the stories and level that the corpus reaches.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Protocol, TypeVar

import numpy as np

from tsjax.shards import Shards

_BLOCK = 1 << 15  # tokens: what a level reads and writes stays in the cache
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: spreads keys that follow each other
_EMPTY = -1


@dataclass(frozen=True)
class Corpus:
    """Documents in one array of ids: `tokens[starts[i]:ends[i]]`, in order, without overlap.

    tokens: unsigned integers [N], may be memory-mapped. starts, ends: int64 [documents]. What lies between two documents
    (EOS, BOS) belongs to no k-gram, and no k-gram goes from one document into the next.
    """

    tokens: np.ndarray
    starts: np.ndarray
    ends: np.ndarray

    def total(self, k: int) -> int:
        """How many k-grams the corpus has, repeated ones too."""
        return int(np.maximum(self.ends - self.starts - (k - 1), 0).sum())

    def document(self, i: int) -> np.ndarray:
        """The ids of document i: a view."""
        return self.tokens[self.starts[i] : self.ends[i]]


def corpus_of(shards: Shards, split: str = "train") -> Corpus:
    """The documents of a split without the BOS that begins and the EOS that ends each."""
    tokenizer, tokens, starts = shards.tokenizer(), shards.tokens(split), shards.document_starts(split)
    if not len(tokens):
        return Corpus(tokens, starts[:0], starts[:0])
    ends = np.append(starts[1:], len(tokens))
    first = starts + (tokens[starts] == tokenizer.bos)
    return Corpus(tokens, first, np.maximum(ends - (tokens[ends - 1] == tokenizer.eos), first))


class Level:
    """The distinct k-grams of one length: nodes 0 to `size` - 1.

    at, node: int64 [m]: where in the joined stories a k-gram begins (ascending), and which one it is.
    """

    def __init__(self, keys: np.ndarray, at: np.ndarray, node: np.ndarray):
        self.keys, self.at, self.node = keys, at, node  # keys: int64 [size], ascending
        self.size = len(keys)

    def find(self, keys: np.ndarray) -> np.ndarray:
        """int32 [n]: the node of each key, or -1."""
        table, nodes, shift = self._table
        slots = ((keys.view(np.uint64) * _FACTOR) >> shift).view(np.int64)
        here = table.take(slots)
        found = nodes.take(slots)
        other = np.flatnonzero(here != keys)
        found[other] = -1
        other = other[here[other] != _EMPTY]  # a slot that another key has: look into the next one
        slots, keys = slots[other], keys[other]
        while len(other):
            slots = (slots + 1) & (len(table) - 1)
            here = table.take(slots)
            same = here == keys
            found[other[same]] = nodes.take(slots[same])
            on = ~same & (here != _EMPTY)
            other, slots, keys = other[on], slots[on], keys[on]
        return found

    @cached_property
    def _table(self) -> tuple[np.ndarray, np.ndarray, np.uint64]:
        """Open addressing: keys and nodes by slot, at most a quarter of the slots in use."""
        bits = max(6, int(4 * self.size - 1).bit_length())
        shift = np.uint64(64 - bits)
        table, nodes = np.full(1 << bits, _EMPTY, np.int64), np.full(1 << bits, -1, np.int32)
        slots = ((self.keys.view(np.uint64) * _FACTOR) >> shift).view(np.int64)
        waiting = np.arange(self.size)
        while len(waiting):
            free = table[slots[waiting]] == _EMPTY
            _, first = np.unique(slots[waiting], return_index=True)  # of those that want one slot, one gets it
            gets = np.zeros(len(waiting), bool)
            gets[first] = True
            gets &= free
            done, waiting = waiting[gets], waiting[~gets]
            table[slots[done]], nodes[slots[done]] = self.keys[done], done
            slots[waiting] = (slots[waiting] + 1) & (len(table) - 1)
        return table, nodes, shift


class Grams:
    """The k-grams of `stories` (ids of each), of every length."""

    def __init__(self, stories: Sequence[Sequence[int] | np.ndarray]):
        self.count = len(stories)
        self.lengths = np.array([len(ids) for ids in stories], np.int64)
        self.longest = int(self.lengths.max(initial=0))
        self.begins = np.cumsum(self.lengths) - self.lengths
        self._story = np.repeat(np.arange(self.count), self.lengths)
        self._last = np.repeat(self.begins + self.lengths, self.lengths)  # where the story of each token ends
        joined = np.concatenate([np.asarray(ids, np.int64) for ids in stories] or [np.zeros(0, np.int64)])
        vocabulary, node = np.unique(joined, return_inverse=True)
        self._base = len(vocabulary) + 1  # symbols: 0 for what no story has, then the vocabulary
        self._joined = node + 1
        # Ids beyond the stories' highest are clipped to the last entry, which is 0. Ids below 0 (text that the
        # vocabulary cannot spell) are in no corpus.
        self.symbols = np.zeros(int(joined.max(initial=0)) + 2, np.int64)
        self.symbols[vocabulary[vocabulary >= 0]] = np.flatnonzero(vocabulary >= 0) + 1
        self._levels = [Level(np.arange(1, self._base, dtype=np.int64), np.arange(len(joined)), node)]
        self._lock = threading.Lock()

    def level(self, k: int) -> Level:
        """The k-grams of length k, made when first asked for. Thread-safe."""
        if k > len(self._levels):
            with self._lock:
                while k > len(self._levels):
                    self._levels.append(self._next(self._levels[-1], len(self._levels) + 1))
        return self._levels[k - 1]

    def keys(self, nodes: np.ndarray, symbols: np.ndarray) -> np.ndarray:
        """int64: the keys of the next level for nodes and the symbols after them. Keys with symbol 0 are in no level."""
        return nodes.astype(np.int64) * self._base + symbols

    def stories_of(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """(story, node), int64 [m] each: which k-grams each story has, each once, in order of the stories."""
        level = self.level(k)
        both = np.unique(self._story[level.at] * max(level.size, 1) + level.node)
        return both // max(level.size, 1), both % max(level.size, 1)

    def distinct(self, k: int) -> np.ndarray:
        """int64 [stories]: how many different k-grams each has."""
        return np.bincount(self.stories_of(k)[0], minlength=self.count)

    def story(self, at: np.ndarray) -> np.ndarray:
        """Which story each place in the joined stories is in."""
        return self._story[at]

    def _next(self, level: Level, k: int) -> Level:
        goes_on = level.at + k <= self._last[level.at]
        at = level.at[goes_on]
        keys, node = np.unique(self.keys(level.node[goes_on], self._joined[at + k - 1]), return_inverse=True)
        return Level(keys, at, node)


class Block:
    """Whole documents of a corpus, `first` to `last` - 1, in `tokens[begin:]`."""

    def __init__(self, corpus: Corpus, first: int, last: int):
        self.first, self.size = first, last - first
        self.begin, end = int(corpus.starts[first]), int(corpus.ends[last - 1])
        self.tokens = corpus.tokens[self.begin : end]
        self.starts = corpus.starts[first:last] - self.begin
        self.ends = corpus.ends[first:last] - self.begin

    @cached_property
    def document(self) -> np.ndarray:
        """int64 [tokens]: the document of each token, from 0 in this block."""
        return np.repeat(np.arange(self.size), np.diff(self.starts, append=len(self.tokens)))

    def gaps(self) -> np.ndarray:
        """int64: places between documents."""
        widths = self.starts[1:] - self.ends[:-1]
        return np.arange(widths.sum()) + np.repeat(self.ends[:-1] - np.cumsum(widths) + widths, widths)


class Collector(Protocol):
    """What a scan is for."""

    depth: int  # the longest k-grams that it wants to see

    def see(self, block: Block, k: int, positions: np.ndarray, nodes: np.ndarray) -> None:
        """All places of the block where a k-gram of the stories begins (int64 [n], ascending), and its node (int32 [n])."""

    def merge(self, other: Any) -> None:
        """Takes over what another has collected from later blocks."""


C = TypeVar("C", bound=Collector)


def scan(corpus: Corpus, grams: Grams, make: Callable[[], Sequence[C]], workers: int = 2) -> Sequence[C]:
    """Shows all blocks of `corpus` to the collectors that `make()` gives.

    Each worker, a thread, has its own, and a part of the corpus; they are merged in order. The result is the same for
    any number of workers.
    """
    count = len(corpus.starts)
    shares = corpus.starts[0] + (corpus.ends[-1] - corpus.starts[0]) * np.arange(1, workers) // workers if count else []
    cuts = [0, *np.searchsorted(corpus.starts, shares).tolist(), count]

    def work(part: tuple[int, int]) -> Sequence[C]:
        collectors = make()
        for block in _blocks(corpus, *part):
            _walk(block, grams, collectors)
        return collectors

    with ThreadPoolExecutor(workers) as pool:
        first, *others = pool.map(work, pairwise(cuts))
    for other in others:
        for mine, theirs in zip(first, other, strict=True):
            mine.merge(theirs)
    return first


def _blocks(corpus: Corpus, first: int, last: int) -> Iterator[Block]:
    while first < last:
        end = int(np.searchsorted(corpus.ends[first:last], corpus.starts[first] + _BLOCK, "right")) + first
        end = min(
            max(end, first + 1), first + _BLOCK
        )  # at least one document, and not many more empty ones than tokens
        yield Block(corpus, first, end)
        first = end


def _walk(block: Block, grams: Grams, collectors: Sequence[Collector]) -> None:
    depth = max((one.depth for one in collectors), default=0)
    if not depth or not grams.longest:
        return
    symbols = np.append(grams.symbols.take(block.tokens, mode="clip"), 0)
    symbols[block.gaps()] = 0
    positions = np.flatnonzero(symbols)
    nodes = (symbols.take(positions) - 1).astype(np.int32)
    symbols[block.starts] = 0  # no k-gram goes on into the next document
    k = 1
    while len(positions):
        for one in collectors:
            if k <= one.depth:
                one.see(block, k, positions, nodes)
        if k >= min(depth, grams.longest):
            break
        nodes = grams.level(k + 1).find(grams.keys(nodes, symbols.take(positions + k)))
        on = np.flatnonzero(nodes >= 0)
        positions, nodes = positions.take(on), nodes.take(on)
        k += 1
