"""One record of a JSON or parquet file -> documents.

A record has its text under a key: a string, or a list of messages. What else it says becomes the document's fields.
Records of TinyStories_all_data keep the request under `instruction`; its prompt, words and features become fields of
their own.
"""

import difflib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from tsjax.corpus import SEPARATOR, Document, chat
from tsjax.errors import UserError

TEXT_KEYS = ("text", "story", "content", "messages")  # looked for in this order
EMPTY, MALFORMED, FILTERED = FAULTS = ("empty", "malformed", "filtered")

Where = tuple[tuple[str, str], ...]

_NONE: Mapping[str, Any] = {}
_MISSING = object()


def documents_of(record: object, text_key: str, where: Where, place: str) -> Iterator[Document]:
    """The document of a record: one, or several where the text holds `SEPARATOR`, or an empty or malformed one.

    A record without a value that `where` asks for has the fault "filtered". `place` says in messages where the
    record stands. Raises UserError for what is no record, or has no text under the key.
    """
    record = _object(record, text_key, place)
    key = text_key or next((key for key in TEXT_KEYS if key in record), "")
    if key not in record:
        raise UserError(
            expected=f"the key {text_key!r} in {place}" if text_key else f"a key of {', '.join(TEXT_KEYS)} in {place}",
            found=_keys_of(record, text_key or "text"),
            todo="name the key of the text with --text-key",
        )
    text, fault = _text(record[key], key, place)
    if any(wanted not in _spellings(_find(record, field)) for field, wanted in where):
        fault = FILTERED
    fields = _fields(record, key)
    story = fields.get("story")
    if isinstance(story, str) and story.strip() and story.strip() in text and SEPARATOR not in text:
        yield Document(text, fields.pop("story").strip(), fields, fault)
    else:
        for part in divided(text):
            yield plain(part, fault, fields)


def divided(text: str) -> list[str]:
    """The documents in one text, stripped: a mark inside it would teach the model a fake end, so there it is cut."""
    return [part for piece in text.split(SEPARATOR) if (part := piece.strip())] or [""]


def plain(text: str, fault: str = "", fields: Mapping[str, Any] = _NONE) -> Document:
    """The document of a text that is all story."""
    return Document(text, text, fields, fault if text or fault == FILTERED else EMPTY)


def check_where(record: object, where: Where, place: str) -> None:
    """Refuses a field of `where` that the record lacks: asked of the first record, it finds a slip in the name."""
    for field, wanted in where:
        if isinstance(record, dict) and _find(record, field) is _MISSING:
            raise UserError(
                expected=f"the field {field!r} of --where {field}={wanted} in {place}",
                found=_keys_of(record, field),
                todo="name a field of the records; instruction.prompt is one inside another",
            )


def _object(record: object, text_key: str, place: str) -> dict[str, Any]:
    if isinstance(record, dict):
        return record
    raise UserError(
        expected=f"a JSON object with the key {text_key or TEXT_KEYS[0]!r} in {place}",
        found=f"a {type(record).__name__}",
        todo="give one object a record",
    )


def _spellings(value: object) -> tuple[str, str]:
    """How a value may be written in a condition: as Python shows it, and as JSON does (true, null)."""
    return str(value), json.dumps(value, ensure_ascii=False, default=str)


def _fields(record: dict[str, Any], text_key: str) -> dict[str, Any]:
    """What the record says beside its text: scalars and lists, and those in its `instruction`."""
    fields = {key: value for key, value in record.items() if key != text_key and not isinstance(value, dict)}
    request = record.get("instruction")
    if isinstance(request, dict):
        for key, value in request.items():
            fields.setdefault(key.rstrip(":"), value)  # the published key of the prompt really is "prompt:"
    return fields


def _find(record: Mapping[str, Any], field: str) -> Any:
    """The value of a field, or of a nested one (`instruction.prompt`); _MISSING if there is none."""
    if field in record:
        return record[field]
    outer, _, inner = field.partition(".")
    return _find(record[outer], inner) if inner and isinstance(record.get(outer), dict) else _MISSING


def _text(value: object, key: str, place: str) -> tuple[str, str]:
    """(the text of a record, its fault or nothing)."""
    fault = ""
    if isinstance(value, list) and all(isinstance(m, dict) and {"role", "content"} <= m.keys() for m in value):
        try:
            text = chat.render(chat.Turn(str(m["role"]), _content(m["content"], place)) for m in value)
        except ValueError:
            text, fault = json.dumps(value, ensure_ascii=False), MALFORMED
    elif value is None or isinstance(value, str):
        text = (value or "").strip()
    else:
        raise UserError(
            expected=f"a string or a list of messages under {key!r} in {place}",
            found=f"a {type(value).__name__}",
            todo="name the key of the text with --text-key",
        )
    try:
        text.encode()
    except UnicodeEncodeError as e:
        raise UserError(
            expected=f"whole characters in {place}",
            found=f"half of a surrogate pair, {text[e.start]!r}",
            todo="mend or remove the record",
        ) from e
    return text, fault


def _content(content: object, place: str) -> str:
    """What a message says: a string, or the text parts of OpenAI's list form."""
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, list) and all(isinstance(p, dict) and isinstance(p.get("text"), str) for p in content):
        return " ".join(part["text"] for part in content)
    raise UserError(
        expected=f"messages whose content is text in {place}",
        found=f"a {type(content).__name__}",
        todo="leave out images, calls and the like beforehand",
    )


def _keys_of(record: dict[str, Any], wanted: str) -> str:
    near = sorted(record, key=lambda key: -difflib.SequenceMatcher(None, key, wanted).ratio())
    return f"the keys {', '.join(map(repr, near[:8]))}" if near else "an empty object"
