"""How the next token is drawn, for a batch with one setting (`Sampler`) and for rows with their own (`PerRow`).

The random key of a token depends on (seed, the row's own seed, how many tokens the row has written) alone.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from tsjax.errors import UserError


class Draws(Protocol):
    """What the token loop asks of a sampler: hashable, because the loop is compiled for it."""

    def chances(self, seed: int, rows: Sequence[int], steps: int) -> Any:
        """What the rows' draws depend on, arrays with a leading axis B: of `seed`, each row's own, for `steps` tokens."""

    def pick(self, logits_BxV: jax.Array, chances: Any, written_B: jax.Array, seen_BxV: jax.Array | None) -> jax.Array:
        """One id per row, int32 [B], where the row has drawn `written` tokens; `seen`: those in its prompt and text."""


@dataclasses.dataclass(frozen=True)
class Sampler:
    """One setting for all rows. Applied in the order of Hugging Face: penalty, temperature, top-k, top-p, min-p."""

    temperature: float = 1.0  # 0 = greedy: the likeliest token, the lowest id among equals
    top_k: int = 0  # keep the k likeliest; 0 = all
    top_p: float = 1.0  # keep the likeliest until their mass reaches this; 1 = all
    min_p: float = 0.0  # keep those of at least this x the likeliest one's probability; 0 = all
    repetition_penalty: float = 1.0  # positive logits of tokens seen are divided by it, others multiplied; 1 = none

    def __post_init__(self) -> None:
        for name, value, expected, good in (
            ("temperature", self.temperature, "at least 0", 0 <= self.temperature < float("inf")),
            ("top_k", self.top_k, "at least 0", 0 <= self.top_k < 2**31),
            ("top_p", self.top_p, "in (0, 1]", 0 < self.top_p <= 1),
            ("min_p", self.min_p, "in [0, 1]", 0 <= self.min_p <= 1),
            ("repetition_penalty", self.repetition_penalty, "above 0", 0 < self.repetition_penalty < float("inf")),
        ):
            if not good:
                raise UserError(expected=f"{name} {expected}", found=str(value), todo="change it")

    @property
    def filters(self) -> bool:
        return self.top_k > 0 or self.top_p < 1 or self.min_p > 0

    @property
    def penalises(self) -> bool:
        return self.repetition_penalty != 1

    def chances(self, seed: int, rows: Sequence[int], steps: int) -> jax.Array:
        """The rows' random keys [B]."""
        return row_keys(seed, rows)

    def pick(self, logits_BxV, chances, written_B, seen_BxV):
        if seen_BxV is not None:
            logits_BxV = penalised(logits_BxV, seen_BxV, self.repetition_penalty)
        return draw(logits_BxV, jax.vmap(jax.random.fold_in)(chances, written_B), self)


class Settings(NamedTuple):
    """Each row's own sampler and random key; `PerRow`'s chances."""

    key_data_Bx2: np.ndarray  # uint32, of `row_keys`
    temperature_B: np.ndarray
    top_k_B: np.ndarray
    top_p_B: np.ndarray
    min_p_B: np.ndarray
    repetition_penalty_B: np.ndarray

    @classmethod
    def of(cls, samplers: Sequence[Sampler], key_data_Bx2: np.ndarray) -> "Settings":
        fields = {"temperature": np.float32, "top_k": np.int32, "top_p": np.float32, "min_p": np.float32,
                  "repetition_penalty": np.float32}  # fmt: skip
        return cls(key_data_Bx2, *(np.array([getattr(s, f) for s in samplers], kind) for f, kind in fields.items()))


