"""Cross-entropy that never holds the logits of the whole batch, and the units losses are reported in."""

import functools
import math

import jax
import jax.numpy as jnp
from jax import lax

from tsjax.linear import einsum_float32
from tsjax.scoring import soft_capped


def chunk_rows(rows: int, vocab_size: int, lanes: int = 1) -> int:
    """Rows of logits held at a time: as many as `logits_bytes`, shared by `lanes`, holds in float32, but at least 256.

    Below 256 rows the V x E gradient of the head, rewritten for every chunk, costs more than it saves. A number that
    divides `rows` is preferred: without padding, a sharded batch stays where it is.
    """
    most = min(rows, max(256, logits_bytes() // (4 * vocab_size * lanes)))
    fitting = (n for n in range(most, most // 2, -1) if rows % n == 0)
    return next(fitting, most)


def logits_bytes() -> int:
    """Memory for one chunk of logits: 1/64 of the device's (80 GiB: 1.25 GiB), 64 MiB where it does not say (CPU).

    A step holds about three arrays of that size (logits, their gradient, its copy in the compute type): under 5 %.
    """
    statistics = jax.local_devices()[0].memory_stats() or {}
    return max(2**26, statistics.get("bytes_limit", 0) // 64)


def cross_entropy_sums(
    x_NxE, head_VxE, targets_N, weights_N, rows: int, soft_cap: float = 0.0, z_loss: float = 0.0
) -> tuple[jax.Array, jax.Array]:
    """(objective, nll), each a weighted sum over positions, float32; `rows` positions at a time.

    nll is -log p(target) in nats, for reports: no gradient flows from it. The objective adds z_loss * log^2 Z, which
    keeps the softmax's denominator Z near 1 (PaLM, Chowdhery et al. 2022, section 5). Both are exact, whatever `rows`
    is; a weight of 0 takes a position out. Logits are capped as `scoring.soft_capped` says. Differentiable in x and
    head only.
    """
    objective, nll = _sums(x_NxE, head_VxE, targets_N, weights_N, rows, soft_cap, z_loss)
    return objective, lax.stop_gradient(nll)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5, 6))
def _sums(x_NxE, head_VxE, targets_N, weights_N, rows, soft_cap, z_loss):
    def chunk(_, piece):
        x, targets, weights = piece
        _, lse, gold = _logits(x, head_VxE, targets, soft_cap)
        return None, _weighed(lse, gold, weights, z_loss)

    return _total(lax.scan(chunk, None, _split(rows, x_NxE, targets_N, weights_N))[1])


def _forward(x_NxE, head_VxE, targets_N, weights_N, rows, soft_cap, z_loss):
    """Sums and both gradients in one pass: the logits of a chunk are used while they are there."""

    def chunk(dhead_VxE, piece):
        x, targets, weights = piece
        logits, lse, gold = _logits(x, head_VxE, targets, soft_cap)
        p = jnp.exp(logits - lse[:, None])
        if z_loss:
            p *= 1 + 2 * z_loss * lse[:, None]
        dlogits = p - jax.nn.one_hot(targets, logits.shape[1], dtype=jnp.float32)
        dlogits *= weights[:, None]
        if soft_cap:
            dlogits *= 1 - jnp.square(logits / soft_cap)  # of tanh
        dlogits = dlogits.astype(x.dtype)
        dx = dlogits @ head_VxE.astype(x.dtype)
        dhead_VxE += einsum_float32("nv,ne->ve", dlogits, x)
        return dhead_VxE, (_weighed(lse, gold, weights, z_loss), dx)

    pieces = _split(rows, x_NxE, targets_N, weights_N)
    dhead_VxE, (sums, dx) = lax.scan(chunk, jnp.zeros(head_VxE.shape, jnp.float32), pieces)
    dx_NxE = _join(dx, x_NxE.shape[0])
    return _total(sums), (dx_NxE, dhead_VxE.astype(head_VxE.dtype))


def _weighed(lse, gold, weights, z_loss):
    """(objective, nll) of a chunk."""
    nll = jnp.sum((lse - gold) * weights)
    return (nll + z_loss * jnp.sum(jnp.square(lse) * weights) if z_loss else nll), nll


def _total(sums):
    return jax.tree.map(jnp.sum, sums)


def _backward(rows, soft_cap, z_loss, saved, gradients):
    dx_NxE, dhead_VxE = saved
    g, _ = gradients
    return dx_NxE * g.astype(dx_NxE.dtype), dhead_VxE * g.astype(dhead_VxE.dtype), None, None


_sums.defvjp(_forward, _backward)


def token_nll(x_NxE, head_VxE, targets_N, rows: int, soft_cap: float = 0.0) -> jax.Array:
    """-log p(target) of each position, nats, float32 [N]; `rows` positions at a time. What evaluation reports."""

    def chunk(_, piece):
        x, targets = piece
        _, lse, gold = _logits(x, head_VxE, targets, soft_cap)
        return None, lse - gold

    _, nll = lax.scan(chunk, None, _split(rows, x_NxE, targets_N))
    return _join(nll, x_NxE.shape[0])


def _logits(x_NxE, head_VxE, targets_N, soft_cap):
    logits = soft_capped(einsum_float32("ne,ve->nv", x_NxE, head_VxE.astype(x_NxE.dtype)), soft_cap)
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
