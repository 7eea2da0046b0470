"""A model rewritten as a family that other programs know: the same function, other numbers. What can't be is refused.

The exact folds are those of GPT-Neo's and CraftGPT's oddities into plain GPT-2: a scale of the scores moves into the
queries' weights (scores are linear in them, and rotary positions keep that), a bias that is missing is a bias of zero,
and a local layer whose window holds the whole context is a global one.
"""

import dataclasses
from typing import Any

import numpy as np

from tsjax import model
from tsjax.errors import UserError
from tsjax.model_config import GATED, ModelConfig, attention_scale, head_shape

FAMILIES = ("gpt_neo", "gpt2", "llama")
LAYER_NORMS = ("layernorm", "layernorm_nobias")
Arrays = dict[str, np.ndarray]


def family_of(config: ModelConfig) -> str:
    """The family that needs the fewest folds; whether it can hold the config is another question (`check`)."""
    if config.norm == "rmsnorm":
        return "llama"
    return "gpt_neo" if config.bias == "gpt_neo" or _sees_less(config) else "gpt2"


def check(config: ModelConfig, family: str) -> None:
    """UserError that names the first field of which `family` knows no such value."""
    H, K, D = head_shape(config)
    llama = family == "llama"
    needs: list[tuple[str, bool, str]] = [
        ("norm_position", config.norm_position == "pre", "pre"),
        ("norm", config.norm == "rmsnorm" if llama else config.norm in LAYER_NORMS,
         "rmsnorm" if llama else " or ".join(LAYER_NORMS)),
        ("position", all(p == ("rope" if llama else "learned") for p in config.position), "rope" if llama else "learned"),
        ("mlp", config.mlp in GATED if llama else config.mlp not in (*GATED, "none"),
         " or ".join(GATED) if llama else "gelu, relu, relu2 or silu"),
        ("kv_heads", llama or K == H, f"{H}, as many as heads"),
        ("head_dim", llama or config.width == H * D, "width / heads"),
        ("bias", family != "gpt_neo" or config.bias != "all", "gpt_neo or none"),
        ("window", family == "gpt_neo" or not _sees_less(config), f"the context, {config.context}, at least, or global "
         "layers alone"),
        ("attn_soft_cap", config.attn_soft_cap == 0, "0"),
        ("attn_sinks", not config.attn_sinks, "false"),
        ("qk_norm", not config.qk_norm, "false"),
        ("final_soft_cap", config.final_soft_cap == 0, "0"),
    ]  # fmt: skip
    for field, held, expected in needs:
        if not held:
            value = getattr(config, field)
            raise UserError(
                expected=f"config.model.{field} = {expected}, for a model of the family {family}",
                found=f"config.model.{field} = {','.join(value) if isinstance(value, tuple) else value}",
                todo="choose another format or family, or train a model that it can hold",
            )


def fold(config: ModelConfig, params: dict[str, Any], family: str) -> tuple[ModelConfig, Arrays, list[str]]:
    """The model as one of `family`, on the host, and a line on each thing that is not as it was trained.

    UserError as `check`. Without a line the weights are the same, bit for bit.
    """
    check(config, family)
    *_, D = head_shape(config)
    arrays = {name: np.asarray(value) for name, value in params.items()}
    notes = []
    has, wanted = attention_scale(config), 1.0 if family == "gpt_neo" else D**-0.5
    if has != wanted:
        for name, array in arrays.items():
            if ".attention.query." in name:
                arrays[name] = (array.astype(np.float64) * (has / wanted)).astype(np.float32)
        notes.append(f"queries' weights are {has / wanted:.9g} times those that were trained, because {family} multiplies "
                     f"scores with {wanted:.9g} and this model with {has:.9g}")  # fmt: skip
    changes: dict[str, Any] = {"attn_scale": "none" if family == "gpt_neo" else "head_dim"}
    if family != "gpt_neo" and "local" in config.attention:
        changes |= {"attention": ("global",), "window": ModelConfig().window}
        notes.append(f"layers that see {config.window} keys are global: the context is {config.context}")
    if family != "llama":
        changes["norm"] = "layernorm"
    biases = {"gpt_neo": "gpt_neo", "gpt2": "all", "llama": "all" if config.bias != "none" else "none"}
    folded = dataclasses.replace(config, **changes, bias=biases[family])
    shapes = model.abstract(folded)
    missing = shapes.keys() - arrays.keys()
    if missing:
        arrays |= {name: np.zeros(shapes[name].shape, np.float32) for name in missing}
        notes.append(f"{len(missing)} biases of zero stand where the model has none")
    return folded, {name: arrays[name] for name in shapes}, notes


def _sees_less(config: ModelConfig) -> bool:
    return "local" in config.attention and config.window < config.context
