"""What the train step is fed with: batches that travel, or row numbers of a token set that lives on the device.

A feed has `tables`, arrays that stay on the device; `take(length)`, what travels for the next `length` steps, with an
axis of steps in front; and `batch(tables, one)`, which makes a step's batch of its share inside the program.
"""

import functools
from collections.abc import Iterator
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from tsjax import loader
from tsjax.errors import UserError
from tsjax.sharding import put_batch, put_everywhere

Tables = dict[str, Any]  # of arrays
RESIDENT_SHARE = 0.25  # of a device's memory that `data.resident=auto` gives to the token set
_MOST_TOKENS = 2**31 - 2**24  # positions in the stream are int32 on the device, and the last row reaches beyond it


class Feed(Protocol):
    tables: Tables

    def take(self, length: int) -> dict[str, jax.Array]: ...
    def batch(self, tables: Tables, one: dict[str, jax.Array]) -> Any: ...


class LoadedFeed:
    """Batches [K, B, T] that Grain reads ahead on the host."""

    def __init__(self, source: loader.Order, mesh: Mesh, step: int):
        self._mesh, self._source, self.tables = mesh, source, Tables()
        self._batches: Iterator[loader.Batch] = loader.train_batches(source, step)

    def take(self, length: int) -> dict[str, jax.Array]:
        batches = [next(self._batches) for _ in range(length)]
        stacked = {name: np.stack([batch[name] for batch in batches]) for name in batches[0]}
        return _put(self._mesh, stacked, self._source)

    def batch(self, tables: Tables, one: dict[str, jax.Array]) -> dict[str, jax.Array]:
        return one


class ResidentFeed:
    """Row numbers [K, B], from the same permutation: the device looks the batches up, equal to the loader's."""

    def __init__(self, rows: loader.Rows, source: loader.Order, mesh: Mesh, step: int):
        self._source, self._mesh, self._step, self._context = source, mesh, step, rows.context
        self.tables = put_everywhere(mesh, host_tables(rows))

    def take(self, length: int) -> dict[str, jax.Array]:
        steps = range(self._step, self._step + length)
        self._step += length
        rows_KxB = np.stack([self._source.share_numbers(step) for step in steps]).astype(np.int32)
        return _put(self._mesh, {"rows": rows_KxB}, self._source)

    def batch(self, tables: Tables, one: dict[str, jax.Array]) -> dict[str, jax.Array]:
        look_up = functools.partial(document_batch if "start_P" in tables else concat_batch, context=self._context)
        for _ in self._source.leading:  # rows [B] of each lane
            look_up = jax.vmap(look_up, (None, 0))
        return look_up(tables, one["rows"])


def _put(mesh: Mesh, stacked: dict[str, np.ndarray], source: loader.Order) -> dict[str, jax.Array]:
    return put_batch(mesh, stacked, None, *source.leading, share=source.share, total=source.batch_size)


def make_feed(resident: str, rows: loader.Rows, source: loader.Order, mesh: Mesh, step: int) -> Feed:
    """The feed that `data.resident` names, from `step` on; UserError when the token set can't be on the device."""
    if resident == "yes" or (resident == "auto" and fits(rows)):
        if len(rows.tokens_N) > _MOST_TOKENS:
            raise UserError(expected=f"at most {_MOST_TOKENS:,} tokens for config.data.resident=yes",
                            found=f"{len(rows.tokens_N):,}", todo="set it to auto or no")  # fmt: skip
        return ResidentFeed(rows, source, mesh, step)
    return LoadedFeed(source, mesh, step)


def fits(rows: loader.Rows) -> bool:
    """Whether the token set takes at most RESIDENT_SHARE of an accelerator's memory.

    Never on a CPU, whose memory holds the set once already. There it saves up to 0.7 ms of a step (the loader's thread
    and the copies; `docs/lab-book.md`), which only models far below a million parameters notice.
    """
    device = jax.local_devices()[0]
    memory = (device.memory_stats() or {}).get("bytes_limit", 0) if device.platform != "cpu" else 0
    size = sum(table.nbytes for table in host_tables(rows).values())
    return size <= RESIDENT_SHARE * memory and len(rows.tokens_N) <= _MOST_TOKENS


def host_tables(rows: loader.Rows) -> dict[str, np.ndarray]:
    """The stream, which of its tokens count, and for whole documents the pieces of each row."""
    stream: dict[str, Any] = {"tokens_N": rows.tokens_N, "counts_N": rows.counts_N}
    if isinstance(rows, loader.DocumentRows):
        stream |= {name: getattr(rows, name).astype(np.int32) for name in ("start_P", "length_P", "first_R")}
        # As many columns as the fullest row has pieces.
        stream["nth_M"] = np.arange(np.diff(rows.first_R).max(), dtype=np.int32)
    return stream


def concat_batch(tables: Tables, rows_B: jax.Array, context: int) -> dict[str, jax.Array]:
    """`ConcatRows.batch`, on the device."""
    last = len(tables["tokens_N"]) - 1
    at_BxT = rows_B[:, None] * context + jnp.arange(1, context + 1)
    inside = at_BxT <= last
    at_BxT = jnp.minimum(at_BxT, last)
    return _with_weights(tables, at_BxT, inside)


def document_batch(tables: Tables, rows_B: jax.Array, context: int) -> dict[str, jax.Array]:
    """`DocumentRows.batch`, on the device."""
    first_B, end_B = tables["first_R"][rows_B], tables["first_R"][rows_B + 1]
    piece_BxM = first_B[:, None] + tables["nth_M"]
    length_BxM = jnp.where(piece_BxM < end_B[:, None], tables["length_P"][piece_BxM], 0)
    ends_BxM = jnp.cumsum(length_BxM, axis=1)
    t_T = jnp.arange(context)
    # The piece that position t lies in: as many as end at or before it (pieces of no tokens included) come before.
    nth_BxT = jnp.sum(ends_BxM[:, None, :] <= t_T[:, None], axis=2)
    real_BxT = t_T < ends_BxM[:, -1:]
    nth_BxT = jnp.where(real_BxT, nth_BxT, 0)
    begins_BxT = jnp.take_along_axis(ends_BxM - length_BxM, nth_BxT, axis=1)
    positions_BxT = jnp.where(real_BxT, t_T - begins_BxT, 0)
    start_BxT = tables["start_P"][first_B[:, None] + nth_BxT]
    at_BxT = jnp.where(real_BxT, start_BxT + positions_BxT + 1, 1)
    segments_BxT = jnp.where(real_BxT, nth_BxT + 1, 0)
    return _with_weights(tables, at_BxT, real_BxT) | {"segments": segments_BxT, "positions": positions_BxT}


def _with_weights(tables: Tables, at_BxT: jax.Array, real_BxT: jax.Array) -> dict[str, jax.Array]:
    return {
        "tokens": tables["tokens_N"][at_BxT - 1].astype(jnp.int32),
        "targets": tables["tokens_N"][at_BxT].astype(jnp.int32),
        "weights": (real_BxT & tables["counts_N"][at_BxT]).astype(jnp.float32),
    }
