"""Token shards -> batches, where `batch = f(seed, step)` whatever the worker, host or device count.

A packing is fixed once as a table of rows; an epoch is a permutation of the rows drawn from (seed, epoch); a batch
is one fancy index. So the position in the data is one integer, nothing is lost or repeated at an epoch's end (a batch
may span two epochs), and a resume continues exactly. Grain prefetches.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

import grain
import numpy as np

from tsjax.config import DataConfig
from tsjax.errors import UserError
from tsjax.shards import Shards

Batch = dict[str, np.ndarray]


class Rows(Protocol):
    """The rows of one split under one packing.

    `batch(rows)` gives, for b row numbers: tokens and targets int32 [b, T], weights float32 [b, T] (0 where there is
    nothing to predict), and positions and segments int32 [b, T] where documents are kept apart. `documents(rows)`
    gives the document that each target belongs to, int64 [b, T]. Every token but the BOS is a target exactly once.
    """

    tokens_N: np.ndarray  # the stream of documents
    counts_N: np.ndarray  # which of its tokens are learned, bool
    context: int

    def __len__(self) -> int: ...
    def batch(self, rows: np.ndarray) -> Batch: ...
    def documents(self, rows: np.ndarray) -> np.ndarray: ...


class ConcatRows:
    """Concat and split: the stream of documents cut every `context` tokens; a row may see the end of another story."""

    def __init__(self, tokens_N: np.ndarray, starts_D: np.ndarray, context: int, counts_N: np.ndarray):
        self.tokens_N, self.starts_D, self.context, self.counts_N = tokens_N, starts_D, context, counts_N

    def __len__(self) -> int:
        return -(-(len(self.tokens_N) - 1) // self.context)

    def batch(self, rows: np.ndarray) -> Batch:
        at = self._targets(rows)
        inside = at < len(self.tokens_N)
        at = np.minimum(at, len(self.tokens_N) - 1)
        return _with_weights(self.tokens_N, at, inside & self.counts_N[at])

    def documents(self, rows: np.ndarray) -> np.ndarray:
        return np.searchsorted(self.starts_D, self._targets(rows), side="right") - 1

    def _targets(self, rows: np.ndarray) -> np.ndarray:
        return rows[:, None] * self.context + np.arange(1, self.context + 1)


class DocumentRows:
    """Whole documents: best-fit packed, masked from one another, each with positions from 0.

    A document of more than `context` targets is cut into pieces that each start a row's segment of their own.
    """

    def __init__(self, tokens_N: np.ndarray, starts_D: np.ndarray, context: int, counts_N: np.ndarray):
        self.tokens_N, self.context, self.counts_N = tokens_N, context, counts_N
        targets_D = np.diff(starts_D, append=len(tokens_N)) - 1  # all but the BOS
        pieces_D = np.maximum(-(-targets_D // context), 1)
        owner_P = np.repeat(np.arange(len(starts_D)), pieces_D)
        nth_P = np.arange(len(owner_P)) - np.repeat(np.cumsum(pieces_D) - pieces_D, pieces_D)
        length_P = np.minimum(targets_D[owner_P] - nth_P * context, context)
        row_P = _best_fit(length_P, context)
        order = np.argsort(row_P, kind="stable")
        self.owner_P, self.length_P = owner_P[order], length_P[order]
        self.start_P = (starts_D[owner_P] + nth_P * context)[order]
        self.first_R = np.searchsorted(row_P[order], np.arange(row_P.max() + 2))

    def __len__(self) -> int:
        return len(self.first_R) - 1

    def batch(self, rows: np.ndarray) -> Batch:
        at, segments, positions, _ = self._lay_out(rows)
        batch = _with_weights(self.tokens_N, at, (segments > 0) & self.counts_N[at])
        return batch | {"segments": segments, "positions": positions}

    def documents(self, rows: np.ndarray) -> np.ndarray:
        return self._lay_out(rows)[3]

    def _lay_out(self, rows: np.ndarray):
        """Stream index of each target, segment (1, 2, ...; 0 = padding), position and document, each [b, T]."""
        shape = (len(rows), self.context)
        at, owners = np.ones(shape, np.int64), np.zeros(shape, np.int64)
        segments, positions = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
        for b, row in enumerate(rows):
            pieces = slice(self.first_R[row], self.first_R[row + 1])
            length = self.length_P[pieces]
            used = int(length.sum())
            offset = np.arange(used) - np.repeat(np.cumsum(length) - length, length)
            at[b, :used] = np.repeat(self.start_P[pieces], length) + offset + 1
            segments[b, :used] = np.repeat(np.arange(1, len(length) + 1), length)
            positions[b, :used] = offset
            owners[b, :used] = np.repeat(self.owner_P[pieces], length)
        return at, segments, positions, owners


def _with_weights(tokens_N: np.ndarray, at: np.ndarray, weights: np.ndarray) -> Batch:
    return {
        "tokens": tokens_N[at - 1].astype(np.int32),
        "targets": tokens_N[at].astype(np.int32),
        "weights": weights.astype(np.float32),
    }


def _best_fit(length_P: np.ndarray, size: int) -> np.ndarray:
    """Row of each piece: longest pieces first, each into the fullest row that still holds it."""
    row_P = np.empty(len(length_P), np.int64)
    open_rows: list[list[int]] = [[] for _ in range(size + 1)]  # by space left
    spaces = 0  # bit s is set while a row with s tokens of space is open
    rows = 0
    for piece in np.argsort(-length_P, kind="stable").tolist():
        need = int(length_P[piece])
        fitting = spaces >> need
        if fitting:
            space = need + (fitting & -fitting).bit_length() - 1
            row = open_rows[space].pop()
            if not open_rows[space]:
                spaces &= ~(1 << space)
        else:
            row, space = rows, size
            rows += 1
        row_P[piece] = row
        if space > need:
            open_rows[space - need].append(row)
            spaces |= 1 << (space - need)
    return row_P


def make_rows(shards: Shards, split: str, context: int, data: DataConfig) -> Rows:
    """The rows of a split, packed and weighted as `data` says; UserError when the tokenizer does not know the turns."""
    tokens_N, starts_D = shards.tokens(split), shards.document_starts(split)
    counts_N = np.ones(len(tokens_N), bool)
    if data.loss == "assistant":
        markers = shards.manifest["tokenizer"]["markers"]
        if not {"user", "assistant"} <= markers.keys():
            raise UserError(expected="shards of a tokenizer whose chat markers are tokens (config.data.loss=assistant)",
                            found=f"none in {shards.folder}", todo="prepare them with --chat, or set it to all")  # fmt: skip
        counts_N = assistant_turns(tokens_N, starts_D, markers)
    # The BOS of the next document is given when a story is written, so it is nothing to predict.
    counts_N[starts_D] = False
    if not counts_N.any():
        raise UserError(expected=f"something to learn in the {split} split of {shards.folder}", found="nothing",
                        todo="set config.data.loss=all, or give chats")  # fmt: skip
    return (ConcatRows if data.packing == "concat" else DocumentRows)(tokens_N, starts_D, context, counts_N)


def assistant_turns(tokens_N: np.ndarray, starts_D: np.ndarray, markers: dict[str, int]) -> np.ndarray:
    """Which tokens the assistant says, bool [N]: its text, and the marker or EOS that ends its turn."""
    opens_N = np.isin(tokens_N, list(markers.values()))
    opens_N[starts_D] = True  # a document begins with nobody's turn
    # Each token belongs to the turn that was opened last before it.
    opener_N = np.maximum.accumulate(np.where(opens_N, np.arange(len(tokens_N)), 0))
    speaker_N = np.concatenate([[-1], tokens_N[opener_N[:-1]].astype(np.int64)])
    return speaker_N == markers["assistant"]


class ShuffledBatches(grain.sources.RandomAccessDataSource):
    """`self[step]` is this host's share of the batch of that step: equal for any host count when put together."""

    leading: tuple[str, ...] = ()  # mesh axes of what comes before the rows

    def __init__(self, rows: Rows, batch_size: int, seed: int, steps: int, share: slice | None = None):
        self._rows, self._seed, self._steps = rows, seed, steps
        self.batch_size, self.share = batch_size, share or slice(0, batch_size)
        self._permutations: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, step: int) -> Batch:
        return self._rows.batch(self.share_numbers(step))

    def share_numbers(self, step: int) -> np.ndarray:
        """The rows of this host's share of the batch of `step`."""
        return self.row_numbers(step)[self.share]

    def row_numbers(self, step: int) -> np.ndarray:
        """The rows of the whole batch of `step`."""
        epoch_b, within_b = np.divmod(step * self.batch_size + np.arange(self.batch_size), len(self._rows))
        numbers = np.empty(self.batch_size, np.int64)
        for epoch in np.unique(epoch_b):
            mine = epoch_b == epoch
            numbers[mine] = self._permutation(int(epoch))[within_b[mine]]
        return numbers

    def _permutation(self, epoch: int) -> np.ndarray:
        known = self._permutations
        if epoch not in known:
            random = np.random.Generator(np.random.Philox(key=[self._seed, epoch]))
            # Replaced, not changed in place: Grain's reader thread and a caller may both be here.
            last = {e: p for e, p in known.items() if e == epoch - 1}
            self._permutations = known = last | {epoch: random.permutation(len(self._rows))}
        return known[epoch]


