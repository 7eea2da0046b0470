"""Writing text: a KV cache sized to prompt + new tokens, and the whole token loop on the device.

Rows are left-padded to one length, so that all rows write the same slot. The random key of a token depends on
(seed, the row's own seed, how many tokens the row has written) alone: a row's text does not change with the batch
it is in.
"""

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from tsjax import model
from tsjax.config import ModelConfig
from tsjax.errors import UserError

PROMPT_STEP = 16  # prompts are padded to a multiple of this, so that few shapes are compiled


@dataclasses.dataclass(frozen=True)
class Sampler:
    """How the next token is drawn. Applied in this order, as Hugging Face does: temperature, top-k, top-p, min-p."""

    temperature: float = 1.0  # 0 = greedy: the likeliest token, the lowest id among equals
    top_k: int = 0  # keep the k likeliest; 0 = all
    top_p: float = 1.0  # keep the likeliest until their mass reaches this; 1 = all
    min_p: float = 0.0  # keep those of at least this x the likeliest one's probability; 0 = all

    def __post_init__(self) -> None:
        for name, value, expected, good in (
            ("temperature", self.temperature, "at least 0", self.temperature >= 0),
            ("top_k", self.top_k, "at least 0", self.top_k >= 0),
            ("top_p", self.top_p, "in (0, 1]", 0 < self.top_p <= 1),
            ("min_p", self.min_p, "in [0, 1]", 0 <= self.min_p <= 1),
        ):
            if not good:
                raise UserError(expected=f"{name} {expected}", found=str(value), todo="change it")

    @property
    def filters(self) -> bool:
        return self.top_k > 0 or self.top_p < 1 or self.min_p > 0


class Carry(NamedTuple):
    """Where decoding stands."""

    cache: model.Cache
    logits_BxV: jax.Array  # of the next token
    slot: jax.Array  # scalar: the next cache slot to write
    start_B: jax.Array  # first slot of each row's text
    limit_B: jax.Array  # most tokens each row may draw
    done_B: jax.Array  # has drawn a stop, or as many tokens as it may
    written: jax.Array  # scalar: tokens drawn so far


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


def filtered(logits_BxV: jax.Array, sampler: Sampler) -> tuple[jax.Array, jax.Array]:
    """Log-probabilities (unnormalised) in falling order with -inf where filtered out, and the ids they belong to."""
    logits, ids = jax.lax.top_k(logits_BxV / sampler.temperature, logits_BxV.shape[-1])
    if sampler.top_k:
        logits = jnp.where(jnp.arange(logits.shape[-1]) < sampler.top_k, logits, -jnp.inf)
    if sampler.top_p < 1:
        p = jax.nn.softmax(logits, axis=-1)
        before = jnp.cumsum(p, axis=-1) - p
        logits = jnp.where(before < sampler.top_p, logits, -jnp.inf)
    if sampler.min_p > 0:
        logits = jnp.where(logits - logits[..., :1] >= jnp.log(sampler.min_p), logits, -jnp.inf)
    return logits, ids


def draw(logits_BxV: jax.Array, keys_B: jax.Array, sampler: Sampler) -> jax.Array:
    """One token id per row, int32 [B]."""
    if sampler.temperature == 0:
        return jnp.argmax(logits_BxV, axis=-1).astype(jnp.int32)
    categorical = jax.vmap(jax.random.categorical)
    if not sampler.filters:
        return categorical(keys_B, logits_BxV / sampler.temperature).astype(jnp.int32)
    logits, ids = filtered(logits_BxV, sampler)
    rank_B = categorical(keys_B, logits)
    return jnp.take_along_axis(ids, rank_B[:, None], axis=1)[:, 0].astype(jnp.int32)


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
    return Carry(cache, logits_BxV, zero + P, start_B, limit_B, limit_B <= 0, zero)


@functools.partial(jax.jit, static_argnames=("config", "sampler", "steps", "stops"), donate_argnames="carry")
def write(
    config: ModelConfig,
    params: model.Params,
    carry: Carry,
    row_keys_B: jax.Array,
    *,
    sampler: Sampler,
    steps: int,
    stops: tuple[int, ...],
) -> tuple[Carry, jax.Array]:
    """Draws up to `steps` tokens a row, ending when every row has drawn one of `stops`: (carry, ids int32 [B, steps]).

    After its end a row is filled with the first of `stops`.
    """
    decoder = model.bind(config, params)
    out_BxN = jnp.full((carry.done_B.shape[0], steps), stops[0], jnp.int32)

    def goes_on(loop):
        carry, n, _ = loop
        return (n < steps) & ~jnp.all(carry.done_B)

    def body(loop):
        carry, n, out_BxN = loop
        keys_B = jax.vmap(jax.random.fold_in, (0, None))(row_keys_B, carry.written)
        token_B = jnp.where(carry.done_B, stops[0], draw(carry.logits_BxV, keys_B, sampler))
        out_BxN = jax.lax.dynamic_update_slice_in_dim(out_BxN, token_B[:, None], n, axis=1)
        ended_B = jnp.isin(token_B, jnp.array(stops)) | (carry.written + 1 >= carry.limit_B)
        x_Bx1xE, cache = decoder.extend(token_B[:, None], carry.cache, carry.slot, carry.start_B)
        carry = Carry(cache, decoder.logits(x_Bx1xE)[:, 0], carry.slot + 1, carry.start_B,
                      carry.limit_B, carry.done_B | ended_B, carry.written + 1)  # fmt: skip
        return carry, n + 1, out_BxN

    carry, _, out_BxN = jax.lax.while_loop(goes_on, body, (carry, jnp.zeros((), jnp.int32), out_BxN))
    return carry, out_BxN


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
    sampler: Sampler = Sampler(),
    seed: int = 0,
    row_seeds: Sequence[int] | None = None,
    chunk: int | None = None,
    shape: tuple[int, int] | None = None,
) -> Iterator[list[Completion]]:
    """All rows' completions so far, after every `chunk` tokens (None = once, at the end).

    `prompts` are token ids, BOS included; row i draws with (seed, row_seeds[i]), by default i, until it draws one of
    `stops`, and at most `max_new` tokens or what the context leaves it. `shape`: see `make_batch`. Raises UserError for an
    empty prompt and for one that fills the context.
    """
    batch = make_batch(config, prompts, max_new=max_new, fill=stops[0], shape=shape)
    rows = jnp.asarray(range(len(prompts)) if row_seeds is None else row_seeds)
    row_keys_B = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(seed), rows)

    carry = prefill(config, params, batch.prompt_BxP, batch.start_B, batch.limit_B, batch.slots)
    written: list[list[int]] = [[] for _ in prompts]
    for begin in range(0, batch.steps, chunk or batch.steps):
        steps = min(chunk or batch.steps, batch.steps - begin)
        carry, ids_BxN = write(config, params, carry, row_keys_B, sampler=sampler, steps=steps, stops=stops)
        for row, ids in zip(written, np.asarray(ids_BxN).tolist(), strict=True):
            row.extend(ids)
        yield [_completion(row[:limit], stops) for row, limit in zip(written, batch.limits, strict=True)]
        if bool(np.all(np.asarray(carry.done_B))):
            return


def _completion(ids: list[int], stops: tuple[int, ...]) -> Completion:
    end = next((n for n, i in enumerate(ids) if i in stops), None)
    return Completion(ids[:end], end is not None)


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
