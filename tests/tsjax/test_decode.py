"""Sampling: the filters, the draws, and that a row does not depend on its batch."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tsjax import decode, families, model
from tsjax.config import ModelConfig
from tsjax.decode import Sampler
from tsjax.errors import UserError

CONFIG = ModelConfig(**families.llama(vocab_size=50, context=64, width=32, layers=2, heads=2, mlp_width=48))
EOS = 2


@pytest.fixture(scope="module")
def params():
    made = jax.jit(lambda key: model.init(CONFIG, key))(jax.random.key(0))
    return {n: p * 6 if p.ndim > 1 else p for n, p in made.items()}  # far from uniform


def keeps(logits: np.ndarray, sampler: Sampler) -> set[int]:
    """What temperature, top-k, top-p, min-p keep, one row, in plain loops (Hugging Face's order and edges)."""
    x = logits.astype(np.float64) / sampler.temperature
    order = np.argsort(-x, kind="stable")
    if sampler.top_k:
        order = order[: sampler.top_k]
    p = np.exp(x[order] - x[order].max())
    p /= p.sum()
    if sampler.top_p < 1:
        mass, n = 0.0, 0
        while mass < sampler.top_p and n < len(p):
            mass, n = mass + p[n], n + 1
        order, p = order[:n], p[:n]
    return {int(i) for i, q in zip(order, p, strict=True) if q >= sampler.min_p * p[0]}


@pytest.mark.parametrize(
    "sampler",
    [Sampler(0.7, top_k=5), Sampler(1.3, top_p=0.8), Sampler(1.0, min_p=0.1), Sampler(0.9, 20, 0.7, 0.05), Sampler(1, 1),
     Sampler(1.0, top_p=1e-6), Sampler(1.0, top_k=999)],
    ids=str,
)  # fmt: skip
def test_filters_equal_plain_loops_on_1000_rows(sampler):
    logits = np.asarray(jax.random.normal(jax.random.key(0), (1000, 40)) * 3)
    kept, ids = map(np.asarray, decode.filtered(jnp.asarray(logits), sampler))
    for row, scores, order in zip(logits, kept, ids, strict=True):
        assert set(order[np.isfinite(scores)].tolist()) == keeps(row, sampler)


def test_draw_frequencies_follow_the_distribution():
    """Chi-squared over 40,000 draws; the bound is the 0.999 quantile for 3 degrees of freedom."""
    logits = jnp.log(jnp.array([0.1, 0.4, 0.2, 0.25, 0.05]))
    n = 40_000
    keys = jax.random.split(jax.random.key(5), n)
    drawn = np.asarray(decode.draw(jnp.tile(logits, (n, 1)), keys, Sampler(1.0, top_k=4)))
    expected = np.array([0.1, 0.4, 0.2, 0.25]) / 0.95 * n
    found = np.bincount(drawn, minlength=5)
    assert found[4] == 0
    assert ((found[:4] - expected) ** 2 / expected).sum() < 16.27


def test_greedy_takes_the_lowest_id_among_equals():
    assert decode.draw(jnp.array([[0.0, 3.0, 3.0]]), jax.random.split(jax.random.key(0), 1), Sampler(0)).tolist() == [1]


def test_a_row_is_the_same_in_any_batch(params):
    prompts = [[1, 5], [1, 7, 8, 9, 10, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17], [1]]
    how = dict(max_new=24, stops=(EOS,), sampler=Sampler(1.0, top_p=0.95), seed=3)
    together = decode.complete(CONFIG, params, prompts, **how)
    for i, prompt in enumerate(prompts):
        assert decode.complete(CONFIG, params, [prompt], row_seeds=[i], **how) == [together[i]]
    twins = decode.complete(CONFIG, params, [[1], [1]], **how)
    assert twins[0] != twins[1], "rows with one prompt draw apart"
    assert decode.complete(CONFIG, params, [[1], [1]], **how | {"seed": 4}) != twins


def test_two_positions_with_equal_logits_draw_differently():
    """A model whose logits never change: a fixed key per token would repeat one id."""
    flat = {name: jnp.zeros(p.shape) for name, p in model.abstract(CONFIG).items()}
    (row,) = decode.complete(CONFIG, flat, [[1]], max_new=30, stops=(-1,), sampler=Sampler(1.0))
    assert len(set(row.ids)) > 5


def test_eos_stops_a_row_and_is_not_in_it(params):
    done = decode.complete(
        CONFIG, params, [[1, i] for i in range(3, 35)], max_new=60, stops=(EOS,), sampler=Sampler(1.5)
    )
    assert any(c.ended for c in done) and all(EOS not in c.ids for c in done)
    assert all(c.ended or len(c.ids) == 60 for c in done)


def test_streaming_ends_where_one_piece_does(params):
    how = dict(max_new=30, stops=(EOS,), sampler=Sampler(1.0), seed=1)
    prompts = [[1, 5], [1, 9, 9]]
    pieces = list(decode.stream(CONFIG, params, prompts, chunk=7, **how))
    assert pieces[-1] == decode.complete(CONFIG, params, prompts, **how)
    for early, late in itertools.pairwise(pieces):
        assert all(b.ids[: len(a.ids)] == a.ids for a, b in zip(early, late, strict=True))


def test_the_cache_is_prompt_plus_new(params, monkeypatch):
    slots = []
    prefill = decode.prefill
    monkeypatch.setattr(decode, "prefill", lambda *a: slots.append(a[-1]) or prefill(*a))
    decode.complete(CONFIG, params, [[1] * 10, [1]], max_new=5, stops=(EOS,))
    assert slots == [16 + 5], "the prompt is padded to a multiple of 16"
    assert [k.shape for k, _ in model.empty_cache(CONFIG, 3, 21)] == [(3, 2, 21, 16)] * 2


def test_new_tokens_are_cut_to_the_context(params):
    """Each row to its own: a long neighbour does not shorten a short prompt's story."""
    how = dict(max_new=30, stops=(-1,), sampler=Sampler(1.0))
    long, short = decode.complete(CONFIG, params, [[1] * 60, [1, 5]], **how)
    assert (len(long.ids), len(short.ids)) == (4, 30) and not long.ended
    assert [short] == decode.complete(CONFIG, params, [[1, 5]], row_seeds=[1], **how)


@pytest.mark.parametrize("prompts", [[[1] * 64], [[1], []]])
def test_a_prompt_that_fills_the_context_is_refused(params, prompts):
    with pytest.raises(UserError, match="context is 64"):
        decode.complete(CONFIG, params, prompts, max_new=5, stops=(EOS,))


@pytest.mark.parametrize("bad", [dict(temperature=-1), dict(top_k=-1), dict(top_p=0), dict(top_p=1.1), dict(min_p=2)])
def test_bad_samplers_are_refused(bad):
    with pytest.raises(UserError, match=next(iter(bad))):
        Sampler(**bad)
