"""A table of a TOML file, read strictly: whatever is wrong with it becomes one UserError that names the key."""

import difflib
import math
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from tsjax.errors import UserError


class Table:
    """`where` is the table's name in the file at `path`, "" for the file itself. A key that is not among `keys` is refused."""

    def __init__(self, values: Any, where: str, path: Path, keys: Iterable[str]):
        self.where, self.path, self.keys = where, path, tuple(keys)
        if not isinstance(values, dict):
            self.refuse("a table", repr(values))
        self.values: Mapping[str, Any] = values
        for key in values:
            if key not in self.keys:
                self.refuse(f"one of {', '.join(self.keys)}", f"{key!r}{nearest(key, self.keys)}")

    def refuse(self, expected: str, found: str, key: str = "") -> NoReturn:
        """UserError about `key` of this table, or about the table."""
        name = ".".join(filter(None, (self.where, key)))
        raise UserError(expected=f"{name}: {expected}" if name else expected, found=found, todo=f"mend {self.path}")

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def need(self, *keys: str) -> None:
        for key in keys:
            if key not in self.values:
                self.refuse(f"the key {key}", ", ".join(self.values) or "none")

    def text(self, key: str, default: str = "") -> str:
        """A string that is not blank; `default` where the key is not there."""
        value = self.values.get(key, default)
        if not isinstance(value, str) or (key in self.values and not value.strip()):
            self.refuse("a text", repr(value), key)
        return value

    def choice(self, key: str, among: Collection[str], default: str = "") -> str:
        value = self.text(key, default)
        if key in self.values and value not in among:
            self.refuse(f"one of {', '.join(among) or 'nothing'}", f"{value!r}{nearest(value, among)}", key)
        return value

    def choices(self, key: str, among: Collection[str]) -> tuple[str, ...]:
        for value in self.texts(key):
            if value not in among:
                self.refuse(f"some of {', '.join(among) or 'nothing'}", f"{value!r}{nearest(value, among)}", key)
        return self.texts(key)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings that are not blank and differ; none where the key is not there."""
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(one, str) and one.strip() for one in value):
            self.refuse("a list of texts", repr(value), key)
        if again := repeated(value):
            self.refuse("every text once", f"{again!r} again", key)
        return tuple(value)

    def switch(self, key: str) -> bool:
        value = self.values.get(key, False)
        if not isinstance(value, bool):
            self.refuse("true or false", repr(value), key)
        return value

    def whole(self, key: str, least: int, default: int = 0) -> int:
        value = self.values.get(key, default)
        if not _is_whole(value) or (key in self.values and value < least):
            self.refuse(f"a whole number from {least} on", repr(value), key)
        return value

    def number(self, key: str, least: float, most: float, default: float = 0.0) -> float:
        value = self.values.get(key, default)
        if not is_number(value) or (key in self.values and not least <= value <= most):
            self.refuse(f"a number from {least:g} to {most:g}", repr(value), key)
        return float(value)

    def span(self, key: str, *, most: int | None = None) -> tuple[int, int]:
        """[least, most], whole numbers, in order, not below 0."""
        value = self.values.get(key)
        if isinstance(value, list) and len(value) == 2 and all(map(_is_whole, value)):
            low, high = value
            if 0 <= low <= high and high > 0 and (most is None or high <= most):
                return low, high
        self.refuse("[least, most]" + (f" up to {most}" if most is not None else ""), repr(value), key)


def is_number(value: Any) -> bool:
    """Whether it is a finite number, which true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def repeated(texts: Iterable[str]) -> str:
    """The first that comes again; "" where none does."""
    seen = set()
    for text in texts:
        if text in seen:
            return text
        seen.add(text)
    return ""


def nearest(name: str, names: Collection[str]) -> str:
    """A hint to put behind a wrong name; "" where none comes near."""
    near = difflib.get_close_matches(name, list(names), 1, 0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
