"""llama2.c's 260K-parameter model, loaded, gives the published tokens, losses and greedy text."""

import gzip
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tsjax import decode, loss, model
from tsjax.flops import count_parameters
from tsjax.formats import llama2c
from tsjax.tokenizer import load

pytestmark = pytest.mark.reference


@pytest.fixture(scope="module")
def reference(shared):
    folder = shared / "models" / "stories260K"
    config, params = llama2c.read(folder / "stories260K.bin")
    values = json.loads((folder / "reference_values.json").read_text())
    return config, params, load(folder / "tok512.bin"), values


def test_parameter_count(reference):
    config, params, *_ = reference
    assert sum(p.size for p in params.values()) == count_parameters(config).total == 260_032
    assert {n: p.shape for n, p in params.items()} == {n: p.shape for n, p in model.abstract(config).items()}


def test_token_ids(reference, shared):
    *_, tokenizer, values = reference
    ids = values["token_ids"]
    text = gzip.decompress((shared / "data" / "tinystories" / "v2_valid_head_5M.txt.gz").read_bytes()).decode()
    story = text.split("<|endoftext|>")[1].strip()
    assert story.startswith(values["story"])
    assert [1, *tokenizer.encode([story])[0]][: len(ids)] == ids


@pytest.mark.parametrize("kernel", ["blocked", "reference"])
def test_losses(reference, kernel):
    config, params, _, values = reference
    config = config.__class__(**{**config.__dict__, "kernel": kernel})
    ids = jnp.asarray(values["token_ids"])
    decoder = model.bind(config, params)
    x = decoder(ids[None, :-1])
    nll = loss.token_nll(x[0], decoder.head_VxE, ids[1:], rows=100)
    np.testing.assert_allclose(nll[:8], values["first_nll"], atol=2e-5)
    assert abs(float(nll.mean()) - values["mean_nll_nats"]) < 1e-5


def test_logits_after_bos(reference):
    config, params, _, values = reference
    decoder = model.bind(config, params)
    logits = decoder.logits(decoder(jnp.asarray([[1]])))[0, 0, :8]
    np.testing.assert_allclose(logits, values["logits_after_bos_first8"], atol=2e-5)


def test_greedy_text(reference):
    config, params, tokenizer, values = reference
    params = jax.tree.map(jnp.asarray, params)
    greedy = decode.Sampler(temperature=0)
    (row,) = decode.complete(config, params, [[1]], max_new=255, stops=(tokenizer.eos,), sampler=greedy)
    expected = values["greedy_ids_from_bos"]
    assert [1, *row.ids][: len(expected)] == expected
    text = tokenizer.decode(row.ids)
    assert text.startswith(
        "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. "
        "One day, she saw a big, red ball. She wanted to play with it, but it was too high.\nLily's mom said,"
    )
