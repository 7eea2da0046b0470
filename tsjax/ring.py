"""Rows of different ages in one KV cache: a ring of slots in which all rows write the same slot at the same time.

A row that joins gets its prompt laid into the slots just behind the one to be written next. So nobody needs a slot of
their own: each step writes one column, as it does for a batch that began together. No row may be longer than the ring.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from tsjax import model
from tsjax.config import ModelConfig


class Ring(NamedTuple):
    """What a row leaves on the device between chunks; shapes follow the legend in `attention.py`."""

    cache: model.Cache
    logits_BxV: jax.Array  # of each row's next token
    seen_BxV: jax.Array  # which tokens stand in the row's prompt and text

    @property
    def rows(self) -> int:
        return self.logits_BxV.shape[0]

    @property
    def slots(self) -> int:
        return self.cache[0][0].shape[2]


def empty(config: ModelConfig, rows: int, slots: int) -> Ring:
    logits_BxV = jnp.zeros((rows, config.vocab_size))
    return Ring(model.empty_cache(config, rows, slots), logits_BxV, logits_BxV > 0)


@functools.partial(jax.jit, donate_argnames="ring")
def join(
    ring: Ring, cache: model.Cache, logits_1xV: jax.Array, seen_V: jax.Array, row: jax.Array, slot: jax.Array
) -> Ring:
    """`ring` with a prompt in row `row`, its last token in the slot before `slot`.

    `cache`: of one row, left-padded, as `decode.prefill` leaves it.
    """
    S, P = ring.slots, cache[0][0].shape[2]
    ago_S = (slot - 1 - jnp.arange(S)) % S
    source_S = jnp.maximum(P - 1 - ago_S, 0)  # what lies further back than the prompt is never seen

    def put(all_rows, one):
        return jax.lax.dynamic_update_index_in_dim(all_rows, one, row, 0)

    joined = jax.tree.map(lambda ring, one: put(ring, jnp.take(one[0], source_S, axis=1)), ring.cache, cache)
    return Ring(joined, put(ring.logits_BxV, logits_1xV[0]), put(ring.seen_BxV, seen_V))


@functools.partial(jax.jit, static_argnames="slots")
def laid_anew(ring: Ring, slot: jax.Array, rows_B: jax.Array, slots: int) -> Ring:
    """The rows `rows_B` in a ring of `slots`, where the next slot to write is min(slots, ring.slots) % slots."""
    kept = min(ring.slots, slots)
    old_slots = (slot - kept + jnp.arange(kept)) % ring.slots

    def moved(old):
        new = jnp.take(old[rows_B], old_slots, axis=2)
        return jnp.pad(new, ((0, 0), (0, 0), (0, slots - kept), (0, 0)))

    return Ring(jax.tree.map(moved, ring.cache), ring.logits_BxV[rows_B], ring.seen_BxV[rows_B])
