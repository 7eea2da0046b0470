"""Parquet files -> records, a batch of rows at a time; needs pyarrow, which `pip install 'tsjax[hf]'` brings."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tsjax.errors import UserError

_ROWS = 1000  # of one batch
_BUFFER = 1 << 20  # bytes read ahead of each column, instead of its whole part of a row group


def records(path: Path, wanted: set[str], name: str) -> Iterator[dict[str, Any]]:
    """The rows of a parquet file, in order, as dicts.

    Columns of text, numbers and lists of text are read, and `wanted` ones whatever they hold; images, embeddings
    and the like stay in the file. `name` stands in errors. Raises UserError, while iterating, for a file that is
    damaged or not parquet.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as e:
        raise UserError(
            expected=f"pyarrow, to read {name}", found="none installed", todo="pip install 'tsjax[hf]'"
        ) from e
    try:
        with parquet.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False) as file:
            columns = [field.name for field in file.schema_arrow if field.name in wanted or _is_plain(field.type)]
            for batch in file.iter_batches(_ROWS, columns=columns, use_threads=False):
                yield from batch.to_pylist()
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as e:
        raise UserError(
            expected=f"a whole parquet file at {name}",
            found=f"one that cannot be read ({' '.join(str(e).split())[:200]})",
            todo="check the path" if isinstance(e, FileNotFoundError) else "copy or download it again",
        ) from e


def _is_plain(kind: Any) -> bool:
    from pyarrow import types

    if types.is_list(kind) or types.is_large_list(kind):
        return _is_text(kind.value_type)
    return _is_text(kind) or types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind)


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    return types.is_string(kind) or types.is_large_string(kind)
