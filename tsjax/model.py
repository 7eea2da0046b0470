"""The decoder and its parts, as Flax NNX modules; shapes follow the legend in `attention.py`.

Modules define; training works on a plain dict of arrays: `init` makes it (`"blocks.0.mlp.down.kernel"` -> array)
and `bind` puts it back into a module inside a trace, so that nothing of NNX runs per step.
"""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from tsjax.attention import attend, attend_cached
from tsjax.config import ModelConfig
from tsjax.linear import einsum_float32, matmul

Params = dict[str, jax.Array]
Cache = list[tuple[jax.Array, jax.Array]]  # per layer: keys and values, B x S x K x D


def init(config: ModelConfig, key: jax.Array) -> Params:
    """Fresh parameters, float32. Call it under one `jax.jit`: eager NNX is slow."""
    return _flatten(nnx.to_pure_dict(nnx.state(Decoder(config, rngs=nnx.Rngs(key)))))


def abstract(config: ModelConfig) -> dict[str, jax.ShapeDtypeStruct]:
    """Names, shapes and types of the parameters, without making them."""
    return jax.eval_shape(lambda: init(config, jax.random.key(0)))


def bind(config: ModelConfig, params: Params) -> "Decoder":
    """The module that computes with `params`; for use inside a trace."""
    return nnx.merge(_graph(config), _unflatten(params))


@functools.lru_cache
def _graph(config: ModelConfig) -> nnx.GraphDef:
    return nnx.graphdef(nnx.eval_shape(lambda: Decoder(config, rngs=nnx.Rngs(0))))


def _flatten(tree: dict, prefix: str = "") -> Params:
    flat: Params = {}
    for name, value in tree.items():
        flat |= _flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def _unflatten(params: Params) -> dict:
    tree: dict = {}
    for path, value in params.items():
        *parents, leaf = (int(part) if part.isdigit() else part for part in path.split("."))
        functools.reduce(lambda node, name: node.setdefault(name, {}), parents, tree)[leaf] = value
    return tree


def _normal(rngs: nnx.Rngs, shape: tuple[int, ...], std: float) -> nnx.Param:
    return nnx.Param(std * jax.random.normal(rngs.params(), shape, jnp.float32))


class Linear(nnx.Module):
    """y = x W (+ b); W is in x out."""

    def __init__(self, fan_in: int, fan_out: int, *, bias: bool, std: float, rngs: nnx.Rngs):
        self.kernel = _normal(rngs, (fan_in, fan_out), std)
        self.bias = nnx.Param(jnp.zeros(fan_out)) if bias else None

    def __call__(self, x: jax.Array) -> jax.Array:
        y = matmul(x, self.kernel[...].astype(x.dtype))
        return y if self.bias is None else y + self.bias[...].astype(x.dtype)


class Norm(nnx.Module):
    """RMSNorm, LayerNorm or LayerNorm without bias, computed in float32."""

    def __init__(self, config: ModelConfig):
        self.scale = nnx.Param(jnp.ones(config.width))
        self.bias = nnx.Param(jnp.zeros(config.width)) if config.norm == "layernorm" else None
        self.centred = config.norm != "rmsnorm"
        self.eps = config.norm_eps

    def __call__(self, x_BxTxE: jax.Array) -> jax.Array:
        x = x_BxTxE.astype(jnp.float32)
        if self.centred:
            x = x - jnp.mean(x, axis=-1, keepdims=True)
        x = x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + self.eps) * self.scale[...]
        if self.bias is not None:
            x = x + self.bias[...]
        return x.astype(x_BxTxE.dtype)


