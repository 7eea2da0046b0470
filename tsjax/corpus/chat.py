"""Chats in one line: `[INST] what the user says [/INST] what the assistant says [INST] ...`, as in TinyChat.

A system message, if any, comes first behind `[SYS]`. Users and assistants take turns and the assistant has the last
word. Text is one line: white space within a turn counts as single spaces.
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

MARKERS = {"system": "[SYS]", "user": "[INST]", "assistant": "[/INST]"}
ANSWER_ENDS = (*MARKERS.values(), *map(str.lower, MARKERS.values()))  # an answer is over before any of them

_ROLES = {marker: role for role, marker in MARKERS.items()}
_MARKER = re.compile("|".join(map(re.escape, _ROLES)), re.IGNORECASE)
_MARKED = re.compile(f"({_MARKER.pattern})", re.IGNORECASE)
_START = re.compile(r"\s*(\[SYS\]|\[INST\])", re.IGNORECASE)


class Turn(NamedTuple):
    """What one side says. `role` is a key of MARKERS."""

    role: str
    text: str


def is_chat(text: str) -> bool:
    """Whether `text` begins as a chat does; it may still be malformed."""
    return _START.match(text) is not None


def parse(text: str) -> list[Turn]:
    """The turns of a whole chat; markers may be in either case. ValueError says why it is not one."""
    before, *parts = _MARKED.split(text)
    if before.strip():
        raise ValueError("text before the first marker")
    said = zip(parts[::2], parts[1::2], strict=True)
    turns = [Turn(_ROLES[marker.upper()], " ".join(words.split())) for marker, words in said]
    _check(turns, last="assistant")
    return turns


def tidy(text: str) -> str:
    """`render(parse(text))`: the chat with its markers and spaces in one spelling."""
    return _joined(parse(text))


def render(turns: Iterable[Turn]) -> str:
    """A whole chat as the one line that `parse` reads. ValueError says why it is not one."""
    return _line(turns, last="assistant")


def prompt(turns: Sequence[Turn]) -> str:
    """A chat in which the user spoke last, up to the marker of the answer, ready to be completed."""
    return f"{_line(turns, last='user')} {MARKERS['assistant']}"


def _line(turns: Iterable[Turn], last: str) -> str:
    turns = [Turn(role, " ".join(text.split())) for role, text in turns]
    for number, turn in enumerate(turns, 1):
        if turn.role not in MARKERS:
            raise ValueError(f"turn {number} has the role {turn.role!r}, not one of {', '.join(MARKERS)}")
        if _MARKER.search(turn.text):
            raise ValueError(f"turn {number} ({turn.role}) has a marker in its text")
    _check(turns, last)
    return _joined(turns)


def _joined(turns: Iterable[Turn]) -> str:
    return " ".join([f"{MARKERS[role]} {text}" for role, text in turns])


def _check(turns: Sequence[Turn], last: str) -> None:
    spoken = turns[1:] if turns and turns[0].role == "system" else turns
    if not spoken:
        raise ValueError("no user turn")
    for number, turn in enumerate(turns, 1):
        if not turn.text:
            raise ValueError(f"turn {number} ({turn.role}) is empty")
    for i, turn in enumerate(spoken):
        if turn.role != ("user", "assistant")[i % 2]:
            if turn.role == "system":
                raise ValueError("a system turn inside the chat")
            raise ValueError(f"two {turn.role} turns in a row" if i else f"the first turn is the {turn.role}'s")
    if spoken[-1].role != last:
        raise ValueError("the last user turn has no answer" if last == "assistant" else "the user does not speak last")
