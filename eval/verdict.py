"""A judge's answer -> grades, or why there are none. Nothing is guessed: what can be read in two ways is not read."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from data_gen.strict_json import strict_json
from eval.rubric import AGES, CONSISTENCY, CREATIVITY, FOLLOWING, GRAMMAR, PLOT

FENCE = re.compile(r"```[a-zA-Z]*\s*\n(.*?)\n?\s*```", re.DOTALL)


@dataclass(frozen=True)
class Verdict:
    """`scores`: dimension -> 0..10. `met`: id of a constraint -> whether it is met. `fenced`: the JSON stood in a fence."""

    scores: Mapping[str, float]
    age: str = ""
    assessment: str = ""
    split_ok: bool | None = None
    met: Mapping[str, bool] = field(default_factory=dict)
    fenced: bool = False


class Unreadable(ValueError):
    """Why an answer gives no grades, in few words."""


def read_json(text: str, names: Sequence[str], asked: Sequence[str] = ()) -> Verdict:
    """The verdict of a calibrated answer: one JSON object just as the schema has it, bare or in one code fence."""
    text, fenced = text.strip(), False
    if not text.startswith("{"):
        blocks = FENCE.findall(text)
        around = FENCE.sub("", text)
        if len(blocks) != 1 or "{" in around or "}" in around:
            raise Unreadable("no JSON" if "{" not in text else "JSON among other text")
        text, fenced = blocks[0].strip(), True
    try:
        values = strict_json(text, keys_once=True)
    except ValueError as why:
        raise Unreadable(str(why)) from None
    wanted = ["assessment", "split_sentence_ok", *(["constraints"] if asked else []), *names, "age_group"]
    if not isinstance(values, dict):
        raise Unreadable("JSON, but no object")
    if missing := [key for key in wanted if key not in values]:
        raise Unreadable(f"no {missing[0]}")
    if set(values) - set(wanted):
        raise Unreadable("keys that were not asked for")
    for name in names:
        if type(values[name]) is not int or not 0 <= values[name] <= 10:  # True is an int
            raise Unreadable(f"{name} is no grade")
    if values["age_group"] not in [*AGES]:
        raise Unreadable("age_group is none of A to F")
    if not isinstance(values["assessment"], str) or not isinstance(values["split_sentence_ok"], bool):
        raise Unreadable("assessment or split_sentence_ok of another type")
    scores = {name: float(values[name]) for name in names}
    met = _met(values["constraints"], asked) if asked else {}
    return Verdict(scores, values["age_group"], values["assessment"], values["split_sentence_ok"], met, fenced)


def _met(value: Any, asked: Sequence[str]) -> dict[str, bool]:
    met: dict[str, bool] = {}
    for one in value if isinstance(value, list) else [None]:
        if not isinstance(one, dict) or set(one) != {"id", "met"} or not isinstance(one["met"], bool):
            raise Unreadable("constraints of another form")
        if one["id"] not in asked or one["id"] in met:
            raise Unreadable("constraints that were not asked for, or twice")
        met[one["id"]] = one["met"]
    if len(met) != len(asked):
        raise Unreadable("constraints are missing")
    return met


# ---- free text

_LABELS = {
    GRAMMAR: r"grammar",
    CREATIVITY: r"creativity",
    CONSISTENCY: r"consistency",
    PLOT: r"plot",
    FOLLOWING: r"instruct(?:ion)?s?(?:[ _-]following)?",
}
_AGE = r"\bage(?:[ _-]?group)?\b"
_NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
_WORDS = {name: number for number, name in enumerate(_NAMES)}
_MORE = [word for word in _WORDS if word != "one"]  # "a good one" is no second grade
_NUMBER = rf"(?:-?\d+(?:[.,]\d+)?|\b(?:{'|'.join(_WORDS)})\b)"
_QUALIFIERS = (
    r"(?:with (?:the )?(?:beginning|story|start)|(?:makes|making) sense|coherence|grade|score|rating|following)"
)
_JOIN = rf"""(?:[\s:=|*_"'(\-–—.]|\b(?:is|gets|a|an|of|at)\b|\bI(?:'d| would)? give(?: it)?\b|{_QUALIFIERS})*?"""
_OUT_OF = r"(?:\s*(?:/|out of)\s*(?P<of>\d+|ten)\b)?"
_NEGATED = re.compile(r"(?:\d|\bten\b)\W*\s(?:for|in|on)(?: the)?\W*$", re.IGNORECASE)


def read_grades(text: str, names: Sequence[str]) -> Verdict:
    """The verdict of the paper's second turn, however it is laid out, if it gives each dimension one grade out of 10.

    A dimension's grade stands behind its name, on the same line and before the next name; no second number may stand
    there. Grades with a half are taken. The age may be missing.
    """
    marks = [*({name: _LABELS[name] for name in names}.items())]
    found: dict[str, set[float]] = {name: set() for name in names}
    for line in text.splitlines():
        starts = [(m.start(), m.end(), name) for name, label in marks
                  for m in re.finditer(rf"\b{label}\b", line, re.IGNORECASE)]  # fmt: skip
        ends = [start for start, _, _ in starts] + [m.start() for m in re.finditer(_AGE, line, re.IGNORECASE)]
        for start, end, name in starts:
            until = min((other for other in ends if other >= end), default=len(line))
            if _NEGATED.search(line[:start]):
                raise Unreadable(f"a number before the word {name}")
            if (grade := _grade(line[end:until], name)) is not None:
                found[name].add(grade)
    for name, grades in found.items():
        if len(grades) != 1:
            raise Unreadable(f"{'two grades' if grades else 'no grade'} for {name}")
    return Verdict({name: grades.pop() for name, grades in found.items()}, age_of(text))


def _grade(said: str, name: str) -> float | None:
    """The grade in what stands behind a dimension's name; None where there is none."""
    match = re.match(rf"{_JOIN}(?P<grade>{_NUMBER}){_OUT_OF}", said, re.IGNORECASE)
    if match is None:
        if re.search(r"\d", said):
            raise Unreadable(f"a number for {name} that may be no grade")
        return None
    rest = said[match.end() :]
    if re.search(rf"\d|\b(?:{'|'.join(_MORE)})\b|%", rest, re.IGNORECASE) or rest.startswith("/"):
        raise Unreadable(f"several numbers for {name}")
    if match["of"] not in (None, "10", "ten"):
        raise Unreadable(f"{name} is not out of 10")
    word = match["grade"].lower()
    value = float(_WORDS.get(word, -1)) if word in _WORDS else float(word.replace(",", "."))
    if not 0 <= value <= 10 or value * 2 != int(value * 2):
        raise Unreadable(f"{name} is no grade")
    return value


def age_of(text: str) -> str:
    """The letter of the age group; "" where there is none, or more than one."""
    join = r"[\s:=|*_\"'(\-–—]*(?:(?i:is|group)[\s:=|*_\"'(]*)*"
    letters = set(re.findall(rf"(?i:{_AGE}){join}([A-F])\b(?![-'’])", text))
    for pair in re.findall(rf"(?i:{_AGE}){join}([A-F])\s*(?:or|to|/|–|-)\s*([A-F])\b", text):
        letters |= set(pair)
    for letter, years in AGES.items():
        between = years.replace("-", r"\s*(?:-|–|to)\s*")
        if re.search(rf"(?i:{_AGE}){join}{between}\b", text):
            letters.add(letter)
    return letters.pop() if len(letters) == 1 else ""
