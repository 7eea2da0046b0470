"""Model families: presets of ModelConfig's fields, never classes of their own.

What each family fixes is listed in design section 5; shapes (width, layers, heads) come from the caller.
"""

from typing import Any


def gpt_neo(**shape: Any) -> dict[str, Any]:
    """GPT-Neo as TinyStories used it: learned positions, global/local(256) layers, scores not scaled."""
    return {
        "norm": "layernorm", "position": "learned", "attention": ("global", "local"), "window": 256,
        "attn_scale": "none", "mlp": "gelu", "bias": "gpt_neo", "tied": True,
    } | shape  # fmt: skip


def gpt2(**shape: Any) -> dict[str, Any]:
    """GPT-2: learned positions, biases everywhere."""
    return {"norm": "layernorm", "position": "learned", "mlp": "gelu", "bias": "all", "tied": True} | shape


def llama(**shape: Any) -> dict[str, Any]:
    """Llama 2: RMSNorm, rotary positions, SwiGLU, no biases."""
    return {"norm": "rmsnorm", "position": "rope", "mlp": "swiglu", "bias": "none", "tied": True} | shape
