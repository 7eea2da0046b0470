"""Marks by numbers and by text."""

import pytest

from eval.marking import OPEN, PARTLY, RIGHT, WRONG, joined, mark, mark_text, totals
from eval.records import CONTEXT, KNOWLEDGE, Prompt

PROMPT = Prompt("k", KNOWLEDGE, "He drank a glass of", (" water", " milk"), (" sand", " small stones"))


@pytest.mark.parametrize(
    "accepted, rejected, expected",
    [
        ([-1.0], [-2, -3], RIGHT),
        ([-9, -1.0], [-2, -3], RIGHT),
        ([-2.5], [-2, -3], PARTLY),
        ([-4.0], [-2, -3], WRONG),
        ([-2.5], [-2, -1, -3], WRONG),
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


def test_totals_by_family():
    rows = [
        {"family": CONTEXT, "mark": RIGHT},
        {"family": KNOWLEDGE, "mark": WRONG},
        {"family": CONTEXT, "mark": PARTLY},
    ]
    assert totals(rows, "m") == [
        {"model": "m", "family": KNOWLEDGE, "prompts": 1, "right": 0, "partly": 0, "wrong": 1, "open": 0},
        {"model": "m", "family": CONTEXT, "prompts": 2, "right": 1, "partly": 1, "wrong": 0, "open": 0},
    ]


def test_the_space_between():
    assert joined("a glass of", "water") == " water" and joined("a glass of", " water") == " water"
    assert joined("a glass of ", "water") == "water" and joined("He sat", ".") == "."
