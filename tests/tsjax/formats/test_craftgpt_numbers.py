"""CraftGPT's arithmetic against plain Python on single numbers, and its sampler."""

import math
import random
from collections import Counter

import jax.numpy as jnp
import numpy as np
import pytest

from tests.expect import refused
from tsjax import rom_grid
from tsjax.formats.craftgpt import numbers
from tsjax.formats.craftgpt.emulator import Matrix, Norm, Ranges, probabilities, top
from tsjax.formats.craftgpt.sampler import draw
from tsjax.shift_register import ShiftRegister

WORD = 1 << 24


def test_c9_every_grid_value_is_its_own_nearest():
    values = numbers.weight_values()
    codes, clipped = numbers.weight_codes(values)
    assert len(np.unique(values)) == 255 and values.max() == 0.46875 and clipped == 0
    assert np.array_equal(codes, np.where(np.arange(256) == 128, 0, np.arange(256)))
    assert np.array_equal(np.asarray(rom_grid.nearest(jnp.asarray(values, jnp.float32))), values)


def test_the_codes_in_words_of_their_inventor():
    """interop.md 8.2: five segments."""
    for code in range(128):
        wanted = (
            code / 2048 if code < 64 else (code - 32) / 1024 if code < 96 else (code - 80) / 256 if code < 112
            else (code - 104) / 64 if code < 120 else (code - 112) / 32
        )  # fmt: skip
        assert numbers.weight_values()[code] == wanted == -numbers.weight_values()[code + 128]


@pytest.mark.parametrize("std", [0.003, 0.04, 0.3])
def test_rounding_is_to_the_nearest_in_numpy_and_in_training(std):
    weights = np.random.default_rng(0).normal(0, std, 5000).astype(np.float32)
    codes, clipped = numbers.weight_codes(weights)
    found, values = numbers.weight_values()[codes], numbers.weight_values()
    assert np.array_equal(np.abs(found - weights), np.abs(values[None] - weights[:, None]).min(axis=1))
    assert clipped == np.sum(np.abs(weights) > 15 / 32) and 128 not in codes
    assert np.array_equal(np.asarray(rom_grid.nearest(jnp.asarray(weights))), found)
    middles = (values[1:128] + values[:127]) / 2  # a tie goes to the even code, in both
    codes, _ = numbers.weight_codes(middles)
    assert not np.any(codes % 2)
    assert np.array_equal(np.asarray(rom_grid.nearest(jnp.asarray(middles, jnp.float32))), values[codes])


def test_c4_a_small_product():
    found = Matrix(np.array([[234, 174, 2], [193, 247, 190]])).times(np.array([69, 64, 207])) % WORD
    assert found.tolist() == [16777209, 16777194]


