"""Parameters <-> the tensors of a Hugging Face checkpoint of gpt_neo, gpt2 or llama, and safetensors files.

torch's Linear is out x in, ours in x out; GPT-2's Conv1D is in x out, with queries, keys and values side by side. Heads
lie in the same order everywhere, and rotary positions turn halves of a head in both.
"""

import json
import re
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from tsjax import model
from tsjax.errors import UserError
from tsjax.model_config import ModelConfig

Arrays = dict[str, np.ndarray]
FILE, INDEX = "model.safetensors", "model.safetensors.index.json"
_BLOCKS = {"gpt_neo": "transformer.h", "gpt2": "transformer.h", "llama": "model.layers"}
_OUTSIDE = {
    "embedding": {"gpt": "transformer.wte.weight", "llama": "model.embed_tokens.weight"},
    "position": {"gpt": "transformer.wpe.weight"},
    "norm.scale": {"gpt": "transformer.ln_f.weight", "llama": "model.norm.weight"},
    "norm.bias": {"gpt": "transformer.ln_f.bias"},
    "unembedding": {"gpt": "lm_head.weight", "llama": "lm_head.weight"},
}
_GPT_BLOCK = {"attention_norm": "ln_1", "mlp_norm": "ln_2", "mlp.up": "mlp.c_fc", "mlp.down": "mlp.c_proj"}
_BLOCK = {
    "gpt_neo": _GPT_BLOCK | {
        "attention.query": "attn.attention.q_proj", "attention.key": "attn.attention.k_proj",
        "attention.value": "attn.attention.v_proj", "attention.out": "attn.attention.out_proj",
    },
    "gpt2": _GPT_BLOCK | dict.fromkeys(("attention.query", "attention.key", "attention.value"), "attn.c_attn")
    | {"attention.out": "attn.c_proj"},
    "llama": {
        "attention_norm": "input_layernorm", "mlp_norm": "post_attention_layernorm",
        "attention.query": "self_attn.q_proj", "attention.key": "self_attn.k_proj",
        "attention.value": "self_attn.v_proj", "attention.out": "self_attn.o_proj",
        "mlp.gate": "mlp.gate_proj", "mlp.up": "mlp.up_proj", "mlp.down": "mlp.down_proj",
    },
}  # fmt: skip
# Masks and tables that old checkpoints carry: computed, never learned.
_BUFFERS = re.compile(r"\.attn\.(attention\.)?(bias|masked_bias)$|\.rotary_emb\.inv_freq$")


def layout(config: ModelConfig, family: str) -> dict[str, list[str]]:
    """Name of each tensor -> the parameters in it, in their order along the last axis of ours (GPT-2's c_attn has three)."""
    tensors: dict[str, list[str]] = {}
    for name in sorted(model.abstract(config), key=_order):
        if name.startswith("blocks."):
            _, layer, rest = name.split(".", 2)
            part, leaf = rest.rsplit(".", 1)
            theirs = f"{_BLOCKS[family]}.{layer}.{_BLOCK[family][part]}.{'bias' if leaf == 'bias' else 'weight'}"
        else:
            theirs = _OUTSIDE[name]["llama" if family == "llama" else "gpt"]
        tensors.setdefault(theirs, []).append(name)
    return tensors


def _order(name: str) -> int:
    parts = ("query", "key", "value")
    return next((i for i, part in enumerate(parts) if f".attention.{part}." in name), len(parts))


def to_tensors(config: ModelConfig, params: Arrays, family: str, dtype: np.dtype) -> Arrays:
    """The tensors of a model that `fold` made one of `family`, rounded to `dtype`; a tied head is left out."""
    tensors = {}
    for theirs, ours in layout(config, family).items():
        value = np.concatenate([params[name] for name in ours], axis=-1)
        value = value.T if _turned(ours[0], family) else value
        tensors[theirs] = np.ascontiguousarray(value.astype(dtype))  # safetensors writes memory as it lies
    return tensors


