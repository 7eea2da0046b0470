"""Recipes without a file, for tests of what reads only the dataclasses."""

from collections.abc import Mapping
from typing import Any

from data_gen.recipe import Factor, Recipe, Shape, Step

FACTORS = (
    Factor("noun", ("dog", "teddy bear", "mouse"), ("dog", "teddy bear", "mouse"), pos="noun"),
    Factor("verb", ("run", "look after", "go"), ("run", "look after", "go"), pos="verb"),
    Factor("adjective", ("happy", "big"), ("happy", "big"), pos="adjective"),
    Factor("names", ("Ada", "Tom"), ("Ada", "Tom"), number=(0, 2)),
    Factor("letter", ("O", "T"), ("O", "T")),
    Factor("mood", ("calm",), ("calm",)),
)
PROMPT = "Write a short story for a child of three that uses only simple words.\nUse the noun {noun}."


def recipe(
    checks: Mapping[str, Any] = {},
    *,
    parse: str = "plain",
    kind: str = "story",
    alarms: Mapping[str, float] = {},
    language: str = "en",
) -> Recipe:
    """One step, named "story", with these checks."""
    step = Step("story", PROMPT, parse=parse, checks=checks)
    shape = Shape(kind, "story")
    return Recipe("by hand", "", language, FACTORS, (step,), shape, 0, alarms, "", "0" * 64, "1" * 64)
