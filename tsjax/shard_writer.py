"""The writing half of token shards: documents of one split -> records -> ArrayRecord files, with a journal.

`unfinished.json` names the job, the tokenizer and the shards that are whole; `resume` believes it only as far
as the files' sha256 agree. A shard ends where a record ends and a record where a document ends, so the number
of documents in the whole shards is all that a later run needs to know to go on.
"""

import io
import json
import os
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
from array_record.python.array_record_module import ArrayRecordReader, ArrayRecordWriter

from tsjax.atomic import sha256_file, write_atomic, write_json
from tsjax.corpus import DROPPED, SPLITS
from tsjax.errors import UserError
from tsjax.tokenizer import TextTokenizer, Tokenizer

RECORD_TOKENS = 2**18
SHARD_TOKENS = 2**26
TOKENIZER, JOURNAL = "tokenizer.model", "unfinished.json"

_BATCH = 1 << 20  # characters of text encoded at once
_OURS = re.compile(
    r"(train|valid)-(\d{5}\.arrayrecord|bytes\.npy)|\.(train|valid|tokenizer|unfinished|manifest)\W.+\.tmp"
)


class ShardWriter:
    """Packs the documents of one split, in order, into records and shards, and enters those in the journal.

    The first `skip` documents are in whole shards already and must not be added again.
    """

    def __init__(
        self,
        out: Path,
        split: str,
        tokenizer: TextTokenizer,
        journal: dict[str, Any],
        record_tokens: int = RECORD_TOKENS,
        shard_tokens: int = SHARD_TOKENS,
    ):
        self._out, self._split, self._tokenizer, self._journal = out, split, tokenizer, journal
        self._record_tokens, self._shard_tokens = record_tokens, shard_tokens
        self._shards: list[dict[str, Any]] = journal["shards"][split]
        self.skip = sum(shard["documents"] for shard in self._shards)
        self._file: ArrayRecordWriter | None = None
        self._block: list[int] = []  # of the record that is being filled
        self._block_documents = 0
        self._records = self._tokens = self._documents = 0  # of the shard that is being written

    def add(self, ids: Sequence[int]) -> None:
        """Takes one document: the ids of its text, without special ids."""
        self._block += (self._tokenizer.bos, *ids, self._tokenizer.eos)
        self._block_documents += 1
        if len(self._block) >= self._record_tokens:
            self._write_record()
            if self._tokens >= self._shard_tokens:
                self._finish_shard()

    def close(self) -> None:
        """Writes what is left."""
        if self._block:
            self._write_record()
        if self._records:
            self._finish_shard()

    @property
    def _name(self) -> str:
        return f"{self._split}-{len(self._shards):05d}.arrayrecord"

    @property
    def _temporary(self) -> Path:
        return self._out / f".{self._name}.tmp"

    def _write_record(self) -> None:
        block = np.array(self._block, dtype_of(self._tokenizer))  # OverflowError on ids that do not fit
        if np.count_nonzero(block == self._tokenizer.eos) != self._block_documents:
            raise UserError(
                expected=f"id {self._tokenizer.eos} (eos) only at the end of documents",
                found="text that the tokenizer turns into it",
                todo="give another tokenizer",
            )
        if self._file is None:
            # One record a chunk: Grain insists on it, and a chunk is what the reader unpacks at once.
            self._file = ArrayRecordWriter(str(self._temporary), "group_size:1")
        self._file.write(block.tobytes())
        self._records += 1
        self._tokens += len(block)
        self._documents += self._block_documents
        self._block, self._block_documents = [], 0

    def _finish_shard(self) -> None:
        assert self._file is not None
        self._file.close()
        path = self._out / self._name
        with open(self._temporary, "rb") as f:
            os.fsync(f.fileno())
        if len(read_records(self._temporary, dtype_of(self._tokenizer))) != self._tokens:
            raise OSError(f"{path} was not written whole")
        os.replace(self._temporary, path)
        self._shards.append(
            {
                "file": path.name,
                "sha256": sha256_file(path),
                "records": self._records,
                "tokens": self._tokens,
                "documents": self._documents,
            }
        )
        write_json(self._out / JOURNAL, self._journal)
        self._file = None
        self._records = self._tokens = self._documents = 0


def encode(
    labelled: Iterable[tuple[str, int]],
    tokenizer: TextTokenizer,
    writers: Sequence[ShardWriter],
    workers: int | None,
    tell: Callable[[int], None],
) -> None:
    """Sends every (text, label) through the tokenizer to `writers[label]`, in order, and closes them.

    `workers`: threads, None for one a core. `tell` is called with the UTF-8 bytes of text done so far.
    """
    workers = workers or os.cpu_count() or 1
    batch: list[tuple[str, ShardWriter]] = []
    size = done = 0

    def flush() -> None:
        for ids, (_, writer) in zip(tokenizer.encode([t for t, _ in batch], workers), batch, strict=True):
            writer.add(ids)
        batch.clear()
        tell(done)

    for text, label in labelled:
        if label == DROPPED:
            continue
        writer = writers[label]
        done += len(text.encode())
        if writer.skip:
            writer.skip -= 1
            continue
        batch.append((text, writer))
        size += len(text)
        if size >= _BATCH:
            flush()
            size = 0
    flush()
    for writer in writers:
        writer.close()


def resume(out: Path, job: str) -> tuple[dict[str, Any], Tokenizer | None]:
    """(journal, tokenizer or None): what an unfinished folder holds for `job` (a hash). Removes the rest."""
    journal: dict[str, Any] = {"job": job, "tokenizer": None, "shards": {name: [] for name in SPLITS}}
    tokenizer = None
    try:
        old = json.loads((out / JOURNAL).read_bytes())
        if old["job"] == job:
            found = Tokenizer.load(out / TOKENIZER)
            if found.fingerprint == old["tokenizer"]:
                tokenizer, journal = found, old
    except (OSError, ValueError, LookupError, TypeError, UserError):
        pass  # no journal, or not a usable one: begin again
    for name, shards in journal["shards"].items():
        journal["shards"][name] = list(takewhile(lambda shard: _whole(out, shard), shards))
    whole = {shard["file"] for shards in journal["shards"].values() for shard in shards}
    for path in out.iterdir():
        if _OURS.fullmatch(path.name) and path.name not in whole:
            path.unlink()
    return journal, tokenizer


def write_lengths(out: Path, split: str, lengths: np.ndarray) -> dict[str, str]:
    """Writes the UTF-8 bytes of each document as a .npy file (int32) and returns its manifest entry."""
    buffer = io.BytesIO()
    np.save(buffer, lengths.astype("<i4"), allow_pickle=False)
    path = out / f"{split}-bytes.npy"
    write_atomic(path, buffer.getvalue())
    return {"file": path.name, "sha256": sha256_file(path)}


def dtype_of(tokenizer: TextTokenizer) -> np.dtype:
    """The little-endian integer that holds every id: two bytes where they do."""
    return np.dtype("<u2" if tokenizer.vocab_size <= 2**16 else "<u4")


def read_records(path: Path, dtype: np.dtype) -> np.ndarray:
    """All ids of one shard file, in order."""
    reader = ArrayRecordReader(str(path))
    blocks = [np.frombuffer(record, dtype) for record in reader.read_all()]
    reader.close()
    return np.concatenate(blocks)


def _whole(out: Path, shard: dict[str, Any]) -> bool:
    path = out / shard["file"]
    return path.is_file() and sha256_file(path) == shard["sha256"]
