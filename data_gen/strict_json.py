"""JSON as the standard has it, of what others wrote: Python's reader takes more than any reader must."""

import json
import math
from typing import Any, NoReturn


class _Refused(ValueError):
    """For one of the reasons here."""


def strict_json(text: str | bytes, keys_once: bool = False) -> Any:
    """The value in `text`. ValueError says in few words why there is none.

    Refused, besides what Python's reader refuses: NaN and Infinity, numbers too large for a float (they would be kept as
    Infinity, which is no JSON), and nesting without end. keys_once: also an object with a key twice, since which of both
    counts is anybody's guess.
    """
    try:
        return json.loads(
            text, parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_each_once if keys_once else None
        )
    except _Refused:
        raise
    except (ValueError, RecursionError):  # also for digits without end
        raise ValueError("broken JSON") from None


def _refuse(constant: str) -> NoReturn:
    raise _Refused(f"{constant} is no JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise _Refused("a number too large")
    return number


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Refused("a key twice")
    return found
