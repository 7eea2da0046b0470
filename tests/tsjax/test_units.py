"""Durations: any unit, one function."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsjax.errors import UserError
from tsjax.units import Rates, parse, to_steps

RATES = Rates(tokens_per_step=1000, examples_per_step=4, examples_per_epoch=10, flops_per_step=1e6, seconds_per_step=0.5,
              total_steps=200)  # fmt: skip


@pytest.mark.parametrize(
    ("duration", "steps"),
    [("7", 7), ("7 steps", 7), ("1_000 steps", 1000), ("2k steps", 2000), ("1e3", 1000), ("1M tokens", 1000),
     ("1001 tokens", 2), ("2 epochs", 5), ("0.1 epochs", 1), ("9 examples", 3), ("3e6 flops", 3), ("1 minute", 120),
     ("2min", 240), ("10%", 20), ("0 steps", 0), ("never", None), ("1.5B tokens", 1_500_000)],
)  # fmt: skip
def test_to_steps(duration, steps):
    assert to_steps(duration, RATES) == steps


@given(st.integers(1, 10**6), st.integers(1, 1000), st.integers(1, 10**5))
def test_whole_epochs_cover_the_data_and_not_a_step_more(epochs, per_step, per_epoch):
    steps = to_steps(f"{epochs} epochs", Rates(1, per_step, per_epoch))
    assert (steps - 1) * per_step < epochs * per_epoch * (1 + 1e-6)
    assert steps * per_step >= epochs * per_epoch * (1 - 1e-6)


@pytest.mark.parametrize("bad", ["", "many", "5m", "-3", "3 parsecs", "1e", "3 steps 4", "nan"])
def test_bad_durations_are_refused(bad):
    with pytest.raises(UserError, match="a number with a unit"):
        parse(bad)


@pytest.mark.parametrize("duration", ["1 epoch", "1 flop", "1 minute", "10%"])
def test_a_unit_without_a_rate_is_refused(duration):
    with pytest.raises(UserError, match="known here"):
        to_steps(duration, Rates(1, 1))
