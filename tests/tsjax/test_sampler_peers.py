"""I2: what top-k, top-p, min-p and the repetition penalty leave equals Hugging Face's processors, on 1000 random rows."""

import jax.numpy as jnp
import numpy as np
import pytest

from tsjax import sampler
from tsjax.sampler import Sampler, Settings

pytestmark = pytest.mark.peers
torch = pytest.importorskip("torch", reason="torch is an extra: pip install 'tsjax[bench]'")
processors = pytest.importorskip("transformers.generation.logits_process", reason="transformers is an extra")

ROWS, V = 1000, 120


def theirs(logits: np.ndarray, prompts: np.ndarray, one: Sampler) -> np.ndarray:
    steps = processors.LogitsProcessorList()
    if one.repetition_penalty != 1:
        steps.append(processors.RepetitionPenaltyLogitsProcessor(one.repetition_penalty))
    steps.append(processors.TemperatureLogitsWarper(one.temperature))
    if one.top_k:
        steps.append(processors.TopKLogitsWarper(one.top_k))
    if one.top_p < 1:
        steps.append(processors.TopPLogitsWarper(one.top_p))
    if one.min_p:
        steps.append(processors.MinPLogitsWarper(one.min_p))
    return steps(torch.tensor(prompts), torch.tensor(logits)).numpy()


@pytest.mark.parametrize("per_row", [False, True], ids=["one setting", "each its own"])
@pytest.mark.parametrize(
    "one",
    [Sampler(0.7, top_k=5), Sampler(1.3, top_p=0.8), Sampler(1.0, min_p=0.1), Sampler(0.9, 30, 0.7, 0.05),
     Sampler(0.8, 40, 0.9, 0.02, repetition_penalty=1.3), Sampler(1.1, repetition_penalty=0.8)],
    ids=str,
)  # fmt: skip
def test_i2_masks_equal_hugging_faces(one, per_row):
    random = np.random.default_rng(7)
    logits = random.normal(0, 3, (ROWS, V)).astype(np.float32)
    prompts = random.integers(0, V, (ROWS, 10))
    seen = np.zeros((ROWS, V), bool)
    np.put_along_axis(seen, prompts, True, axis=1)
    expected = theirs(logits, prompts, one)
    if one.repetition_penalty != 1:
        logits = sampler.penalised(jnp.asarray(logits), jnp.asarray(seen), one.repetition_penalty)
    if per_row:
        settings = Settings.of([one] * ROWS, np.zeros((ROWS, 2), np.uint32))
        scores, ids = sampler.filtered_per_row(logits / jnp.float32(one.temperature), settings)
    else:
        scores, ids = sampler.filtered(jnp.asarray(logits), one)
    found = np.full((ROWS, V), -np.inf, np.float32)
    np.put_along_axis(found, np.asarray(ids), np.asarray(scores), axis=1)
    assert (np.isfinite(found) == np.isfinite(expected)).all()
    kept = np.isfinite(expected)
    assert kept.any() and (not one.filters or not kept.all())
    np.testing.assert_allclose(found[kept], expected[kept], rtol=1e-5, atol=1e-5)
