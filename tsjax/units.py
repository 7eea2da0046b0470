"""Durations in any unit, turned into optimizer steps by one function.

A duration is written `"2000"` or `"2000 steps"`, `"300M tokens"`, `"2 epochs"`, `"1e6 examples"`, `"1e15 flops"`,
`"20 minutes"`, `"10%"` (of the whole run), or `"never"`. (The idea of one function for every unit is big_vision's.)
"""

import dataclasses
import math
import re

from tsjax.errors import UserError

_SUFFIX = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12}
_UNITS = {
    "": "steps", "step": "steps", "steps": "steps",
    "token": "tokens", "tokens": "tokens",
    "epoch": "epochs", "epochs": "epochs",
    "example": "examples", "examples": "examples",
    "flop": "flops", "flops": "flops",
    "min": "minutes", "mins": "minutes", "minute": "minutes", "minutes": "minutes",
    "%": "percent", "percent": "percent",
}  # fmt: skip
_PATTERN = re.compile(r"\s*([0-9][0-9_]*\.?[0-9]*(?:e[+-]?[0-9]+)?)\s*([kmbgt]?)\s*([a-z%]*)\s*", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Rates:
    """What one optimizer step is worth; a rate that is not known yet is None."""

    tokens_per_step: int
    examples_per_step: int
    examples_per_epoch: int | None = None
    flops_per_step: float | None = None
    seconds_per_step: float | None = None
    total_steps: int | None = None


def parse(duration: str, field: str = "duration") -> tuple[float, str]:
    """`"300M tokens"` -> (3e8, "tokens"). `"never"` -> (inf, "steps"). Raises UserError on anything else."""
    text = str(duration).strip()
    if text == "never":
        return math.inf, "steps"
    match = _PATTERN.fullmatch(text)
    if match is not None:
        number, suffix, unit = match.groups()
        # "5min", "5m": an m with no unit behind it could be minutes or millions of steps, so it is refused.
        if not (suffix.lower() == "m" and unit == ""):
            for head, tail in ((suffix, unit), ("", suffix + unit)):
                if tail.lower() in _UNITS and (value := float(number) * _SUFFIX[head.lower()]) >= 0:
                    return value, _UNITS[tail.lower()]
    raise UserError(
        expected=f"{field} as a number with a unit ({', '.join(sorted(set(_UNITS.values())))})",
        found=repr(duration),
        todo="write for example '2000 steps', '300M tokens', '2 epochs', '20 minutes', '10%' or 'never'",
    )


def to_steps(duration: str, rates: Rates, field: str = "duration") -> int | None:
    """The number of optimizer steps nearest to `duration` from above; None for `"never"`.

    A positive duration is at least one step. Raises UserError when the rate that the unit needs is not known.
    """
    value, unit = parse(duration, field)
    if math.isinf(value):
        return None
    per_step: float | None
    if unit == "percent":
        per_step = None if rates.total_steps is None else 100 / max(rates.total_steps, 1)
    elif unit == "epochs":
        epoch = rates.examples_per_epoch
        per_step = None if epoch is None else rates.examples_per_step / epoch
    else:
        seconds = rates.seconds_per_step
        per_step = {
            "steps": 1.0,
            "tokens": float(rates.tokens_per_step),
            "examples": float(rates.examples_per_step),
            "flops": rates.flops_per_step,
            "minutes": None if seconds is None else seconds / 60,
        }[unit]
    if per_step is None:
        raise UserError(
            expected=f"{field} in a unit whose worth per step is known here",
            found=repr(duration),
            todo=f"give {field} in steps or tokens",
        )
    # A relative slack of 1e-9: '2 epochs' of 3 steps must not become 7 steps by a rounding error.
    return math.ceil(value / per_step * (1 - 1e-9))
