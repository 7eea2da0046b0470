"""CraftGPT's 555 ROM files: which rows of which parameter each holds, reading them and writing them.

`Numbers` are a model as the ROMs store it: parameter name (as in `tsjax.model`) -> integers. Matrices and the head are
uint8 codes (out, in), embeddings signed 18-bit integers, gains of norms 24-bit unsigned ones (`numbers`).
"""

from collections.abc import Iterator, Mapping

import numpy as np

from tsjax import families
from tsjax.errors import UserError
from tsjax.formats.craftgpt import numbers
from tsjax.model_config import ModelConfig, mlp_width

Numbers = dict[str, np.ndarray]
Row = tuple[str, int]  # parameter, row of it

SHAPE = ModelConfig(**families.craftgpt(tied=False))
HEAD_ROWS, PAIRS = 48, 24  # rows of a head; files for them, two rows each
EMBEDDING_ROWS = 32  # of a file
MATRICES = {"key": "attention.key", "value": "attention.value", "query": "attention.query", "out": "attention.out",
            "up": "mlp.up", "down": "mlp.down"}  # fmt: skip


def norm_names(layers: int) -> list[str]:
    """Parameters of the norms, in the order in which a token meets them."""
    each = [f"blocks.{layer}.{which}_norm.scale" for layer in range(layers) for which in ("attention", "mlp")]
    return [*each, "norm.scale"]


def matrix_name(layer: int, which: str) -> str:
    return f"blocks.{layer}.{MATRICES[which]}.kernel"


def shapes(config: ModelConfig = SHAPE) -> dict[str, tuple[int, ...]]:
    """Of all `Numbers` of a model."""
    width, hidden, vocab = config.width, mlp_width(config), config.vocab_size
    found: dict[str, tuple[int, ...]] = {"embedding": (vocab, width), "position": (config.context, width)}
    for layer in range(config.layers):
        found |= {matrix_name(layer, which): (width, width) for which in ("key", "value", "query", "out")}
        found |= {matrix_name(layer, "up"): (hidden, width), matrix_name(layer, "down"): (width, hidden)}
    return found | {name: (width,) for name in norm_names(config.layers)} | {"unembedding": (vocab, width)}


def layout() -> Iterator[tuple[str, list[Row]]]:
    """Every file, and the rows it holds, in order. Even files of a group have their two rows in order, odd ones swapped."""
    for name, short, rows in ("embedding", "wte", SHAPE.vocab_size), ("position", "wpe", SHAPE.context):
        for n in range(rows // EMBEDDING_ROWS):
            yield f"embedding/{short}_{n + 1}.bin", [(name, n * EMBEDDING_ROWS + i) for i in range(EMBEDDING_ROWS)]
    for n, name in enumerate(norm_names(SHAPE.layers), 1):
        yield f"layernorm/ln_{n}.bin", [(name, 0)]
    for layer in range(SHAPE.layers):
        key, value, query, out, up, down = (matrix_name(layer, which) for which in MATRICES)
        for i in range(PAIRS):
            halves = [2 * i + (half + i) % 2 for half in range(2)]
            heads = [HEAD_ROWS * head for head in range(SHAPE.heads)]
            yield f"attention/att_{PAIRS * layer + i + 1}.bin", [
                row for r in halves for row in (
                    *((name, head + r) for head in heads for name in (key, value, query)),
                    *((out, head + r) for head in heads),
                )
            ]  # fmt: skip
            blocks = range(0, mlp_width(SHAPE), HEAD_ROWS)
            yield f"mlp/mlp_{2 * PAIRS * layer + i + 1}.bin", [(up, block + r) for r in halves for block in blocks]
            yield f"mlp/mlp_{2 * PAIRS * layer + PAIRS + i + 1}.bin", [(down, at + r) for r in halves for at in heads]
    for i in range(2 * PAIRS):
        halves = [2 * (i % PAIRS) + (half + i) % 2 for half in range(2)]
        first = SHAPE.vocab_size // 2 * (i // PAIRS)
        blocks = range(first, first + SHAPE.vocab_size // 2, HEAD_ROWS)
        yield f"unembedding/lm_head_{i + 1}.bin", [("unembedding", block + r) for r in halves for block in blocks]


TABLES = {"softmax.bin": numbers.ATTENTION_TABLE_BITS, "softmax_2.bin": numbers.HEAD_TABLE_BITS}


def sizes() -> dict[str, int]:
    """Bytes of every file, the two softmax tables included."""
    wanted = shapes()
    files = {file: sum(wanted[name][-1] * (3 if _is_word(name) else 1) for name, _ in rows) for file, rows in layout()}
    return files | dict.fromkeys(TABLES, 3 * numbers.TABLE)


def read(files: Mapping[str, bytes]) -> Numbers:
    """The model in these files (name -> content, of `sizes`). UserError if a softmax table or an embedding is odd."""
    found = {
        name: np.zeros(shape if len(shape) > 1 else (1, *shape), np.int64 if _is_word(name) else np.uint8)
        for name, shape in shapes().items()
    }
    for file, rows in layout():
        name = rows[0][0]
        values = numbers.words(files[file]) if _is_word(name) else np.frombuffer(files[file], np.uint8)
        for (name, row), content in zip(rows, values.reshape(len(rows), -1), strict=True):
            found[name][row] = content
    for name in "embedding", "position":
        if found[name].max() >> numbers.EMBEDDING_BITS:
            raise UserError(
                expected=f"embeddings of {numbers.EMBEDDING_BITS} bits in embedding/*.bin",
                found=f"{found[name].max()}", todo="check that these are CraftGPT's files",
            )  # fmt: skip
        found[name] = numbers.signed(found[name], numbers.EMBEDDING_BITS)
    for file, bits in TABLES.items():
        if file in files and not np.array_equal(numbers.words(files[file]), numbers.softmax_table(bits)):
            raise UserError(
                expected=f"exp(-k / 64) with {bits} fraction bits in {file}", found="other values",
                todo="copy the file again, or remove it: it is the same for every model",
            )  # fmt: skip
    return {name: value[0] if len(shapes()[name]) == 1 else value for name, value in found.items()}


def write(model: Numbers) -> dict[str, bytes]:
    """Name and content of every file, the softmax tables included."""
    rows_of = {name: value.reshape(-1, value.shape[-1]) for name, value in model.items()}
    for name in "embedding", "position":
        rows_of[name] = rows_of[name] & ((1 << numbers.EMBEDDING_BITS) - 1)
    files = {}
    for file, rows in layout():
        content = np.concatenate([rows_of[name][row] for name, row in rows])
        files[file] = numbers.word_bytes(content) if _is_word(rows[0][0]) else content.astype(np.uint8).tobytes()
    return files | {file: numbers.word_bytes(numbers.softmax_table(bits)) for file, bits in TABLES.items()}


def _is_word(name: str) -> bool:
    """Stored in three bytes instead of one."""
    return name in ("embedding", "position") or name.endswith(".scale")
