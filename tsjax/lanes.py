"""Lanes: E models of one shape in one vmapped program, as a sweep of tiny models wants it.

Lanes may differ in the fields VARY, in everything that shapes the learning rate, and in the order of the data. What
decides a shape, a type or the program itself must be the same. Each lane computes what its solo run computes (sums
may be added in another order: tests state the tolerance), and no lane sees another: norms and skips are its own.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tsjax import units
from tsjax.config import Config
from tsjax.errors import UserError
from tsjax.optimizer import make_optimizer, make_schedule
from tsjax.step import Batch, Metrics, State, init_state, make_train_step

VARY = ("train.seed", "optimizer.weight_decay", "optimizer.beta1", "optimizer.beta2", "optimizer.eps")
_RATE = ("learning_rate", "schedule", "warmup", "cooldown", "final_fraction")  # lanes differ in a table of rates
Knobs = dict[str, jax.Array]  # one value of each field of VARY for each lane, and its learning rates [E, steps]


def lane_knobs(configs: Sequence[Config], rates: units.Rates) -> Knobs:
    """What the lanes differ in, as arrays with an axis of lanes. UserError naming the first field that must not differ."""
    check_lanes(configs)
    steps = jnp.arange(rates.total_steps or 1)
    knobs: dict[str, Any] = {
        "learning_rate": jnp.stack([jax.vmap(make_schedule(c.optimizer, rates))(steps) for c in configs])
    }
    for field in VARY:
        section, key = field.split(".")
        dtype = np.uint32 if key == "seed" else np.float32
        knobs[field] = jnp.asarray([getattr(getattr(c, section), key) for c in configs], dtype)
    return knobs


def check_lanes(configs: Sequence[Config]) -> None:
    """Raises UserError unless the configs differ only in what lanes may differ in."""
    free = {*VARY, *(f"optimizer.{key}" for key in _RATE), "data.seed"}
    first = dataclasses.asdict(configs[0])
    for number, config in enumerate(configs[1:], 1):
        for section, fields in dataclasses.asdict(config).items():
            for key, value in fields.items():
                if f"{section}.{key}" not in free and value != first[section][key]:
                    raise UserError(expected=f"config.{section}.{key} = {first[section][key]!r} in every lane",
                                    found=f"{value!r} in lane {number}", todo="train that one in a run of its own")  # fmt: skip


def make_lane_init(config: Config) -> Callable[[Knobs], State]:
    """knobs -> the lanes' states at step 0, every leaf with an axis of lanes in front."""

    def init(knobs: Knobs) -> State:
        lane = _bind(config, knobs)
        return init_state(lane, make_optimizer(lane.optimizer, lambda step: step))

    return jax.vmap(init)


def make_lane_step(
    config: Config, shared_order: bool = True
) -> Callable[[State, tuple[Knobs, Batch]], tuple[State, Metrics]]:
    """states, (knobs, batch) -> states, metrics [E]. The batch has an axis of lanes unless all read the same order."""

    def step(state: State, knobs: Knobs, batch: Batch) -> tuple[State, Metrics]:
        lane, table = _bind(config, knobs), knobs["learning_rate"]

        def schedule(step: jax.Array) -> jax.Array:
            return table[step]

        return make_train_step(lane, make_optimizer(lane.optimizer, schedule), schedule)(state, batch)

    lanes = jax.vmap(step, in_axes=(0, 0, None if shared_order else 0))
    return lambda states, given: lanes(states, *given)


def lane(states: State, number: int) -> State:
    """One lane's state, as a solo run has it: what its checkpoint holds."""
    return jax.tree.map(lambda leaf: leaf[number], states)


def _bind(config: Config, knobs: Knobs) -> Config:
    """The config with the lane's values in its fields: traced arrays where a solo run has numbers."""
    sections: dict[str, dict[str, Any]] = {}
    for field in VARY:
        section, key = field.split(".")
        sections.setdefault(section, {})[key] = knobs[field]
    changed = {name: dataclasses.replace(getattr(config, name), **fields) for name, fields in sections.items()}
    return dataclasses.replace(config, **changed)