class Attention(nnx.Module):
    """Multi-head, grouped-query or multi-query attention of one layer, global or local."""

    def __init__(self, config: ModelConfig, pattern: str, *, rngs: nnx.Rngs):
        self.heads, self.kv_heads, self.head_dim = head_shape(config)
        self.scale = attention_scale(config)
        self.window = config.window if pattern == "local" else None
        self.rope_theta = config.rope_theta if config.position == "rope" else None
        self.kernel = config.kernel
        linear = functools.partial(Linear, rngs=rngs)
        bias, std = config.bias == "all", config.init_std
        self.query = linear(config.width, self.heads * self.head_dim, bias=bias, std=std)
        self.key = linear(config.width, self.kv_heads * self.head_dim, bias=bias, std=std)
        self.value = linear(config.width, self.kv_heads * self.head_dim, bias=bias, std=std)
        self.out = linear(
            self.heads * self.head_dim, config.width, bias=config.bias != "none", std=residual_std(config)
        )

    def __call__(self, x_BxTxE: jax.Array, positions_BxT: jax.Array, segments_BxT: jax.Array | None) -> jax.Array:
        q, k, v = self._project(x_BxTxE, positions_BxT)
        o = attend(q, k, v, scale=self.scale, window=self.window, segments_BxT=segments_BxT, kernel=self.kernel)
        return self.out(o.reshape(*x_BxTxE.shape[:2], -1))

    def extend(self, x_BxTxE: jax.Array, positions_BxT: jax.Array, cache, slot: jax.Array, start_B: jax.Array):
        """Attention of T new positions written at `slot` of the cache; row b's first real slot is `start_B[b]`."""
        q, k, v = self._project(x_BxTxE, positions_BxT)
        k_BxSxKxD, v_BxSxKxD = (
            jax.lax.dynamic_update_slice_in_dim(old, new, slot, axis=1) for old, new in zip(cache, (k, v), strict=True)
        )
        at_T, slots_S = slot + jnp.arange(x_BxTxE.shape[1]), jnp.arange(k_BxSxKxD.shape[1])
        mask_BxTxS = (slots_S <= at_T[:, None]) & (slots_S >= start_B[:, None, None])
        if self.window is not None:
            mask_BxTxS &= slots_S > at_T[:, None] - self.window
        o = attend_cached(q, k_BxSxKxD, v_BxSxKxD, mask_BxTxS, scale=self.scale)
        return self.out(o.reshape(*x_BxTxE.shape[:2], -1)), (k_BxSxKxD, v_BxSxKxD)

    def _project(self, x_BxTxE: jax.Array, positions_BxT: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        B, T, _ = x_BxTxE.shape
        q = self.query(x_BxTxE).reshape(B, T, self.heads, self.head_dim)
        k = self.key(x_BxTxE).reshape(B, T, self.kv_heads, self.head_dim)
        v = self.value(x_BxTxE).reshape(B, T, self.kv_heads, self.head_dim)
        if self.rope_theta is not None:
            q, k = rotate(q, positions_BxT, self.rope_theta), rotate(k, positions_BxT, self.rope_theta)
        return q, k, v


def rotate(x_BxTxHxD: jax.Array, positions_BxT: jax.Array, theta: float) -> jax.Array:
    """Rotary embedding (Su et al. 2021) on the two halves of each head, as Hugging Face's Llama lays it out."""
    half = x_BxTxHxD.shape[-1] // 2
    frequency = theta ** (-jnp.arange(half) / half)
    angle = positions_BxT[:, :, None, None] * frequency
    a, b = jnp.split(x_BxTxHxD.astype(jnp.float32), 2, axis=-1)
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    return jnp.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1).astype(x_BxTxHxD.dtype)


_ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "gelu": functools.partial(jax.nn.gelu, approximate=True),
    "relu": jax.nn.relu,
    "relu2": lambda x: jnp.square(jax.nn.relu(x)),
    "silu": jax.nn.silu,
    "swiglu": jax.nn.silu,
    "geglu": functools.partial(jax.nn.gelu, approximate=True),
}


class MLP(nnx.Module):
    """up -> activation -> down; the gated forms multiply the activated gate with up."""

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs):
        self.activation = config.mlp
        hidden = config.mlp_width or 4 * config.width
        bias = config.bias != "none"
        gated = config.mlp in ("swiglu", "geglu")
        linear = functools.partial(Linear, bias=bias, rngs=rngs)
        self.gate = linear(config.width, hidden, std=config.init_std) if gated else None
        self.up = linear(config.width, hidden, std=config.init_std)
        self.down = linear(hidden, config.width, std=residual_std(config))

    def __call__(self, x_BxTxE: jax.Array) -> jax.Array:
        activate = _ACTIVATIONS[self.activation]
        up = self.up(x_BxTxE)
        return self.down(activate(up) if self.gate is None else activate(self.gate(x_BxTxE)) * up)


class Block(nnx.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, config: ModelConfig, pattern: str, *, rngs: nnx.Rngs):
        self.attention_norm = Norm(config)
        self.attention = Attention(config, pattern, rngs=rngs)
        self.mlp_norm = Norm(config)
        self.mlp = MLP(config, rngs=rngs)

    def __call__(self, x_BxTxE, positions_BxT, segments_BxT, drop):
        x = x_BxTxE + drop(self.attention(self.attention_norm(x_BxTxE), positions_BxT, segments_BxT))
        return x + drop(self.mlp(self.mlp_norm(x)))

    def extend(self, x_BxTxE, positions_BxT, cache, slot, start_B):
        o, cache = self.attention.extend(self.attention_norm(x_BxTxE), positions_BxT, cache, slot, start_B)
        x = x_BxTxE + o
        return x + self.mlp(self.mlp_norm(x)), cache


