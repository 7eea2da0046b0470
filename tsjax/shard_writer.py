"""The writing half of token shards: encoded documents of one split -> records -> ArrayRecord files, with a journal.

`unfinished.json` names the job, the tokenizer and the shards that are whole; `resume` believes it only as far
as the files' sha256 agree. A shard ends where a record ends and a record where a document ends, so the number
of documents behind the whole shards is all that a later run needs to know to go on.
"""

import io
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
from array_record.python.array_record_module import ArrayRecordReader, ArrayRecordWriter

from tsjax import tokenizer as tokenizers
from tsjax.atomic import sha256_file, write_atomic, write_json
from tsjax.corpus import SPLITS
from tsjax.errors import UserError
from tsjax.tokenizer import Tokenizer

RECORD_TOKENS = 2**18
SHARD_TOKENS = 2**26
JOURNAL = "unfinished.json"

_OURS = re.compile(
    r"(train|valid)-\d{5}\.(arrayrecord|lengths\.npy)|\.((train|valid|tokenizer|unfinished|manifest|report)\W.+)\.tmp"
)


class ShardWriter:
    """Packs the documents of one split, in order, into records and shards, and enters those in the journal.

    The first `skip` documents are behind the whole shards already and must not be added again.
    """

    def __init__(
        self,
        out: Path,
        split: str,
        dtype: np.dtype,
        journal: dict[str, Any],
        record_tokens: int = RECORD_TOKENS,
        shard_tokens: int = SHARD_TOKENS,
    ):
        self._out, self._split, self._dtype, self._journal = out, split, dtype, journal
        self._record_tokens, self._shard_tokens = record_tokens, shard_tokens
        self._shards: list[dict[str, Any]] = journal["shards"][split]
        self.skip = sum(shard["documents"] + shard["dropped"] for shard in self._shards)
        self._file: ArrayRecordWriter | None = None
        self._block: list[np.ndarray] = []  # of the record that is being filled
        self._block_tokens = 0
        self._begin_shard()

    def _begin_shard(self) -> None:
        self._file = None
        self._records = self._tokens = self._words = self._unknown = self._dropped = 0
        self._lengths: list[tuple[int, int]] = []  # tokens and bytes of each document

    def add(self, ids: np.ndarray, text_bytes: int, words: int, unknown: int) -> None:
        """Takes one document: ids [tokens], none if it is to be left out; and what `Encoded` says of it."""
        if not len(ids):
            self._dropped += 1
            return
        self._block.append(ids)
        self._block_tokens += len(ids)
        self._lengths.append((len(ids), text_bytes))
        self._words += words
        self._unknown += unknown
        if self._block_tokens >= self._record_tokens:
            self._write_record()
            if self._tokens >= self._shard_tokens:
                self._finish_shard()

    def close(self) -> None:
        """Writes what is left."""
        if self._block:
            self._write_record()
        if self._records:
            self._finish_shard()
        if self._dropped and not self._shards:
            raise UserError(
                expected=f"documents in the {self._split} split that the vocabulary can spell",
                found=f"none of {self._dropped:,}",
                todo="choose another --rare rule, a larger --top, or another tokenizer",
            )
        if self._dropped:
            self._shards[-1]["dropped"] += self._dropped
            self._dropped = 0
            write_json(self._out / JOURNAL, self._journal)

    @property
    def _name(self) -> str:
        return f"{self._split}-{len(self._shards):05d}"

    @property
    def _temporary(self) -> Path:
        return self._out / f".{self._name}.arrayrecord.tmp"

    def _write_record(self) -> None:
        if self._file is None:
            # One record a chunk: Grain insists on it, and a chunk is what the reader unpacks at once.
            self._file = ArrayRecordWriter(str(self._temporary), "group_size:1")
        block = np.concatenate(self._block).astype(self._dtype, copy=False)
        with _as_os_error():
            self._file.write(block.tobytes())
        self._records += 1
        self._tokens += self._block_tokens
        self._block, self._block_tokens = [], 0

    def _finish_shard(self) -> None:
        assert self._file is not None
        with _as_os_error():
            self._file.close()
        path = self._out / f"{self._name}.arrayrecord"
        with open(self._temporary, "rb") as f:
            os.fsync(f.fileno())
        if sum(map(len, _records(self._temporary))) != self._tokens * self._dtype.itemsize:
            raise OSError(f"{path} was not written whole")
        lengths = np.array(self._lengths, "<i4")
        buffer = io.BytesIO()
        np.save(buffer, lengths, allow_pickle=False)
        lengths_path = self._out / f"{self._name}.lengths.npy"
        write_atomic(lengths_path, buffer.getvalue())
        os.replace(self._temporary, path)
        self._shards.append(
            {
                "file": path.name,
                "sha256": sha256_file(path),
                "records": self._records,
                "tokens": self._tokens,
                "documents": len(lengths),
                "bytes": int(lengths[:, 1].sum(dtype=np.int64)),
                "words": self._words,
                "unknown": self._unknown,
                "dropped": self._dropped,
                "lengths": {"file": lengths_path.name, "sha256": sha256_file(lengths_path)},
            }
        )
        write_json(self._out / JOURNAL, self._journal)
        self._begin_shard()


@contextmanager
def _as_os_error() -> Iterator[None]:
    """ArrayRecord says in RuntimeErrors that a disk is full."""
    try:
        yield
    except RuntimeError as e:
        raise OSError(str(e)) from e


def resume(out: Path, job: str) -> tuple[dict[str, Any], Tokenizer | None]:
    """(journal, tokenizer or None): what an unfinished folder holds for `job` (a hash). Removes the rest."""
    journal: dict[str, Any] = {"job": job, "tokenizer": None, "shards": {name: [] for name in SPLITS}}
    tokenizer = None
    try:
        old = json.loads((out / JOURNAL).read_bytes())
        if old["job"] == job:
            found = tokenizers.load(out / old["tokenizer"]["file"])
            if found.fingerprint == old["tokenizer"]["fingerprint"]:
                tokenizer, journal = found, old
        else:
            (out / Path(old["tokenizer"]["file"]).name).unlink(missing_ok=True)  # of another job
    except (OSError, ValueError, LookupError, TypeError, UserError):
        pass  # no journal, or not a usable one: begin again
    for name, shards in journal["shards"].items():
        journal["shards"][name] = list(takewhile(lambda shard: _whole(out, shard), shards))
    whole = {
        entry["file"]
        for shards in journal["shards"].values()
        for shard in shards
        for entry in (shard, shard["lengths"])
    }
    for path in out.iterdir():
        if _OURS.fullmatch(path.name) and path.name not in whole:
            path.unlink()
    return journal, tokenizer


def read_records(path: Path, dtype: np.dtype) -> Iterator[np.ndarray]:
    """The ids of one shard file, a block of documents at a time."""
    return (np.frombuffer(record, dtype) for record in _records(path))


def _records(path: Path) -> Iterator[bytes]:
    reader = ArrayRecordReader(str(path))
    for number in range(reader.num_records()):
        yield reader.read([number])[0]
    reader.close()


def _whole(out: Path, shard: dict[str, Any]) -> bool:
    return all(
        (out / entry["file"]).is_file() and sha256_file(out / entry["file"]) == entry["sha256"]
        for entry in (shard, shard["lengths"])
    )
