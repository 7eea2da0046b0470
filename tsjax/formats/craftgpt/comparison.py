"""How far the machine is from the float model on given texts: losses, likeliest tokens, and what left its range."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tsjax import model
from tsjax.errors import UserError
from tsjax.formats.craftgpt import rom
from tsjax.formats.craftgpt.emulator import Emulator
from tsjax.formats.craftgpt.numbers import FRACTION
from tsjax.formats.craftgpt.quantise import dequantise
from tsjax.model_config import ModelConfig
from tsjax.shards import Shards

ROWS = 16  # of logits, in float arithmetic, at a time


def held_out_rows(shards: Shards, context: int, positions: int) -> list[list[int]]:
    """Beginnings of validation documents, up to `context` + 1 tokens each, with `positions` targets or a few more."""
    rows: list[list[int]] = []
    for ids in shards.documents("valid"):
        if sum(map(len, rows)) - len(rows) >= positions:
            break
        if len(ids) > 1:
            rows.append(ids[: context + 1].tolist())
    return rows


def compare(
    config: ModelConfig, params: model.Params, stored: rom.Numbers, rows: Sequence[Sequence[int]]
) -> dict[str, Any]:
    """Every token of `rows` after the first is predicted by the model, by its rounded numbers, and by the machine.

    Losses are nats per token, of the model (`float_nll`), of the rounded weights in float arithmetic (`rounded_nll`),
    of the machine's logits (`integer_nll`). `argmax_agreement`: share of positions where machine and model have the same
    likeliest token; `argmax_agreement_rounded`: machine and rounded weights. `logit_difference_max`, `_mean`: machine
    against rounded weights. `ranges`: `emulator.Ranges`; `violations`: all of them together. UserError without a target.
    """
    if not rows or max(map(len, rows)) > config.context + 1 or min(map(len, rows)) < 2:
        raise UserError(expected=f"texts of 2 to {config.context + 1} tokens to compare on", found="others, or none",
                        todo="give a shard folder with validation documents")  # fmt: skip
    machine = Emulator(config, stored)
    integers = []
    for row in rows:
        machine.forget()
        integers += [machine.read(token) for token in row[:-1]]
    integer_NxV = np.stack(integers) / 2.0**FRACTION
    targets_N = np.concatenate([row[1:] for row in rows])
    untied = _untied(config)
    float_NxV = _logits(config, params, rows)
    rounded_NxV = _logits(untied, dequantise(stored), rows)
    difference_NxV = np.abs(integer_NxV - rounded_NxV)
    likeliest_N, rounded_N, integer_N = (x.argmax(axis=1) for x in (float_NxV, rounded_NxV, integer_NxV))
    ranges = machine.ranges.report()
    return {
        "positions": len(targets_N),
        "float_nll": _nll(float_NxV, targets_N),
        "rounded_nll": _nll(rounded_NxV, targets_N),
        "integer_nll": _nll(integer_NxV, targets_N),
        "argmax_agreement": float(np.mean(integer_N == likeliest_N)),
        "argmax_agreement_rounded": float(np.mean(integer_N == rounded_N)),
        "logit_difference_max": float(difference_NxV.max()),
        "logit_difference_mean": float(difference_NxV.mean()),
        "violations": sum(seen["violations"] for seen in ranges.values()),
        "ranges": ranges,
    }


def _untied(config: ModelConfig) -> ModelConfig:
    return dataclasses.replace(config, tied=False, dtype="float32")


def _nll(logits_NxV: np.ndarray, targets_N: np.ndarray) -> float:
    most_N = logits_NxV.max(axis=1)
    log_z_N = most_N + np.log(np.exp(logits_NxV - most_N[:, None]).sum(axis=1))
    return float(np.mean(log_z_N - logits_NxV[np.arange(len(targets_N)), targets_N]))


def _logits(config: ModelConfig, params: model.Params, rows: Sequence[Sequence[int]]) -> np.ndarray:
    """Of every token of every row but the last, float64 [N, V]."""
    found = []
    for start in range(0, len(rows), ROWS):
        some = rows[start : start + ROWS]
        ids_BxT = np.zeros((ROWS, config.context), np.int32)  # what follows a row is not seen by it
        for ids_T, row in zip(ids_BxT, some, strict=False):
            ids_T[: len(row) - 1] = row[:-1]
        logits_BxTxV = np.asarray(_forward(config, params, ids_BxT), np.float64)
        found += [logits_T[: len(row) - 1] for logits_T, row in zip(logits_BxTxV, some, strict=False)]
    return np.concatenate(found)


@functools.partial(jax.jit, static_argnums=0)
def _forward(config: ModelConfig, params: model.Params, ids_BxT: jax.Array) -> jax.Array:
    decoder = model.bind(config, params)
    return decoder.logits(decoder(jnp.asarray(ids_BxT)))
