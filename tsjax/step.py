"""The train step: one pure function over plain pytrees, and the program that takes K of them in one dispatch."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from tsjax import loss, model, rom_grid
from tsjax.config import Config
from tsjax.feed import Feed, Tables
from tsjax.optimizer import Schedule

State = dict[str, Any]  # step int32, params, optimizer, skipped and skips_in_a_row int32, and ema where it is on
# tokens, targets int32 and weights float32, B x T; positions and segments too when documents are packed
Batch = dict[str, jax.Array]


def init_state(config: Config, optimizer: optax.GradientTransformation) -> State:
    """Step 0, from `train.seed`. Call it under one `jax.jit`."""
    params = model.init(config.model, jax.random.key(config.train.seed))
    state = {
        "step": jnp.zeros((), jnp.int32),
        "skipped": jnp.zeros((), jnp.int32),
        "skips_in_a_row": jnp.zeros((), jnp.int32),
        "params": params,
        "optimizer": optimizer.init(params),
    }
    return state | {"ema": jax.tree.map(jnp.copy, params)} if config.optimizer.ema else state


Metrics = dict[str, jax.Array]
TrainStep = Callable[[State, Batch], tuple[State, Metrics]]


def make_train_step(
    config: Config,
    optimizer: optax.GradientTransformation,
    schedule: Schedule,
    place: Callable[[model.Params], model.Params] = lambda params: params,
    lanes: int = 1,
) -> TrainStep:
    """state, batch -> state, metrics (loss in nats/token, gradient norm, learning rate, tokens, skips). Pure, not jitted.

    `place` puts the parameters where the devices want them for use; `lanes` = models that a device computes at once.

    The gradient is that of the weighted mean over the whole batch, also when it is accumulated over micro-batches
    of different weight. An update that is not finite is left out: parameters and moments stay as they were.
    """

    def train_step(state: State, batch: Batch) -> tuple[State, Metrics]:
        key = jax.random.fold_in(jax.random.key(config.train.seed), state["step"])
        nll_sum, gradient_sum = _accumulate(config, place(state["params"]), batch, key, lanes)
        weight = jnp.maximum(jnp.sum(batch["weights"]), 1)
        gradient = jax.tree.map(lambda g: g / weight, gradient_sum)
        gradient_norm = optax.global_norm(gradient)
        finite = jnp.isfinite(nll_sum) & jnp.isfinite(gradient_norm)
        updates, moments = optimizer.update(gradient, state["optimizer"], state["params"])
        new = state | {"params": optax.apply_updates(state["params"], updates), "optimizer": moments}
        if config.train.craftgpt != "free":
            new["params"] = rom_grid.clip(new["params"], config.model.tied)
        if config.optimizer.ema:
            # A rising decay, so that a short run's average is not mostly its initial weights.
            decay = jnp.minimum(config.optimizer.ema, (1 + state["step"]) / (10 + state["step"]))
            new["ema"] = optax.incremental_update(new["params"], state["ema"], 1 - decay)
        new = jax.tree.map(functools.partial(jnp.where, finite), new, state)
        new["step"] = state["step"] + 1
        new["skipped"] = state["skipped"] + ~finite
        new["skips_in_a_row"] = jnp.where(finite, 0, state["skips_in_a_row"] + 1)
        metrics = {
            "loss": nll_sum / weight,
            "gradient_norm": gradient_norm,
            "learning_rate": schedule(state["step"] - state["skipped"]),  # updates left out do not advance it
            "tokens": weight,
            "skipped": new["skipped"],
            "skips_in_a_row": new["skips_in_a_row"],
        }
        return new, metrics

    return train_step


def make_dispatch(train_step: TrainStep, feed: Feed, shardings: tuple[Any, Any] | None = None) -> jax.stages.Wrapped:
    """state, feed.tables, feed.take(K) -> state, metrics [K] of K steps: one after another, all on the device.

    Compiled once for each K. The state is donated. `shardings`: of the new state and of the metrics.
    """

    def dispatch(state: State, tables: Tables, fed: Batch) -> tuple[State, Metrics]:
        return jax.lax.scan(lambda state, one: train_step(state, feed.batch(tables, one)), state, fed)

    return jax.jit(dispatch, donate_argnums=0, out_shardings=shardings)


def _accumulate(config: Config, params: model.Params, batch: Batch, key: jax.Array, lanes: int):
    """Sum of nats, and the objective's gradient, over the batch, one micro-batch at a time."""
    with_gradient = jax.value_and_grad(functools.partial(loss_sums, config, lanes=lanes), has_aux=True)

    def loss_and_gradient(params: model.Params, batch: Batch, key: jax.Array):
        (_, nll), gradient = with_gradient(params, batch, key)
        return nll, gradient

    if config.train.accumulate == 1:
        return loss_and_gradient(params, batch, key)
    # Micro-batch i takes every k-th row, so that the rows of one device stay on it.
    k = config.train.accumulate
    micro = jax.tree.map(lambda x: x.reshape(-1, k, *x.shape[1:]).swapaxes(0, 1), batch)

    def add(total, piece):
        i, rows = piece
        return jax.tree.map(jnp.add, total, loss_and_gradient(params, rows, jax.random.fold_in(key, i))), None

    zero = (jnp.zeros(()), jax.tree.map(jnp.zeros_like, params))
    return jax.lax.scan(add, zero, (jnp.arange(k), micro))[0]


def loss_sums(
    config: Config, params: model.Params, batch: Batch, key: jax.Array | None, lanes: int = 1
) -> tuple[jax.Array, jax.Array]:
    """Weighted sums over a batch: (what is minimised, -log p(target) in nats). They differ by the z-loss alone."""
    x_NxE, head_VxE, targets_N, rows, soft_cap = _forward(config, params, batch, key, lanes)
    weights_N = batch["weights"].reshape(-1)
    return loss.cross_entropy_sums(x_NxE, head_VxE, targets_N, weights_N, rows, soft_cap, config.train.z_loss)


def make_eval_step(config: Config, sharding: Any = None, lanes: int = 1) -> Callable[[model.Params, Batch], jax.Array]:
    """params, batch -> -log p(target) of each position, nats, float32 B x T, placed as `sharding` says."""

    def eval_step(params: model.Params, batch: Batch) -> jax.Array:
        return loss.token_nll(*_forward(config, params, batch, None, lanes)).reshape(batch["targets"].shape)

    return jax.jit(eval_step, out_shardings=sharding)


def _forward(config: Config, params: model.Params, batch: Batch, key: jax.Array | None, lanes: int):
    """What the losses take: final hidden states, head, targets, rows of logits to hold at a time, the logits' cap."""
    shape = config.model
    if config.train.craftgpt == "round":
        shape, params = rom_grid.rounded(shape, params)
    decoder = model.bind(shape, params)
    x_BxTxE = decoder(batch["tokens"], batch.get("positions"), batch.get("segments"), key)
    rows = loss.chunk_rows(batch["tokens"].size, config.model.vocab_size, lanes)
    x_NxE, targets_N = x_BxTxE.reshape(-1, config.model.width), batch["targets"].reshape(-1)
    return x_NxE, decoder.head_VxE, targets_N, rows, config.model.final_soft_cap


def eval_params(state: State) -> model.Params:
    """The weights that evaluation, samples and exports use: the average where there is one."""
    return state["ema"] if "ema" in state else state["params"]
