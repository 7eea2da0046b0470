"""llama2.c files: the v0 checkpoint `.bin` and `tokenizer.bin`, little endian (llama2.c export.py, tokenizer.py).

A v0 file is seven int32 (dim, hidden, layers, heads, kv heads, vocabulary, context; a negative vocabulary marks an
untied head) and then float32 arrays, each for all layers before the next, matrices as (out, in).
"""

import struct
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from tsjax import families
from tsjax.config import Config, ModelConfig
from tsjax.errors import UserError
from tsjax.tokenizer import SentencePiece, load, tokenizer_bin
from tsjax.trained import Trained


def read_v0(path: Path) -> tuple[ModelConfig, dict[str, np.ndarray]]:
    """Config and parameters of a llama2.c v0 checkpoint; UserError when its size does not fit its header."""
    raw = Path(path).read_bytes()
    if len(raw) < 28:
        raise UserError(
            expected=f"a llama2.c v0 checkpoint in {path}", found=f"{len(raw)} bytes", todo="check the file"
        )
    width, hidden, layers, heads, kv_heads, vocab, context = struct.unpack("<7i", raw[:28])
    tied, vocab = vocab > 0, abs(vocab)
    head_dim = width // max(heads, 1)
    blocks = [
        ("embedding", (vocab, width)),
        ("attention_norm.scale", (layers, width)),
        ("attention.query.kernel", (layers, heads * head_dim, width)),
        ("attention.key.kernel", (layers, kv_heads * head_dim, width)),
        ("attention.value.kernel", (layers, kv_heads * head_dim, width)),
        ("attention.out.kernel", (layers, width, heads * head_dim)),
        ("mlp_norm.scale", (layers, width)),
        ("mlp.gate.kernel", (layers, hidden, width)),
        ("mlp.down.kernel", (layers, width, hidden)),
        ("mlp.up.kernel", (layers, hidden, width)),
        ("norm.scale", (width,)),
        ("rotary cosines", (context, head_dim // 2)),  # recomputed, so not read
        ("rotary sines", (context, head_dim // 2)),
        *([] if tied else [("unembedding", (vocab, width))]),
    ]
    sizes = [int(np.prod(shape)) for _, shape in blocks]
    if min(width, hidden, layers, heads, kv_heads, vocab, context) < 1 or len(raw) != 28 + 4 * sum(sizes):
        raise UserError(
            expected=f"{28 + 4 * sum(sizes):,} bytes in {path}, as its v0 header says", found=f"{len(raw):,} bytes",
            todo="check that it is a whole llama2.c v0 checkpoint",
        )  # fmt: skip
    arrays = np.split(np.frombuffer(raw, "<f4", offset=28), np.cumsum(sizes)[:-1])
    params: dict[str, np.ndarray] = {}
    for (name, shape), flat in zip(blocks, arrays, strict=True):
        array = flat.reshape(shape)
        if name.startswith("rotary"):
            continue
        if name in ("embedding", "norm.scale", "unembedding"):
            params[name] = array
            continue
        for layer, value in enumerate(array):
            if name in ("attention.query.kernel", "attention.key.kernel"):
                value = _halves_from_pairs(value, head_dim)
            params[f"blocks.{layer}.{name}"] = value.T if name.endswith("kernel") else value
    config = ModelConfig(
        **families.llama(vocab_size=vocab, context=context, width=width, layers=layers, heads=heads, kv_heads=kv_heads,
                         mlp_width=hidden, norm_eps=1e-5, rope_theta=10_000.0, tied=tied)
    )  # fmt: skip
    return config, params


def _halves_from_pairs(rows: np.ndarray, head_dim: int) -> np.ndarray:
    """llama2.c rotates neighbouring rows of a head, tsjax (as Hugging Face) its two halves: reorder the rows."""
    heads = rows.reshape(-1, head_dim // 2, 2, rows.shape[1])
    return heads.swapaxes(1, 2).reshape(rows.shape)


def read_tokenizer(path: Path) -> SentencePiece:
    """Reads `tokenizer.bin`; UserError if it is not whole."""
    return tokenizer_bin.read(path)


def open_llama2c(where: Path, tokenizer: Path | None = None) -> Trained:
    """The model of a v0 checkpoint `.bin`, or of a folder that holds one, ready to decode.

    `tokenizer`: its tokenizer, in any form that `tsjax.tokenizer.load` reads; by default the one `tok*.bin` beside the
    checkpoint. Documents of llama2.c end where the next BOS stands. UserError unless there is one of each and they have
    one vocabulary.
    """
    where = Path(where)
    folder = where if where.is_dir() else where.parent
    beside = sorted(folder.glob("*.bin"))
    tokenizers = [Path(tokenizer)] if tokenizer else [path for path in beside if path.name.startswith("tok")]
    weights = [path for path in beside if not path.name.startswith("tok")] if where.is_dir() else [where]
    for what, found in ("checkpoint", weights), ("tok*.bin", tokenizers):
        if len(found) != 1 or not found[0].is_file():
            raise UserError(
                expected=f"one llama2.c {what} at {where}",
                found=", ".join(path.name for path in found if path.is_file()) or "none", todo="name the file",
            )  # fmt: skip
    config, params = read_v0(weights[0])
    words = load(tokenizers[0])
    if words.vocab_size != config.vocab_size:
        raise UserError(
            expected=f"a tokenizer of {config.vocab_size} pieces for {weights[0]}",
            found=f"{words.vocab_size} in {tokenizers[0]}", todo="give the one with which it was trained",
        )  # fmt: skip
    return Trained(Config(model=config), {name: jnp.asarray(value) for name, value in params.items()}, words, None)
