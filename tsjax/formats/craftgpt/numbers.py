"""CraftGPT's number formats, as numpy integers and back.

Activations, logits and the residual stream are 24-bit two's complement with 18 fraction bits: `FRACTION`, `WORD`. They
wrap around. Here they are kept as signed int64; `signed` is the wrapping.
"""

import numpy as np

from tsjax.rom_grid import LARGEST, STEPS

WORD, FRACTION = 24, 18
EMBEDDING_BITS, GAIN_FRACTION = 18, 22
TABLE = 1024  # entries of a softmax table, 1/64 nat apart
ATTENTION_TABLE_BITS, HEAD_TABLE_BITS = 18, 23  # fraction bits of their entries


def signed(values: np.ndarray, bits: int = WORD) -> np.ndarray:
    """int64 integers wrapped into `bits` bits of two's complement."""
    half = 1 << (bits - 1)
    return ((values + half) & ((1 << bits) - 1)) - half


def magnitude(values: np.ndarray) -> np.ndarray:
    """Absolute values as the machine takes them: 23 bits, so that the least number has none."""
    return np.abs(values) & ((1 << (WORD - 1)) - 1)


# ---- Matrix weights: one byte, sign and 7-bit code ----


def weight_values() -> np.ndarray:
    """The number that each of the 256 bytes stands for, float64; bytes 0 and 128 are both zero."""
    start, values = 0.0, []
    for below, step in STEPS:
        values += [np.arange(start, below, step)]
        start = below
    positive = np.concatenate(values)
    return np.concatenate([positive, -positive])


def weight_codes(weights: np.ndarray) -> tuple[np.ndarray, int]:
    """(uint8 codes of the nearest values, how many weights were larger than any): ties go to the even code.

    Byte 128, minus zero, is never written.
    """
    size = np.abs(np.asarray(weights, np.float64))
    positive = weight_values()[:128]
    middles = (positive[1:] + positive[:-1]) / 2
    low, high = np.searchsorted(middles, size, "left"), np.searchsorted(middles, size, "right")
    codes = np.where(low % 2 == 0, low, high)  # they differ at a tie alone
    codes = codes + 128 * ((np.asarray(weights) < 0) & (codes > 0))
    return codes.astype(np.uint8), int(np.sum(size > LARGEST))


def weight_parts(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(shift, high, low) of 7-bit codes: the machine adds x * high >> shift and x * low >> (shift + 3)."""
    segment = np.searchsorted([64, 96, 112, 120], codes, "right")
    first = np.array([0, 4, 2, 1, 1])[segment]  # the high part at which a segment begins
    eighths = codes // 8 - np.array([0, 8, 12, 14, 15])[segment]
    return np.array([8, 7, 5, 3, 2])[segment], first + eighths, codes % 8


# ---- Three-byte numbers: embeddings and gains of norms ----


def words(raw: bytes) -> np.ndarray:
    """Little-endian three-byte unsigned integers."""
    octets = np.frombuffer(raw, np.uint8).reshape(-1, 3).astype(np.int64)
    return octets @ np.array([1, 256, 65536])


def word_bytes(values: np.ndarray) -> bytes:
    """The inverse of `words`."""
    return np.asarray(values, "<u4").reshape(-1, 1).view(np.uint8)[:, :3].tobytes()


def fixed(values: np.ndarray, bits: int, fraction: int, *, least: int) -> tuple[np.ndarray, int]:
    """(nearest integers of `bits` bits from `least` on, with `fraction` fraction bits; how many did not fit)."""
    nearest = np.rint(np.asarray(values, np.float64) * 2.0**fraction).astype(np.int64)
    most = least + (1 << bits) - 1
    return np.clip(nearest, least, most), int(np.sum((nearest < least) | (nearest > most)))


def embedding_numbers(values: np.ndarray) -> tuple[np.ndarray, int]:
    """(18-bit integers, all of them behind the binary point; how many values were clipped)."""
    return fixed(values, EMBEDDING_BITS, FRACTION, least=-(1 << (EMBEDDING_BITS - 1)))


def gain_numbers(values: np.ndarray) -> tuple[np.ndarray, int]:
    """(24-bit unsigned integers with 22 fraction bits; how many values were clipped)."""
    return fixed(values, WORD, GAIN_FRACTION, least=0)


# ---- The private 16-bit float of keys, queries, values and attention probabilities ----


def floats(values: np.ndarray, offset: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(signed mantissa of 11 bits, exponent): sign, five bits of exponent and ten of mantissa, the rest cut off.

    `values`: signed integers; the exponent is the place of the highest bit + 9 - `offset`. Zero is (0, 0).
    """
    size = magnitude(values)
    place = np.frexp(size.astype(np.float64))[1].astype(np.int64) - 1
    mantissa = np.where(place > 10, size >> np.maximum(place - 10, 0), size << np.maximum(10 - place, 0))
    exponent = np.where(size > 0, place + 9 - offset, 0)
    return np.where(size > 0, np.sign(values) * mantissa, 0), exponent


def float_products(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray], shift: int) -> np.ndarray:
    """Products of two of `floats`, shifted down by 56 + `shift` bits, sizes cut off; signed and not yet wrapped."""
    product, places = a[0] * b[0], a[1] + b[1] - 56 - shift
    size = np.abs(product) << np.maximum(places, 0) >> np.minimum(np.maximum(-places, 0), 63)
    return np.sign(product) * size


# ---- Softmax ----


def softmax_table(bits: int) -> np.ndarray:
    """exp(-k / 64) with `bits` fraction bits, k = 0..1023."""
    return np.rint(np.exp(-np.arange(TABLE) / 64) * 2.0**bits).astype(np.int64)
