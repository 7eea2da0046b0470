"""One check by itself, as a recipe's table asks for it."""

from types import MappingProxyType

from data_gen.checks import compiled, validate
from data_gen.draft import Draft
from tests.data_gen.recipes_by_hand import FACTORS, recipe
from tsjax.corpus.chat import Turn

NAMES = [factor.name for factor in FACTORS]
STORY = """One day, Tom saw a dog in the park. The dog was big and happy. "Can you run?" asked Tom. The dog ran to him.

Tom gave the dog a bone. They played all day, and then they went home."""


def outcome(key, value, text, factors=MappingProxyType({}), turns=None, raw=None):
    """The reason and the measure of one check."""
    made = recipe({key: value})
    validate(made.steps[0].checks, NAMES)
    draft = Draft(text, turns, factors, text if raw is None else raw)
    return compiled(made.steps[0], made)[-1].run(draft)


def reason(*args, **kwargs):
    return outcome(*args, **kwargs)[0]


def chat(*said):
    return tuple(Turn(("user", "assistant")[i % 2], text) for i, text in enumerate(said))