def plain_product(x: int, byte: int) -> int:
    """One weight times one activation as the machine does it: 28-bit products, shifts, 24 bits. All unsigned."""

    def part(factor: int, shift: int) -> int:
        product = (x + ((15 << 24) if x >> 23 else 0)) * factor % (1 << 28)
        return (product + ((255 << 28) if product >> 27 else 0)) >> shift

    code = byte % 128
    shift, base, first = next(
        row for row in ((2, 120, 1), (3, 112, 1), (5, 96, 2), (7, 64, 4), (8, 0, 0)) if code >= row[1]
    )
    found = (part(first + (code - base) // 8, shift) + part(code % 8, shift + 3)) % WORD
    return -found % WORD if byte >= 128 else found


def test_products_of_random_numbers():
    draw_ = random.Random(0)
    codes = np.array([[draw_.randrange(256) for _ in range(40)] for _ in range(30)])
    for x in ([draw_.randrange(WORD) for _ in range(40)], [0, 1, WORD - 1, WORD // 2, WORD // 2 - 1] * 8):
        wanted = [sum(plain_product(a, int(b)) for a, b in zip(x, row, strict=True)) % WORD for row in codes]
        assert (Matrix(codes).times(numbers.signed(np.array(x))) % WORD).tolist() == wanted


def test_three_byte_numbers():
    values = np.array([0, 1, 255, 256, 65536, WORD - 1])
    assert np.array_equal(numbers.words(numbers.word_bytes(values)), values)
    assert numbers.word_bytes(np.array([0x010203])) == b"\x03\x02\x01"
    stored, clipped = numbers.embedding_numbers(np.array([-0.5, -0.6, 0.5, 2.0**-18, 2.0**-20]))
    assert stored.tolist() == [-(1 << 17), -(1 << 17), (1 << 17) - 1, 1, 0] and clipped == 2
    stored, clipped = numbers.gain_numbers(np.array([-0.1, 0.0, 1.0, 4.0]))
    assert stored.tolist() == [0, 0, 1 << 22, WORD - 1] and clipped == 2


def plain_float(value: int, offset: int) -> int:
    """16 bits: sign, five of exponent, ten of mantissa."""
    sign, size = (1, -value) if value < 0 else (0, value)
    if not size % (1 << 23):
        return 0
    place = size.bit_length() - 1
    return (sign << 15) + ((place + 9 - offset) << 10) + (((size << (24 - place)) >> 14) & 1023)


def plain_float_product(a: int, b: int, shift: int) -> int:
    exponents = (a >> 10 & 31) + (b >> 10 & 31)
    x, y = ((f & 1023) + 1024 if f & 32767 else 0 for f in (a, b))
    size = (x * y << exponents) >> (56 + shift)
    return (-size if (a ^ b) >> 15 else size) % WORD


def test_sixteen_bit_floats():
    draw_ = random.Random(1)
    values = [
        0,
        1,
        -1,
        WORD // 2 - 1,
        -WORD // 2,
        *(draw_.randrange(-(1 << n), 1 << n) for n in range(1, 24) for _ in "abc"),
    ]
    for offset, shift in ((0, 5), (4, 0)):
        floats = numbers.floats(np.array(values)), numbers.floats(np.abs(values), offset)
        for place, value in enumerate(values):
            other = draw_.randrange(len(values))
            pair = [(part[0][i], part[1][i]) for part, i in zip(floats, (place, other), strict=True)]
            wanted = plain_float_product(plain_float(value, 0), plain_float(abs(values[other]), offset), shift)
            assert int(numbers.float_products(*pair, shift)) % WORD == wanted


def test_a_norm_is_nearly_that_of_floats():
    x, gains = np.random.default_rng(2).normal(0, 1, (2, 240))
    gains = np.abs(gains)
    ranges = Ranges()
    stored, _ = numbers.gain_numbers(gains)
    found = Norm(stored, ranges)(np.rint(x * 2**18).astype(np.int64)) / 2.0**18
    np.testing.assert_allclose(found, (x - x.mean()) / math.sqrt(x.var() + 1e-5) * gains, atol=1e-4)
    assert ranges.report()["norm input std"]["violations"] == 0
    for scale in (0.003, 5.0):  # a std below 1/64, above 4.13
        Norm(stored, ranges)(np.rint(x * scale * 2**18).astype(np.int64))
    assert ranges.report()["norm input std"]["violations"] == 2


def test_the_output_is_a_softmax_and_its_top():
    logits = np.random.default_rng(3).normal(0, 3, 1920)
    stored = np.rint(logits * 2**18).astype(np.int64)
    exact = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(probabilities(stored) / 2**23, exact, atol=0.02 * exact.max())  # the table's 1/64 nat
    assert [entry & 2047 for entry in top(stored)][:2] == np.argsort(-logits)[:2].tolist()
    assert [entry & 2047 for entry in top(np.zeros(20, np.int64))] == [19, 18, 17, 16, 15, 14, 13, 12], (
        "larger ids first"
    )


def test_the_register_shifts_in_the_sum_of_two_bits():
    """Against an integer that is shifted bit by bit from the other side."""
    register = ShiftRegister(1)
    bits = [0] * 22 + [1]  # bit 22 first
    for _ in range(3):
        for _ in range(256):
            bits = [*bits[1:], bits[0] ^ bits[5]]
        assert register.next() == int("".join(map(str, bits)), 2)
    with refused("a seed from 1"):
        ShiftRegister(0)


def test_a_draw_follows_the_probabilities_above_an_eighth():
    """0.5, 0.3, 0.2: as they are; what is below 1/8 goes to the likeliest."""
    eighth = [(int(p * 2**23) << 11) + i for i, p in enumerate((0.42, 0.3, 0.18, 0.1))]
    packed, register = [*eighth, *[4] * 4], ShiftRegister(77)
    counts = Counter(draw(packed, register) for _ in range(4000))
    assert counts.keys() == {0, 1, 2}
    for token, share in enumerate((0.52, 0.3, 0.18)):
        assert abs(counts[token] / 4000 - share) < 4 * math.sqrt(share * (1 - share) / 4000)
