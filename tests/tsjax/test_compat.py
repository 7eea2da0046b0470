"""The samplers of other programs against loops written from their rules (interop.md 5 and 8.4)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tsjax import compat
from tsjax.errors import UserError
from tsjax.shift_register import ShiftRegister


def run_c_coin(state: int) -> tuple[int, float]:
    state = state ^ (state >> 12)
    state = (state ^ (state << 25)) % 2**64
    state = state ^ (state >> 27)
    return state, ((state * 0x2545F4914F6CDD1D % 2**64) // 2**32 // 2**8) / 2.0**24


def run_c_token(logits: np.ndarray, coin: float, temperature: float, top_p: float) -> int:
    """run.c's sample, one row, in float64."""
    if temperature == 0:
        return int(np.argmax(logits))
    x = logits.astype(np.float64) / temperature
    p = np.exp(x - x.max())
    p /= p.sum()
    if not 0 < top_p < 1:
        total = 0.0
        for i, q in enumerate(p):
            total += q
            if coin < total:
                return i
        return len(p) - 1
    order = [i for i in np.argsort(-p, kind="stable") if p[i] >= (1 - top_p) / (len(p) - 1)]
    total, kept = 0.0, []
    for i in order:
        total += p[i]
        kept.append(i)
        if total > top_p:
            break
    aim, mass = coin * total, 0.0
    for i in kept:
        mass += p[i]
        if aim < mass:
            return int(i)
    return int(kept[-1])


@pytest.mark.parametrize(
    "temperature, top_p", [(1.0, 0.9), (0.7, 0.5), (1.5, 0.999), (1.0, 0.0), (1.2, 1.0), (0.0, 0.9)]
)
def test_llama2c_draws_as_run_c(temperature, top_p):
    """500 tokens each of 4 rows, row i with seed + i; a flat row among them, where the cutoff removes nothing."""
    random = np.random.default_rng(1)
    logits = random.normal(0, 3, (500, 4, 60)).astype(np.float32)
    logits[:, 3] /= 10
    sampler = compat.Llama2c(temperature, top_p)
    chances = sampler.chances(133742, range(4), 500)
    pick = jax.jit(jax.vmap(lambda x, n: sampler.pick(x, chances, jnp.full(4, n), None)))
    found = np.asarray(pick(logits, np.arange(500)))
    for b in range(4):
        state = 133742 + b
        for n in range(500):
            state, coin = run_c_coin(state)
            assert found[n, b] == run_c_token(logits[n, b], coin, temperature, top_p)


def test_coins_are_uniform_and_below_one():
    coins = compat.xorshift(1, 20_000)
    assert coins.dtype == np.float32 and coins.min() >= 0 and coins.max() < 1
    counts = np.histogram(coins, 20, (0, 1))[0]
    assert ((counts - 1000) ** 2 / 1000).sum() < 43.8  # 0.999 quantile, 19 degrees of freedom


def machine_token(p: np.ndarray, left: int) -> int:
    packed = sorted(((int(q * 2**23) << 11 | i for i, q in enumerate(p))), reverse=True)[:8]
    for entry in packed[:0:-1]:
        if entry >> 11 >= 2**20:
            left -= entry >> 11
            if left < 0:
                return entry & 2047
    return packed[0] & 2047


def test_craftgpt_draws_as_the_machine():
    """Ranks 8 to 2 from 1/8 on, else the best; ties and rows with nothing but the best among them."""
    random = np.random.default_rng(2)
    logits = random.normal(0, 1, (300, 3, 30)).astype(np.float32)
    logits[:, 0, :5] += 4  # several tokens of about 1/5 each
    logits[:, 1, 3] += 12
    logits[:, 2] = 0
    logits[:, 2, 4:9] = 5  # equal ones
    sampler = compat.CraftGPT()
    chances = sampler.chances(1, range(3), 300)
    pick = jax.jit(jax.vmap(lambda x, n: sampler.pick(x, chances, jnp.full(3, n), None)))
    found, p = np.asarray(pick(logits, np.arange(300))), np.asarray(jax.nn.softmax(logits, axis=-1))
    for b in range(3):
        register = ShiftRegister(1 + b)
        for n in range(300):
            assert found[n, b] == machine_token(p[n, b], register.next())
    assert len(set(found[:, 0])) >= 4 and set(found[:, 1]) == {3}


def test_the_register_runs_through_many_states():
    """256 shifts a draw; against the shifts one by one on a list of bits."""
    register, bits = ShiftRegister(1), [0] * 22 + [1]  # highest first
    for _ in range(3):
        for _ in range(256):
            bits = [*bits[1:], bits[0] ^ bits[5]]
        assert register.next() == int("".join(map(str, bits)), 2)


@pytest.mark.parametrize("sampler, seed", [(compat.Llama2c(), 0), (compat.CraftGPT(), 0), (compat.CraftGPT(), 2**23)])
def test_seeds_that_they_do_not_have_are_refused(sampler, seed):
    with pytest.raises(UserError, match="seed"):
        sampler.chances(seed, [0], 3)


@pytest.mark.parametrize("bad", [(-1.0, 0.9), (1.0, 1.5)])
def test_bad_settings_are_refused(bad):
    with pytest.raises(UserError, match="temperature"):
        compat.Llama2c(*bad)


class Words:
    """As much of a tokenizer as run.c's text rule asks for."""

    bos = 1

    def pieces(self, ids):
        return [f"<0x{i - 3:02X}>" if 3 <= i < 259 else {259: " once", 260: "é", 261: " a"}[i] for i in ids]


def test_run_c_prints_pieces_and_printable_bytes():
    text = compat.run_c_text(Words(), [259, 3 + ord("\n"), 3 + ord("A"), 3 + 7, 3 + 0xC3, 260, 261], 1)
    assert text == "once\nAé a"
    assert compat.run_c_text(Words(), [259], 261) == " once", "after a prompt the space stays"
