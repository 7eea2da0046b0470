"""The checks table of a step: which keys there are, what they take, and what they become."""

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from data_gen import chatter, form, wording
from data_gen.draft import Draft
from data_gen.functions import guarded, imported
from data_gen.recipe import Recipe, Step
from data_gen.words import is_english
from tsjax.errors import UserError

Run = Callable[[Draft], tuple[str, Any]]


@dataclass(frozen=True)
class Check:
    """`run(draft)` gives a reason, "" where the draft passes, and what it measured."""

    name: str
    run: Run


# What each key takes, in words for the error message, and whether a value is that.
_TAKES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "range": ("[least, most], two whole numbers of 0 or more", lambda value: _range(value)),
    "switch": ("true or false", lambda value: isinstance(value, bool)),
    "share": ("a share from 0 to 1", lambda value: _number(value) and 0 <= value <= 1),
    "count": ("a whole number from 1 up", lambda value: _whole(value) and value >= 1),
    "repeat": ("a whole number from 2 up", lambda value: _whole(value) and value >= 2),
    "factor": ("the name of a factor", lambda value: isinstance(value, str)),
    "factors": ("names of factors", lambda value: _strings(value)),
    "words": ("a list of words", lambda value: _strings(value)),
    "functions": ('a list of "module:function"', lambda value: _strings(value)),
    "script": (f"one of {', '.join(form.SCRIPTS)}", lambda value: value in form.SCRIPTS),
}
KEYS = {
    "words": "range",
    "characters": "range",
    "sentences": "range",
    "paragraphs": "range",
    "turns": "range",
    "turn_words": "range",
    "items": "count",
    "refusals": "switch",
    "meta": "switch",
    "script": "script",
    "ending": "switch",
    "repeats": "repeat",
    "opening": "factor",
    "required": "factors",
    "names": "factor",
    "vocabulary": "share",
    "suitable": "switch",
    "deny": "words",
    "functions": "functions",
}
# The order decides which reason is the first: what the answer is as a whole, then its form, then its words.
_ORDER = ("refusals", "meta", "script", "words", "characters", "sentences", "paragraphs", "turns", "turn_words", "ending",
          "repeats", "opening", "required", "names", "vocabulary", "suitable", "deny")  # fmt: skip


def validate(checks: Mapping[str, Any], factors: Iterable[str], where: str = "checks", turns: bool = True) -> None:
    """Raises UserError for an unknown key, a value of the wrong type, a factor that is not one of `factors`, an entry of
    deny that can't be found. `turns`: whether the step's answers can be chats.
    """
    known = list(factors)
    chat_only = [key for key in ("turns", "turn_words") if key in checks]
    if chat_only and not turns:
        raise UserError(
            expected=f"{chat_only[0]} only in the checks of a step whose answers are chats",
            found=f"it in {where}",
            todo='leave it out, or set kind = "chat" in [document] and its text to this step',
        )
    for key, value in checks.items():
        if key not in KEYS:
            raise UserError(
                expected=f"the keys of {where} to be among {', '.join(KEYS)}",
                found=repr(key),
                todo=f"did you mean {difflib.get_close_matches(key, KEYS, 1, cutoff=0)[0]!r}?",
            )
        takes, holds = _TAKES[KEYS[key]]
        if not holds(value):
            raise UserError(expected=f"{key} in {where} to be {takes}", found=repr(value), todo="change it")
        if KEYS[key] in ("factor", "factors"):
            for name in [value] if isinstance(value, str) else value:
                if name not in known:
                    near = difflib.get_close_matches(name, known, 1, cutoff=0)
                    raise UserError(
                        expected=f"{key} in {where} to name factors of the recipe",
                        found=repr(name),
                        todo=f"did you mean {near[0]!r}?" if near else "declare the factor",
                    )
    for word in checks.get("deny", ()):
        if not any(character.isalnum() for character in word):
            raise UserError(
                expected=f"the entries of deny in {where} to have a letter or digit",
                found=repr(word),
                todo="leave it out: script and meta refuse odd characters and marks",
            )


def compiled(step: Step, recipe: Recipe) -> tuple[Check, ...]:
    """The checks of a step, in the order in which they give reasons; the first is made whatever the table says.

    Raises UserError where a user's function cannot be imported, or the vocabulary is not in the recipe's language. The
    table must be valid.
    """
    if "vocabulary" in step.checks and not is_english(recipe.language) and not any(f.pos for f in recipe.factors):
        raise UserError(
            expected=f"language en, or factors with words, beside vocabulary in the checks of step {step.name!r}",
            found=f"language {recipe.language!r}",
            todo="leave vocabulary out: the project's word list is English",
        )
    made = [Check("sound", form.sound)]
    asked = step.checks
    for key in _ORDER:
        if key in asked and asked[key] is not False:
            made.append(Check(key, _run(key, asked[key], step, recipe)))
    for path in asked.get("functions", ()):
        made.append(Check(path, guarded(imported(path, recipe.folder), path.partition(":")[2])))
    return tuple(made)


def _run(key: str, value: Any, step: Step, recipe: Recipe) -> Run:
    factors = {factor.name: factor for factor in recipe.factors}
    if KEYS[key] == "range":
        return form.within(key, *value)
    if key == "required":
        return wording.required([factors[name] for name in value], recipe.language)
    if key == "names":
        return wording.names(value, recipe.language)
    if key == "vocabulary":
        return wording.vocabulary(value, recipe.factors, recipe.language)
    if key == "meta":
        return chatter.meta([step.prompt, step.system], recipe.language)
    if key == "suitable":
        return wording.suitable
    if key == "ending":
        return form.ending
    if key == "refusals":
        return chatter.refusals
    makers: dict[str, Callable[[Any], Run]] = {
        "script": form.script,
        "repeats": form.repeats,
        "opening": wording.opening,
        "deny": wording.without,
    }
    return makers[key](value)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _range(value: Any) -> bool:
    pair = isinstance(value, (list, tuple)) and len(value) == 2 and all(_whole(number) for number in value)
    return pair and 0 <= value[0] <= value[1]


def _strings(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(item, str) and item for item in value)
