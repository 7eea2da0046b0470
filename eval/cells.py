"""Values as the page's cells show them: numbers short, names as words, what is absent as a dash."""

from collections.abc import Mapping, Sequence
from typing import Any

SHORT = ("usd", "mae", "bleu")


def score(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "−")


def interval(found: Mapping[str, Any]) -> str:
    return (
        ""
        if found.get("low") is None or found.get("high") is None
        else f"{score(found['low'])} to {score(found['high'])}"
    )


def share(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}" if value == 0 or value >= 0.1 else f"{value:.1%}"


def words(name: object) -> str:
    """A name of the code as words: instruction_following -> Instruction following."""
    said = " ".join(part.upper() if part in SHORT else part for part in str(name).split("_"))
    return said[:1].upper() + said[1:] if len(said) > 1 else said


def p_value(value: float | None) -> str:
    return "–" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def plain(value: Any) -> str:
    """Any JSON value in a cell: numbers short, mappings as name value pairs."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {plain(one)}" for name, one in value.items() if one is not None)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(plain(one) for one in value)
    return str(value)
