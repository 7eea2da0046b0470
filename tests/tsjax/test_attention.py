"""Attention: the reference against plain loops, every kernel against the reference, and which kernel is chosen."""

import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tsjax import attention, families
from tsjax.attention import attend, choose
from tsjax.config import ModelConfig
from tsjax.errors import UserError
from tsjax.scoring import Scoring, alibi_slopes

H, D = 6, 8  # six heads: not a power of two, for alibi
SINKS_H = jnp.linspace(-1.0, 2.0, H)
on_cuda = pytest.mark.skipif(jax.default_backend() != "gpu", reason="cuDNN needs a CUDA device")


@dataclasses.dataclass(frozen=True)
class Case:
    soft_cap: float
    alibi: bool
    sinks: bool
    packed: bool
    kv_heads: int
    window: int | None
    T: int

    def __str__(self):
        return "-".join(f"{f.name}={getattr(self, f.name)}" for f in dataclasses.fields(self))

    @property
    def scoring(self) -> Scoring:
        return Scoring(0.4, self.window, self.soft_cap, self.alibi)

    @property
    def segments(self) -> jax.Array | None:
        return jnp.array([np.arange(self.T) // 50, np.arange(self.T) // 7]) if self.packed else None

    def arrays(self, dtype=jnp.float32) -> tuple[list[jax.Array], jax.Array]:
        """q, k, v, sinks (None where the case has none), and the gradient at the output."""
        heads = (H, self.kv_heads, self.kv_heads, H)
        q, k, v, do = (jax.random.normal(jax.random.key(i), (2, self.T, n, D)) for i, n in enumerate(heads))
        q, k, v, do = (x.astype(jnp.bfloat16).astype(dtype) for x in (q, k, v, do))  # the same values in both types
        return [q, k, v, SINKS_H if self.sinks else None], do


WINDOWS, LENGTHS, KV_HEADS = (None, 33, 500), (1, 64, 200), (H, 2, 1)
# All 16 sets of features; the rest goes round so that every pair of values meets. Each case compiles two programs.
GRID = [
    Case(*features, KV_HEADS[i % 3], WINDOWS[(i + i // 3) % 3], LENGTHS[(i + i // 5) % 3])
    for i, features in enumerate(itertools.product((0.0, 1.5), (False, True), (False, True), (False, True)))
]


@functools.cache
def run(kernel: str, case: Case, dtype=jnp.float32):
    """Output and gradients with respect to q, k, v and the sinks."""
    arrays, do = case.arrays(dtype)

    def f(q, k, v, sinks_H):
        return attend(q, k, v, case.scoring, sinks_H=sinks_H, segments_BxT=case.segments, kernel=kernel)

    def both(*arrays):
        o, pull = jax.vjp(f, *arrays)
        return o, pull(do)

    return jax.jit(both)(*arrays)


def test_the_grid_holds_every_pair_of_values():
    names = [f.name for f in dataclasses.fields(Case)]
    for a, b in itertools.combinations(names, 2):
        met = {(getattr(c, a), getattr(c, b)) for c in GRID}
        assert met == set(itertools.product({x for x, _ in met}, {y for _, y in met})), (a, b)
    assert {c.T for c in GRID} == set(LENGTHS) and {c.window for c in GRID} == set(WINDOWS)


@pytest.mark.parametrize("case", GRID, ids=str)
def test_blocked_equals_reference(case):
    (o, gradients), (o_reference, gradients_reference) = run("blocked", case), run("reference", case)
    np.testing.assert_allclose(o, o_reference, atol=2e-6)
    assert (gradients[3] is not None) == case.sinks
    for g, g_reference in zip(jax.tree.leaves(gradients), jax.tree.leaves(gradients_reference), strict=True):
        np.testing.assert_allclose(g, g_reference, atol=3e-5)


@pytest.mark.parametrize("case", [c for c in GRID if c.T == 200][::2], ids=str)
def test_blocked_in_bfloat16_is_as_near_float32_as_the_reference_is(case):
    exact, blocked, plain = run("reference", case), *(run(k, case, jnp.bfloat16) for k in ("blocked", "reference"))

    def distances(found):
        leaves = zip(jax.tree.leaves(found), jax.tree.leaves(exact), strict=True)
        return [float(jnp.abs(f.astype(jnp.float32) - e).max() / jnp.abs(e).max()) for f, e in leaves if e.any()]

    assert blocked[0].dtype == blocked[1][0].dtype == jnp.bfloat16
    for found, allowed in zip(distances(blocked), distances(plain), strict=True):
        assert found < 0.04 and found < 2 * allowed + 0.01


@on_cuda
@pytest.mark.parametrize(
    ("window", "kv_heads", "packed", "T"), itertools.product((None, 33), KV_HEADS, (False, True), (64, 150))
)
def test_cudnn_equals_reference(window, kv_heads, packed, T):
    case = Case(0.0, False, False, packed, kv_heads, window, T)
    for found, expected in zip(jax.tree.leaves(run("cudnn", case, jnp.bfloat16)),
                               jax.tree.leaves(run("reference", case, jnp.bfloat16)), strict=True):  # fmt: skip
        found, expected = (np.asarray(x, np.float32) for x in (found, expected))
        assert np.abs(found - expected).max() < 0.03 * np.abs(expected).max()


def loops(q, k, v, case: Case, slopes) -> np.ndarray:
    """Attention as the definition says it, one query of one head at a time, in float64."""
    out = np.zeros(q.shape)
    for b, t, h in np.ndindex(q.shape[:3]):
        kv = h * case.kv_heads // H
        exponentials, total = {}, np.exp(float(SINKS_H[h])) if case.sinks else 0.0
        for s in range(t + 1):
            if t - s >= (case.window or case.T) or (case.packed and case.segments[b, t] != case.segments[b, s]):
                continue
            score = 0.4 * np.dot(q[b, t, h], k[b, s, kv])
            if case.soft_cap:
                score = case.soft_cap * np.tanh(score / case.soft_cap)
            if case.alibi:
                score -= slopes[h] * (t - s)
            exponentials[s] = np.exp(score)
            total += exponentials[s]
        out[b, t, h] = sum(e / total * v[b, s, kv] for s, e in exponentials.items())
    return out


@pytest.mark.parametrize(
    "case",
    [Case(0.0, False, False, False, 2, None, 20), Case(1.5, False, True, False, 1, 5, 20),
     Case(0.0, True, True, True, H, None, 20), Case(1.5, True, False, True, 2, 5, 20)],
    ids=str,
)  # fmt: skip
def test_reference_equals_plain_loops(case):
    slopes = [2**-2, 2**-4, 2**-6, 2**-8, 2**-1, 2**-3]  # 6 heads: the 4 of four heads, then 2 of eight
    q, k, v, _ = case.arrays()[0]
    expected = loops(*(np.asarray(x, np.float64) for x in (q, k, v)), case, slopes)
    np.testing.assert_allclose(run("reference", case)[0], expected, atol=1e-5)


def test_alibi_slopes_are_the_papers():
    np.testing.assert_allclose(alibi_slopes(8), [2.0**-n for n in range(1, 9)], rtol=1e-6)
    np.testing.assert_allclose(alibi_slopes(16), [2.0 ** (-n / 2) for n in range(1, 17)], rtol=1e-6)
    np.testing.assert_allclose(alibi_slopes(1), [2.0**-8])
    twelve = alibi_slopes(12)  # the released code: the 8 of eight heads, then every other of sixteen
    np.testing.assert_allclose(twelve, [*alibi_slopes(8), *alibi_slopes(16)[0:8:2]], rtol=1e-6)


@pytest.mark.parametrize("kernel", ["blocked", "reference"])
def test_local_window_counts_the_query_itself(kernel):
    """Acceptance A3 of interop.md: with window w the key at q - w is out of sight, the one at q - w + 1 in sight."""
    w, at = 5, 20
    q, k, v = (jax.random.normal(jax.random.key(i), (1, 30, 1, 8)) for i in range(3))
    o = attend(q, k, v, Scoring(1.0, w), kernel=kernel)
    for distance, changes in ((w, False), (w - 1, True)):
        moved = attend(q, k, v.at[0, at - distance].add(1.0), Scoring(1.0, w), kernel=kernel)
        assert bool(jnp.any(moved[0, at] != o[0, at])) == changes


def test_blocked_computes_no_more_than_the_band():
    """The compiler counts under 0.6 of the reference's operations for a causal row, and 0.3 with a local window."""

    def operations(kernel, window):
        case = Case(0.0, False, False, False, H, window, 512)
        f = jax.jit(lambda q, k, v: attend(q, k, v, case.scoring, kernel=kernel))
        return f.lower(*case.arrays()[0][:3]).cost_analysis()["flops"]

    assert operations("blocked", None) < 0.6 * operations("reference", None)
    assert operations("blocked", 64) < 0.3 * operations("reference", 64)


def test_only_the_reference_drops_probabilities():
    case = Case(0.0, False, False, False, H, None, 20)
    q, k, v, _ = case.arrays()[0]
    kept = attend(q, k, v, case.scoring, drop=lambda p: 0 * p, kernel="reference")
    assert not kept.any()
    with pytest.raises(ValueError, match="no attention dropout"):
        attend(q, k, v, case.scoring, drop=lambda p: p, kernel="blocked")


LLAMA = ModelConfig(**families.llama(vocab_size=60, context=32, width=32, layers=1, heads=4))


def test_auto_names_the_fastest_that_can_and_says_why():
    kernel, why = choose(LLAMA)
    assert kernel == "blocked" and "cudnn wants" in why  # float32
    kernel, why = choose(dataclasses.replace(LLAMA, attn_dropout=0.1))
    assert kernel == "reference" and "blocked wants no attention dropout" in why
    assert choose(dataclasses.replace(LLAMA, kernel="reference")) == ("reference", "as config.model.kernel asks")


class Cuda:
    """What `choose` looks at of a device."""

    device_kind = "NVIDIA H100"
    client = type("Client", (), {"platform_version": "PJRT C API cuda 12090"})


@pytest.mark.parametrize(
    ("field", "value"),
    [("dtype", "float32"), ("head_dim", 12), ("head_dim", 136), ("context", 33), ("attn_soft_cap", 50.0), ("attn_sinks", True),
     ("position", ("rope", "alibi")), ("attn_dropout", 0.1)],
)  # fmt: skip
def test_what_cudnn_cannot_do_is_refused_by_name_and_passed_over_by_auto(field, value, monkeypatch):
    monkeypatch.setattr(attention.jax, "devices", lambda: [Cuda])
    able = dataclasses.replace(LLAMA, dtype="bfloat16")
    assert choose(able) == ("cudnn", "the fastest here")
    assert choose(dataclasses.replace(able, kernel="cudnn"))[0] == "cudnn"
    unable = dataclasses.replace(able, **{field: value})
    assert choose(unable)[0] == ("reference" if field == "attn_dropout" else "blocked")
    with pytest.raises(UserError, match=f"found config.model.{field}="):
        choose(dataclasses.replace(unable, kernel="cudnn"))


def test_a_kernel_that_cannot_is_refused():
    with pytest.raises(UserError, match=r"for config\.model\.kernel=cudnn"):
        choose(dataclasses.replace(LLAMA, kernel="cudnn"))
    with pytest.raises(UserError, match=r"attn_dropout=0\.1"):
        choose(dataclasses.replace(LLAMA, kernel="blocked", attn_dropout=0.1))
