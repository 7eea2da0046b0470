"""Layers in a loop and rematerialisation: the same loss and gradient, less compiled, less kept."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.tsjax.test_model import make, tokens
from tsjax import families, model
from tsjax.config import ModelConfig
from tsjax.errors import UserError
from tsjax.model_config import SCAN_ABOVE, check_model, layer_period, scanned_layers

SHAPE = dict(vocab_size=61, context=96, width=32, layers=5, heads=4, mlp_width=48)
CASES = {
    # name -> model, layers in the loop; what is left of a period runs after it
    "llama": (ModelConfig(**families.llama(**SHAPE | {"layers": 3}, kv_heads=2)), 3),
    "gpt_neo_dropout": (ModelConfig(**families.gpt_neo(**SHAPE) | {"window": 7, "dropout": 0.2}), 4),
    "period_of_two_and_three": (
        ModelConfig(
            **SHAPE | {"layers": 13},
            attention=("local", "global"),
            window=7,
            position=("rope", "none", "alibi"),
            dropout=0.1,
        ),
        12,
    ),
    "sinks_qk_norm_post_norm_attention_dropout": (
        ModelConfig(
            **SHAPE | {"layers": 4},
            attention=("local", "global"),
            window=7,
            attn_sinks=True,
            qk_norm=True,
            attn_soft_cap=5.0,
            norm_position="post",
            norm="layernorm",
            bias="all",
            dropout=0.1,
            attn_dropout=0.2,
        ),
        4,
    ),
}


@functools.cache
def loss_and_gradient(config: ModelConfig):
    """Of one batch, with dropout where the config has it."""
    params, text = make(dataclasses.replace(config, remat="none", layer_scan="no")), tokens(config)

    def objective(params):
        decoder = model.bind(config, params)
        return jnp.mean(jnp.sin(decoder.logits(decoder(text, dropout_key=jax.random.key(5)))))

    return jax.jit(jax.value_and_grad(objective))(params)


FORMS = [
    ("llama", "yes", "dots"),
    ("gpt_neo_dropout", "yes", "none"),
    ("gpt_neo_dropout", "no", "blocks"),
    ("sinks_qk_norm_post_norm_attention_dropout", "yes", "blocks"),
    ("sinks_qk_norm_post_norm_attention_dropout", "no", "dots"),
]


@pytest.mark.parametrize(("name", "layer_scan", "remat"), FORMS)
def test_same_loss_and_gradient(name, layer_scan, remat):
    """To float32: sums may be added in another order. Masks of dropout are the same, or this would be far off."""
    config, scanned = CASES[name]
    plain = dataclasses.replace(config, layer_scan="no", remat="none")
    form = dataclasses.replace(config, layer_scan=layer_scan, remat=remat)
    check_model(form)
    assert (scanned_layers(plain), scanned_layers(form)) == (0, scanned if layer_scan == "yes" else 0)
    (expected, gradient), (found, other) = loss_and_gradient(plain), loss_and_gradient(form)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert other.keys() == gradient.keys(), "parameters keep their names and shapes"
    for key, g in gradient.items():
        assert g.any(), f"{key} has a part in the output"
        np.testing.assert_allclose(other[key], g, atol=2e-5 * float(jnp.abs(g).max()) + 1e-9, err_msg=key)


def test_same_output_with_patterns_of_two_and_three():
    config, scanned = CASES["period_of_two_and_three"]
    loop = dataclasses.replace(config, layer_scan="yes")
    assert (layer_period(loop), scanned_layers(loop)) == (6, scanned)
    params, text = make(config), tokens(config)
    unrolled = dataclasses.replace(config, layer_scan="no")
    expected, found = (
        jax.jit(lambda p, c=c: model.bind(c, p)(text, dropout_key=jax.random.key(5)))(params) for c in (unrolled, loop)
    )
    np.testing.assert_allclose(found, expected, atol=2e-5 * float(jnp.abs(expected).max()))


@pytest.mark.parametrize("name", CASES)
def test_the_loop_holds_one_period(name):
    config, scanned = CASES[name]
    for layer_scan, wanted in (("yes", [scanned // layer_period(config)]), ("no", [])):
        form = dataclasses.replace(config, layer_scan=layer_scan)
        program = jax.make_jaxpr(lambda p, ids, c=form: model.bind(c, p)(ids))(model.abstract(form), tokens(form))
        loops = [e.params["length"] for e in program.eqns if e.primitive.name == "scan"]
        assert loops == wanted


def test_auto_loops_over_deep_models_and_where_something_is_computed_again():
    config = ModelConfig(**SHAPE | {"layers": SCAN_ABOVE})
    assert config.layer_scan == "auto" and scanned_layers(config) == 0
    assert scanned_layers(dataclasses.replace(config, layers=SCAN_ABOVE + 1)) == SCAN_ABOVE + 1
    for remat in ("dots", "blocks"):
        assert scanned_layers(dataclasses.replace(config, remat=remat)) == SCAN_ABOVE
        assert scanned_layers(dataclasses.replace(config, remat=remat, layer_scan="no")) == 0
    shallow = dataclasses.replace(config, layers=3, attention=("local", "global"), remat="blocks")
    assert scanned_layers(shallow) == 0, "one period is no loop"


@pytest.mark.parametrize(("layers", "attention"), [(1, ("global",)), (3, ("local", "global"))])
def test_a_loop_of_one_turn_is_refused(layers, attention):
    config = ModelConfig(**SHAPE | {"layers": layers}, attention=attention, layer_scan="yes")
    with pytest.raises(UserError, match=r"two periods.*config\.model\.layer_scan=yes"):
        check_model(config)
    check_model(dataclasses.replace(config, layers=2 * len(attention)))
    check_model(dataclasses.replace(config, layer_scan="auto"))


def test_no_dropout_key_is_used_twice(monkeypatch):
    config, _ = CASES["sinks_qk_norm_post_norm_attention_dropout"]
    used, dropout = [], model.dropout

    def recorded(x, rate, key):
        used.append(tuple(np.asarray(jax.random.key_data(key))))
        return dropout(x, rate, key)

    monkeypatch.setattr(model, "dropout", recorded)
    model.bind(dataclasses.replace(config, layer_scan="no"), make(config))(
        tokens(config), dropout_key=jax.random.key(0)
    )
    assert len(used) == len(set(used)) == 1 + 3 * config.layers  # embedding; probabilities, attention, MLP


def training(config: ModelConfig):
    """The loss and its gradient, lowered but not compiled."""
    ids = jax.ShapeDtypeStruct((4, config.context), jnp.int32)

    def objective(params, ids):
        decoder = model.bind(config, params)
        return jnp.mean(jnp.square(decoder(ids)))

    return jax.jit(jax.value_and_grad(objective)).lower(model.abstract(config), ids)


DEEP = ModelConfig(**families.llama(vocab_size=64, context=128, width=64, layers=14, heads=4))
REMAT = {remat: dataclasses.replace(DEEP, remat=remat) for remat in ("none", "dots", "blocks")}


def test_computing_again_saves_memory_on_a_deep_model():
    """Temporary memory as the compiler plans it: here about 1, 0.5 and 0.2 of what is kept without."""
    used = {remat: training(c).compile().memory_analysis().temp_size_in_bytes for remat, c in REMAT.items()}
    assert used["dots"] < 0.65 * used["none"]
    assert used["blocks"] < 0.65 * used["dots"]


def test_dots_keeps_the_matmuls_with_weights():
    """Their custom gradient on a CPU does not hide them from the policy: only attention is computed again."""
    again = {
        remat: training(dataclasses.replace(c, layers=4, layer_scan="no")).cost_analysis()["flops"]
        for remat, c in REMAT.items()
    }
    assert again["blocks"] > 1.2 * again["none"]
    assert 0 < again["dots"] - again["none"] < 0.4 * (again["blocks"] - again["none"])
