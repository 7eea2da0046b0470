"""The machine's arithmetic, bit for bit, in numpy integers: one token at a time, with keys and values kept.

All numbers wrap around where the machine's do. A model that was trained as a float model must not come there, so
`Ranges` counts every number that did not fit, and how near the others came.
"""

import dataclasses
import math
from typing import Any

import numpy as np

from tsjax.errors import UserError
from tsjax.formats.craftgpt import numbers, rom
from tsjax.formats.craftgpt.numbers import FRACTION, WORD, magnitude, signed
from tsjax.model_config import ModelConfig

MOST = 1 << (WORD - 1)  # sizes are below this
TOP = 8  # entries of an output


@dataclasses.dataclass
class Ranges:
    """Extremes of what went through the machine, by name, in real units, and how many numbers did not fit."""

    least: dict[str, float] = dataclasses.field(default_factory=dict)
    most: dict[str, float] = dataclasses.field(default_factory=dict)
    violations: dict[str, int] = dataclasses.field(default_factory=dict)

    def see(self, name: str, values: np.ndarray, fits: np.ndarray | None = None, unit: float = 2.0**-FRACTION) -> None:
        """`values`: integers before they wrap; `fits`: by default, whether they are numbers of the machine's 24 bits."""
        if fits is None:
            fits = (values >= -MOST) & (values < MOST)
        self.least[name] = min(self.least.get(name, math.inf), float(np.min(values)) * unit)
        self.most[name] = max(self.most.get(name, -math.inf), float(np.max(values)) * unit)
        self.violations[name] = self.violations.get(name, 0) + int(np.sum(~fits))

    def report(self) -> dict[str, Any]:
        return {name: {"violations": self.violations[name], "least": self.least[name], "most": self.most[name]}
                for name in self.least}  # fmt: skip


class Matrix:
    """A weight matrix of codes (out, in)."""

    def __init__(self, codes_OxI: np.ndarray):
        # Where, in a table of what every input gives with every code, the products of a row are.
        self._at_OxI = np.arange(codes_OxI.shape[1]) * 256 + codes_OxI

    def times(self, x_I: np.ndarray) -> np.ndarray:
        """Sums of products, int64 [O], before they wrap. A product is the sum of two, each rounded down."""
        x_Ix1 = x_I.astype(np.int32)[:, None]  # 24 bits times 3
        products_Ix128 = (x_Ix1 * _HIGH >> _SHIFT) + (x_Ix1 * _LOW >> _SHIFT + 3)
        table = np.concatenate([products_Ix128, -products_Ix128], axis=1)
        return np.take(table, self._at_OxI).sum(axis=1, dtype=np.int64)


_SHIFT, _HIGH, _LOW = (part.astype(np.int32) for part in numbers.weight_parts(np.arange(128)))


class Norm:
    """LayerNorm with a gain."""

    def __init__(self, gains_E: np.ndarray, ranges: Ranges):
        width = len(gains_E)
        self._gains_E, self._ranges = gains_E >> 1, ranges
        self._per_width = (1 << 32) // width
        self._per_root = int((1 << 27) / math.sqrt(width))
        self._eps = int(1e-5 * width * (1 << 2 * FRACTION))

    def __call__(self, x_E: np.ndarray) -> np.ndarray:
        total = int(x_E.sum())
        mean = (abs(total) * self._per_width >> 32) * (1 if total >= 0 else -1)
        self._ranges.see("norm input - mean", x_E - mean)
        difference_E = signed(x_E - mean)
        squares = self._eps + int(np.sum(magnitude(difference_E) ** 2))
        root = math.isqrt(squares & (1 << 48) - 1) * self._per_root >> 27
        inverse = (1 << 2 * FRACTION) // max(root, 1)
        std = np.asarray([math.sqrt(squares / len(x_E))])
        self._ranges.see("norm input std", std, np.asarray([squares < 1 << 48 and inverse < 1 << WORD]))
        # The machine takes the largest number for a negative one here (not above), so for -1.
        difference_E = np.where(difference_E == MOST - 1, -1, difference_E)
        scaled_E = magnitude(difference_E) * (inverse & (1 << WORD) - 1) >> FRACTION
        self._ranges.see("norm output", scaled_E)
        gained_E = (scaled_E & MOST - 1) * self._gains_E >> FRACTION + 3
        self._ranges.see("norm output", gained_E)
        return np.sign(difference_E) * (gained_E & MOST - 1)


