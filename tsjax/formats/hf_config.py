"""Hugging Face's config.json of gpt_neo, gpt2 and llama <-> ModelConfig, and generation_config.json.

Field names and class defaults are those of transformers 5.23 (models/*/configuration_*.py); both spellings are written
where versions 4 and 5 read different ones.
"""

from itertools import chain
from typing import Any

from tsjax import families
from tsjax.config import SampleConfig
from tsjax.errors import UserError
from tsjax.model_config import ModelConfig, head_shape, layer_patterns, mlp_width
from tsjax.samples import stops
from tsjax.tokenizer import Tokenizer

MOST = 10_000_000  # of anything that config.json counts
CLASSES = {"gpt_neo": "GPTNeoForCausalLM", "gpt2": "GPT2LMHeadModel", "llama": "LlamaForCausalLM"}
MLPS = {
    "gelu_new": "gelu", "gelu_pytorch_tanh": "gelu", "gelu_fast": "gelu", "gelu_python_tanh": "gelu",
    "relu": "relu", "relu2": "relu2", "silu": "silu", "swish": "silu",
}  # fmt: skip
GATED_MLPS = {"silu": "swiglu", "swish": "swiglu"} | {
    name: "geglu" for name, activation in MLPS.items() if activation == "gelu"
}


def hf_config(config: ModelConfig, family: str, tokenizer: Tokenizer, dtype: str = "float32") -> dict[str, Any]:
    """config.json of a model that `fold` has made one of `family`; `dtype`: of the numbers in the file."""
    ids = {f"{name}_token_id": getattr(tokenizer, name) for name in ("bos", "eos", "pad")}
    shared = {
        "architectures": [CLASSES[family]],
        "model_type": family,
        "vocab_size": config.vocab_size,
        "initializer_range": config.init_std,
        "tie_word_embeddings": config.tied,
        "use_cache": True,
        "torch_dtype": dtype,
        **{name: i for name, i in ids.items() if i >= 0},
    }
    return shared | {"gpt_neo": _gpt_neo, "gpt2": _gpt2, "llama": _llama}[family](config)


def _gpt_neo(config: ModelConfig) -> dict[str, Any]:
    layers = [pattern for pattern, _ in layer_patterns(config)]
    pattern = list(config.attention)
    whole, rest = divmod(config.layers, len(pattern))
    types = ([[pattern, whole]] if whole else []) + ([[pattern[:rest], 1]] if rest else [])
    return {
        "max_position_embeddings": config.context,
        "hidden_size": config.width,
        "num_layers": config.layers,
        "num_heads": config.heads,
        "intermediate_size": _or_null(config),
        "attention_types": types,
        "attention_layers": layers,
        "window_size": config.window,
        "activation_function": _name(MLPS, config.mlp),
        "layer_norm_epsilon": config.norm_eps,
        "resid_dropout": 0.0,
        "embed_dropout": 0.0,
        "attention_dropout": 0.0,
        "classifier_dropout": 0.1,
    }


def _gpt2(config: ModelConfig) -> dict[str, Any]:
    return {
        "n_positions": config.context,
        "n_embd": config.width,
        "n_layer": config.layers,
        "n_head": config.heads,
        "n_inner": _or_null(config),
        "activation_function": _name(MLPS, config.mlp),
        "layer_norm_epsilon": config.norm_eps,
        "resid_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "attn_pdrop": 0.0,
    }


def _llama(config: ModelConfig) -> dict[str, Any]:
    H, K, D = head_shape(config)
    return {
        "max_position_embeddings": config.context,
        "hidden_size": config.width,
        "intermediate_size": mlp_width(config),
        "num_hidden_layers": config.layers,
        "num_attention_heads": H,
        "num_key_value_heads": K,
        "head_dim": D,
        "hidden_act": _name(GATED_MLPS, config.mlp),
        "rms_norm_eps": config.norm_eps,
        "rope_theta": config.rope_theta,
        "rope_scaling": None,
        "rope_parameters": {"rope_theta": config.rope_theta, "rope_type": "default"},
        "attention_bias": config.bias == "all",
        "mlp_bias": config.bias == "all",
        "attention_dropout": 0.0,
    }


def _or_null(config: ModelConfig) -> int | None:
    """The MLP's width; null where it is four times the model's, because some readers know nothing else."""
    return None if mlp_width(config) == 4 * config.width else mlp_width(config)


def _name(names: dict[str, str], mlp: str) -> str:
    return next(name for name, ours in names.items() if ours == mlp)


def generation_config(sample: SampleConfig, context: int, tokenizer: Tokenizer) -> dict[str, Any]:
    """generation_config.json: how the run samples, and every id at which a text ends.

    The length is that of prompt and text together: `generate` itself goes past the last position, and fails there.
    """
    ends = sorted(stops(tokenizer))
    data: dict[str, Any] = {
        "bos_token_id": tokenizer.bos,
        "eos_token_id": ends if len(ends) > 1 else ends[0],
        "do_sample": sample.temperature > 0,
        "max_length": context,
    }
    if tokenizer.pad >= 0:
        data["pad_token_id"] = tokenizer.pad
    if sample.temperature > 0:
        data |= {"temperature": sample.temperature, "top_k": sample.top_k, "top_p": sample.top_p}
    return data


