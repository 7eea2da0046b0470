"""From what was drawn to what is asked."""

from collections.abc import Mapping
from typing import Any

from data_gen.recipe import Recipe
from data_gen.request import Request
from data_gen.template import fields, fill

_FLOATS = ("temperature", "top_p")  # 1 and 1.0 are one request


def render(
    recipe: Recipe,
    step: int,
    factors: Mapping[str, Any],
    earlier: Mapping[str, str],
    *,
    index: int,
    sample: int,
    model: str,
    overrides: Mapping[str, Any],
) -> Request:
    """The request of `step` (from 0) for the document at `index`, with what `Sampler.draw` gave for it.

    earlier:   clean texts of the steps before, by name. ValueError where one that the prompt names is not there.
    overrides: parameters that take the place of the recipe's; None takes one away.
    """
    this = recipe.steps[step]
    named = fields(this.system) | fields(this.prompt)
    said = {f.name: _said(f.said, factors[f.name]) for f in recipe.factors if f.name in named and f.name in factors}
    for before in recipe.steps[:step]:
        if before.name in named:
            if not earlier.get(before.name):
                raise ValueError(f"step {this.name} needs the text of step {before.name}")
            said[before.name] = earlier[before.name]
    messages = [("system", fill(this.system, said)), ("user", fill(this.prompt, said))]
    params = {
        key: float(value) if key in _FLOATS else value
        for key, value in {**this.params, **overrides}.items()
        if value is not None
    }
    return Request(
        recipe=recipe.request_hash[:16],
        index=index,
        step=step,
        sample=sample,
        model=model,
        messages=tuple({"role": role, "content": content} for role, content in messages if content),
        params=params,
        factors=dict(factors),
    )


def _said(texts: Mapping[str, str], drawn: str | list[str]) -> str:
    return texts[drawn] if isinstance(drawn, str) else "; ".join(texts[label] for label in drawn)
