"""How config fields are declared, and how a contradiction between them is refused."""

import dataclasses
from collections.abc import Iterable
from typing import Any, NoReturn

from tsjax.errors import UserError


def knob(default: Any, doc: str, choices: tuple[str, ...] = (), least: float | None = None) -> Any:
    """A config field: its default, one line on what it is for (with the unit), and the values allowed."""
    return dataclasses.field(default=default, metadata={"doc": doc, "choices": choices, "least": least})


def refuse(expected: str, found: str, todo: str) -> NoReturn:
    raise UserError(expected=expected, found=found, todo=todo)


def refuse_idle(section: str, values: Any, idle: Iterable[tuple[str, bool, str]]) -> None:
    """Of (field, has no effect, why): raises UserError for the first without effect that was changed all the same."""
    for key, is_idle, why in idle:
        value = getattr(values, key)
        if is_idle and value != getattr(type(values)(), key):
            refuse(f"config.{section}.{key} left alone because {why}", repr(value),
                   f"remove config.{section}.{key} or change the other field")  # fmt: skip
