"""Cross-entropy in chunks against the plain formula: values and gradients, with soft-cap and z-loss."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tsjax import loss


@functools.cache
def example(vocab: int, N: int = 100):
    """x, head, targets, weights; a third of the weights are 0 and the rest differ."""
    x, head = jax.random.normal(jax.random.key(0), (N, 12)), jax.random.normal(jax.random.key(1), (vocab, 12))
    targets = jax.random.randint(jax.random.key(2), (N,), 0, vocab)
    weights = jnp.maximum(0, jax.random.uniform(jax.random.key(3), (N,), minval=-0.5))
    return x, head, targets, weights


def plain(x, head, targets, weights, soft_cap, z_loss):
    """(objective, nll), the whole N x V at once."""
    logits = x @ head.T
    if soft_cap:
        logits = soft_cap * jnp.tanh(logits / soft_cap)
    log_z = jax.nn.logsumexp(logits, axis=-1)
    nll = log_z - logits[jnp.arange(len(x)), targets]
    return jnp.sum((nll + z_loss * log_z**2) * weights), jnp.sum(nll * weights)


@pytest.mark.parametrize(("soft_cap", "z_loss"), [(0.0, 0.0), (2.5, 0.0), (0.0, 0.1), (2.5, 0.1)])
@pytest.mark.parametrize(("vocab", "rows"), [(17, 1), (300, 7), (257, 64), (300, 100), (17, 1000)])
def test_chunks_are_exact(vocab, rows, soft_cap, z_loss):
    """Chunks that divide the rows and that don't, vocabularies that are prime."""
    x, head, targets, weights = example(vocab)

    def chunked(x, head):
        return loss.cross_entropy_sums(x, head, targets, weights, rows, soft_cap, z_loss)

    @jax.jit
    def run(x, head):
        both = [jax.value_and_grad(f, (0, 1), has_aux=True)(x, head) for f in (chunked, functools.partial(
            plain, targets=targets, weights=weights, soft_cap=soft_cap, z_loss=z_loss))]  # fmt: skip
        return *both, jnp.sum(loss.token_nll(x, head, targets, rows, soft_cap) * weights), chunked(x, head)

    found, expected, evaluated, value_alone = run(x, head)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=3e-5), found, expected)
    (objective, nll), _ = found
    assert (objective > nll) if z_loss else (objective == nll)
    np.testing.assert_allclose(evaluated, nll, rtol=1e-6)
    np.testing.assert_allclose(value_alone, (objective, nll), rtol=1e-6)


def test_the_reported_loss_has_no_gradient():
    x, head, targets, weights = example(17)
    gradient = jax.jit(jax.grad(lambda x: loss.cross_entropy_sums(x, head, targets, weights, 50)[1]))(x)
    assert not gradient.any()


def test_bfloat16_sums_in_float32():
    """10,000 terms: a bfloat16 sum would be off by per cents."""
    x, head, targets, weights = example(17, 10_000)
    low = [a.astype(jnp.bfloat16) for a in (x, head)]
    exact = plain(*(a.astype(jnp.float32) for a in low), targets, weights, 0.0, 0.01)
    found = loss.cross_entropy_sums(*low, targets, weights, 64, 0.0, 0.01)
    assert found[0].dtype == found[1].dtype == jnp.float32
    np.testing.assert_allclose(found, exact, rtol=1e-4)


def test_rows_of_a_chunk_fit_the_memory(monkeypatch):
    monkeypatch.setattr(loss, "logits_bytes", lambda: 2**26)
    assert loss.chunk_rows(100, 50_000) == 100, "never more than there are"
    assert loss.chunk_rows(2**16, 2**20) == 256, "and not below 256"
    assert loss.chunk_rows(2**16, 4096) * 4096 * 4 == 2**26
    assert loss.chunk_rows(3000, 10_000) == 1500, "a divisor of the rows, if one is near"
    monkeypatch.setattr(loss, "logits_bytes", lambda: 2**28)
    assert loss.chunk_rows(2**16, 4096) * 4096 * 4 == 2**28


@pytest.mark.parametrize(("limit", "expected"), [(None, 2**26), (2**30, 2**26), (80 * 2**30, 80 * 2**24)])
def test_a_64th_of_the_device_is_for_logits(limit, expected, monkeypatch):
    device = type("Device", (), {"memory_stats": staticmethod(lambda: limit and {"bytes_limit": limit})})
    monkeypatch.setattr(loss.jax, "local_devices", lambda: [device])
    assert loss.logits_bytes() == expected
