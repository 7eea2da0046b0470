"""What strings of a user may hold."""

from typing import Any

LONGEST_NAME = 80


def check_whole(value: Any) -> None:
    """ValueError for half a surrogate pair in any string of a JSON value: UTF-8 can't write it, so no page can show it."""
    if isinstance(value, str):
        if odd := next((one for one in value if "\ud800" <= one <= "\udfff"), None):
            raise ValueError(f"half a surrogate pair, \\u{ord(odd):04x}, which is no character")
    elif isinstance(value, dict):
        for name, one in value.items():
            check_whole(name)
            check_whole(one)
    elif isinstance(value, list):
        for one in value:
            check_whole(one)


def check_name(name: str) -> None:
    """ValueError for a model's name that would break a table: empty, too long, or with line breaks or marks unseen."""
    if not name.strip():
        raise ValueError("an empty model")
    if not name.isprintable():
        raise ValueError(f"model {name!a:.60}, with characters that are not seen")
    if len(name) > LONGEST_NAME:
        raise ValueError(f"model {name!r:.60}, of {len(name):,} characters: {LONGEST_NAME} at most")
