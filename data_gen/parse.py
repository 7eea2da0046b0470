"""The text of an answer -> candidates: one text, one chat, or the several texts of a packed answer."""

import re
from dataclasses import dataclass, field
from typing import Any

from data_gen.strict_json import strict_json
from tsjax.corpus.chat import MARKERS, Turn

WAYS = ("plain", "json", "marker")

_FENCE = re.compile(r"```[a-zA-Z]*[ \t]*\r?\n(.*?)\r?\n?[ \t]*```", re.DOTALL)
_MARK = re.compile(r"^[ \t]*(?:-{3,}|={3,}|\*{3,}|#{3,})[ \t]*\r?$", re.MULTILINE)


@dataclass(frozen=True)
class Candidate:
    """One text as the model wrote it, or the turns of one chat (then `text` is "")."""

    text: str
    turns: tuple[Turn, ...] | None = None


@dataclass(frozen=True)
class Parsed:
    """What was found. `reason` says why it is not what was asked for; then there may be no candidates.

    edits: what had to be taken away to read it: {"fence": 1}.
    """

    candidates: tuple[Candidate, ...]
    reason: str = ""
    edits: dict[str, int] = field(default_factory=dict)


def parse(text: str, way: str, items: int = 1) -> Parsed:
    """The candidates in an answer. `way` is one of WAYS; `items`: how many texts a packed answer must hold.

    plain:  all of it is one text.
    json:   a strict JSON object, {"messages": [{"role", "content"}, ...]} or {"text": ...}; no text around it.
    marker: several texts with lines between them that hold nothing but a mark: three or more of - = * #.

    A code fence around all of it is taken away and counted. Reasons: "not_json", "wrong_shape", "wrong_number".
    """
    text, edits = _unfenced(text.strip())
    if way == "json":
        found = _object(text)
        return Parsed((found,), edits=edits) if isinstance(found, Candidate) else Parsed((), found, edits)
    if way == "plain":
        return Parsed((Candidate(text),), edits=edits)
    texts = [part.strip() for part in _MARK.split(text)]
    candidates = tuple(Candidate(part) for part in texts if part)
    return Parsed(candidates, "" if len(candidates) == items else "wrong_number", edits)


def _unfenced(text: str) -> tuple[str, dict[str, int]]:
    if text.startswith("```") and text.count("```") == 2 and (match := _FENCE.fullmatch(text)):
        return match[1].strip(), {"fence": 1}
    return text, {}


def _object(text: str) -> Candidate | str:
    """The candidate of a JSON object, or why there is none."""
    try:
        found = strict_json(text, keys_once=True)
    except ValueError:
        return "not_json"
    if not isinstance(found, dict):
        return "not_json"
    if isinstance(found.get("text"), str) and "messages" not in found:
        return Candidate(found["text"])
    messages = found.get("messages")
    if not isinstance(messages, list) or not messages:
        return "wrong_shape"
    turns = [_turn(message) for message in messages]
    whole = [turn for turn in turns if turn is not None]
    return Candidate("", tuple(whole)) if len(whole) == len(turns) else "wrong_shape"


def _turn(message: Any) -> Turn | None:
    role, content = (message.get("role"), message.get("content")) if isinstance(message, dict) else (None, None)
    return Turn(role, content) if isinstance(content, str) and isinstance(role, str) and role in MARKERS else None
