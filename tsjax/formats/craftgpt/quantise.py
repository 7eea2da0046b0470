"""Rounding a model to CraftGPT's numbers, back to floats, and what the rounding cost each parameter."""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from tsjax import model
from tsjax.formats.craftgpt import numbers, rom
from tsjax.model_config import ModelConfig
from tsjax.rom_grid import EMBEDDINGS


def _writes(name: str) -> bool:
    """Whether a parameter writes to the residual stream."""
    return name in EMBEDDINGS or name.endswith(("attention.out.kernel", "mlp.down.kernel"))


def quantise(
    config: ModelConfig, params: model.Params, residual_scale: float = 1.0
) -> tuple[rom.Numbers, dict[str, Any]]:
    """(the numbers nearest to the parameters, a report). A tied model's embedding is written a second time, as the head.

    `residual_scale` multiplies all that writes to the residual stream, which norms take out again (but for their
    epsilon): for a model whose stream is beyond the machine's range, at the price of smaller and so coarser weights.

    The report: for each parameter how many values there are (`values`), how many were outside the format's range and
    so cut to it (`clipped`), the signal-to-noise ratio of the rounded values in dB (`snr_db`, None = exact), and the
    largest size; `clipped` and `clipped_share` of all matrix weights together.
    """
    if config.tied:
        params = params | {"unembedding": params["embedding"]}
    params = {name: p * residual_scale if _writes(name) else p for name, p in params.items()}
    rounded: rom.Numbers = {}
    parameters = {}
    for name in rom.shapes(config):
        value = np.asarray(params[name], np.float64)
        value = value.T if name.endswith(".kernel") else value
        rounded[name], clipped = _encode(name)(value)
        noise = np.sum((_decode(name, rounded[name]) - value) ** 2)
        parameters[name] = {
            "values": value.size, "clipped": clipped, "largest": float(np.max(np.abs(value))),
            "snr_db": 10 * math.log10(np.sum(value**2) / noise) if noise else None,
        }  # fmt: skip
    matrices = [row for name, row in parameters.items() if rounded[name].dtype == np.uint8]
    clipped, total = (sum(row[key] for row in matrices) for key in ("clipped", "values"))
    return rounded, {
        "residual_scale": residual_scale,
        "clipped": clipped,
        "clipped_share": clipped / total,
        "parameters": parameters,
    }


def dequantise(stored: rom.Numbers) -> model.Params:
    """The parameters that the numbers stand for, float32 and exact; always with a head of their own (`unembedding`).

    Gains keep the lowest bit that the machine drops (2^-22), so that writing them again gives the same file.
    """
    params = {name: _decode(name, value) for name, value in stored.items()}
    return {
        name: jnp.asarray(value.T if name.endswith(".kernel") else value, jnp.float32) for name, value in params.items()
    }


def _encode(name: str):
    if name.endswith(".scale"):
        return numbers.gain_numbers
    return numbers.embedding_numbers if name in EMBEDDINGS else numbers.weight_codes


def _decode(name: str, stored: np.ndarray) -> np.ndarray:
    if name.endswith(".scale"):
        return stored / 2.0**numbers.GAIN_FRACTION
    if name in EMBEDDINGS:
        return stored / 2.0**numbers.FRACTION
    return numbers.weight_values()[stored]
