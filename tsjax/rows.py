"""What the rows of metrics.jsonl and speed.jsonl hold, and the line that shows them."""

import dataclasses
import math
import time
from collections.abc import Iterable, Sequence
from typing import Any

import jax

from tsjax.config import Config
from tsjax.evaluate import Evaluation
from tsjax.flops import Peak
from tsjax.memory import Memory, peak_bytes
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


@dataclasses.dataclass(frozen=True)
class Work:
    """What a step of all lanes is worth, and what the devices could do."""

    lanes: int
    tokens: int  # of one lane
    flops: float  # of one lane
    peak: Peak  # of one device

    def mfu(self, seconds: float) -> float:
        return self.lanes * self.flops / seconds / (self.peak.operations_per_second * jax.device_count())


def speed_row(step: int, paces: tuple[float, float] | None, work: Work) -> dict[str, Any]:
    """Rates of one lane over all devices, and MFU of all lanes together; empty without a reading of the pace."""
    if paces is None:
        return {}
    seconds, waited = paces
    return {
        "kind": "speed",
        "step": step,
        "seconds_per_step": seconds,
        "data_wait": waited / seconds,  # the share of it in which the loop waited for batches
        "tokens_per_second": work.tokens / seconds,
        "lanes": work.lanes,
        "mfu": work.mfu(seconds),
        "peak_flops": work.peak.operations_per_second,
        "peak_source": work.peak.source,
        "peak_memory_bytes": peak_bytes(),
        "unix_time": time.time(),
    }


def compile_row(step: int, length: int, seconds: float, memory: Memory) -> dict[str, Any]:
    """A program of `length` steps was compiled, or found in the cache of compiled ones."""
    return {"kind": "compile", "step": step, "steps_per_dispatch": length, "seconds": seconds, "memory_bytes": memory.total,
            "unix_time": time.time()}  # fmt: skip


def progress_text(
    rows: Sequence[dict[str, Any]], evals: Sequence[dict[str, Any]], rate: dict[str, Any], eta: float | None
) -> str:
    """`rows`: the newest of each lane that still trains; `evals`: their last evaluations."""
    parts = [f"loss {spread(row['loss'] for row in rows)}"]
    if rate:
        parts.append(f"{rate['tokens_per_second'] * rate['lanes']:,.0f} tokens/s")
        parts.append(f"MFU {rate['mfu']:.1%}")
    if eta is not None:
        parts.append(f"ETA {duration_text(eta)}")
    if any(evals):
        parts.append(f"valid {spread(row['loss'] for row in evals if row)}")
    return "  ".join(parts)


def spread(losses: Iterable[float | None]) -> str:
    """`2.345`, or the least and the largest of several; `-` when none is a number."""
    finite = sorted(loss for loss in losses if loss is not None and math.isfinite(loss))
    if not finite:
        return "-"
    return f"{finite[0]:.3f}" if len(finite) == 1 else f"{finite[0]:.3f} to {finite[-1]:.3f}"
