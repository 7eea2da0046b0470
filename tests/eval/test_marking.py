"""Marks by numbers and by text."""

from itertools import permutations

import numpy as np
import pytest
from scipy import stats

from eval.marking import FAMILIES, OPEN, PARTLY, RIGHT, WRONG, chance, joined, mark, mark_text, totals, wilson
from eval.prompts import load
from eval.records import CONTEXT, KNOWLEDGE, Prompt

PROMPT = Prompt("k", KNOWLEDGE, "He drank a glass of", (" water", " milk"), (" sand", " small stones"))


@pytest.mark.parametrize(
    "accepted, rejected, expected",
    [
        ([-1.0], [-2, -3], RIGHT),
        ([-1.5, -1.0], [-2, -3], RIGHT),
        ([-9, -1.0], [-2, -3], PARTLY),
        ([-2.5], [-2, -3], WRONG),
        ([-4.0, -2.5], [-2, -3], WRONG),
        ([-2.0, -1.0], [-2.0], PARTLY),
        ([-2.0], [-2.0], WRONG),
        ([float("-inf")], [float("-inf")], WRONG),
    ],
)
def test_levels(accepted, rejected, expected):
    assert mark(accepted, rejected) == expected


@pytest.mark.parametrize(
    "text, expected",
    [
        (" water. It was sand.", RIGHT),
        (" cold Milk, please.", RIGHT),
        (" sand and water.", PARTLY),
        (" juice. Then he drank water.", PARTLY),
        (" sand. Then he drank water.", PARTLY),
        (" small stones.", WRONG),
        (" juice. There was sand.", WRONG),
        (" waterfall small. Stones", WRONG),
        (" juice.", OPEN),
        ("", OPEN),
    ],
)
def test_text(text, expected):
    assert mark_text(PROMPT, text) == expected


@pytest.mark.parametrize(("accepted", "rejected"), [(1, 1), (1, 3), (2, 3), (3, 3), (3, 1)])
def test_chance_is_how_often_random_orders_get_each_mark(accepted, rejected):
    orders = [mark(order[:accepted], order[accepted:]) for order in permutations(range(accepted + rejected))]
    shares = [orders.count(one) / len(orders) for one in (RIGHT, PARTLY, WRONG)]
    assert chance(accepted, rejected) == pytest.approx(shares)


def test_a_random_scorer_is_seldom_right_on_the_sets_as_they_are():
    for family in FAMILIES:
        shares = np.mean([chance(len(p.accepted), len(p.rejected)) for p in load(family).prompts if p.accepted], axis=0)
        assert 0.05 < shares[0] < 0.12 and shares[2] > 0.55


@pytest.mark.parametrize(("right", "n"), [(0, 28), (3, 30), (12, 30), (28, 28)])
def test_wilson_is_the_score_interval(right, n):
    """Its ends are the shares from which the one seen is 1.96 of their own standard errors away."""
    low, high = wilson(right, n)
    assert 0 <= low <= right / n <= high <= 1 and low < high
    for end in (low, high):
        if 0 < end < 1:
            assert abs(right / n - end) == pytest.approx(1.959964 * (end * (1 - end) / n) ** 0.5)
    assert stats.binomtest(right, n).proportion_ci(method="wilson") == pytest.approx((low, high), abs=1e-6)


def test_totals_by_family():
    rows = [
        {"family": CONTEXT, "mark": RIGHT},
        {"family": KNOWLEDGE, "mark": WRONG},
        {"family": CONTEXT, "mark": PARTLY},
    ]
    ends = [dict(zip(("low", "high"), wilson(right, n), strict=True)) for right, n in ((0, 1), (1, 2))]
    expected = [
        {"model": "m", "family": KNOWLEDGE, "prompts": 1, "right": 0, "partly": 0, "wrong": 1, "open": 0, **ends[0]},
        {"model": "m", "family": CONTEXT, "prompts": 2, "right": 1, "partly": 1, "wrong": 0, "open": 0, **ends[1]},
    ]
    assert totals(rows, "m") == expected
    shares = chance(2, 3), chance(1, 1), chance(1, 3)
    with_chance = totals([row | {"chance": one} for row, one in zip(rows, shares, strict=True)], "m")
    assert [row.pop("chance") for row in with_chance] == [[0.5, 0, 0.5], pytest.approx([0.175, 0.15, 0.675])]
    assert with_chance == expected


def test_the_space_between():
    assert joined("a glass of", "water") == " water" and joined("a glass of", " water") == " water"
    assert joined("a glass of ", "water") == "water" and joined("He sat", ".") == "."
