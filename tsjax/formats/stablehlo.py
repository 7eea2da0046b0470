"""A model as StableHLO by `jax.export`: two functions with the weights inside, for programs without tsjax.

`logits.bin` reads whole texts, `extend.bin` reads more tokens into a cache that the caller keeps. Batch, tokens and cache
slots may be of any size; the caller needs jax, or anything that runs StableHLO, and no Python of the model.
"""

import dataclasses
import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np

from tsjax import model
from tsjax.atomic import new_folder, write_json
from tsjax.config import ModelConfig
from tsjax.errors import UserError
from tsjax.formats import verify
from tsjax.model_config import head_shape
from tsjax.samples import stops
from tsjax.trained import Trained

LOGITS, EXTEND, SIGNATURE = "logits.bin", "extend.bin", "signature.json"
PLATFORMS = ("cpu", "cuda", "tpu")

README = """\
# A language model as StableHLO

Made by tsjax with jax {jax} and its `jax.export` (calling convention {calling_convention_version}), for {platforms}.
{parameters:,} weights are inside each of the two functions; all they compute is float32.

- `logits.bin`: `tokens` int32 (b, t) -> logits float32 (b, t, {vocab_size}). Those at [:, i] are for what follows token i.
- `extend.bin`: `tokens` int32 (b, t), `cache`, `slot` int32, `start` int32 (b) -> logits float32 (b, {vocab_size}) for what
  follows the last token, and the cache with these tokens in its slots `slot` to `slot + t - 1`.

b is 1 or more, and t from 1 to {context}, the context with which the model was trained. `cache` has the shape
({pairs}, b, {kv_heads}, s, {head_dim}) and is float32, zeros at first: keys, then values, of each of {layers} layers,
{kv_heads} heads, s slots (t to {context}) of {head_dim} numbers. Rows are left-padded: the text of row i begins at slot
`start[i]`, and what lies before is never seen.

Every text begins with token {bos}; a text is over when the model gives one of {ends}. The tokenizer is `{tokenizer}`.

## With jax

```python
import jax.export
import numpy as np

logits = jax.export.deserialize(open("logits.bin", "rb").read())
print(logits.call(np.array([[{bos}, 5, 7]], np.int32)).shape)  # (1, 3, {vocab_size})

extend = jax.jit(jax.export.deserialize(open("extend.bin", "rb").read()).call, donate_argnums=1)
prompt, new = [{bos}], 20  # ids of the prompt
cache = np.zeros(({pairs}, 1, {kv_heads}, len(prompt) + new, {head_dim}), np.float32)
start, slot, tokens, ids = np.zeros(1, np.int32), 0, np.array([prompt], np.int32), []
for _ in range(new):
    out, cache = extend(tokens, cache, np.int32(slot), start)
    slot, tokens = slot + tokens.shape[1], np.asarray(out).argmax(1, keepdims=True).astype(np.int32)  # greedy
    ids.append(int(tokens[0, 0]))
print(ids)
```

`signature.json` says the same for programs. The StableHLO text is `jax.export.deserialize(...).mlir_module()`.
"""


def write_stablehlo(trained: Trained, out: Path, platforms: Sequence[str] = PLATFORMS) -> dict[str, Any]:
    """A new folder with `logits.bin`, `extend.bin`, the tokenizer's file, `signature.json` and a README. Returns a report.

    Any config will do: what is written is the model's own program, in float32 and with the reference kernel, whose
    shapes may vary. UserError for a platform that jax does not know, or without the package `flatbuffers`.
    """
    known = (*PLATFORMS, "rocm")
    if not platforms or set(platforms) - set(known):
        raise UserError(expected=f"platforms among {', '.join(known)}", found=", ".join(platforms) or "none",
                        todo="choose among those")  # fmt: skip
    if importlib.util.find_spec("flatbuffers") is None:
        raise UserError(expected="the package `flatbuffers`, in which jax.export keeps its files", found="none",
                        todo="run: pip install 'tsjax[stablehlo]'")  # fmt: skip
    config, tokenizer = _plain(trained.config.model), trained.tokenizer
    exported = {
        LOGITS: _export(logits_of(trained), _logits_shapes(config), platforms),
        EXTEND: _export(extend_of(trained), _extend_shapes(config), platforms),
    }
    _, kv_heads, head_dim = head_shape(config)
    parameters = sum(int(value.size) for value in trained.params.values())
    ends = sorted({*stops(tokenizer), tokenizer.bos})  # llama2.c's documents end where another begins
    signature: dict[str, Any] = {
        "format": "tsjax stablehlo 1", "jax": jax.__version__, "platforms": list(platforms),
        "calling_convention_version": exported[LOGITS].calling_convention_version,
        "vocab_size": config.vocab_size, "context": config.context, "layers": config.layers, "kv_heads": kv_heads,
        "head_dim": head_dim, "cache_dtype": config.dtype, "bos": tokenizer.bos, "ends": ends, "tokenizer": tokenizer.file,
        "parameters": parameters, "step": trained.step,
        "functions": {name: {"in": [str(x) for x in e.in_avals], "out": [str(x) for x in e.out_avals]}
                      for name, e in exported.items()},
    }  # fmt: skip
    with new_folder(out) as folder:
        for name, function in exported.items():
            (folder / name).write_bytes(bytes(function.serialize()))
        tokenizer.save(folder / tokenizer.file)
        write_json(folder / SIGNATURE, signature)
        listed = {key: ", ".join(map(str, signature[key])) for key in ("platforms", "ends")}
        text = README.format(**signature | listed, pairs=2 * config.layers)
        (folder / "README.md").write_text(text, encoding="utf-8")
        sizes = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
    return {"format": "stablehlo", "files": sizes, "parameters": parameters, "platforms": list(platforms),
            "bits_per_weight": 8 * sizes[LOGITS] / parameters, "notes": []}  # fmt: skip