class Decoder(nnx.Module):
    """Tokens in, final hidden states out; `head` turns those into logits."""

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs):
        self.config = config
        self.embedding = _normal(rngs, (config.vocab_size, config.width), config.init_std)
        learned = config.position == "learned"
        self.position = _normal(rngs, (config.context, config.width), config.init_std) if learned else None
        self.blocks = nnx.List(
            Block(config, config.attention[i % len(config.attention)], rngs=rngs) for i in range(config.layers)
        )
        self.norm = Norm(config)
        self.unembedding = None if config.tied else _normal(rngs, (config.vocab_size, config.width), config.init_std)

    @property
    def head_VxE(self) -> jax.Array:
        return (self.embedding if self.unembedding is None else self.unembedding)[...]

    def __call__(
        self,
        tokens_BxT: jax.Array,
        positions_BxT: jax.Array | None = None,
        segments_BxT: jax.Array | None = None,
        dropout_key: jax.Array | None = None,
    ) -> jax.Array:
        """Hidden states after the last norm, B x T x E. Dropout only where a key is given."""
        if positions_BxT is None:
            positions_BxT = jnp.arange(tokens_BxT.shape[1])[None]
        drop = Dropout(self.config.dropout, dropout_key)
        x = drop(self._embed(tokens_BxT, positions_BxT))
        for block in self.blocks:
            x = block(x, positions_BxT, segments_BxT, drop)
        return self.norm(x)

    def logits(self, x_BxTxE: jax.Array) -> jax.Array:
        """B x T x V, float32."""
        head = self.head_VxE.astype(x_BxTxE.dtype)
        return einsum_float32("bte,ve->btv", x_BxTxE, head)

    def extend(self, tokens_BxT: jax.Array, cache: Cache, slot: jax.Array, start_B: jax.Array):
        """Reads T more tokens into slots `slot`..`slot + T - 1` of the cache: (hidden B x T x E, cache).

        Rows are left-padded: row b's text begins at slot `start_B[b]`, and what lies before is never seen.
        """
        positions_BxT = jnp.maximum(slot + jnp.arange(tokens_BxT.shape[1]) - start_B[:, None], 0)
        x, layers = self._embed(tokens_BxT, positions_BxT), []
        for block, layer in zip(self.blocks, cache, strict=True):
            x, layer = block.extend(x, positions_BxT, layer, slot, start_B)
            layers.append(layer)
        return self.norm(x), layers

    def _embed(self, tokens_BxT: jax.Array, positions_BxT: jax.Array) -> jax.Array:
        x = self.embedding[...][tokens_BxT]
        if self.position is not None:
            x = x + self.position[...][positions_BxT]
        return x.astype(self.config.dtype)


class Dropout:
    """Zeroes a share of the entries and scales the rest; each call draws its own key."""

    def __init__(self, rate: float, key: jax.Array | None):
        self.rate, self.key, self.calls = rate, key, 0

    def __call__(self, x: jax.Array) -> jax.Array:
        if self.key is None or self.rate == 0:
            return x
        self.calls += 1
        keep = jax.random.bernoulli(jax.random.fold_in(self.key, self.calls), 1 - self.rate, x.shape)
        return jnp.where(keep, x / (1 - self.rate), 0)


def empty_cache(config: ModelConfig, batch: int, slots: int) -> Cache:
    """Zeroed keys and values for `slots` positions: 2 x L arrays of B x S x K x D."""
    _, kv_heads, head_dim = head_shape(config)
    shape = (batch, slots, kv_heads, head_dim)
    return [(jnp.zeros(shape, config.dtype), jnp.zeros(shape, config.dtype)) for _ in range(config.layers)]


def head_shape(config: ModelConfig) -> tuple[int, int, int]:
    """(H, K, D) with the zeros of the config filled in."""
    return config.heads, config.kv_heads or config.heads, config.head_dim or config.width // config.heads


def attention_scale(config: ModelConfig) -> float:
    """What scores are multiplied with: GPT-Neo has no scale, CraftGPT divides by sqrt(d_model)."""
    *_, head_dim = head_shape(config)
    named = {"none": 1.0, "head_dim": head_dim**-0.5, "d_model": config.width**-0.5}
    return named[config.attn_scale] if config.attn_scale in named else float(config.attn_scale)


def residual_std(config: ModelConfig) -> float:
    """Init of the two matrices that write into the residual stream, shrunk by depth (GPT-2, section 2.3).

    Exactly those two, attention.out and mlp.down: llama2.c shrinks a gate instead (its issue 579).
    """
    return config.init_std / math.sqrt(2 * config.layers)
