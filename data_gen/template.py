"""Templates of prompts: text with fields like {noun}. Nothing else of a format string is allowed, and no code runs."""

import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from string import Formatter

_FIELD = re.compile("[a-z][a-z0-9_]*")
_Line = tuple[tuple[str, str], ...]  # pieces of text, each before a field's name or ""


def is_field(name: str) -> bool:
    """Whether a template can name it."""
    return _FIELD.fullmatch(name) is not None


@lru_cache(maxsize=256)
def fields(template: str) -> frozenset[str]:
    """The names that it uses. ValueError says what is wrong with it."""
    return frozenset(name for line in _lines(template) for _, name in line if name)


def fill(template: str, values: Mapping[str, str]) -> str:
    """The text with its fields filled in. A line is left out where a field of it has no value or "".

    Several blank lines become one, and there is none at either end. `{{` and `}}` stand for braces.
    """
    lines = [
        "".join(text + (values[name] if name else "") for text, name in line)
        for line in _lines(template)
        if all(values.get(name) for _, name in line if name)
    ]
    return re.sub(r"\n(?:[^\S\n]*\n){2,}", "\n\n", "\n".join(lines)).strip()


def lasts(template: str, always: Collection[str]) -> bool:
    """Whether some line stays whatever is drawn, where only the names in `always` are sure to have a value."""
    return any(
        all(name in always for _, name in line if name) and any(name or text.strip() for text, name in line)
        for line in _lines(template)
    )


@lru_cache(maxsize=256)
def _lines(template: str) -> tuple[_Line, ...]:
    return tuple(map(_line, template.splitlines()))


def _line(line: str) -> _Line:
    pieces = []
    try:
        parsed = list(Formatter().parse(line))
    except ValueError as e:
        raise ValueError(f"a brace alone (write {{{{ or }}}} for braces) in {line.strip()!r}") from e
    for text, name, form, conversion in parsed:
        if name is not None and (not is_field(name) or form or conversion):
            whole = name + (f"!{conversion}" if conversion else "") + (f":{form}" if form else "")
            raise ValueError(f"{{{whole}}}, which is no plain name in small letters")
        pieces.append((text, name or ""))
    return tuple(pieces)
