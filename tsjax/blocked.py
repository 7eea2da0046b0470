"""Blocked attention in plain JAX, for every backend: each block of queries meets only the keys of its band.

Against all T x T scores it saves the half that causality masks, what a local window masks, and the memory: only the
output and the log-sum-exp are kept for the backward pass, and the probabilities are made again.
Shapes follow the legend in `attention.py`; Q and S here are the queries of a block and the keys of its band.
"""

import functools

import jax
import jax.numpy as jnp

from tsjax.linear import einsum_float32
from tsjax.scoring import Scoring


def blocked(q_BxTxHxD, k_BxTxKxD, v_BxTxKxD, scoring: Scoring, sinks_H=None, segments_BxT=None) -> jax.Array:
    """Attention as `attention.attend` defines it, B x T x H x D."""
    B, T, H, D = q_BxTxHxD.shape
    K = k_BxTxKxD.shape[2]
    q = q_BxTxHxD.reshape(B, T, K, H // K, D).transpose(0, 2, 3, 1, 4)
    k, v = k_BxTxKxD.transpose(0, 2, 1, 3), v_BxTxKxD.transpose(0, 2, 1, 3)
    sinks_KxG = None if sinks_H is None else sinks_H.reshape(K, H // K)
    o_BxKxGxTxD = _blocks(q, k, v, sinks_KxG, segments_BxT, scoring)
    return o_BxKxGxTxD.transpose(0, 3, 1, 2, 4).reshape(B, T, H, D)


def _bands(T: int, window: int | None) -> list[tuple[slice, slice]]:
    """(queries, keys) of each block of queries: only the keys inside the causal and local band are touched."""
    # 64 rows are as good as 128 on a CPU; longer contexts take larger blocks so that there are 8 at most.
    size = max(64, -(-T // (8 * 64)) * 64)
    starts = range(0, T, size)
    return [(slice(i, min(i + size, T)), slice(max(0, i - (window or T) + 1), min(i + size, T))) for i in starts]


def _masked(scoring: Scoring, capped, segments_BxT, queries: slice, keys: slice):
    """Scores B x K x G x Q x S of one block of queries against its band of keys."""
    distance_QxS = jnp.arange(queries.start, queries.stop)[:, None] - jnp.arange(keys.start, keys.stop)
    same = None if segments_BxT is None else segments_BxT[:, queries, None] == segments_BxT[:, None, keys]
    return scoring.masked(capped, distance_QxS, same)


@functools.partial(jax.custom_vjp, nondiff_argnums=(5,))
def _blocks(q_BxKxGxTxD, k_BxKxTxD, v_BxKxTxD, sinks_KxG, segments_BxT, scoring):
    return _forward(q_BxKxGxTxD, k_BxKxTxD, v_BxKxTxD, sinks_KxG, segments_BxT, scoring)[0]


def _forward(q, k, v, sinks_KxG, segments_BxT, scoring):
    outputs, lses = [], []
    for queries, keys in _bands(q.shape[3], scoring.window):
        capped = scoring.capped(einsum_float32("bkgqd,bksd->bkgqs", q[:, :, :, queries], k[:, :, keys]))
        scores = _masked(scoring, capped, segments_BxT, queries, keys)
        lse_BxKxGxQ = jax.nn.logsumexp(scores, axis=-1)
        if sinks_KxG is not None:
            lse_BxKxGxQ = jnp.logaddexp(lse_BxKxGxQ, sinks_KxG[..., None])
        p = jnp.exp(scores - lse_BxKxGxQ[..., None]).astype(v.dtype)
        outputs.append(jnp.einsum("bkgqs,bksd->bkgqd", p, v[:, :, keys]))
        lses.append(lse_BxKxGxQ)
    o, lse = jnp.concatenate(outputs, 3), jnp.concatenate(lses, 3)
    return o, (q, k, v, sinks_KxG, segments_BxT, o, lse)


def _backward(scoring, saved, do_BxKxGxTxD):
    q, k, v, sinks_KxG, segments_BxT, o, lse = saved
    delta_BxKxGxT = jnp.sum(do_BxKxGxTxD.astype(jnp.float32) * o.astype(jnp.float32), axis=-1)
    dqs = []
    # The gradients of keys and values are summed transposed (D x S): their matmul then writes rows in order.
    dk_BxKxDxT = jnp.zeros((*k.shape[:2], k.shape[3], k.shape[2]), jnp.float32)
    dv_BxKxDxT = jnp.zeros_like(dk_BxKxDxT)
    for queries, keys in _bands(q.shape[3], scoring.window):
        q_block, do = q[:, :, :, queries], do_BxKxGxTxD[:, :, :, queries]
        raw = einsum_float32("bkgqd,bksd->bkgqs", q_block, k[:, :, keys])
        capped, through_cap = jax.vjp(scoring.capped, raw)
        scores = _masked(scoring, capped, segments_BxT, queries, keys)
        p = jnp.exp(scores - lse[..., queries, None])
        dp = einsum_float32("bkgqd,bksd->bkgqs", do, v[:, :, keys])
        (ds,) = through_cap(p * (dp - delta_BxKxGxT[..., queries, None]))
        ds = ds.astype(q.dtype)
        dqs.append(jnp.einsum("bkgqs,bksd->bkgqd", ds, k[:, :, keys]))
        dv = einsum_float32("bkgqd,bkgqs->bkds", do, p.astype(do.dtype))
        dk = einsum_float32("bkgqd,bkgqs->bkds", q_block, ds)
        dv_BxKxDxT = dv_BxKxDxT.at[..., keys].add(dv)
        dk_BxKxDxT = dk_BxKxDxT.at[..., keys].add(dk)
    dk, dv = dk_BxKxDxT.swapaxes(2, 3).astype(k.dtype), dv_BxKxDxT.swapaxes(2, 3).astype(v.dtype)
    # A sink is a key whose value is 0, so that its dp is 0.
    dsinks_KxG = None if sinks_KxG is None else -jnp.sum(jnp.exp(sinks_KxG[..., None] - lse) * delta_BxKxGxT, (0, 3))
    return jnp.concatenate(dqs, 3), dk, dv, dsinks_KxG, None


_blocks.defvjp(_forward, _backward)