class Attention:
    """Heads of one layer and what they keep."""

    def __init__(self, stored: rom.Numbers, layer: int, heads: int, ranges: Ranges):
        names = [rom.matrix_name(layer, which) for which in ("query", "key", "value")]
        self._qkv = Matrix(np.concatenate([stored[name] for name in names]))
        self._out = Matrix(stored[rom.matrix_name(layer, "out")])
        self._heads, self._ranges = heads, ranges
        self._scale = int((1 << 26) / math.sqrt(stored["embedding"].shape[1]))
        self._table = numbers.softmax_table(numbers.ATTENTION_TABLE_BITS)
        self.kept: list[
            tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
        ] = []  # keys, values: mantissas, exponents

    def __call__(self, x_E: np.ndarray) -> np.ndarray:
        qkv = self._qkv.times(x_E)
        self._ranges.see("query, key, value", qkv)
        (q, q_exp), *new = [numbers.floats(part.reshape(self._heads, -1)) for part in np.split(signed(qkv), 3)]
        self.kept.append((*new[0], *new[1]))
        k_SxHxD, k_exp, v_SxHxD, v_exp = (np.stack(arrays) for arrays in zip(*self.kept, strict=True))
        score_SxH = numbers.float_products((k_SxHxD, k_exp), (q, q_exp), 5).sum(axis=-1)
        self._ranges.see("query times key", score_SxH, unit=2.0**-13)
        score_SxH = signed(score_SxH)
        score_SxH = np.sign(score_SxH) * (magnitude(score_SxH) * self._scale >> 23 & MOST - 1)
        power_SxH = _exponentials(self._table, np.max(score_SxH, axis=0) - score_SxH >> 10)
        total_H = power_SxH.sum(axis=0)
        self._ranges.see("attention's softmax sum", total_H, total_H < 1 << WORD)
        # 64 equal scores give 2^24, which wraps to zero; the machine's quotient is then unknown, ours that of 2^24.
        total_H = np.where(total_H & (1 << WORD) - 1, total_H & (1 << WORD) - 1, 1 << WORD)
        p_SxH = power_SxH * ((1 << 39) // total_H) >> 17 & MOST - 1
        p, p_exp = (part[..., None] for part in numbers.floats(p_SxH, offset=4))
        out_HxD = numbers.float_products((p, p_exp), (v_SxHxD, v_exp), 0).sum(axis=0)
        self._ranges.see("attended", out_HxD)
        out_E = self._out.times(signed(out_HxD).reshape(-1))
        self._ranges.see("attention output", out_E)
        return out_E


class Emulator:
    """A model as the machine runs it. Width 256 at most, since sums of a norm have 32 bits."""

    def __init__(self, config: ModelConfig, stored: rom.Numbers):
        self.ranges = Ranges()
        self._embedding, self._position = stored["embedding"], stored["position"]
        self._attention = [Attention(stored, layer, config.heads, self.ranges) for layer in range(config.layers)]
        self._mlp = [
            [Matrix(stored[rom.matrix_name(layer, which)]) for which in ("up", "down")]
            for layer in range(config.layers)
        ]
        *norms, self._norm = (Norm(stored[name], self.ranges) for name in rom.norm_names(config.layers))
        self._norms = list(zip(norms[::2], norms[1::2], strict=True))
        self._head = Matrix(stored["unembedding"])
        self.forget()

    def forget(self) -> None:
        """Begins a new text."""
        self.position = 0
        for attention in self._attention:
            attention.kept = []

    @property
    def full(self) -> bool:
        """Whether no more token fits into the context."""
        return self.position == len(self._position)

    def read(self, token: int) -> np.ndarray:
        """Logits after the next token, int64 [V] with 18 fraction bits. UserError where the context is full."""
        if self.full:
            raise UserError(
                expected=f"a text of at most {self.position} tokens", found="one more", todo="shorten the chat"
            )
        x_E = self._add(self._embedding[token], self._position[self.position])
        self.position += 1
        for (before, between), attention, (up, down) in zip(self._norms, self._attention, self._mlp, strict=True):
            x_E = self._add(x_E, attention(before(x_E)))
            hidden_F = up.times(between(x_E))
            self.ranges.see("mlp hidden", hidden_F)
            x_E = self._add(x_E, down.times(np.maximum(signed(hidden_F), 0)))
        logits_V = self._head.times(self._norm(x_E))
        self.ranges.see("logits", logits_V)
        return signed(logits_V)

    def _add(self, x_E: np.ndarray, more_E: np.ndarray) -> np.ndarray:
        total_E = x_E + more_E
        self.ranges.see("residual", total_E)
        return signed(total_E)


def probabilities(logits_V: np.ndarray) -> np.ndarray:
    """The output's softmax, int64 [V] with 23 fraction bits."""
    power_V = _exponentials(numbers.softmax_table(numbers.HEAD_TABLE_BITS), np.max(logits_V) - logits_V >> 12)
    total = int(power_V.sum()) & (1 << 32) - 1
    return power_V * ((1 << 46) // total) >> 23


def top(logits_V: np.ndarray) -> list[int]:
    """The machine's output: the eight largest of probability * 2^11 + id, falling; of equal ones the larger id first."""
    packed_V = (probabilities(logits_V) << 11) + np.arange(len(logits_V))
    return np.sort(packed_V)[: -TOP - 1 : -1].tolist()


def _exponentials(table: np.ndarray, index: np.ndarray) -> np.ndarray:
    """exp(-index / 64) out of a softmax table, beyond its end zero."""
    return np.where(index < len(table), table[np.minimum(index, len(table) - 1)], 0)
