"""What JSON can keep of a value: NaN and infinity are no JSON."""

import math
from collections.abc import Mapping
from typing import Any


def finite(value: Any, where: str, bad: list[str]) -> Any:
    """`value` with None for NaN and infinity, names as text, tuples as lists; `bad` gets the places of what was left empty."""
    if isinstance(value, Mapping):
        return {str(name): finite(one, f"{where}.{name}", bad) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one, f"{where}.{place}", bad) for place, one in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        bad.append(where)
        return None
    return value
