"""Matmuls as XLA's CPU compiler wants them: a fast weight gradient, and float32 sums of bfloat16 operands.

Left to itself it fuses the transpose of the wide operand into the weight gradient's matmul and reads it strided; made
whole first, the transpose of the narrow operand costs little. Value and gradients are those of `x @ w`. Whole
Llama-15M step: 828 -> 721 ms (jax.md 1.3); here: docs/lab-book.md, 2026-11-21. Other backends order this better themselves.
"""

import jax
import jax.numpy as jnp


def matmul(x_xI: jax.Array, w_IxO: jax.Array) -> jax.Array:
    """`x @ w` over the last axis of x."""
    return _matmul(x_xI, w_IxO) if jax.default_backend() == "cpu" else x_xI @ w_IxO


@jax.custom_vjp
def _matmul(x, w):
    return x @ w


def _forward(x, w):
    return x @ w, (x, w)


def _backward(saved, g):
    x, w = saved
    x_NxI, g_NxO = x.reshape(-1, x.shape[-1]), g.reshape(-1, g.shape[-1])
    dx = jnp.reshape(g_NxO @ w.T, x.shape)
    if w.shape[0] <= w.shape[1]:
        dw = jax.lax.optimization_barrier(x_NxI.T) @ g_NxO
    else:
        dw = (jax.lax.optimization_barrier(g_NxO.T) @ x_NxI).T
    return dx, dw


_matmul.defvjp(_forward, _backward)


def einsum_float32(equation: str, *operands: jax.Array) -> jax.Array:
    """einsum with float32 products and sums. XLA's CPU backend has no bfloat16 x bfloat16 = float32 for some shapes."""
    if jax.default_backend() == "cpu":
        operands = tuple(x.astype(jnp.float32) for x in operands)
    return jnp.einsum(equation, *operands, preferred_element_type=jnp.float32)
