"""What the rows of metrics.jsonl and speed.jsonl hold, and the line that shows them."""

import dataclasses
import time
from typing import Any

import jax

from tsjax.config import Config
from tsjax.evaluate import Evaluation
from tsjax.metrics import duration_text
from tsjax.units import Rates


def train_row(step: int, values: dict[str, float], rates: Rates, fingerprint: str) -> dict[str, Any]:
    """`tokens_seen` counts positions, `tokens` the real targets among those of this step: rows may have padding."""
    return {
        "kind": "train",
        "step": step,
        "tokens_seen": step * rates.tokens_per_step,
        "epoch": step * rates.examples_per_step / (rates.examples_per_epoch or 1),
        **values,
        "data": fingerprint,
    }


def eval_row(step: int, found: Evaluation, config: Config, rates: Rates, fingerprint: str) -> dict[str, Any]:
    """Losses under different packings are not comparable, so the packing is in the row."""
    return {
        "kind": "valid",
        "step": step,
        "tokens_seen": step * rates.tokens_per_step,
        **dataclasses.asdict(found),
        "packing": config.data.packing,
        "data": fingerprint,
    }


def speed_row(
    step: int, steps_per_second: float | None, tokens_per_step: int, flops_per_step: float, peak: float | None
) -> dict[str, Any]:
    """Tokens/s over all devices, and MFU against the bfloat16 peak where that is known; empty without a rate."""
    if steps_per_second is None:
        return {}
    return {
        "step": step,
        "tokens_per_second": steps_per_second * tokens_per_step,
        "mfu": steps_per_second * flops_per_step / (peak * jax.device_count()) if peak else None,
        "unix_time": time.time(),
    }


def progress_text(row: dict[str, Any], last_eval: dict[str, Any], rate: dict[str, Any], eta: float | None) -> str:
    parts = ["loss -" if row["loss"] is None else f"loss {row['loss']:.3f}"]
    if rate:
        parts.append(f"{rate['tokens_per_second']:,.0f} tokens/s")
        parts += [f"MFU {rate['mfu']:.1%}"] if rate["mfu"] else []
    if eta is not None:
        parts.append(f"ETA {duration_text(eta)}")
    if last_eval:
        parts.append(f"valid {last_eval['loss']:.3f}")
    return "  ".join(parts)
