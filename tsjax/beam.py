"""Beam search on the device: of the texts that begin with a prompt, one of high probability, the same every time.

As Hugging Face's default (`num_beams=5, length_penalty=1, early_stopping=False`): a finished text's score is its
log-probability divided by its length in tokens, the stop included, to the power of `length_penalty`. Of each step's
candidates those among the first `beam` that stop are finished, and the best `beam` of the others go on. A row ends at its
length limit, where its living texts count as finished, or when it has `beam` finished texts and the best living one,
scored at the present length, is no better than the worst of them. With a `length_penalty` above 0 a longer text might
still have caught up: that test is a guess, here as there.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from tsjax import decode, model
from tsjax.config import ModelConfig
from tsjax.errors import UserError

BEAM = 5


class Found(NamedTuple):
    ids: list[int]  # new tokens, without the stop
    ended: bool  # by a stop, not by the length limit
    score: float  # nats / tokens ** length_penalty


class Texts(NamedTuple):
    """`beam` texts a row, best first."""

    score_BxW: jax.Array  # living: log-probability; finished: the score; -inf where there is none
    ids_BxWxN: jax.Array
    length_BxW: jax.Array  # tokens, the stop included
    ended_BxW: jax.Array


def search(
    config: ModelConfig,
    params: model.Params,
    prompts: Sequence[Sequence[int]],
    *,
    max_new: int,
    stops: tuple[int, ...],
    beam: int = BEAM,
    length_penalty: float = 1.0,
    shape: tuple[int, int] | None = None,
) -> list[Found]:
    """The best finished text of each prompt (token ids, BOS included); arguments and errors as `decode.stream`.

    UserError also for a beam below 1.
    """
    if beam < 1:
        raise UserError(expected="a beam of at least 1", found=str(beam), todo="change it")
    batch = decode.make_batch(config, prompts, max_new=max_new, fill=stops[0], shape=shape)
    carry = decode.prefill(config, params, batch.prompt_BxP, batch.start_B, batch.limit_B, batch.slots)
    best = _search(config, params, carry, beam=beam, steps=batch.steps, stops=stops, length_penalty=length_penalty)
    score_B, ids_BxN, length_B, ended_B = (np.asarray(leaf)[:, 0] for leaf in best)
    return [
        Found(ids[: length - 1 if ended else length].tolist(), bool(ended), float(score))
        for score, ids, length, ended in zip(score_B, ids_BxN, length_B, ended_B, strict=True)
    ]


@functools.partial(jax.jit, static_argnames=("config", "beam", "steps", "stops", "length_penalty"))
def _search(
    config: ModelConfig,
    params: model.Params,
    carry: decode.Carry,
    *,
    beam: int,
    steps: int,
    stops: tuple[int, ...],
    length_penalty: float,
) -> Texts:
    decoder = model.bind(config, params)
    B, W, V = carry.logits_BxV.shape[0], beam, config.vocab_size
    # A living text can stop in as many ways as there are stops, so that among so many candidates are W that go on.
    candidates = min((1 + len(stops)) * W, W * V)
    start_BW = jnp.repeat(carry.start_B, W)

    def none_yet() -> Texts:
        empty = jnp.zeros((B, W), jnp.int32)
        return Texts(jnp.full((B, W), -jnp.inf), jnp.full((B, W, steps), stops[0], jnp.int32), empty, empty > 0)

    def goes_on(loop):
        n, done_B = loop[0], loop[-1]
        return (n < steps) & ~jnp.all(done_B)

    def body(loop):
        n, cache, logits_BWxV, living, finished, done_B = loop
        logp_BxWxV = jax.nn.log_softmax(logits_BWxV, axis=-1).reshape(B, W, V)
        total_BxWV = (living.score_BxW[:, :, None] + logp_BxWxV).reshape(B, W * V)
        score_BxC, place_BxC = jax.lax.top_k(total_BxWV, candidates)
        parent_BxC, token_BxC = place_BxC // V, (place_BxC % V).astype(jnp.int32)
        ids_BxCxN = jnp.take_along_axis(living.ids_BxWxN, parent_BxC[:, :, None], axis=1)
        ids_BxCxN = jax.lax.dynamic_update_slice_in_dim(ids_BxCxN, token_BxC[:, :, None], n, axis=2)
        stops_BxC = jnp.isin(token_BxC, jnp.array(stops))
        length = n + 1
        scale = length.astype(jnp.float32) ** length_penalty

        at_limit_B = length >= carry.limit_B
        lives_BxC = jnp.where(stops_BxC, -jnp.inf, score_BxC)
        go_on_BxC = _is_among_first(lives_BxC, W)
        ends_BxC = (stops_BxC & (jnp.arange(candidates) < W)) | (at_limit_B[:, None] & go_on_BxC)
        ending = Texts(
            jnp.where(ends_BxC & ~done_B[:, None], score_BxC / scale, -jnp.inf),
            ids_BxCxN, jnp.full_like(token_BxC, length), stops_BxC,
        )  # fmt: skip
        finished = _best(jax.tree.map(lambda *a: jnp.concatenate(a, axis=1), finished, ending), W)
        rest = Texts(lives_BxC, ids_BxCxN, jnp.full_like(token_BxC, length), stops_BxC)
        order_BxW = _order(rest.score_BxW, W)
        living = _take(rest, order_BxW)
        full_B = finished.score_BxW[:, -1] > -jnp.inf
        beaten_B = full_B & (finished.score_BxW[:, -1] >= living.score_BxW[:, 0] / scale)
        done_B = done_B | at_limit_B | beaten_B

        parent_BxW = jnp.take_along_axis(parent_BxC, order_BxW, axis=1)
        row_BW = (jnp.arange(B)[:, None] * W + parent_BxW).reshape(B * W)
        cache = jax.tree.map(lambda kept: kept[row_BW], cache)
        token_BWx1 = jnp.take_along_axis(token_BxC, order_BxW, axis=1).reshape(B * W, 1)
        x_BWx1xE, cache = decoder.extend(token_BWx1, cache, carry.slot + n, start_BW)
        return n + 1, cache, decoder.logits(x_BWx1xE)[:, 0], living, finished, done_B

    cache = jax.tree.map(lambda kept: jnp.repeat(kept, W, axis=0), carry.cache)
    first = none_yet()._replace(score_BxW=jnp.full((B, W), -jnp.inf).at[:, 0].set(0.0))  # all W would be one text
    zero = jnp.zeros((), jnp.int32)
    loop = (zero, cache, jnp.repeat(carry.logits_BxV, W, axis=0), first, none_yet(), carry.done_B)
    return jax.lax.while_loop(goes_on, body, loop)[4]


def _order(score_BxC: jax.Array, count: int) -> jax.Array:
    """Places of the `count` highest scores, best first, the earlier among equals: int32 [B, count]."""
    return jax.lax.top_k(score_BxC, count)[1]


def _is_among_first(score_BxC: jax.Array, count: int) -> jax.Array:
    """Which are among the `count` highest, and are there at all: bool [B, C]."""
    chosen_BxC = jnp.any(jax.nn.one_hot(_order(score_BxC, count), score_BxC.shape[1], dtype=bool), axis=1)
    return chosen_BxC & (score_BxC > -jnp.inf)


def _take(texts: Texts, order_BxW: jax.Array) -> Texts:
    def take(leaf):
        return jnp.take_along_axis(leaf, order_BxW.reshape(*order_BxW.shape, *[1] * (leaf.ndim - 2)), axis=1)

    return Texts(*map(take, texts))


def _best(texts: Texts, count: int) -> Texts:
    return _take(texts, _order(texts.score_BxW, count))
