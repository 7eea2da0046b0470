"""Small recipes for tests, made without a file."""

from data_gen.recipe import Factor, Recipe, Shape, Step


def factor(name: str, count: int = 4, **settings) -> Factor:
    labels = tuple(f"{name}{n}" for n in range(count))
    return Factor(name, labels, tuple(f"the {label}" for label in labels), **settings)


def recipe(*factors: Factor, steps: tuple[Step, ...] = (), request_hash: str = "a" * 64) -> Recipe:
    steps = steps or (Step("story", " ".join(f"{{{f.name}}}" for f in factors), params={"max_output_tokens": 9}),)
    shape = Shape("story", steps[0].name)
    return Recipe("test", "", "en", factors, steps, shape, 0, {}, "", request_hash, "b" * 64)
