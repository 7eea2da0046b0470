"""Causal attention: one interface, a fast blocked kernel, a slow obvious reference, and the cached form.

Shapes, here and in the whole model (the one legend):
B batch rows, T query positions, S key positions, H query heads, K key/value heads (H = K * G), D head width,
E residual width (d_model), F hidden width of the MLP, V vocabulary, L layers.
"""

import functools

import jax
import jax.numpy as jnp

from tsjax.linear import einsum_float32

_MASKED = -1e30  # finite: a row with nothing to see gives numbers that are never read, not NaN


def attend(
    q_BxTxHxD: jax.Array,
    k_BxTxKxD: jax.Array,
    v_BxTxKxD: jax.Array,
    *,
    scale: float,
    window: int | None = None,
    segments_BxT: jax.Array | None = None,
    kernel: str = "auto",
) -> jax.Array:
    """softmax(scale * q k^T) v over the keys that a query may see; returns B x T x H x D.

    A query sees the keys at its own position and before, at most `window` of them with itself counted (None = all),
    and only those of its own segment. Scores and softmax are float32.
    """
    run = _reference if kernel == "reference" else _blocked
    return run(q_BxTxHxD, k_BxTxKxD, v_BxTxKxD, segments_BxT, scale, window)


def attend_cached(
    q_BxTxHxD: jax.Array, k_BxSxKxD: jax.Array, v_BxSxKxD: jax.Array, mask_BxTxS: jax.Array, *, scale: float
) -> jax.Array:
    """Attention of T new queries over a key/value cache of S slots, where `mask` says what each may see."""
    B, T, H, D = q_BxTxHxD.shape
    K = k_BxSxKxD.shape[2]
    q = q_BxTxHxD.reshape(B, T, K, H // K, D)
    scores = einsum_float32("btkgd,bskd->bkgts", q, k_BxSxKxD) * scale
    scores = jnp.where(mask_BxTxS[:, None, None], scores, _MASKED)
    p_BxKxGxTxS = jax.nn.softmax(scores, axis=-1).astype(v_BxSxKxD.dtype)
    return jnp.einsum("bkgts,bskd->btkgd", p_BxKxGxTxS, v_BxSxKxD).reshape(B, T, H, D)


def visible(T: int, window: int | None, segments_BxT: jax.Array | None) -> jax.Array:
    """Boolean mask (1 or B) x T x T: which key (last axis) each query sees."""
    distance = jnp.arange(T)[:, None] - jnp.arange(T)[None, :]
    mask = (distance >= 0) & (distance < (window or T))
    if segments_BxT is None:
        return mask[None]
    return mask & (segments_BxT[:, :, None] == segments_BxT[:, None, :])


def _reference(q_BxTxHxD, k_BxTxKxD, v_BxTxKxD, segments_BxT, scale, window):
    mask = visible(q_BxTxHxD.shape[1], window, segments_BxT)
    return attend_cached(q_BxTxHxD, k_BxTxKxD, v_BxTxKxD, mask, scale=scale)


def _blocked(q_BxTxHxD, k_BxTxKxD, v_BxTxKxD, segments_BxT, scale, window):
    B, T, H, D = q_BxTxHxD.shape
    K = k_BxTxKxD.shape[2]
    q = q_BxTxHxD.reshape(B, T, K, H // K, D).transpose(0, 2, 3, 1, 4)
    k, v = k_BxTxKxD.transpose(0, 2, 1, 3), v_BxTxKxD.transpose(0, 2, 1, 3)
    o_BxKxGxTxD = _blocks(q, k, v, segments_BxT, scale, window)
    return o_BxKxGxTxD.transpose(0, 3, 1, 2, 4).reshape(B, T, H, D)


def _bands(T: int, window: int | None) -> list[tuple[slice, slice]]:
    """(queries, keys) of each block of queries: only the keys inside the causal and local band are touched."""
    # 64 rows are as good as 128 on a CPU; longer contexts take larger blocks so that there are 8 at most.
    size = max(64, -(-T // (8 * 64)) * 64)
    starts = range(0, T, size)
    return [(slice(i, min(i + size, T)), slice(max(0, i - (window or T) + 1), min(i + size, T))) for i in starts]


def _scores(q_BxKxGxQxD, k_BxKxSxD, segments_BxT, scale, window, queries: slice, keys: slice):
    """Masked float32 scores B x K x G x Q x S of one block of queries against its band of keys."""
    scores = einsum_float32("bkgqd,bksd->bkgqs", q_BxKxGxQxD, k_BxKxSxD) * scale
    q_at = jnp.arange(queries.start, queries.stop)[:, None]
    k_at = jnp.arange(keys.start, keys.stop)[None, :]
    mask = q_at >= k_at
    if window is not None:
        mask &= q_at - k_at < window
    if segments_BxT is not None:
        same_BxQxS = segments_BxT[:, queries, None] == segments_BxT[:, None, keys]
        mask = mask & same_BxQxS[:, None, None]
    return jnp.where(mask, scores, _MASKED)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def _blocks(q_BxKxGxTxD, k_BxKxTxD, v_BxKxTxD, segments_BxT, scale, window):
    return _blocks_forward(q_BxKxGxTxD, k_BxKxTxD, v_BxKxTxD, segments_BxT, scale, window)[0]


def _blocks_forward(q, k, v, segments_BxT, scale, window):
    outputs, lses = [], []
    for queries, keys in _bands(q.shape[3], window):
        scores = _scores(q[:, :, :, queries], k[:, :, keys], segments_BxT, scale, window, queries, keys)
        lse_BxKxGxQ = jax.nn.logsumexp(scores, axis=-1)
        p = jnp.exp(scores - lse_BxKxGxQ[..., None]).astype(v.dtype)
        outputs.append(jnp.einsum("bkgqs,bksd->bkgqd", p, v[:, :, keys]))
        lses.append(lse_BxKxGxQ)
    o, lse = jnp.concatenate(outputs, 3), jnp.concatenate(lses, 3)
    # Only the output and the log-sum-exp are kept for the backward pass; the probabilities are made again.
    return o, (q, k, v, segments_BxT, o, lse)


def _blocks_backward(scale, window, saved, do_BxKxGxTxD):
    q, k, v, segments_BxT, o, lse = saved
    delta_BxKxGxT = jnp.sum(do_BxKxGxTxD.astype(jnp.float32) * o.astype(jnp.float32), axis=-1)
    dqs = []
    # The gradients of keys and values are summed transposed (D x S): their matmul then writes rows in order.
    dk_BxKxDxT = jnp.zeros((*k.shape[:2], k.shape[3], k.shape[2]), jnp.float32)
    dv_BxKxDxT = jnp.zeros_like(dk_BxKxDxT)
    for queries, keys in _bands(q.shape[3], window):
        q_block, do = q[:, :, :, queries], do_BxKxGxTxD[:, :, :, queries]
        scores = _scores(q_block, k[:, :, keys], segments_BxT, scale, window, queries, keys)
        p = jnp.exp(scores - lse[..., queries, None])
        dp = einsum_float32("bkgqd,bksd->bkgqs", do, v[:, :, keys])
        ds = (p * (dp - delta_BxKxGxT[..., queries, None]) * scale).astype(q.dtype)
        dqs.append(jnp.einsum("bkgqs,bksd->bkgqd", ds, k[:, :, keys]))
        dv = einsum_float32("bkgqd,bkgqs->bkds", do, p.astype(do.dtype))
        dk = einsum_float32("bkgqd,bkgqs->bkds", q_block, ds)
        dv_BxKxDxT = dv_BxKxDxT.at[..., keys].add(dv)
        dk_BxKxDxT = dk_BxKxDxT.at[..., keys].add(dk)
    dk, dv = dk_BxKxDxT.swapaxes(2, 3).astype(k.dtype), dv_BxKxDxT.swapaxes(2, 3).astype(v.dtype)
    return jnp.concatenate(dqs, 3), dk, dv, None


_blocks.defvjp(_blocks_forward, _blocks_backward)
