"""A lane is its solo run, whatever its neighbours do."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.expect import refused
from tests.tsjax.test_step import MODEL, make_batch
from tsjax.config import Config, OptimizerConfig, TrainConfig
from tsjax.lanes import check_lanes, lane, lane_knobs, make_lane_init, make_lane_step
from tsjax.optimizer import make_optimizer, make_schedule
from tsjax.step import init_state, make_train_step
from tsjax.units import Rates

STEPS, RATES = 12, Rates(1, 1, total_steps=12)
MODEL = dataclasses.replace(MODEL, dropout=0.1)


def config(seed: int, **optimizer) -> Config:
    return Config(model=MODEL, optimizer=OptimizerConfig(ema=0.9, **optimizer), train=TrainConfig(seed=seed))


LANES = [
    config(0, learning_rate=1e-2),
    config(1, learning_rate=3e-3, beta2=0.99, weight_decay=0.5),
    config(2, learning_rate=1e-2, schedule="wsd", warmup="4 steps", cooldown="50%", final_fraction=0.0),
    config(0, learning_rate=1e-3, beta1=0.7, eps=1e-6, schedule="rsqrt", warmup="1 step"),
]


def batches(number: int) -> list[dict]:
    given = make_batch()
    return [
        given | {n: jnp.roll(given[n], s * 7 + number * 5, axis=1) for n in ("tokens", "targets")} for s in range(STEPS)
    ]


def solo(c: Config, number: int):
    schedule = make_schedule(c.optimizer, RATES)
    optimizer = make_optimizer(c.optimizer, schedule)
    state = jax.jit(lambda: init_state(c, optimizer))()
    step = jax.jit(make_train_step(c, optimizer, schedule))
    rows = []
    for batch in batches(number):
        state, row = step(state, batch)
        rows.append(jax.device_get(row))
    return state, rows


def together(configs: list[Config], orders: list[int], poison: int | None = None):
    shared = len(set(orders)) == 1
    knobs = lane_knobs(configs, RATES)
    states = jax.jit(make_lane_init(configs[0]))(knobs)
    step = jax.jit(make_lane_step(configs[0], shared))
    rows = []
    for given in zip(*(batches(number) for number in orders), strict=True):
        batch = given[0] if shared else jax.tree.map(lambda *x: jnp.stack(x), *given)
        if poison is not None:
            batch["weights"] = batch["weights"].at[poison, 0, 0].set(jnp.nan)
        states, row = step(states, (knobs, batch))
        rows.append(jax.device_get(row))
    return states, rows


@pytest.mark.parametrize("orders", [[0, 0, 0, 0], [0, 1, 2, 3]])
def test_every_lane_is_its_solo_run(orders):
    """12 steps: rows to 1e-4 relative, parameters to 1e-4. The state has the names, shapes and types of a solo run's."""
    states, rows = together(LANES, orders)
    for e, (c, order) in enumerate(zip(LANES, orders, strict=True)):
        state, expected = solo(c, order)
        for row, alone in zip(rows, expected, strict=True):
            assert row.keys() == alone.keys()
            for name, value in alone.items():
                np.testing.assert_allclose(row[name][e], value, rtol=1e-4, err_msg=f"lane {e}: {name}")
        mine = lane(states, e)
        assert jax.tree.structure(mine) == jax.tree.structure(state)
        assert jax.tree.map(lambda x: (x.shape, x.dtype), mine) == jax.tree.map(lambda x: (x.shape, x.dtype), state)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), mine["params"], state["params"])
    finals = [float(rows[-1]["loss"][e]) for e in range(len(LANES))]
    assert len(set(finals)) == len(LANES), "the lanes differ"


def test_a_lane_that_diverges_leaves_the_rest_untouched():
    """Bit for bit: the same program with one lane's weights NaN."""
    orders = [0, 1, 2, 3]
    good, _ = together(LANES, orders)
    bad, rows = together(LANES, orders, poison=2)
    assert rows[-1]["skips_in_a_row"].tolist() == [0, 0, STEPS, 0]
    for e in (0, 1, 3):
        jax.tree.map(np.testing.assert_array_equal, lane(bad, e), lane(good, e))


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (
            dataclasses.replace(LANES[0], model=dataclasses.replace(MODEL, width=32)),
            ("config.model.width = 16", "lane 1"),
        ),
        (config(0, name="lion"), ("config.optimizer.name = 'adamw'", "'lion'")),
        (config(0, clip_norm=2.0), ("config.optimizer.clip_norm",)),
    ],
)
def test_what_shapes_the_program_must_be_the_same(other, words):
    with refused(*words):
        check_lanes([LANES[0], other])
