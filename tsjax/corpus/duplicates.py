"""Copies: what readers call the same story, and stories that share most of their five-word runs.

A text's normal form decides what an exact copy is, its signature what a near one is: 64 minhashes (Broder 1997)
of its runs of five words, so that the share of equal ones estimates the Jaccard similarity of the runs, with a
standard error of at most 1/16. Sixteen bands of four find the candidates: of pairs with a similarity of 0.7
they find 98.8 %, of 0.8 all but one in 5,000, of 0.3 an eighth, which the whole signature then refuses.
"""

import hashlib
import math
import unicodedata
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from tsjax.errors import UserError

SHINGLE = 5  # words
HASHES = 64
BANDS = 16
ROWS = HASHES // BANDS  # 16-bit hashes in a band, packed in one uint64
THRESHOLD = 0.7

_HEADS = 8  # members of a bucket that each later one is compared with
_PROTECTED_PAIRS = 1 << 24  # and with all protected ones while a bucket has no more such pairs than these
_PAIRS = 1 << 20  # compared at once: about 50 MB
_BLOCK = 1 << 16  # words hashed at once: what 64 passes read again and again stays in the cache
_CACHED_WORDS = 1 << 17  # about 20 MB
_NEVER = np.iinfo(np.int64).max

# From a hash function rather than a generator, whose stream may change with numpy. Odd, so that each is a
# permutation of the 32-bit numbers.
_DRAWN = hashlib.shake_256(b"tsjax minhash").digest(4 * HASHES + 16)
_FACTORS = np.frombuffer(_DRAWN, "<u4", HASHES).astype(np.uint32) | np.uint32(1)
_ROLL, _FINISH = np.frombuffer(_DRAWN, "<u8", 2, 4 * HASHES).astype(np.uint64) | np.uint64(1)


class _Spaces(dict[int, int]):
    """A table for str.translate that turns all but letters, marks and digits into spaces, filled as it is used."""

    def __missing__(self, code: int) -> int:
        character = chr(code)
        # Variation selectors are marks too, but choose a picture rather than a letter.
        word = character.isalnum() or (
            unicodedata.category(character)[0] == "M" and not unicodedata.name(character, "").startswith("VARIATION")
        )
        self[code] = kept = code if word else ord(" ")
        return kept


class _WordHashes(dict[str, int]):
    """64-bit hashes of words, the same in every process; forgets them all now and then to stay small."""

    def __missing__(self, word: str) -> int:
        if len(self) >= _CACHED_WORDS:
            self.clear()
        self[word] = value = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
        return value


_SPACES = _Spaces()
_WORD_HASHES = _WordHashes()


def normal_form(text: str) -> str:
    """`text` casefolded, with only letters, marks, digits and single spaces: equal for what readers call one story.

    Text without any letter or digit keeps its symbols, or all such documents would be the same.
    """
    return " ".join(normal_words(text))


def normal_words(text: str) -> list[str]:
    """The words of the normal form, none of them empty."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return folded.translate(_SPACES).split() or folded.split()


def normal_hash(text: str, seed: int = 0) -> int:
    """64-bit hash of the normal form, uniform and independent for each `seed` (0 to 2**64 - 1)."""
    return form_hash(normal_form(text), seed)


def check_seed(seed: int) -> None:
    """UserError unless `seed` is one that the hashes take."""
    if not 0 <= seed < 2**64:
        raise UserError(expected="a seed from 0 to 2^64 - 1", found=str(seed), todo="choose another")


def form_hash(form: str, seed: int) -> int:
    """`normal_hash` of a text whose normal form is known."""
    digest = hashlib.blake2b(form.encode(), digest_size=8, key=seed.to_bytes(8, "little"))
    return int.from_bytes(digest.digest(), "little")


def word_hashes(words: list[str]) -> np.ndarray:
    """uint64 [words]: a hash of each word, the same in every process and on every machine."""
    return np.fromiter(map(_WORD_HASHES.__getitem__, words), np.uint64, len(words))


def signatures(texts: Sequence[str]) -> np.ndarray:
    """uint64 [BANDS, texts]: the minhashes of each text, ROWS to a number, a function of the text alone.

    A band's key is its number, and equal 16-bit parts are equal minhashes. A text of fewer than SHINGLE words
    has one run, of all of them.
    """
    return signatures_of([word_hashes(normal_words(text)) for text in texts])


def signatures_of(forms: Sequence[np.ndarray]) -> np.ndarray:
    """`signatures` of texts, given the `word_hashes` of the words of their normal forms."""
    packed = np.empty((BANDS, len(forms)), np.uint64)
    start = size = 0
    for i, words in enumerate(forms):
        size += max(len(words), SHINGLE)
        if size >= _BLOCK or i == len(forms) - 1:
            packed[:, start : i + 1] = _pack(_minima(forms[start : i + 1]))
            start, size = i + 1, 0
    return packed


def near(
    signatures: Callable[[int], np.ndarray], rank: np.ndarray, threshold: float = THRESHOLD, first: int = 0
) -> np.ndarray:
    """int64 [n]: for each document one of lower rank that it is a near copy of, or -1.

    `signatures`: the uint64 [n] column of a band; asked for each band, and again for each million pairs that
    are compared, so it should be cheap (memory-mapped, for example). `rank`: int64 [n], distinct; a lower rank
    goes before, and documents with rank -1 take no part. Ranks below `first` are protected (validation).
    Near: at least `threshold` of the HASHES minhashes are equal. Of several such documents among the
    candidates, the one of lowest rank is given, so a protected one if any.

    The work is bounded: in a bucket (documents with an equal band) each is compared with the few of lowest rank,
    and with every protected one unless those are millions of pairs. Memory: about ten numbers a document.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold {threshold} is not in (0, 1]")
    need = math.ceil(threshold * HASHES - 1e-9)
    found = np.full(len(rank), -1, np.int64)
    best = np.full(len(rank), _NEVER, np.int64)  # ranks of `found`
    considered = np.flatnonzero(rank >= 0)
    for band in range(BANDS):
        for late, early in _candidates(signatures(band), considered, rank, first, best):
            late, early = _alike(signatures, late, early, need)
            # The lowest rank of each late one comes first in these, and of repeated indices the last one stays.
            best[late[::-1]] = rank[early[::-1]]
            found[late[::-1]] = early[::-1]
    return found


