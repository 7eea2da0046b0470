"""Parameters and operations: the formulas against the arrays and the compiler's own count; the device's peak."""

import dataclasses
import functools
import itertools
import time
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

from tests.tsjax.test_model import KNOBS, all_knobs
from tsjax import families, flops, model
from tsjax.blocked import _bands
from tsjax.config import Config, ModelConfig
from tsjax.model_config import head_shape, layer_patterns
from tsjax.step import loss_sums

# Wide enough that what the formulas leave out (norms, softmax, activations, rope) is under a percent.
SHAPE = dict(vocab_size=2048, context=256, width=512, layers=2, heads=4, mlp_width=1024)
COUNTED = {
    "gpt_neo": ModelConfig(**families.gpt_neo(**SHAPE) | {"window": 100}),
    "llama_gqa": ModelConfig(**families.llama(**SHAPE, kv_heads=2)),
    "attention_only": ModelConfig(**families.gpt2(**SHAPE | {"mlp": "none", "mlp_width": 0})),
    "untied": ModelConfig(**families.llama(**SHAPE) | {"tied": False}),
    "wide_heads": ModelConfig(**SHAPE, head_dim=192, mlp="relu2", position="alibi"),
}
counted = pytest.mark.parametrize("config", COUNTED.values(), ids=COUNTED.keys())
BLOCK = 64  # rows of a block of queries at this context


@functools.cache
def compilers_count(config: ModelConfig) -> float:
    """Operations per token of the loss and its gradient, unrolled, as XLA counts the program it is given."""
    rows = 2
    run = Config(model=dataclasses.replace(config, layer_scan="no"))
    ids = jax.ShapeDtypeStruct((rows, config.context), jnp.int32)
    batch = {"tokens": ids, "targets": ids, "weights": jax.ShapeDtypeStruct(ids.shape, jnp.float32)}

    def objective(params, batch):
        return loss_sums(run, params, batch, None)[0]

    lowered = jax.jit(jax.value_and_grad(objective)).lower(model.abstract(config), batch)
    return lowered.cost_analysis()["flops"] / (rows * config.context)


def reference(config: ModelConfig, **changes) -> ModelConfig:
    return dataclasses.replace(config, kernel="reference", **changes)


@all_knobs
def test_parameter_count_is_the_formula(config):
    assert sum(p.size for p in model.abstract(config).values()) == flops.count_parameters(config).total


def test_craftgpt_is_the_released_shape():
    """interop.md 8.1: 5,087,280 with the embedding counted twice, as advertised."""
    config = ModelConfig(**families.craftgpt())
    assert flops.count_parameters(config).total == 4_626_480
    assert sum(p.size for p in model.abstract(config).values()) == 4_626_480
    assert flops.count_parameters(dataclasses.replace(config, tied=False)).total == 5_087_280


@counted
def test_full_is_the_compilers_count_of_a_training_step(config):
    """The reference kernel computes all T x T scores. What the formula leaves out makes the compiler's count larger."""
    excess = compilers_count(reference(config)) / flops.count_flops(config).full - 1
    assert 0 < excess < 0.01


CHANGES = {
    # field and component -> two models that differ in nothing else, and so in that component alone
    "mlp": ({"mlp_width": 1024}, {"mlp_width": 2048}),
    "head": ({"vocab_size": 2048}, {"vocab_size": 4096}),
    "scores": ({"context": 256}, {"context": 512}),
}


@pytest.mark.parametrize("component", CHANGES)
@pytest.mark.parametrize("name", ["gpt_neo", "llama_gqa", "untied"])
def test_each_component_is_the_difference_of_two_models(name, component):
    """`projections` is what the other three leave of the whole, which the test above holds.

    Scores have 2 x 2 x 128 operations of matmul each and a few of softmax, hence the wider band.
    """
    small, large = (reference(COUNTED[name], attention=("global",), **change) for change in CHANGES[component])
    found = compilers_count(large) - compilers_count(small)
    parts = [dataclasses.asdict(flops.flops_by_component(config)) for config in (small, large)]
    # Full attention, as the reference computes it: twice the causal half but for the diagonal.
    parts = [
        p | {"scores": p["scores"] * 2 * c.context / (c.context + 1)}
        for p, c in zip(parts, (small, large), strict=True)
    ]
    assert [key for key in parts[0] if parts[0][key] != parts[1][key]] == [component]
    excess = found / (parts[1][component] - parts[0][component]) - 1
    assert -0.001 < excess < (0.02 if component == "scores" else 0.01)


def band_keys(config: ModelConfig) -> float:
    """Keys that the blocked kernel meets per query, summed over the layers."""
    pairs = 0
    for pattern, _ in layer_patterns(config):
        bands = _bands(config.context, config.window if pattern == "local" else None)
        assert {queries.stop - queries.start for queries, _ in bands} == {BLOCK}
        pairs += sum(BLOCK * (keys.stop - keys.start) for _, keys in bands)
    return pairs / config.context


