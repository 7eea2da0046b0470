"""Settings of each row's own, the repetition penalty, and how often tokens are drawn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tsjax import decode, families, model, sampler
from tsjax.config import ModelConfig
from tsjax.sampler import PerRow, Sampler, Settings, row_keys

SAMPLERS = [
    Sampler(1.0), Sampler(0.0), Sampler(0.7, top_k=5), Sampler(1.3, top_p=0.8), Sampler(1.0, min_p=0.1),
    Sampler(0.9, 20, 0.7, 0.05), Sampler(0.5, repetition_penalty=1.7), Sampler(0.0, repetition_penalty=2.0),
]  # fmt: skip


def settings_of(samplers, seed=0) -> Settings:
    keys = row_keys(seed, range(len(samplers)))
    return Settings.of(samplers, np.asarray(jax.random.key_data(keys)))


def test_eight_rows_with_settings_of_their_own_draw_what_each_would_alone():
    logits = jax.random.normal(jax.random.key(1), (200, 8, 40)) * 3
    seen = jax.random.bernoulli(jax.random.key(2), 0.3, (200, 8, 40))
    written = jnp.arange(200)[:, None] + jnp.arange(8)
    settings = jax.tree.map(jnp.asarray, settings_of(SAMPLERS, seed=5))
    pick = jax.jit(jax.vmap(lambda *a: PerRow().pick(a[0], settings, a[1], a[2])))
    together = np.asarray(pick(logits, written, seen))
    keys = row_keys(5, range(8))
    for b, one in enumerate(SAMPLERS):
        solo = jax.jit(jax.vmap(lambda x, n, s, one=one, b=b: one.pick(x[None], keys[b : b + 1], n[None], s[None])[0]))
        assert together[:, b].tolist() == solo(logits[:, b], written[:, b], seen[:, b]).tolist()


def test_rows_filters_equal_those_of_one_setting():
    logits = jax.random.normal(jax.random.key(3), (len(SAMPLERS), 40)) * 3
    settings = settings_of(SAMPLERS)
    warm = logits / np.maximum(settings.temperature_B, 1e-9)[:, None]
    scores, ids = sampler.filtered_per_row(warm, settings)
    for b, one in enumerate(SAMPLERS):
        if one.temperature:
            expected, order = sampler.filtered(logits[b : b + 1], one)
            assert order[0].tolist() == ids[b].tolist()
            assert jnp.isfinite(expected[0]).tolist() == jnp.isfinite(scores[b]).tolist()


@pytest.mark.parametrize("per_row", [False, True], ids=["one setting", "each its own"])
def test_i3_draws_follow_the_distribution(per_row):
    """Chi-squared over 1e5 draws in 4 kinds of 25,000 (p > 0.001: below the 0.999 quantile, 3 degrees of freedom)."""
    p = np.array([0.1, 0.4, 0.2, 0.25, 0.05])
    logits_BxV = jnp.tile(jnp.log(jnp.asarray(p)), (4, 1))
    kept = np.array([p, p, [*p[:4], 0], p**2])  # of each row
    samplers = [Sampler(), Sampler(1.0, min_p=0.001), Sampler(1.0, top_k=4), Sampler(0.5)]
    n = 25_000

    def draws(pick, chances):
        one = jax.vmap(lambda i: pick(logits_BxV, chances, jnp.full(4, i), None))
        return np.asarray(jax.jit(one)(jnp.arange(n)))

    if per_row:
        drawn_NxB = draws(PerRow().pick, jax.tree.map(jnp.asarray, settings_of(samplers, 11)))
    else:
        drawn_NxB = np.stack([draws(one.pick, one.chances(11, range(4), 0))[:, b] for b, one in enumerate(samplers)], 1)
    for drawn_N, share in zip(drawn_NxB.T, kept, strict=True):
        expected = share / share.sum() * n
        found = np.bincount(drawn_N, minlength=5)
        assert (found[expected == 0] == 0).all()
        there = expected > 0
        bound = {5: 18.47, 4: 16.27}[there.sum()]
        assert ((found - expected)[there] ** 2 / expected[there]).sum() < bound


def test_the_penalty_makes_seen_tokens_less_likely_whatever_their_sign():
    logits = jnp.array([[2.0, -2.0, 3.0, -1.0, 0.5]])
    seen = jnp.array([[True, True, False, False, True]])
    assert sampler.penalised(logits, seen, 2.0).tolist() == [[1.0, -4.0, 3.0, -1.0, 0.25]]


CONFIG = ModelConfig(**families.llama(vocab_size=50, context=64, width=32, layers=1, heads=2, mlp_width=48))


@pytest.fixture(scope="module")
def params():
    made = jax.jit(lambda key: model.init(CONFIG, key))(jax.random.key(0))
    return {n: p * 6 if p.ndim > 1 else p for n, p in made.items()}


def test_decoding_remembers_prompt_and_text(params):
    """A penalty so high that greedy decoding never says a token of positive logit twice, nor one of the prompt."""
    how = dict(max_new=30, stops=(-1,), alternatives=50)
    prompts = [[1, 5, 7], [1, 9]]
    plain = decode.complete(CONFIG, params, prompts, sampler=Sampler(0.0), **how)
    assert any(len(set(one.ids)) < 30 for one in plain), "it does repeat itself without"
    for prompt, one in zip(prompts, decode.complete(
        CONFIG, params, prompts, sampler=Sampler(0.0, repetition_penalty=1e6), **how), strict=True):  # fmt: skip
        assert len({*prompt, *one.ids}) == len(prompt) + 30


def test_logprobs_are_the_models_own(params):
    """Of the tokens drawn, and the likeliest, whatever the temperature: against the whole text read at once."""
    prompts = [[1, 5, 7], [1]]
    done = decode.complete(
        CONFIG, params, prompts, max_new=12, stops=(2,), sampler=Sampler(0.4, top_k=3), alternatives=4
    )
    for prompt, one in zip(prompts, done, strict=True):
        decoder = model.bind(CONFIG, params)
        logp = np.asarray(jax.nn.log_softmax(decoder.logits(decoder(jnp.array([[*prompt, *one.ids]])))[0]))
        for n, i in enumerate(one.ids):
            row = logp[len(prompt) - 1 + n]
            assert one.logprobs[n] == pytest.approx(row[i], abs=1e-4)
            ids, values = zip(*one.likeliest[n], strict=True)
            np.testing.assert_allclose(values, np.sort(row)[::-1][:4], atol=1e-4)
            np.testing.assert_allclose(row[list(ids)], values, atol=1e-4)