def from_tensors(config: ModelConfig, tensors: Arrays, family: str, unbiased: tuple[str, ...] = ()) -> Arrays:
    """The parameters in a checkpoint of `family`, float32. `unbiased`: parts of a block whose biases it leaves out.

    Mask buffers and a head that repeats the tied embedding are skipped. UserError for anything else that is missing, of
    another shape, or left over.
    """
    prefix = "model." if family == "llama" else "transformer."
    if not any(name.startswith(prefix) for name in tensors):  # saved from the model without its head
        tensors = {name if name == "lm_head.weight" else prefix + name: value for name, value in tensors.items()}
    shapes, seen = model.abstract(config), set()
    params: Arrays = {}
    for theirs, ours in layout(config, family).items():
        expected = (*shapes[ours[0]].shape[:-1], sum(shapes[name].shape[-1] for name in ours))
        if theirs not in tensors and theirs.endswith(".bias") and any(f".{part}." in ours[0] for part in unbiased):
            value = np.zeros(expected, np.float32)
        elif theirs not in tensors:
            raise _wrong(f"a tensor {theirs}", _some(tensors.keys()))
        else:
            value = _float32(theirs, tensors[theirs])
            value = value.T if _turned(ours[0], family) else value
        if value.shape != expected:
            raise _wrong(
                f"{theirs} of {' x '.join(map(str, expected))}, ours turned as the config says", str(value.shape)
            )
        ends = np.cumsum([shapes[name].shape[-1] for name in ours])[:-1]
        params |= dict(zip(ours, map(np.ascontiguousarray, np.split(value, ends, axis=-1)), strict=True))
        seen.add(theirs)
    left = {name for name in tensors.keys() - seen if not _BUFFERS.search(name)}
    if config.tied and "lm_head.weight" in left:
        if not np.array_equal(_float32("lm_head.weight", tensors["lm_head.weight"]), params["embedding"]):
            raise _wrong("lm_head.weight equal to the embedding, because tie_word_embeddings is true", "another one")
        left.remove("lm_head.weight")
    if left:
        raise _wrong(f"only the tensors of a {family} that config.json describes", f"also {_some(left)}")
    return {name: params[name] for name in shapes}


def _turned(name: str, family: str) -> bool:
    return name.endswith(".kernel") and family != "gpt2"


def _float32(name: str, value: np.ndarray) -> np.ndarray:
    if value.dtype.name not in ("float32", "float16", "bfloat16", "float64"):
        raise _wrong(f"{name} as floating-point numbers", value.dtype.name)
    return value.astype(np.float32)


def _some(names) -> str:
    listed = sorted(names)
    return ", ".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "") or "none"


def _wrong(expected: str, found: str) -> UserError:
    return UserError(expected=expected, found=found, todo="check that the weights and config.json belong together")


def write_tensors(tensors: Arrays, path: Path) -> None:
    """One safetensors file. Older versions of transformers want the mark that torch wrote it."""
    path.write_bytes(save(tensors, metadata={"format": "pt"}))  # save_file would make it unreadable to others


def read_tensors(folder: Path) -> Arrays:
    """All tensors of a folder: model.safetensors, or the parts that its index names. UserError if they are not whole."""
    try:
        if (folder / FILE).is_file():
            return load_file(folder / FILE)
        if (folder / INDEX).is_file():
            parts = sorted(set(json.loads((folder / INDEX).read_text())["weight_map"].values()))
            if any(Path(part).name != part for part in parts):
                raise ValueError("parts outside the folder")
            return {name: value for part in parts for name, value in load_file(folder / part).items()}
    except (SafetensorError, OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(expected=f"whole safetensors in {folder}", found=" ".join(str(error).split())[:200],
                        todo="copy the folder again") from error  # fmt: skip
    pickled = any(folder.glob("*.bin")) or any(folder.glob("*.pt*"))
    raise UserError(
        expected=f"{FILE} in {folder}", found="pickled weights, which could run any program" if pickled else "no weights",
        todo="load the folder in transformers and save_pretrained it, which writes safetensors" if pickled
        else "give a folder as save_pretrained writes it",
    )  # fmt: skip