def logits_of(trained: Trained):
    """The function in logits.bin: tokens int32 B x T -> logits float32 B x T x V."""
    config = _plain(trained.config.model)

    @jax.jit
    def logits(tokens_BxT: jax.Array) -> jax.Array:
        decoder = model.bind(config, trained.params)
        return decoder.logits(decoder(tokens_BxT))

    return logits


def extend_of(trained: Trained):
    """The function in extend.bin: (tokens B x T, cache 2L x B x K x S x D, slot, start B) -> (logits B x V, cache)."""
    config = _plain(trained.config.model)

    @jax.jit
    def extend(tokens_BxT: jax.Array, cache: jax.Array, slot: jax.Array, start_B: jax.Array):
        decoder = model.bind(config, trained.params)
        layers = [(cache[2 * layer], cache[2 * layer + 1]) for layer in range(config.layers)]
        x_BxTxE, layers = decoder.extend(tokens_BxT, layers, slot, start_B)
        return decoder.logits(x_BxTxE[:, -1:])[:, 0], jnp.stack([part for layer in layers for part in layer])

    return extend


def _plain(config: ModelConfig) -> ModelConfig:
    """The config whose program takes any batch and length, on any platform: its kernel has no blocks of one size."""
    return dataclasses.replace(config, dtype="float32", kernel="reference", remat="none")


def _logits_shapes(config: ModelConfig) -> list[jax.ShapeDtypeStruct]:
    sizes = jax.export.symbolic_shape("b, t", constraints=[f"t <= {config.context}"])
    return [jax.ShapeDtypeStruct(sizes, jnp.int32)]


def _extend_shapes(config: ModelConfig) -> list[jax.ShapeDtypeStruct]:
    _, kv_heads, head_dim = head_shape(config)
    b, t, s = jax.export.symbolic_shape("b, t, s", constraints=["t <= s", f"s <= {config.context}"])
    cache = (2 * config.layers, b, kv_heads, s, head_dim)
    return [jax.ShapeDtypeStruct((b, t), jnp.int32), jax.ShapeDtypeStruct(cache, config.dtype),
            jax.ShapeDtypeStruct((), jnp.int32), jax.ShapeDtypeStruct((b,), jnp.int32)]  # fmt: skip


def _export(function, shapes: list[jax.ShapeDtypeStruct], platforms: Sequence[str]) -> jax.export.Exported:
    return jax.export.export(function, platforms=tuple(platforms))(*shapes)


def verify_stablehlo(trained: Trained, out: Path) -> float:
    """The largest difference (on 2 x 64 tokens) between the model's logits and those of both functions that were written.

    `extend.bin` reads the first half of the tokens at once and the others one by one.
    """
    out = Path(out)
    signature = json.loads((out / SIGNATURE).read_text(encoding="utf-8"))
    logits, extend = (
        jax.jit(jax.export.deserialize(bytearray((out / name).read_bytes())).call) for name in (LOGITS, EXTEND)
    )
    length = min(verify.LENGTH, signature["context"])
    tokens_BxT = verify.drawn(signature["vocab_size"], length)
    expected = verify.logits(trained, tokens_BxT)
    largest = float(np.abs(np.asarray(logits(tokens_BxT)) - expected).max())
    shape = (2 * signature["layers"], verify.ROWS, signature["kv_heads"], length, signature["head_dim"])
    cache, start, at = jnp.zeros(shape, signature["cache_dtype"]), np.zeros(verify.ROWS, np.int32), 0
    for end in range(max(1, length // 2), length + 1):
        found, cache = extend(tokens_BxT[:, at:end], cache, np.int32(at), start)
        largest = max(largest, float(np.abs(np.asarray(found) - expected[:, end - 1]).max()))
        at = end
    return largest
