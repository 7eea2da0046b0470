"""Log-probabilities of continuations equal those of whole forward passes, however far rows are filled up."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tsjax import families, model
from tsjax.config import ModelConfig
from tsjax.scored import log_probabilities


@pytest.mark.parametrize("changes", [{}, {"final_soft_cap": 5.0}, {"position": ("learned",)}])
def test_equal_whole_forward_passes(changes):
    config = ModelConfig(
        **families.llama(vocab_size=40, context=32, width=16, layers=2, heads=2, mlp_width=24) | changes
    )
    params = {n: p * 20 if p.ndim > 1 else p for n, p in model.init(config, jax.random.key(0)).items()}
    rows = [([1, 5, 6], [7, 8, 9]), ([1], [3] * 31), ([1, 2], []), ([1, 9], [4])]
    expected = []
    for prompt, new in rows:
        decoder = model.bind(config, params)
        logp = jax.nn.log_softmax(decoder.logits(decoder(jnp.asarray([[*prompt, *new]])))[0])
        expected.append(sum(float(logp[len(prompt) + n - 1, token]) for n, token in enumerate(new)))
    for slots in (None, 32):
        np.testing.assert_allclose(log_probabilities(config, params, rows, slots), expected, rtol=1e-4, atol=1e-4)
    assert log_probabilities(config, params, rows[2:3]) == [0.0]
