"""Lines by index: a sort of more answers than fit into memory, through temporary files of a range of indices each."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import zstandard

RANGE = 1 << 13  # indices in a file; one file is in memory at a time: some 20 MB of stories
HELD = 1 << 26  # bytes that wait to be written


class Buckets:
    """Add lines in any order, then iterate once: indices ascending, the lines of each in the order of their bytes."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._folder.mkdir()
        self._held: defaultdict[int, list[bytes]] = defaultdict(list)
        self._size = 0
        self._numbers: set[int] = set()

    def add(self, index: int, line: bytes) -> None:
        """`line` holds no line break."""
        self._held[index // RANGE].append(b"%d %s\n" % (index, line))
        self._size += len(line)
        if self._size >= HELD:
            self._flush()

    def __iter__(self) -> Iterator[tuple[int, list[bytes]]]:
        self._flush()
        for number in sorted(self._numbers):
            found: defaultdict[int, list[bytes]] = defaultdict(list)
            with open(self._path(number), "rb") as f:
                text = zstandard.ZstdDecompressor().stream_reader(f, read_across_frames=True).read()
            for row in text.split(b"\n")[:-1]:
                index, _, line = row.partition(b" ")
                found[int(index)].append(line)
            self._path(number).unlink()
            for place in sorted(found):
                yield place, sorted(found.pop(place))

    def _flush(self) -> None:
        for number, lines in self._held.items():
            with open(self._path(number), "ab") as f:
                f.write(zstandard.ZstdCompressor(level=1).compress(b"".join(lines)))
        self._numbers |= self._held.keys()
        self._held.clear()
        self._size = 0

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06d}"
