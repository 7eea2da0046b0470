"""Model families: presets of ModelConfig's fields, never classes of their own.

What each family fixes is listed in design section 5; shapes (width, layers, heads) come from the caller.
"""

from typing import Any


def gpt_neo(**shape: Any) -> dict[str, Any]:
    """GPT-Neo as TinyStories used it: learned positions, global/local(256) layers, scores not scaled."""
    return {
        "norm": "layernorm", "position": ("learned",), "attention": ("global", "local"), "window": 256,
        "attn_scale": "none", "mlp": "gelu", "bias": "gpt_neo", "tied": True,
    } | shape  # fmt: skip


def gpt2(**shape: Any) -> dict[str, Any]:
    """GPT-2: learned positions, biases everywhere."""
    return {"norm": "layernorm", "position": ("learned",), "mlp": "gelu", "bias": "all", "tied": True} | shape


def llama(**shape: Any) -> dict[str, Any]:
    """Llama 2: RMSNorm, rotary positions, SwiGLU, no biases."""
    return {"norm": "rmsnorm", "position": ("rope",), "mlp": "swiglu", "bias": "none", "tied": True} | shape


def craftgpt(**shape: Any) -> dict[str, Any]:
    """The GPT inside CraftGPT (2025): gain-only LayerNorm, ReLU, no biases, scores divided by sqrt(d_model).

    The one family with a shape of its own, that of the released weights: its file format allows no other.
    """
    return {
        "vocab_size": 1920, "context": 64, "width": 240, "layers": 6, "heads": 5,
        "norm": "layernorm_nobias", "norm_eps": 1e-5, "position": ("learned",), "attn_scale": "d_model",
        "mlp": "relu", "bias": "none", "tied": True,
    } | shape  # fmt: skip