@counted
def test_exact_is_the_compilers_count_of_the_blocked_kernel(config):
    """But for what the kernel adds: whole blocks, at most a block of keys per query too many, and the scores again.

    So seven matmuls over the band where the formula has six over the keys seen.
    """
    parts, (heads, _, head_dim) = flops.flops_by_component(config), head_shape(config)
    per_key = 12 * heads * head_dim
    seen, met = parts.scores / per_key, band_keys(config)
    assert seen < met < seen + config.layers * BLOCK
    expected = parts.total - parts.scores + 7 / 6 * per_key * met
    excess = compilers_count(dataclasses.replace(config, kernel="blocked")) / expected - 1
    assert 0 < excess < 0.01


@all_knobs
def test_components_add_up_to_exact(config):
    parts = flops.flops_by_component(config)
    assert parts.total == flops.count_flops(config).exact
    assert (parts.mlp == 0) == (config.mlp == "none")
    assert parts.head == 6 * config.vocab_size * config.width


def test_scores_count_every_key_that_is_seen():
    config = KNOBS["gpt_neo"]  # one global and one local layer, context 96, window 7, H D = 32
    seen = [sum(min(t + 1, w) for t in range(96)) / 96 for w in (96, 7)]
    assert flops.flops_by_component(config).scores == pytest.approx(12 * 32 * sum(seen))
    count = flops.count_flops(config)
    assert count.full - count.exact == pytest.approx(12 * 32 * (2 * 96 - sum(seen)))


def test_recomputing_and_looping_cost_nothing_in_the_account():
    config = KNOBS["llama"]
    same = dataclasses.replace(config, remat="blocks", layer_scan="yes", kernel="reference")
    assert flops.count_flops(same) == flops.count_flops(config)


def test_measured_peak_is_what_a_matmul_reaches():
    """Here and now; the machine may be busy with other things in one of the two measurements."""
    peak = flops.peak("float32")
    assert peak.source == "measured"
    assert flops.peak("float32") is peak, "measured once"
    n = 1024
    x = jax.random.normal(jax.random.key(0), (n, n))
    multiply = jax.jit(lambda x: x @ x)
    multiply(x).block_until_ready()
    rates = []
    for _ in range(5):
        begin = time.perf_counter()
        multiply(x).block_until_ready()
        rates.append(2 * n**3 / (time.perf_counter() - begin))
    assert 0.2 < peak.operations_per_second / max(rates) < 5


def test_rate_is_operations_over_seconds(monkeypatch):
    """By a clock that says a millisecond has passed whenever it is asked: four products of 2 n^3 operations in one."""
    monkeypatch.setattr(time, "perf_counter", functools.partial(next, itertools.count(step=2**-10)))
    assert flops._matmul_rate(64, jnp.dtype("float32"), 0.1) == 4 * 2 * 64**3 * 2**10


@pytest.mark.parametrize("rate", [1e9, 1.5e11, 2e13, 8e14])
def test_measuring_picks_a_size_for_the_device(monkeypatch, rate):
    """Products of 5 to 20 ms, or the smallest or largest size that is tried; small ones reach half the rate."""
    tried = []

    def fake_rate(size, dtype, seconds):
        tried.append(size)
        return rate if size > 1000 or rate < 1e12 else rate / 2

    monkeypatch.setattr(flops, "_matmul_rate", fake_rate)
    assert flops._measured_peak(jnp.dtype("float32")) == rate
    assert len(tried) <= 3 and tried == sorted(set(tried))
    assert tried[-1] in (512, 8192) or 0.005 < 2 * tried[-1] ** 3 / rate < 0.02


DATA_SHEETS = [
    ("NVIDIA H100 80GB HBM3", 989), ("NVIDIA H100 PCIe", 756), ("NVIDIA H200", 989), ("NVIDIA B200", 2250),
    ("NVIDIA GB200", 2500), ("NVIDIA A100-SXM4-80GB", 312), ("NVIDIA L4", 121), ("NVIDIA L40", 181), ("NVIDIA L40S", 362),
    ("NVIDIA GeForce RTX 4090", 165), ("TPU v4", 275), ("TPU v5 lite", 197), ("TPU v5", 459), ("TPU v5p", 459),
    ("TPU v6 lite", 918), ("cpu", None), ("NVIDIA GeForce GTX 1080", None),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "tera"), DATA_SHEETS)
def test_data_sheets_by_the_names_that_jax_gives(kind, tera):
    assert flops.peak_flops(kind) == (tera and tera * 1e12)


def test_the_data_sheet_is_for_bfloat16_alone(monkeypatch):
    monkeypatch.setattr(jax, "local_devices", lambda: [SimpleNamespace(device_kind="NVIDIA H100 80GB HBM3")])
    monkeypatch.setattr(flops, "_measured_peak", lambda dtype: 4e14)
    peak = flops.peak.__wrapped__  # past the cache
    assert peak("bfloat16") == flops.Peak(989e12, "data sheet")
    assert peak("float32") == flops.Peak(4e14, "measured")
