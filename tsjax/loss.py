"""Cross-entropy that never holds the logits of the whole batch, and the units losses are reported in."""

import functools
import math

import jax
import jax.numpy as jnp
from jax import lax

from tsjax.linear import einsum_float32


def chunk_rows(rows: int, vocab_size: int) -> int:
    """Rows of logits held at a time: about 2^24 logits (64 MiB), but at least 256 rows.

    Below 256 rows the V x E gradient of the head, rewritten for every chunk, costs more than it saves. A number that
    divides `rows` is preferred: without padding, a sharded batch stays where it is.
    """
    most = min(rows, max(256, 2**24 // vocab_size))
    fitting = (n for n in range(most, most // 2, -1) if rows % n == 0)
    return next(fitting, most)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def cross_entropy_sum(x_NxE, head_VxE, targets_N, weights_N, rows: int) -> jax.Array:
    """Sum over positions of weight * -log p(target), in nats, float32; `rows` positions at a time.

    The value is exact, whatever `rows` is; a weight of 0 takes a position out. Differentiable in x and head only.
    """
    nll_N = token_nll(x_NxE, head_VxE, targets_N, rows)
    return jnp.sum(nll_N * weights_N)


def _forward(x_NxE, head_VxE, targets_N, weights_N, rows):
    """Loss and both gradients in one pass: the logits of a chunk are used while they are there."""

    def chunk(dhead_VxE, piece):
        x, targets, weights = piece
        logits, lse, gold = _logits(x, head_VxE, targets)
        dlogits = jnp.exp(logits - lse[:, None]) - jax.nn.one_hot(targets, logits.shape[1], dtype=jnp.float32)
        dlogits = (dlogits * weights[:, None]).astype(x.dtype)
        dx = dlogits @ head_VxE.astype(x.dtype)
        dhead_VxE += einsum_float32("nv,ne->ve", dlogits, x)
        return dhead_VxE, (jnp.sum((lse - gold) * weights), dx)

    pieces = _split(rows, x_NxE, targets_N, weights_N)
    dhead_VxE, (sums, dx) = lax.scan(chunk, jnp.zeros(head_VxE.shape, jnp.float32), pieces)
    dx_NxE = _join(dx, x_NxE.shape[0])
    return jnp.sum(sums), (dx_NxE, dhead_VxE.astype(head_VxE.dtype))


def _backward(rows, saved, g):
    dx_NxE, dhead_VxE = saved
    return dx_NxE * g.astype(dx_NxE.dtype), dhead_VxE * g.astype(dhead_VxE.dtype), None, None


cross_entropy_sum.defvjp(_forward, _backward)


def token_nll(x_NxE, head_VxE, targets_N, rows: int) -> jax.Array:
    """-log p(target) of each position, nats, float32 [N]; `rows` positions at a time."""

    def chunk(_, piece):
        x, targets = piece
        _, lse, gold = _logits(x, head_VxE, targets)
        return None, lse - gold

    _, nll = lax.scan(chunk, None, _split(rows, x_NxE, targets_N))
    return _join(nll, x_NxE.shape[0])


def _logits(x_NxE, head_VxE, targets_N):
    logits = einsum_float32("ne,ve->nv", x_NxE, head_VxE.astype(x_NxE.dtype))
    gold = jnp.take_along_axis(logits, targets_N[:, None], axis=1)[:, 0]
    return logits, jax.nn.logsumexp(logits, axis=-1), gold


def _split(rows, *arrays):
    """Each array as (chunks, rows, ...), filled up with zeros, so with weight 0.

    Chunk c takes every chunks-th position from c on: when positions are sharded over devices, each device then works
    on its own part of every chunk. Consecutive positions would make all devices compute all of them.
    """
    missing = -arrays[0].shape[0] % rows
    padded = (jnp.pad(a, [(0, missing)] + [(0, 0)] * (a.ndim - 1)) for a in arrays)
    return tuple(a.reshape(rows, -1, *a.shape[1:]).swapaxes(0, 1) for a in padded)


def _join(chunks, length):
    """The inverse of `_split` for one array."""
    return chunks.swapaxes(0, 1).reshape(-1, *chunks.shape[2:])[:length]


def bits_per_byte(nats: float, text_bytes: float) -> float:
    """Total nats over a text -> bits per byte of it: comparable across tokenizers."""
    return nats / math.log(2) / text_bytes
