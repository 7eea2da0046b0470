"""Raw answers on disk: JSON lines in Zstandard frames, appended and never rewritten.

Every append is one frame, synced before it counts, so a kill costs at most a frame that nobody was told of. The tail
that it leaves is cut off when the writer opens the folder again. A frame that is broken anywhere else is an error, and
nothing is cut before the ledger's mark: what lies there was paid for and told.
"""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import zstandard

from tsjax.errors import UserError

FOLDER = "raw"
PART_BYTES = 64_000_000  # compressed; a part is read into memory whole
PIECE = 16_384
MAGIC = b"\x28\xb5\x2f\xfd"  # how a frame begins


class Mark(NamedTuple):
    """The end of what has been written: a part's number, and a byte in it. Marks of a folder only grow."""

    part: int
    offset: int


class Line(NamedTuple):
    """One raw line and its place: a file's name, and its number there, from 0."""

    file: str
    number: int
    row: dict[str, Any]


class RawWriter:
    """Appends to the newest part of a run's raw folder, or to a new one where that is full.

    mark: how far answers are known to be durable. UserError, and nothing changed, where less than that is whole.
    """

    def __init__(self, run: Path, part_bytes: int = PART_BYTES, mark: Mark = Mark(0, 0)):
        self.folder, self.part_bytes = run / FOLDER, part_bytes
        self.folder.mkdir(parents=True, exist_ok=True)
        self._part = max(map(number_of, parts(self.folder)), default=0)
        data = self._path().read_bytes() if self._path().exists() else b""
        whole = max((end for _, end in frames(data)), default=0)
        if why := damage(self.folder, mark):
            raise why
        self._file = self._open()
        if whole < len(data):
            self._file.truncate(whole)
            os.fsync(self._file.fileno())
        self._offset = whole

    @property
    def mark(self) -> Mark:
        return Mark(self._part, self._offset)

    def append(self, rows: Iterable[dict[str, Any]]) -> Mark:
        """Writes the rows as one frame and syncs it; returns where it ends."""
        if self._offset >= self.part_bytes:
            self._file.close()
            self._part, self._offset = self._part + 1, 0
            self._file = self._open()
        text = "".join(
            json.dumps(row, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n" for row in rows
        )
        # A lone surrogate is legal in JSON but has no UTF-8; `backslashreplace` writes it as its JSON escape.
        frame = zstandard.ZstdCompressor(level=3, write_checksum=True).compress(text.encode(errors="backslashreplace"))
        rest = memoryview(frame)
        while rest:  # unbuffered, so that after a full disk nothing is left to be written by `close`
            rest = rest[self._file.write(rest) :]
        os.fsync(self._file.fileno())
        self._offset += len(frame)
        return self.mark

    def close(self) -> None:
        self._file.close()

    def _path(self) -> Path:
        return self.folder / f"{self._part:05}.jsonl.zst"

    def _open(self) -> Any:
        file = open(self._path(), "ab", buffering=0)
        folder = os.open(self.folder, os.O_RDONLY)
        os.fsync(folder)  # the part's name is as durable as its bytes
        os.close(folder)
        return file


def read(run: Path, after: Mark = Mark(0, 0)) -> Iterator[dict[str, Any]]:
    """The rows of a run, in the order in which they were written; those behind a mark alone, if one is given."""
    return (line.row for line in lines(run, after))


def lines(run: Path, after: Mark = Mark(0, 0)) -> Iterator[Line]:
    """`read`, with the place of each row. A frame at the very end that is not whole is being written: it is left out.

    Raises UserError for one that is broken anywhere else.
    """
    paths = parts(run / FOLDER)
    for place, path in enumerate(paths):
        part = number_of(path)
        if part != place:
            raise UserError(
                expected=f"all parts of {run / FOLDER}, from 00000 on",
                found=f"no {place:05}.jsonl.zst before {path.name}",
                todo="bring it back from a copy",
            )
        if part < after.part:
            continue
        data, end, number = path.read_bytes(), 0, 0
        for text, end in frames(data):
            rows = text.splitlines()
            if part > after.part or end > after.offset:
                for at, row in enumerate(rows, number):
                    yield Line(path.name, at, json.loads(row))
            number += len(rows)
        if end < len(data) and (path != paths[-1] or _frame_behind(data, end)):
            raise _broken(path, f"{len(data) - end:,} bytes that are none, from byte {end:,} on")


def damage(folder: Path, mark: Mark) -> UserError | None:
    """What is wrong before a mark in a raw folder: the part in which it lies is gone, or not whole up to there."""
    if mark == Mark(0, 0):
        return None
    path = folder / f"{mark.part:05}.jsonl.zst"
    if not path.exists():
        return _broken(path, "no such file, though the ledger has its answers")
    data, whole = path.read_bytes(), 0
    for _, whole in frames(data):
        if whole >= mark.offset:
            return None
    found = f"{whole:,} bytes that are whole, though the ledger has the answers up to byte {mark.offset:,}"
    return _broken(path, found)


def _frame_behind(data: bytes, start: int) -> bool:
    """Whether a whole frame follows bytes that are none: so this is no tail of a kill, which lies at the very end."""
    at = data.find(MAGIC, start + 1)
    while at >= 0 and next(frames(data[at:]), None) is None:
        at = data.find(MAGIC, at + 1)
    return at >= 0


def _broken(path: Path, found: str) -> UserError:
    return UserError(
        expected=f"whole Zstandard frames in {path}",
        found=found,
        todo="bring this file back from a copy; nothing was changed",
    )


def number_of(part: Path) -> int:
    """The number of a part, from its name."""
    return int(part.name.partition(".")[0])


def parts(folder: Path) -> list[Path]:
    """The files of a raw folder, in order."""
    return sorted(folder.glob("[0-9]*.jsonl.zst"), key=number_of)


def frames(data: bytes) -> Iterator[tuple[bytes, int]]:
    """(content, end) of each whole frame, up to the first that is not."""
    start = 0
    view = memoryview(data)
    while start < len(data):
        one, content, at = zstandard.ZstdDecompressor().decompressobj(), b"", start
        try:
            while not one.eof and at < len(data):  # by pieces: what is left of a piece is copied
                content += one.decompress(view[at : at + PIECE])
                at += PIECE
        except zstandard.ZstdError:
            return
        if not one.eof:
            return
        start = min(at, len(data)) - len(one.unused_data)
        yield content, start
