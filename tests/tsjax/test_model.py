"""The decoder over its knobs: causality, counts, init, cache, kernels."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tsjax import decode, families, flops, loss, model
from tsjax.attention import attend
from tsjax.config import ModelConfig

SHAPE = dict(vocab_size=61, context=96, width=32, layers=2, heads=4, mlp_width=48)
KNOBS = {
    "llama": ModelConfig(**families.llama(**SHAPE)),
    "llama_gqa": ModelConfig(**families.llama(**SHAPE, kv_heads=2)),
    "llama_mqa_untied": ModelConfig(**families.llama(**SHAPE, kv_heads=1) | {"tied": False}),
    "gpt_neo": ModelConfig(**families.gpt_neo(**SHAPE) | {"window": 7}),
    "gpt2": ModelConfig(**families.gpt2(**SHAPE)),
    "no_position": ModelConfig(**SHAPE, position="none", norm="layernorm_nobias", mlp="relu2", attn_scale="d_model"),
    "wide_heads": ModelConfig(**SHAPE, head_dim=12, mlp="geglu", attention=("local", "global"), window=3, bias="all"),
    "local_rope": ModelConfig(**SHAPE, attention=("local",), window=5, mlp="silu", attn_scale="0.3"),
}
all_knobs = pytest.mark.parametrize("config", KNOBS.values(), ids=KNOBS.keys())


def make(config: ModelConfig, seed: int = 0) -> model.Params:
    """Parameters large enough that every path matters."""
    params = jax.jit(lambda key: model.init(config, key))(jax.random.key(seed))
    keys = jax.random.split(jax.random.key(seed + 1), len(params))
    return {n: p + 0.1 * jax.random.normal(k, p.shape) for (n, p), k in zip(params.items(), keys, strict=True)}


def tokens(config: ModelConfig, rows: int = 2, length: int = 40, seed: int = 3) -> jax.Array:
    return jax.random.randint(jax.random.key(seed), (rows, length), 3, config.vocab_size)


@all_knobs
def test_parameter_count_is_the_formula(config):
    assert sum(p.size for p in model.abstract(config).values()) == flops.count_parameters(config).total


@all_knobs
def test_causal_by_gradient(config):
    """The output at t depends on the input embedding at t and before, and on nothing after."""
    params, probe = make(config), 17

    def output_at_probe(noise_TxE):
        decoder = model.bind(config, params)
        embed = decoder._embed
        decoder._embed = lambda *a: embed(*a) + noise_TxE
        return decoder(tokens(config, 1))[0, probe].sum()

    gradient_T = jnp.abs(jax.grad(output_at_probe)(jnp.zeros((40, config.width)))).sum(-1)
    assert (gradient_T[probe + 1 :] == 0).all()
    assert gradient_T[probe] > 0
    reach = 40 if "global" in config.attention else config.layers * (config.window - 1) + 1
    seen = gradient_T[max(0, probe - reach + 1) : probe]
    assert (seen > 0).all()
    assert (gradient_T[: max(0, probe - reach + 1)] == 0).all()


@all_knobs
def test_reading_in_pieces_equals_reading_at_once(config):
    """The cache: prefill of any length, then token by token, on left-padded rows."""
    params, text = make(config), tokens(config, 3)
    starts = [0, 5, 11]
    decoder = model.bind(config, params)
    cache, hidden, slot = model.empty_cache(config, 3, 40), [], 0
    extend = jax.jit(lambda *a: model.bind(config, params).extend(*a))
    for size in (13, 1, 1, 20, 5):
        x, cache = extend(text[:, slot : slot + size], cache, jnp.int32(slot), jnp.array(starts))
        hidden.append(x)
        slot += size
    hidden_BxTxE = jnp.concatenate(hidden, 1)
    for row, start in enumerate(starts):
        alone = decoder(text[row : row + 1, start:])[0]
        np.testing.assert_allclose(hidden_BxTxE[row, start:], alone, atol=2e-5)


@all_knobs
def test_cached_greedy_decoding_equals_recomputing(config):
    params = make(config)
    prompts = [[1, 4, 5], [1, 9, 8, 7, 6, 5, 4, 3, 9, 10, 11], [1]]
    greedy = decode.Sampler(temperature=0)
    done = decode.complete(config, params, prompts, max_new=20, stops=(2,), sampler=greedy)
    step = jax.jit(lambda ids: (d := model.bind(config, params)).logits(d(ids)))
    for prompt, completion in zip(prompts, done, strict=True):
        ids = list(prompt)
        for n in range(len(completion.ids) + completion.ended):
            padded = jnp.array([ids + [0] * (40 - len(ids))])  # one compiled length; what follows is not seen
            logits = step(padded)[0, len(ids) - 1]
            expected = completion.ids[n] if n < len(completion.ids) else 2
            assert logits[expected] >= logits.max() - 1e-4
            ids.append(expected)


@all_knobs
def test_documents_apart_equal_documents_alone(config):
    """Segments and positions make a packed row equal to its documents read one by one."""
    params, text = make(config), tokens(config, 1)
    lengths = [13, 20, 7]
    segments = jnp.array([np.repeat([1, 2, 3], lengths)])
    positions = jnp.array([np.concatenate([np.arange(n) for n in lengths])])
    decoder = model.bind(config, params)
    packed, start = decoder(text, positions, segments)[0], 0
    for length in lengths:
        alone = decoder(text[:, start : start + length])[0]
        np.testing.assert_allclose(packed[start : start + length], alone, atol=2e-5)
        start += length


@pytest.mark.parametrize(
    ("T", "kv_heads", "window", "packed"),
    list(itertools.product((1, 64, 150), (4, 2), (None, 33, 500), (False, True))),
)
def test_blocked_attention_equals_reference(T, kv_heads, window, packed):
    q, k, v, do = (
        jax.random.normal(jax.random.key(i), (2, T, heads, 8)) for i, heads in enumerate((4, kv_heads, kv_heads, 4))
    )
    segments = jnp.array([np.arange(T) // 50, np.arange(T) // 7]) if packed else None

    def run(kernel):
        def attention(*qkv):
            return attend(*qkv, scale=0.4, window=window, segments_BxT=segments, kernel=kernel)

        return jax.jit(lambda *qkv: (attention(*qkv), jax.vjp(attention, *qkv)[1](do)))(q, k, v)

    (o, gradients), (o_reference, gradients_reference) = run("blocked"), run("reference")
    np.testing.assert_allclose(o, o_reference, atol=2e-6)
    for g, g_reference in zip(gradients, gradients_reference, strict=True):
        np.testing.assert_allclose(g, g_reference, atol=2e-5)


def test_local_window_counts_the_query_itself():
    """Acceptance A3 of interop.md: with window w the key at q - w is out of sight, the one at q - w + 1 in sight."""
    w, at = 5, 20
    q, k, v = (jax.random.normal(jax.random.key(i), (1, 30, 1, 8)) for i in range(3))
    for kernel in ("blocked", "reference"):
        o = attend(q, k, v, scale=1.0, window=w, kernel=kernel)
        for distance, changes in ((w, False), (w - 1, True)):
            moved = attend(q, k, v.at[0, at - distance].add(1.0), scale=1.0, window=w, kernel=kernel)
            assert bool(jnp.any(moved[0, at] != o[0, at])) == changes


@pytest.mark.parametrize("rows", [1, 7, 64, 100, 1000])
@pytest.mark.parametrize("vocab", [17, 300])
def test_chunked_cross_entropy_is_exact(rows, vocab):
    x, head = jax.random.normal(jax.random.key(0), (100, 12)), jax.random.normal(jax.random.key(1), (vocab, 12))
    targets = jax.random.randint(jax.random.key(2), (100,), 0, vocab)
    weights = jax.random.bernoulli(jax.random.key(3), 0.7, (100,)).astype(jnp.float32)

    def plain(x, head):
        return -jnp.sum(jnp.take_along_axis(jax.nn.log_softmax(x @ head.T), targets[:, None], 1)[:, 0] * weights)

    def chunked(x, head):
        return loss.cross_entropy_sum(x, head, targets, weights, rows)

    for found, expected in zip(jax.value_and_grad(chunked, (0, 1))(x, head), jax.value_and_grad(plain, (0, 1))(x, head),
                               strict=True):  # fmt: skip
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5), found, expected)
    np.testing.assert_allclose(chunked(x, head), jnp.sum(loss.token_nll(x, head, targets, rows) * weights), rtol=1e-6)


def test_initial_spread_of_every_matrix():
    """Depth-scaled on the two residual outputs and nowhere else (llama2.c issue 579 scaled a gate)."""
    config = ModelConfig(**families.llama(**SHAPE | {"width": 128, "mlp_width": 256, "layers": 8}))
    for name, p in jax.jit(lambda k: model.init(config, k))(jax.random.key(0)).items():
        if p.ndim == 1:
            assert (p == 1).all(), name
            continue
        residual = name.endswith((".attention.out.kernel", ".mlp.down.kernel"))
        expected = 0.02 / (16**0.5 if residual else 1)
        assert abs(float(p.std()) / expected - 1) < 5 / (2 * p.size) ** 0.5, name


@pytest.mark.parametrize("config", [KNOBS["llama_gqa"], KNOBS["gpt2"], KNOBS["gpt_neo"]], ids=["llama", "gpt2", "neo"])
def test_flops_are_the_compilers(config):
    """The analytic count against XLA's own on the unrolled reference model, forward, T long."""
    config = dataclasses.replace(config, kernel="reference", width=128, heads=4, mlp_width=512, vocab_size=512,
                                 context=64, window=64)  # fmt: skip
    params = model.abstract(config)

    def forward(params, ids):
        decoder = model.bind(config, params)
        return decoder.logits(decoder(ids))

    lowered = jax.jit(forward).lower(params, jax.ShapeDtypeStruct((2, 64), jnp.int32))
    counted = lowered.cost_analysis()["flops"] / 128
    # The reference kernel computes all keys, so the count of full attention is the one to meet.
    assert abs(counted / (flops.count_flops(config).full / 3) - 1) < 0.06


def test_flops_know_the_mask():
    config = KNOBS["gpt_neo"]
    exact = flops.count_flops(config)
    seen = [sum(min(t + 1, w) for t in range(96)) / 96 for w in (96, 7)]
    assert exact.full - exact.exact == pytest.approx(3 * 4 * 32 * (2 * 96 - sum(seen)))


def test_bfloat16_compute_stays_near_float32():
    config = KNOBS["llama"]
    params, text = make(config), tokens(config)
    low = dataclasses.replace(config, dtype="bfloat16")
    a, b = ((d := model.bind(c, params)).logits(d(text)) for c in (config, low))
    assert b.dtype == jnp.float32
    assert 0 < float(jnp.abs(a - b).mean()) < 0.05 * float(jnp.abs(a).mean())


def test_dropout_needs_a_key_and_keeps_the_mean():
    x = jnp.ones((1000, 100))
    assert (model.Dropout(0.5, None)(x) == 1).all()
    drop = model.Dropout(0.3, jax.random.key(0))
    first, second = drop(x), drop(x)
    assert abs(float(first.mean()) - 1) < 0.01 and abs(float((first == 0).mean()) - 0.3) < 0.01
    assert not (first == second).all()
