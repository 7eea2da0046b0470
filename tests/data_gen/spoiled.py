"""The ways in which models spoil answers, planted on purpose, each with the reason for which it must be rejected.

A way takes (text, factors) and gives (spoiled text, reason), or None where that text cannot be spoiled so.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from data_gen import draft
from data_gen.recipe import Recipe, Step

Spoiled = tuple[str, str] | None
Way = Callable[[str, Mapping[str, Any]], Spoiled]
REFUSAL = "I'm sorry, but I can't help with that."
CHANGE = " That was a good day."


def kinds(recipe: Recipe, step: Step) -> dict[str, Way]:
    """The ways that suit a step, by name: those that its checks are there to find."""
    if step.parse == "json":
        ways = dict(_JSON)
        if "required" in step.checks:
            ways["missing word"] = _in_turns(_missing(recipe, step))
        return ways
    ways = dict(_PLAIN)
    if "words" in step.checks:
        ways["too short"] = _too_short if step.name == recipe.shape.text else _one_word
    if "repeats" in step.checks:
        ways["loop"] = lambda text, factors: (f"{text}\n\n{' '.join(['He ran and ran and ran.'] * 8)}", "repeats")
    if "required" in step.checks:
        ways["missing word"] = _missing(recipe, step)
    if "opening" in step.checks:
        ways["wrong opening"] = lambda text, factors: (
            (f"{'B' if factors[step.checks['opening']] != 'B' else 'D'}ut {text}", "wrong_opening")
            if step.checks["opening"] in factors else None
        )  # fmt: skip
    if "names" in step.checks:
        ways["missing name"] = _missing_name(step.checks["names"])
    return ways


def _const(change: Callable[[str], str], reason: str) -> Way:
    return lambda text, factors: (change(text), reason)


def _cut(text: str) -> str:
    return re.sub(r"\W+$", "", text[:-12].rsplit(" ", 1)[0])


def _too_short(text: str, factors: Mapping[str, Any]) -> Spoiled:
    return " ".join(text.split("\n\n")[0].split()[:12]).rstrip(',;:"') + ".", "too_short"


def _one_word(text: str, factors: Mapping[str, Any]) -> Spoiled:
    return "They play.", "too_short"


_PLAIN: dict[str, Way] = {
    "title": _const(lambda text: f"The Lost Ball\n\n{text}", "meta:title"),
    "marked title": _const(lambda text: f"# The Lost Ball\n\n{text}", "meta:heading"),
    "preamble": _const(lambda text: f"Here is your story:\n\n{text}", "meta:preamble"),
    "sure": _const(lambda text: f"Sure! Here's a story about it:\n\n{text}", "meta:preamble"),
    "closer": _const(lambda text: f"{text}\n\nI hope you like this story!", "meta:closer"),
    "word count": _const(lambda text: f"{text}\n\n(Word count: 180)", "meta:note"),
    "placeholder": _const(lambda text: f"{text} And then [name] went home.", "meta:placeholder"),
    "look-alike letter": _const(lambda text: text.replace("e", "\u0435", 1), "foreign_script"),
    "foreign script": _const(lambda text: f"{text} 他很高兴。", "foreign_script"),
    "lost character": _const(lambda text: text.replace(".", "\ufffd.", 1), "bad_character"),
    "box drawing": _const(lambda text: text.replace(".", " \u2500.", 1), "odd_character"),
    "cut end": _const(_cut, "cut_off"),
    "refusal": _const(lambda text: REFUSAL, "refusal"),
    "nothing": _const(lambda text: "", "empty"),
    # What is mended, and must not be rejected:
    "mojibake": _const(lambda text: f"{text} It was \u00e2\u20ac\u0153over\u00e2\u20ac\u009d, they said.", ""),
    "emphasis": _const(lambda text: re.sub(r"(\w+)\.", r"**\1**.", text, count=1), ""),
    "emoji": _const(lambda text: text.replace(".", " \U0001f600.", 1), ""),
    "fence": _const(lambda text: f"```\n{text}\n```", ""),
}


def _missing(recipe: Recipe, step: Step) -> Way:
    """Without the sentences that have one of the words."""
    factors = [factor for factor in recipe.factors if factor.name in step.checks["required"]]
    least = step.checks.get("words", [1])[0]

    def way(text: str, drawn: Mapping[str, Any]) -> Spoiled:
        turn = len(text) % len(factors)
        for factor in (*factors[turn:], *factors[:turn]):
            wanted = draft.wanted(drawn[factor.name], factor.pos)[0]
            pattern = re.compile(rf"\b(?:{'|'.join(map(re.escape, wanted))})\b", re.I)
            blocks = [re.findall(r"\S[^.!?]*[.!?]+\"?", block) for block in text.split("\n\n")]
            kept = [" ".join(one for one in block if not pattern.search(one)) for block in blocks]
            short = "\n\n".join(block for block in kept if block)
            others = [other for other in factors if other.name != factor.name]
            whole = all(
                re.search(rf"\b(?:{'|'.join(map(re.escape, draft.wanted(drawn[o.name], o.pos)[0]))})\b", short, re.I)
                for o in others
            )
            if whole and len(short.split()) >= least + 5 and not pattern.search(short):
                return short, f"missing_word:{factor.name}"
        return None

    return way


def _missing_name(factor: str) -> Way:
    def way(text: str, drawn: Mapping[str, Any]) -> Spoiled:
        names = drawn.get(factor) or []
        name = names if isinstance(names, str) else names[0] if names else ""
        if not name or text.startswith(name):  # a wrong opening would come first
            return None
        return re.sub(rf"\b{re.escape(name)}\b", "Zzyzx", text), f"missing_name:{factor}"

    return way


# ---- chats in JSON


def _turns(change: Callable[[list[dict[str, str]]], list[dict[str, str]]], reason: str) -> Way:
    return lambda text, factors: (json.dumps({"messages": change(json.loads(text)["messages"])}), reason)


def _in_turns(way: Way) -> Way:
    """A way for texts, applied to the turns between the first and the last as one."""

    def changed(text: str, factors: Mapping[str, Any]) -> Spoiled:
        messages = json.loads(text)["messages"]
        made = way("\n\n".join(message["content"] for message in messages), factors)
        if made is None or made[0].count("\n\n") != len(messages) - 1:
            return None
        parts = made[0].split("\n\n")
        return json.dumps({"messages": [m | {"content": p} for m, p in zip(messages, parts, strict=True)]}), made[1]

    return changed


def _last(messages: list[dict[str, str]], text: str) -> list[dict[str, str]]:
    return [*messages[:-1], messages[-1] | {"content": text}]


_JSON: dict[str, Way] = {
    "talk around JSON": _const(lambda text: f"Sure, here it is: {text}", "not_json"),
    "cut JSON": _const(lambda text: text[:-20], "not_json"),
    "refusal": _const(lambda text: REFUSAL, "not_json"),
    "nothing": _const(lambda text: "", "empty"),
    "wrong JSON": _const(lambda text: '{"wrong": ["schema", 1]}', "wrong_shape"),
    "wrong role": _turns(lambda m: [*m[:-1], m[-1] | {"role": "bot"}], "wrong_shape"),
    "twice the user": _turns(lambda m: [m[0], m[0], *m[2:]], "wrong_turns"),
    "begins with the assistant": _turns(lambda m: m[1:], "wrong_turns"),
    "ends with the user": _turns(lambda m: m[:-1], "wrong_turns"),
    "empty turn": _turns(lambda m: _last(m, " "), "wrong_turns"),
    "too many turns": _turns(
        lambda m: m + [m[0] | {"content": "Yes."}, m[1] | {"content": "Good."}] * 7, "too_many_turns"
    ),
    "long turn": _turns(lambda m: _last(m, " ".join(["It was all very good."] * 21)), "turn_too_long"),
    "foreign script": _turns(lambda m: _last(m, f"{m[-1]['content']} 他很高兴。"), "foreign_script"),
    "lost character": _turns(lambda m: _last(m, f"{m[-1]['content']} \ufffd."), "bad_character"),
    "role in the text": _turns(lambda m: _last(m, f"Assistant: {m[-1]['content']}"), "meta:role"),
    "placeholder": _turns(lambda m: _last(m, f"{m[-1]['content']} Goodbye, [name]."), "meta:placeholder"),
    "cut end": _turns(lambda m: _last(m, "I am glad that you"), "cut_off"),
    # What is mended, and must not be rejected:
    "fence": _const(lambda text: f"```json\n{text}\n```", ""),
    "mojibake": _turns(lambda m: _last(m, f"{m[-1]['content']} It\u00e2\u20ac\u2122s all right."), ""),
}


# ---- copies


def merged(recipe: Recipe, one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any] | None:
    """Factors of a document that passes for either draw; None where none can."""
    made = dict(one)
    checks = recipe.steps[0].checks
    for factor in recipe.factors:
        if factor.pos:
            made[factor.name] = [one[factor.name], other[factor.name]]
    if "names" in checks:
        name = checks["names"]
        pair = [one.get(name) or [], other.get(name) or []]
        names = list(dict.fromkeys(n for value in pair for n in ([value] if isinstance(value, str) else value)))
        if len(names) > (1 if isinstance(one.get(name, other.get(name)), str) else 2):
            return None
        if names:
            made[name] = names[0] if any(isinstance(value, str) for value in pair) else names
    if "opening" in checks:
        letters = {values[checks["opening"]] for values in (one, other) if checks["opening"] in values}
        if len(letters) > 1:
            return None
        for letter in letters:
            made[checks["opening"]] = letter
    return made


def changed(text: str) -> str:
    """A near copy: a sentence more at the end."""
    try:
        messages = json.loads(text)["messages"]
    except ValueError:
        return text + CHANGE
    return json.dumps({"messages": _last(messages, messages[-1]["content"] + CHANGE)})