class _Fields:
    """A config.json that is read field by field; UserError for a field that is missing, or no such thing as asked for."""

    def __init__(self, data: dict[str, Any]):
        self._data = data

    def __call__(self, name: str, kind: type, default: Any = None) -> Any:
        value = self._data.get(name)
        value = default if value is None else value
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind or (isinstance(value, int) and kind is int and not 1 <= value < MOST):
            expected = f"{name} in config.json" + (f" as a number from 1 to {MOST:,}" if kind is int else "")
            raise UserError(expected=expected, found=repr(value)[:100], todo="mend the file")
        return value

    def one_of(self, name: str, names: dict[str, str], default: str) -> str:
        value = self(name, str, default)
        if value not in names:
            raise UserError(expected=f"{name} in config.json among {', '.join(names)}", found=value,
                            todo="this model computes something that tsjax has no field for")  # fmt: skip
        return names[value]

    def never(self, name: str, *usual: Any) -> None:
        """A field that changes what is computed in a way that tsjax has not."""
        value = self._data.get(name)
        if value is not None and value not in usual:
            raise UserError(expected=f"{name} in config.json as {' or '.join(map(str, usual)) or 'null'}", found=repr(value),
                            todo="this model computes something that tsjax has no field for")  # fmt: skip


def model_config(data: dict[str, Any]) -> ModelConfig:
    """The model that a config.json describes, class defaults filled in. UserError names a field that tsjax can't hold."""
    readers = {"gpt_neo": _of_gpt_neo, "gpt2": _of_gpt2, "llama": _of_llama}
    if data.get("model_type") not in list(readers):  # it may be anything
        raise UserError(expected=f"model_type in config.json among {', '.join(readers)}",
                        found=repr(data.get("model_type")), todo="import one of those")  # fmt: skip
    return ModelConfig(**readers[data["model_type"]](_Fields(data), data))


def _of_gpt_neo(read: _Fields, data: dict[str, Any]) -> dict[str, Any]:
    layers = read("num_layers", int, 24)
    try:
        types = data.get("attention_types") or [[["global", "local"], 12]]
        told = data.get("attention_layers") or types
        if told is types and sum(len(kinds) * n for kinds, n in types) == layers:  # else it may be as long as it likes
            told = list(chain.from_iterable(list(kinds) * n for kinds, n in types))
        expanded = [kind for kind in told if kind in ("global", "local")]
    except (TypeError, ValueError):
        expanded = []
    if len(expanded) != layers:
        raise UserError(expected=f"attention_types in config.json, global or local for each of {layers} layers",
                        found=str(data.get("attention_layers") or data.get("attention_types"))[:100],
                        todo="mend the file")  # fmt: skip
    period = next(n for n in range(1, layers + 1) if all(expanded[i] == expanded[i % n] for i in range(layers)))
    window = {"window": read("window_size", int, 256)} if "local" in expanded else {}
    width = read("hidden_size", int, 2048)
    return families.gpt_neo(
        **_vocabulary(read), context=read("max_position_embeddings", int, 2048), width=width, layers=layers,
        heads=read("num_heads", int, 16), attention=tuple(expanded[:period]), **window,
        **_mlp(read("intermediate_size", int, 4 * width), width), mlp=read.one_of("activation_function", MLPS, "gelu_new"),
        norm_eps=read("layer_norm_epsilon", float, 1e-5), tied=read("tie_word_embeddings", bool, True),
    ) | ({} if window else {"window": ModelConfig().window})  # fmt: skip


def _of_gpt2(read: _Fields, data: dict[str, Any]) -> dict[str, Any]:
    read.never("scale_attn_by_inverse_layer_idx", False)
    read.never("add_cross_attention", False)
    scaled, width = read("scale_attn_weights", bool, True), read("n_embd", int, 768)
    return families.gpt2(
        **_vocabulary(read), context=read("n_positions", int, 1024), width=width, layers=read("n_layer", int, 12),
        heads=read("n_head", int, 12), **_mlp(read("n_inner", int, 4 * width), width),
        mlp=read.one_of("activation_function", MLPS, "gelu_new"), norm_eps=read("layer_norm_epsilon", float, 1e-5),
        attn_scale="head_dim" if scaled else "none", tied=read("tie_word_embeddings", bool, True),
    )  # fmt: skip


def _of_llama(read: _Fields, data: dict[str, Any]) -> dict[str, Any]:
    rope = data.get("rope_parameters") or {}
    if not isinstance(rope, dict):
        raise UserError(expected="rope_parameters in config.json as an object", found=repr(rope), todo="mend the file")
    _Fields(rope).never("rope_type", "default")
    _Fields(rope).never("partial_rotary_factor", 1.0)
    read.never("partial_rotary_factor", 1.0)
    read.never("rope_scaling", {"rope_type": "default"}, {"type": "default"}, {**rope, "rope_type": "default"})
    width, heads = read("hidden_size", int, 4096), read("num_attention_heads", int, 32)
    head_dim = read("head_dim", int, width // heads)
    biased = read("attention_bias", bool, False) or read("mlp_bias", bool, False)
    return families.llama(
        **_vocabulary(read), context=read("max_position_embeddings", int, 2048), width=width,
        layers=read("num_hidden_layers", int, 32), heads=heads, kv_heads=read("num_key_value_heads", int, heads),
        **({} if head_dim * heads == width else {"head_dim": head_dim}), mlp_width=read("intermediate_size", int, 11008),
        mlp=read.one_of("hidden_act", GATED_MLPS, "silu"), norm_eps=read("rms_norm_eps", float, 1e-6),
        rope_theta=_Fields(rope)("rope_theta", float, read("rope_theta", float, 10_000.0)),
        bias="all" if biased else "none", tied=read("tie_word_embeddings", bool, False),
    )  # fmt: skip


def _vocabulary(read: _Fields) -> dict[str, Any]:
    return {"vocab_size": read("vocab_size", int), "init_std": read("initializer_range", float, 0.02)}


def _mlp(hidden: int, width: int) -> dict[str, int]:
    return {} if hidden == 4 * width else {"mlp_width": hidden}