class LaneBatches(grain.sources.RandomAccessDataSource):
    """As `ShuffledBatches`, for lanes that each have an order of their own: arrays [E, B, ...]."""

    leading = ("lanes",)

    def __init__(self, orders: Sequence[ShuffledBatches]):
        self._orders = orders
        self.batch_size, self.share = orders[0].batch_size, orders[0].share

    def __len__(self) -> int:
        return len(self._orders[0])

    def __getitem__(self, step: int) -> Batch:
        batches = [order[step] for order in self._orders]
        return {name: np.stack([batch[name] for batch in batches]) for name in batches[0]}

    def share_numbers(self, step: int) -> np.ndarray:
        """The rows of this host's share of the batch of `step`, for each lane: [E, B]."""
        return np.stack([order.share_numbers(step) for order in self._orders])


Order = ShuffledBatches | LaneBatches


def train_batches(source: Order, start: int) -> Iterator[Batch]:
    """The batches of steps `start`, `start + 1`, ... read ahead by one thread."""
    options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=16)
    return iter(grain.MapDataset.source(source)[start:].to_iter_dataset(options))


def eval_batches(rows: Rows, batch_size: int) -> Iterator[tuple[Batch, np.ndarray]]:
    """All rows once, in order, with the document of each target; the last batch is filled with rows of weight 0."""
    for start in range(0, len(rows), batch_size):
        numbers = np.arange(start, start + batch_size)
        real = numbers < len(rows)
        numbers = np.minimum(numbers, len(rows) - 1)
        batch = rows.batch(numbers)
        batch["weights"] = batch["weights"] * real[:, None]
        yield batch, rows.documents(numbers)
