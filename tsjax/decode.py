"""Writing text: a KV cache sized to prompt + new tokens, and the whole token loop on the device.

Rows are left-padded to one length, so that all rows write the same slot. What a row draws with depends on (seed, the
row's own seed, how many tokens the row has written) alone: its text does not change with the batch it is in.
"""

import functools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from tsjax import model
from tsjax.config import ModelConfig
from tsjax.errors import UserError
from tsjax.sampler import Draws, Sampler, draw, filtered

__all__ = ["Sampler", "draw", "filtered"]  # of `sampler`, and all below

PROMPT_STEP = 16  # prompts are padded to a multiple of this, so that few shapes are compiled


class Carry(NamedTuple):
    """Where decoding stands."""

    cache: model.Cache
    logits_BxV: jax.Array  # of the next token
    slot: jax.Array  # scalar: the next cache slot to write; after the last comes the first
    start_B: jax.Array  # first slot of each row's text, negative when the slots came round since
    limit_B: jax.Array  # most tokens each row may draw
    done_B: jax.Array  # has drawn a stop, or as many tokens as it may
    written_B: jax.Array  # tokens drawn so far
    seen_BxV: jax.Array | None = None  # which tokens stand in the row's prompt and text; None: no sampler asks


class Written(NamedTuple):
    """What `write` drew, N tokens a row. Log-probabilities are the model's own, nats, before any sampler's setting."""

    ids_BxN: jax.Array
    logprob_BxN: jax.Array | None  # of the token drawn
    likeliest_BxNxA: jax.Array | None  # ids of the A likeliest tokens there, best first
    logprob_BxNxA: jax.Array | None


class Batch(NamedTuple):
    """Prompts, left-padded, and the shapes for which decoding them is compiled."""

    prompt_BxP: np.ndarray
    start_B: jax.Array
    limit_B: jax.Array
    limits: list[int]
    slots: int  # of the cache
    steps: int  # most tokens any row may draw


class Completion(NamedTuple):
    ids: list[int]  # new tokens, without the stop
    ended: bool  # by a stop, not by the length limit
    logprobs: list[float] | None = None  # of `ids`, nats, where asked for
    likeliest: list[list[tuple[int, float]]] | None = None  # at each of `ids` the best (id, logprob)


@functools.partial(jax.jit, static_argnames=("config", "slots"))
def prefill(
    config: ModelConfig,
    params: model.Params,
    prompt_BxP: jax.Array,
    start_B: jax.Array,
    limit_B: jax.Array,
    slots: int,
) -> Carry:
    """Reads the prompts at once."""
    decoder = model.bind(config, params)
    B, P = prompt_BxP.shape
    zero = jnp.zeros((), jnp.int32)
    x_BxPxE, cache = decoder.extend(prompt_BxP, model.empty_cache(config, B, slots), zero, start_B)
    logits_BxV = decoder.logits(x_BxPxE[:, -1:])[:, 0]
    return Carry(cache, logits_BxV, zero + P, start_B, limit_B, limit_B <= 0, jnp.zeros(B, jnp.int32))


@functools.partial(
    jax.jit, static_argnames=("config", "sampler", "steps", "stops", "alternatives"), donate_argnames="carry"
)
def write(
    config: ModelConfig,
    params: model.Params,
    carry: Carry,
    chances: Any,
    *,
    sampler: Draws,
    steps: int,
    stops: tuple[int, ...],
    alternatives: int | None = None,
) -> tuple[Carry, Written]:
    """Draws up to `steps` tokens a row, ending when every row has drawn one of `stops`.

    After its end a row is filled with the first of `stops`. `chances`: what `sampler` draws with. `alternatives`: how many
    of the likeliest tokens to report at each place, with log-probabilities; None = none of either.
    """
    decoder = model.bind(config, params)
    B, S = carry.done_B.shape[0], carry.cache[0][0].shape[2]
    reported = Written(jnp.full((B, steps), stops[0], jnp.int32), None, None, None)
    if alternatives is not None:
        places = jnp.zeros((B, steps, alternatives))
        reported = Written(reported.ids_BxN, jnp.zeros((B, steps)), places.astype(jnp.int32), places)

    def goes_on(loop):
        carry, n, _ = loop
        return (n < steps) & ~jnp.all(carry.done_B)

    def body(loop):
        carry, n, written = loop
        token_B = sampler.pick(carry.logits_BxV, chances, carry.written_B, carry.seen_BxV)
        token_B = jnp.where(carry.done_B, stops[0], token_B)
        told = Written(token_B, *_reported(carry.logits_BxV, token_B, alternatives))
        written = jax.tree.map(lambda all, one: jax.lax.dynamic_update_index_in_dim(all, one, n, 1), written, told)
        ended_B = jnp.isin(token_B, jnp.array(stops)) | (carry.written_B + 1 >= carry.limit_B)
        seen_BxV = carry.seen_BxV
        if seen_BxV is not None:
            seen_BxV = seen_BxV.at[jnp.arange(B), token_B].set(True)
        x_Bx1xE, cache = decoder.extend(token_B[:, None], carry.cache, carry.slot, carry.start_B)
        round_again = jnp.where(carry.slot + 1 == S, S, 0)
        carry = Carry(cache, decoder.logits(x_Bx1xE)[:, 0], carry.slot + 1 - round_again, carry.start_B - round_again,
                      carry.limit_B, carry.done_B | ended_B, carry.written_B + 1, seen_BxV)  # fmt: skip
        return carry, n + 1, written

    carry, _, written = jax.lax.while_loop(goes_on, body, (carry, jnp.zeros((), jnp.int32), reported))
    return carry, written