@dataclasses.dataclass(frozen=True)
class PerRow:
    """Every row with settings of its own, in one program: a row gets what `Sampler` would draw for it."""

    def pick(self, logits_BxV, chances: Settings, written_B, seen_BxV):
        if seen_BxV is not None:
            logits_BxV = penalised(logits_BxV, seen_BxV, jnp.asarray(chances.repetition_penalty_B)[:, None])
        keys_B = jax.vmap(jax.random.fold_in)(jax.random.wrap_key_data(jnp.asarray(chances.key_data_Bx2)), written_B)
        greedy_B = chances.temperature_B == 0
        warm_BxV = logits_BxV / jnp.where(greedy_B, 1.0, chances.temperature_B)[:, None]
        filters_B = (chances.top_k_B > 0) | (chances.top_p_B < 1) | (chances.min_p_B > 0)
        categorical = jax.vmap(jax.random.categorical)

        def from_the_kept():
            logits, ids = filtered_per_row(warm_BxV, chances)
            rank_B = categorical(keys_B, logits)
            kept_B = jnp.take_along_axis(ids, rank_B[:, None], axis=1)[:, 0]
            return jnp.where(filters_B, kept_B, categorical(keys_B, warm_BxV)).astype(jnp.int32)

        def from_all():
            return categorical(keys_B, warm_BxV).astype(jnp.int32)

        drawn_B = jax.lax.cond(jnp.any(filters_B & ~greedy_B), from_the_kept, from_all)  # sorting costs
        return jnp.where(greedy_B, jnp.argmax(logits_BxV, axis=-1), drawn_B).astype(jnp.int32)


def row_keys(seed: int, rows: Sequence[int]) -> jax.Array:
    """The random keys of rows: of one seed, each row's own."""
    return jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(seed), jnp.asarray(rows))


def penalised(logits_BxV: jax.Array, seen_BxV: jax.Array, penalty: float | jax.Array) -> jax.Array:
    """Keskar et al. 2019 (CTRL), as Hugging Face has it: tokens seen lose, whatever the sign of their logit."""
    worse = jnp.where(logits_BxV > 0, logits_BxV / penalty, logits_BxV * penalty)
    return jnp.where(seen_BxV, worse, logits_BxV)


def filtered(logits_BxV: jax.Array, sampler: Sampler) -> tuple[jax.Array, jax.Array]:
    """Log-probabilities (unnormalised) in falling order with -inf where filtered out, and the ids they belong to."""
    logits, ids = jax.lax.top_k(logits_BxV / sampler.temperature, logits_BxV.shape[-1])
    if sampler.top_k:
        logits = jnp.where(jnp.arange(logits.shape[-1]) < sampler.top_k, logits, -jnp.inf)
    if sampler.top_p < 1:
        p = jax.nn.softmax(logits, axis=-1)
        before = jnp.cumsum(p, axis=-1) - p
        logits = jnp.where(before < sampler.top_p, logits, -jnp.inf)
    if sampler.min_p > 0:
        logits = jnp.where(logits - logits[..., :1] >= jnp.log(sampler.min_p), logits, -jnp.inf)
    return logits, ids


def filtered_per_row(warm_BxV: jax.Array, settings: Settings) -> tuple[jax.Array, jax.Array]:
    """`filtered` of logits already divided by the temperature, each row by its own settings."""
    top_k_Bx1, top_p_Bx1, min_p_Bx1 = (
        jnp.asarray(a)[:, None] for a in (settings.top_k_B, settings.top_p_B, settings.min_p_B)
    )
    V = warm_BxV.shape[-1]
    logits, ids = jax.lax.top_k(warm_BxV, V)
    logits = jnp.where(jnp.arange(V) < jnp.where(top_k_Bx1 > 0, top_k_Bx1, V), logits, -jnp.inf)
    p = jax.nn.softmax(logits, axis=-1)
    before = jnp.cumsum(p, axis=-1) - p
    logits = jnp.where((before < top_p_Bx1) | (top_p_Bx1 >= 1), logits, -jnp.inf)
    logits = jnp.where(logits - logits[:, :1] >= jnp.log(min_p_Bx1), logits, -jnp.inf)  # min_p 0: log is -inf, all stay
    return logits, ids


def draw(logits_BxV: jax.Array, keys_B: jax.Array, sampler: Sampler) -> jax.Array:
    """One token id per row, int32 [B]."""
    if sampler.temperature == 0:
        return jnp.argmax(logits_BxV, axis=-1).astype(jnp.int32)
    categorical = jax.vmap(jax.random.categorical)
    if not sampler.filters:
        return categorical(keys_B, logits_BxV / sampler.temperature).astype(jnp.int32)
    logits, ids = filtered(logits_BxV, sampler)
    rank_B = categorical(keys_B, logits)
    return jnp.take_along_axis(ids, rank_B[:, None], axis=1)[:, 0].astype(jnp.int32)
