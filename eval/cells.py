"""Values as the page's cells show them: numbers short, names as words, what is absent as a dash."""

import math
import re
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


def name(said: object) -> Any:
    """The name of a model as markup that may break behind - _ @ / and nowhere inside a word."""
    from markupsafe import Markup, escape

    parts = re.split(r"(?<=[-_@/])(?=[^-_@/])", str(said))
    return Markup("<wbr>").join(escape(part) for part in parts)


def counted(count: int, one: str, many: str = "") -> str:
    """1 text, 2 texts."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def short(value: Any) -> str:
    """A number without an error beside it: three digits that count; anything else as `plain`."""
    if isinstance(value, float) and value:
        return score(value, max(0, 2 - math.floor(math.log10(abs(value))))) if abs(value) >= 1e-4 else f"{value:.1e}"
    return plain(value)


def with_error(found: Mapping[str, Any]) -> tuple[str, str]:
    """(mean, standard error) with as many digits as the error lets count: one, or two where the first is a 1."""
    mean, se = found.get("mean"), found.get("se")
    if mean is None or not se:
        return short(mean), "" if se is None else plain(float(se))
    power = math.floor(math.log10(se))
    digits = max(0, -power + (se / 10**power < 1.95))
    return score(mean, digits), score(se, digits)


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
