"""Independent forwards of llama2.c's files, one token at a time with a cache, as run.c and runq.c compute them (numpy).

Nothing of tsjax is used, so tests can hold its files and its model to them. Slow.
"""

import struct
from pathlib import Path

import numpy as np


class _Matrix:
    """(out, in) float32, as in a v0 file."""

    def __init__(self, rows: np.ndarray):
        self.rows = rows

    def row(self, i: int) -> np.ndarray:
        return self.rows[i]

    def times(self, x: np.ndarray) -> np.ndarray:
        return self.rows @ x


class _Int8Matrix:
    """(out, in) int8 and a scale for each group of a row, as in a v2 file; x is rounded like that before the product."""

    def __init__(self, values: np.ndarray, scales: np.ndarray, group: int, rounds: bool):
        self.values, self.scales = values.reshape(len(values), -1, group), scales.reshape(len(values), -1)
        self.group, self.rounds = group, rounds

    def row(self, i: int) -> np.ndarray:
        return (self.values[i] * self.scales[i][:, None]).astype(np.float32).ravel()

    def times(self, x: np.ndarray) -> np.ndarray:
        groups = x.reshape(-1, self.group)
        if not self.rounds:
            return ((self.values * groups).sum(axis=2) * self.scales).sum(axis=1, dtype=np.float32)
        scale = np.abs(groups).max(axis=1) / np.float32(127)
        quotient = groups / np.where(scale > 0, scale, 1)[:, None]
        rounded = np.trunc(quotient + np.copysign(0.5, quotient)).astype(np.int32)  # C's round(): half away from zero
        sums = (self.values.astype(np.int32) * rounded).sum(axis=2)
        return (sums * self.scales * scale).sum(axis=1, dtype=np.float32)


class RunC:
    """A model out of a v0 or v2 file; `rounds`: whether activations are rounded for int8 products, as runq.c does."""

    def __init__(self, path: Path, rounds: bool = True):
        raw = path.read_bytes()
        quantized = raw[:4] == b"24ka"  # 0x616b3432, little endian
        start = 8 if quantized else 0
        self.dim, self.hidden, layers, self.heads, self.kv_heads, vocab, self.context = struct.unpack_from(
            "<7i", raw, start
        )
        self.size, tied, at = self.dim // self.heads, vocab > 0, 28
        kv, vocab = self.kv_heads * self.size, abs(vocab)
        if quantized:
            tied, (group,), at = bool(raw[36]), struct.unpack_from("<i", raw, 37), 256

        def floats(*shape: int) -> np.ndarray:
            nonlocal at
            count = int(np.prod(shape))
            at += 4 * count
            return np.frombuffer(raw[at - 4 * count : at], "<f4").reshape(shape)

        def matrices(count: int, rows: int, columns: int) -> list:
            nonlocal at
            if not quantized:
                return [_Matrix(m) for m in floats(count, rows, columns)]
            out = []
            for _ in range(count):
                values = np.frombuffer(raw[at : at + rows * columns], np.int8).reshape(rows, columns)
                at += rows * columns
                out.append(_Int8Matrix(values, floats(rows * columns // group), group, rounds))
            return out

        if quantized:
            self.attention_norm, self.mlp_norm, self.norm = (
                floats(layers, self.dim),
                floats(layers, self.dim),
                floats(self.dim),
            )
        (self.embedding,) = matrices(1, vocab, self.dim)
        if not quantized:
            self.attention_norm = floats(layers, self.dim)
        self.query = matrices(layers, self.dim, self.dim)
        self.key, self.value = matrices(layers, kv, self.dim), matrices(layers, kv, self.dim)
        self.out = matrices(layers, self.dim, self.dim)
        if not quantized:
            self.mlp_norm = floats(layers, self.dim)
        self.gate, self.down = matrices(layers, self.hidden, self.dim), matrices(layers, self.dim, self.hidden)
        self.up = matrices(layers, self.hidden, self.dim)
        if not quantized:
            self.norm = floats(self.dim)
            floats(2, self.context, self.size // 2)  # skipped
        self.head = self.embedding if tied else matrices(1, vocab, self.dim)[0]
        assert at == len(raw)
        self.cache: list[tuple[list, list]] = [([], []) for _ in range(layers)]

    def step(self, token: int) -> np.ndarray:
        """Logits after one more token."""
        x = self.embedding.row(token).copy()
        at = len(self.cache[0][0])
        for i, (keys, values) in enumerate(self.cache):
            h = _rmsnorm(x, self.attention_norm[i])
            q = self._turn(self.query[i].times(h).reshape(self.heads, self.size), at)
            keys.append(self._turn(self.key[i].times(h).reshape(self.kv_heads, self.size), at))
            values.append(self.value[i].times(h).reshape(self.kv_heads, self.size))
            shared = np.arange(self.heads) // (self.heads // self.kv_heads)
            k, v = np.stack(keys)[:, shared], np.stack(values)[:, shared]
            scores = np.einsum("hd,thd->ht", q, k) / np.float32(np.sqrt(self.size))
            weights = np.exp(scores - scores.max(axis=1, keepdims=True))
            weights /= weights.sum(axis=1, keepdims=True)
            x = x + self.out[i].times(np.einsum("ht,thd->hd", weights, v).ravel())
            h = _rmsnorm(x, self.mlp_norm[i])
            gate = self.gate[i].times(h)
            x = x + self.down[i].times(gate / (1 + np.exp(-gate)) * self.up[i].times(h))
        return self.head.times(_rmsnorm(x, self.norm))

    def greedy(self, steps: int, stop: int = 1) -> list[int]:
        """Ids after BOS, until `stop` or for `steps` tokens."""
        ids, token = [], 1
        for _ in range(steps):
            token = int(self.step(token).argmax())
            if token == stop:
                break
            ids.append(token)
        return ids

    def _turn(self, heads: np.ndarray, at: int) -> np.ndarray:
        """Rotary positions of neighbouring pairs."""
        angle = at * 10000.0 ** (-np.arange(0, self.size, 2) / self.size)
        a, b = heads[:, 0::2], heads[:, 1::2]
        turned = np.stack([a * np.cos(angle) - b * np.sin(angle), a * np.sin(angle) + b * np.cos(angle)], axis=-1)
        return turned.reshape(heads.shape).astype(np.float32)


def _rmsnorm(x: np.ndarray, gain: np.ndarray) -> np.ndarray:
    return gain * (x / np.sqrt(np.mean(x * x) + np.float32(1e-5)))