def _minima(forms: Sequence[np.ndarray]) -> np.ndarray:
    """uint32 [HASHES, forms]: the least value that each permutation gives to a run of each form."""
    # Padding makes one run of a short form, which is like no other: no word hashes to 0.
    forms = [words if len(words) >= SHINGLE else np.pad(words, (0, SHINGLE - len(words))) for words in forms]
    sizes = np.array([len(words) for words in forms])
    ends = np.cumsum(sizes)
    words = np.concatenate(forms)
    runs = words[: 1 - SHINGLE].copy()
    for i in range(1, SHINGLE):
        runs *= _ROLL
        runs += words[i : len(words) + 1 - SHINGLE + i]
    runs ^= runs >> np.uint64(32)
    runs *= _FINISH
    across = (ends[:-1, None] - np.arange(1, SHINGLE)).ravel()  # begin in one form and end in the next
    values = np.delete((runs >> np.uint64(32)).astype(np.uint32), across)
    starts = np.cumsum(sizes - SHINGLE + 1) - (sizes - SHINGLE + 1)
    minima = np.empty((HASHES, len(forms)), np.uint32)
    permuted = np.empty_like(values)
    for factor, row in zip(_FACTORS, minima, strict=True):
        np.multiply(values, factor, out=permuted)
        np.minimum.reduceat(permuted, starts, out=row)
    return minima


def _pack(minima: np.ndarray) -> np.ndarray:
    """uint64 [BANDS, n]: the low 16 bits of ROWS minima in each. The high ones are zero in any long text."""
    low = (minima & np.uint32(0xFFFF)).astype(np.uint64).reshape(BANDS, ROWS, -1)
    return (low << (16 * np.arange(ROWS, dtype=np.uint64))[:, None]).sum(axis=1, dtype=np.uint64)


def _candidates(
    column: np.ndarray, considered: np.ndarray, rank: np.ndarray, first: int, best: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs (late, early) with equal keys, int64 [at most _PAIRS] each, where early's rank is below `best[late]`.

    For one late document in ascending rank of the early ones, within a pair of arrays and from each to the next;
    what the caller writes into `best` ends the search for a document.
    """
    keys = column[considered]
    order = np.argsort(keys)
    keys = keys[order]
    equal = keys[1:] == keys[:-1]
    shared = np.append(False, equal) | np.append(equal, False) if len(keys) else np.zeros(0, bool)
    keys, members = keys[shared], considered[order[shared]]
    del order, equal, shared
    if not len(members):
        return
    order = np.lexsort((rank[members], keys))
    keys, members = keys[order], members[order]
    ranks = rank[members]

    start = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))  # of each bucket, then of each member's
    size = np.diff(np.append(start, len(keys)))
    protected = np.add.reduceat(ranks < first, start, dtype=np.int64)
    cap = np.minimum(protected, np.maximum(_HEADS, _PROTECTED_PAIRS // size))
    start, protected, cap = (np.repeat(x, size) for x in (start, protected, cap))
    place = np.arange(len(keys)) - start
    heads = np.minimum(place, cap) + np.clip(place - protected, 0, _HEADS)

    def early(member: np.ndarray, head: np.ndarray | int) -> np.ndarray:
        """Places in `members` of the given head (0: the lowest rank) of each member's bucket."""
        skipped = np.where(head < cap[member], 0, protected[member] - cap[member])
        return start[member] + head + skipped

    for block in range(0, len(members), _PAIRS):
        active = np.arange(block, min(block + _PAIRS, len(members)))
        done = 0
        while len(active := active[heads[active] > done]):
            active = active[ranks[early(active, done)] < best[members[active]]]
            if not len(active):
                break
            step = max(1, _PAIRS // len(active))
            count = np.minimum(heads[active] - done, step)
            late = np.repeat(active, count)
            head = np.arange(len(late)) - np.repeat(np.cumsum(count) - count, count) + done
            yield members[late], members[early(late, head)]
            done += step


def _alike(
    signatures: Callable[[int], np.ndarray], late: np.ndarray, early: np.ndarray, need: int
) -> tuple[np.ndarray, np.ndarray]:
    """The pairs, in their order, of which at least `need` minhashes are equal."""
    equal = np.zeros(len(late), np.int8)
    for band in range(BANDS):
        column = signatures(band)
        differ = (column[late] ^ column[early]).view(np.uint16).reshape(-1, ROWS)
        for row in range(ROWS):
            equal += differ[:, row] == 0
        hopeful = equal >= need - ROWS * (BANDS - 1 - band)
        if np.count_nonzero(hopeful) < 0.7 * len(late) or band == BANDS - 1:
            late, early, equal = late[hopeful], early[hopeful], equal[hopeful]
    return late, early