def _reported(logits_BxV, token_B, alternatives: int | None):
    if alternatives is None:
        return None, None, None
    logp_BxV = jax.nn.log_softmax(logits_BxV, axis=-1)
    best_BxA, ids_BxA = jax.lax.top_k(logp_BxV, alternatives)
    return jnp.take_along_axis(logp_BxV, token_B[:, None], axis=1)[:, 0], ids_BxA, best_BxA


def make_batch(
    config: ModelConfig, prompts: Sequence[Sequence[int]], *, max_new: int, fill: int, shape: tuple[int, int] | None
) -> Batch:
    """`shape`: (prompt slots, new slots), at least what these prompts need (`shape_of`), which is the default. One shape
    for many batches of as many rows is compiled once. UserError for an empty prompt and for one that fills the context.
    """
    limits = limits_of(config, prompts, max_new)
    padded, steps = shape or shape_of(config, prompts, max_new)
    prompt_BxP = np.full((len(prompts), padded), fill, np.int32)
    for b, prompt in enumerate(prompts):
        prompt_BxP[b, padded - len(prompt) :] = prompt
    start_B = jnp.asarray([padded - len(prompt) for prompt in prompts], jnp.int32)
    return Batch(prompt_BxP, start_B, jnp.asarray(limits, jnp.int32), limits, padded + steps, steps)


def shape_of(config: ModelConfig, prompts: Sequence[Sequence[int]], max_new: int) -> tuple[int, int]:
    """(prompt slots, new slots) in which all these prompts can be completed."""
    padded = -(-max(map(len, prompts)) // PROMPT_STEP) * PROMPT_STEP
    return padded, max(limits_of(config, prompts, max_new))


def limits_of(config: ModelConfig, prompts: Sequence[Sequence[int]], max_new: int) -> list[int]:
    """Most tokens that each prompt may get."""
    for n, prompt in enumerate(prompts, 1):
        if not 0 < len(prompt) < config.context:
            raise UserError(
                expected=f"prompts of 1 to {config.context - 1} tokens (the model's context is {config.context})",
                found=f"{len(prompt)} tokens in prompt {n} of {len(prompts)}", todo="shorten it",
            )  # fmt: skip
    return [min(max_new, config.context - len(prompt)) for prompt in prompts]


def stream(
    config: ModelConfig,
    params: model.Params,
    prompts: Sequence[Sequence[int]],
    *,
    max_new: int,
    stops: tuple[int, ...],
    sampler: Draws = Sampler(),
    seed: int = 0,
    row_seeds: Sequence[int] | None = None,
    chunk: int | None = None,
    shape: tuple[int, int] | None = None,
    alternatives: int | None = None,
) -> Iterator[list[Completion]]:
    """All rows' completions so far, after every `chunk` tokens (None = once, at the end).

    `prompts` are token ids, BOS included; row i draws with (seed, row_seeds[i]), by default i, until it draws one of
    `stops`, and at most `max_new` tokens or what the context leaves it. `shape`: see `make_batch`; `alternatives`: see
    `write`. Raises UserError for an empty prompt and for one that fills the context.
    """
    batch = make_batch(config, prompts, max_new=max_new, fill=stops[0], shape=shape)
    rows = range(len(prompts)) if row_seeds is None else row_seeds
    chances = sampler.chances(seed, rows, batch.steps)

    carry = prefill(config, params, batch.prompt_BxP, batch.start_B, batch.limit_B, batch.slots)
    if isinstance(sampler, Sampler) and sampler.penalises:
        carry = carry._replace(seen_BxV=jnp.stack([seen(config, prompt) for prompt in prompts]))
    parts: list[Written] = []
    for begin in range(0, batch.steps, chunk or batch.steps):
        steps = min(chunk or batch.steps, batch.steps - begin)
        carry, written = write(
            config, params, carry, chances, sampler=sampler, steps=steps, stops=stops, alternatives=alternatives
        )
        parts.append(jax.tree.map(np.asarray, written))
        so_far = jax.tree.map(lambda *parts: np.concatenate(parts, axis=1), *parts)
        yield [completion(so_far, b, limit, stops) for b, limit in enumerate(batch.limits)]
        if bool(np.all(np.asarray(carry.done_B))):
            return


def seen(config: ModelConfig, ids: Sequence[int]) -> np.ndarray:
    """Which tokens are among `ids`, bool [V]."""
    mask_V = np.zeros(config.vocab_size, bool)
    mask_V[list(ids)] = True
    return mask_V


def completion(written: Written, row: int, limit: int, stops: tuple[int, ...]) -> Completion:
    """A row of `write`'s arrays (numpy) up to its first stop, `limit` tokens at most."""
    ids_N = np.asarray(written.ids_BxN)[row, :limit]
    ends = np.flatnonzero(np.isin(ids_N, stops))
    n = int(ends[0]) if len(ends) else len(ids_N)
    ids, ended = ids_N[:n].tolist(), len(ends) > 0
    if written.logprob_BxN is None or written.likeliest_BxNxA is None or written.logprob_BxNxA is None:
        return Completion(ids, ended)
    pairs = zip(written.likeliest_BxNxA[row, :n].tolist(), written.logprob_BxNxA[row, :n].tolist(), strict=True)
    likeliest = [list(zip(*pair, strict=True)) for pair in pairs]
    return Completion(ids, ended, written.logprob_BxN[row, :n].tolist(), likeliest)


def complete(
    config: ModelConfig,
    params: model.Params,
    prompts: Sequence[Sequence[int]],
    *,
    max_new: int,
    stops: tuple[int, ...],
    **how,
) -> list[Completion]:
    """`stream` to its end."""
    *_, last = stream(config, params, prompts, max_new=max_new, stops=stops, **how)
    return last
