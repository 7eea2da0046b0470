"""A long JSON file -> its records, one at a time: the members of one list, or objects one behind another."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

_BLANK = " \t\n\r"
_DECODER = json.JSONDecoder()


def values(texts: Iterable[str], limit: int) -> Iterator[Any]:
    """The values of a JSON file that comes in pieces: of its list, if it begins with one, and else all of them.

    ValueError says what is wrong: it is not JSON, ends too early, or has a value of over `limit` characters.
    """
    source = _Text(texts)
    listed = source.peek() == "["
    if listed:
        source.at += 1
    while (mark := source.peek()) and mark != "]":
        yield source.value(limit)
        if listed:
            if source.peek() not in (",", "]"):
                raise ValueError(source.wrong("a comma"))
            if source.peek() == ",":
                source.at += 1
                if source.peek() == "]":
                    raise ValueError(source.wrong("a record"))
    if listed:
        if source.peek() != "]":
            raise ValueError("the list has no end")
        source.at += 1
    if source.peek():
        raise ValueError(source.wrong("nothing more"))


class _Text:
    """A window on the text, from what was read last to what comes next."""

    def __init__(self, texts: Iterable[str]):
        self._texts, self._window, self.at = iter(texts), "", 0

    def peek(self) -> str:
        """The next character that is not blank; nothing at the end."""
        while True:
            while self.at < len(self._window):
                if self._window[self.at] not in _BLANK:
                    return self._window[self.at]
                self.at += 1
            if not self._more():
                return ""

    def value(self, limit: int) -> Any:
        """The JSON value that begins here."""
        while True:
            try:
                found, end = _DECODER.raw_decode(self._window, self.at)
            except RecursionError as e:
                raise ValueError("values too deep inside each other") from e
            except json.JSONDecodeError as e:
                # A value may go on in what was not read yet; whatever is wrong far from there is wrong.
                inside = len(self._window) - e.pos > 16 and not e.msg.startswith("Unterminated")
                if len(self._window) - self.at > limit:
                    raise ValueError(f"a record of over {limit:,} characters, or one without end") from e
                if inside or not self._more():
                    raise ValueError(f"{e.msg} at {self._window[e.pos : e.pos + 40]!r}") from e
            else:
                if isinstance(found, (int, float)) and len(self._window) - end < 3 and self._more():
                    continue  # it may go on: of 1.5e-3, the part 1.5e- gives 1.5
                self.at = end
                return found

    def wrong(self, expected: str) -> str:
        return f"{expected} should stand at {self._window[self.at : self.at + 40]!r}"

    def _more(self) -> bool:
        """Forgets what is behind and reads on, at least as much as is there; False at the end of the text."""
        parts, wanted = [], len(self._window) - self.at
        while wanted >= 0 and (part := next(self._texts, None)) is not None:
            parts.append(part)
            wanted -= len(part)
        if parts:
            self._window, self.at = self._window[self.at :] + "".join(parts), 0
        return bool(parts)
