"""Answers of the offline writer to the requests of a recipe.

A stand-in for a model, made of templates: it shows that a recipe, its checks and the whole pipeline work, without
network, key or cost. It says nothing about what a model would write, and a corpus of it is of no other use. The
bundled recipes are answered as they ask; others as far as their kind, checks and parts of speech tell what is wanted.
"""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from data_gen.offline.calls import call
from data_gen.offline.talks import talk
from data_gen.offline.told import story, summary
from data_gen.recipe import Factor, Recipe, Step
from data_gen.request import Request
from data_gen.template import fields, fill
from tsjax.corpus import chat
from tsjax.corpus.chat import Turn

_PARAGRAPHS = re.compile(r"\b(one|\d+)(?:(?: to | or |-)(\d+))? paragraphs?\b", re.I)
_HOLE = "\x00"


def write_answer(recipe: Recipe, request: Request) -> str:
    """The text of the answer to a request of `recipe`; the same request gets the same text.

    A chat with turns for the recipe's `turns`, where the step is the document's and the document a chat; a summary,
    where the prompt quotes the text of an earlier step; else a story. In the form that the step's parser reads.
    """
    step, number = recipe.steps[request.step], int(request.id, 16)
    if recipe.shape.kind == "chat" and step.name == recipe.shape.text:
        return _chat(recipe, step, request.factors, number)
    if quoted := _quoted(recipe, request):
        text = summary(quoted, number)
    else:
        text = _story(recipe, step, request, number)
    if step.parse == "json":
        return json.dumps({"text": text})
    if step.parse == "marker":
        rest = range(1, step.checks.get("items", 1))
        return "\n\n---\n\n".join([text, *(_story(recipe, step, request, number + k) for k in rest)])
    return text


def _chat(recipe: Recipe, step: Step, factors: Mapping[str, Any], number: int) -> str:
    most = step.checks.get("turns", (2, 10))[1]
    if "product" in factors and "issue" in factors:
        turns = call(number, factors)
    else:
        turns = talk(number, _words(recipe.factors, factors), factors, most)
    if step.parse == "json":
        return json.dumps({"messages": [{"role": role, "content": text} for role, text in turns]}, ensure_ascii=False)
    return chat.render([Turn(role, text) for role, text in turns])


def _story(recipe: Recipe, step: Step, request: Request, number: int) -> str:
    factors, checks = request.factors, step.checks
    prompt = request.messages[-1]["content"]
    asked = _PARAGRAPHS.search(prompt)
    most = (asked[2] or asked[1]) if asked else "0"
    features = factors.get(recipe.shape.features, [])
    return story(
        number,
        _words(recipe.factors, factors),
        [features] if isinstance(features, str) else features,
        _list(factors.get(checks["names"], [])) if "names" in checks else None,
        factors.get(checks.get("opening", ""), ""),
        {factor.name: factor.said[factors[factor.name]] for factor in recipe.factors
         if factor.name in ("topic", "theme", "persona") and isinstance(factors.get(factor.name), str)},
        1 if most == "one" else int(most),
    )  # fmt: skip


def _words(of: tuple[Factor, ...], factors: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The words drawn that the text must use, with their parts of speech."""
    return [(word, factor.pos) for factor in of if factor.pos for word in _list(factors.get(factor.name, []))]


def _list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _quoted(recipe: Recipe, request: Request) -> str:
    """The text of an earlier step that the prompt quotes; "" if it quotes none."""
    content = request.messages[-1]["content"]
    for before in recipe.steps[: request.step]:
        prompt = recipe.steps[request.step].prompt
        if before.name in fields(prompt):
            start, _, end = _around(prompt, before.name)
            if content.startswith(start) and content.endswith(end):
                return content[len(start) : len(content) - len(end)].strip()
            return content
    return ""


@lru_cache(maxsize=64)
def _around(prompt: str, name: str) -> tuple[str, str, str]:
    """What a prompt with one field says before and behind it."""
    others = {other: "" for other in fields(prompt)}
    return fill(prompt, {**others, name: _HOLE}).partition(_HOLE)
