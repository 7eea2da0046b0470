"""The documents of a run, as `tsjax prepare` reads them: a file for training, one for validation, a manifest.

Everything is written in a folder beside, then moved; the old manifest goes first and the new one comes last. So a
killed call leaves the old documents, or none that pass for whole.
"""

import io
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import zstandard

from tsjax.atomic import sha256_file, write_json
from tsjax.corpus import SPLITS
from tsjax.corpus.sources import MANIFEST, SPLIT_FILES
from tsjax.errors import UserError

FOLDER = "documents"
CARD = "README.md"


def group_hash(group_id: str, seed: int) -> int:
    """64 bits by which a group's split goes."""
    return int.from_bytes(blake2b(f"{seed} {group_id}".encode(), digest_size=8).digest(), "little")


def validation(groups: np.ndarray, fraction: float) -> np.ndarray:
    """bool [N]: which documents validate, of groups uint64 [N] (`group_hash`): the lowest hashes, about `fraction`.

    At least one group and never all. Documents of a group stay together, and groups that are added later move no others
    (but for the first few of a tiny set). ValueError where there are fewer than two groups.
    """
    if not 0 < fraction < 1:
        raise UserError(
            expected="a valid_fraction above 0 and below 1", found=str(fraction), todo="choose one, such as 0.01"
        )
    distinct = np.unique(groups)
    if len(distinct) < 2:
        raise ValueError(f"{len(distinct)} groups can't be split")
    below = int(np.searchsorted(distinct, np.uint64(fraction * 2**64)))
    return groups < distinct[min(max(below, 1), len(distinct) - 1)]


class Lines:
    """JSON lines in one Zstandard file; the same lines give the same bytes. `count` of them."""

    def __init__(self, path: Path, level: int = 3):
        self.path, self.count = path, 0
        self._stack = ExitStack()
        self._file: BinaryIO = self._stack.enter_context(open(path, "wb"))
        self._packed = self._stack.enter_context(
            zstandard.ZstdCompressor(level=level).stream_writer(self._file, closefd=False)
        )

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, *error: object) -> None:
        """Makes the file whole and durable."""
        with self._stack:
            self._packed.close()
            self._file.flush()
            os.fsync(self._file.fileno())

    def write(self, line: bytes) -> None:
        self._packed.write(line + b"\n")
        self.count += 1

    def read(self) -> Iterator[dict[str, Any]]:
        """The lines of a file that is whole, parsed."""
        with open(self.path, "rb") as f:
            yield from map(json.loads, io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(f)))  # type: ignore[arg-type]

    def described(self) -> dict[str, Any]:
        """Of a file that is whole: what its manifest says of it."""
        return {"name": self.path.name, "sha256": sha256_file(self.path), "count": self.count}


def open_splits(work: Path, stack: ExitStack) -> dict[str, Lines]:
    """The files of both splits in the folder `work`, for `publish`."""
    return {split: stack.enter_context(Lines(work / SPLIT_FILES[split])) for split in SPLITS}


def publish(
    work: Path, run: Path, beside: Iterable[str], inside: Iterable[str], manifest: Mapping[str, Any] | None
) -> None:
    """Moves finished files from `work` to the run folder: `beside` into it, `inside` into its documents; then `manifest`.

    Without a manifest there are no documents: those of an earlier curation go.
    """
    out = run / FOLDER
    out.mkdir(exist_ok=True)
    (out / MANIFEST).unlink(missing_ok=True)
    _sync(out)
    for name in beside:
        os.replace(work / name, run / name)
    for name in inside:
        os.replace(work / name, out / name)
    _sync(run)
    if manifest is None:
        shutil.rmtree(out)
        return
    write_json(out / MANIFEST, dict(manifest))
    _sync(out)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)
