"""One pass over all documents before any is encoded: what copies there are, and what is wrong.

The pass is journaled: every `PART` documents are a pair of files, so a killed survey goes on behind the last
whole part. Signatures stay on disk until duplicates are looked for.
"""

import io
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from itertools import count, islice
from pathlib import Path

import numpy as np

from tsjax.atomic import write_atomic
from tsjax.corpus import Document
from tsjax.corpus.scan import Scanned, Scanner
from tsjax.corpus.tally import Tally
from tsjax.workers import Workers

PART = 2**16  # documents
BATCH = 2**20  # characters, for one worker at a time


class Survey:
    """What the passes over `folders` found, of N documents together: hashes uint64[N] of normal forms, live bool[N],
    and the tally. `first[i]` is the number of the first document of folder i."""

    def __init__(self, *folders: Path):
        self._signatures: list[Path] = []
        self.tally, self.first = Tally(), [0]
        hashes, live = [np.empty(0, np.uint64)], [np.empty(0, bool)]
        for folder in folders:
            for part in range(_whole_parts(folder)):
                self._signatures.append(_signatures(folder, part))
                with np.load(_part(folder, part), allow_pickle=False) as held:
                    hashes.append(held["hashes"])
                    live.append(held["live"])
                    self.tally.add(Tally.from_json(json.loads(held["tally"].tobytes())))
            self.first.append(sum(map(len, live)))
        self.hashes, self.live = np.concatenate(hashes), np.concatenate(live)

    def column(self, band: int) -> np.ndarray:
        """The keys of one band of the signatures, uint64[N]."""
        return np.concatenate([np.load(path, mmap_mode="r", allow_pickle=False)[band] for path in self._signatures])


def survey(
    documents: Iterable[Document], scanner: Scanner, workers: Workers, folder: Path, tell: Callable[[int], None]
) -> None:
    """Scans all documents with `workers`, keeping parts in `folder`; `tell` is called with the bytes scanned so far."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = _whole_parts(folder)
    done = 0
    held: list[Scanned] = []
    left = islice(documents, parts * PART, None)
    for scanned in workers.map(scanner, batches(left, PART, BATCH)):
        held.append(scanned)
        done += scanned.tally.bytes
        tell(done)
        if sum(len(s.hashes) for s in held) == PART:
            _write(folder, parts, held)
            parts, held = parts + 1, []
    if held:
        _write(folder, parts, held)


def forget(out: Path, but: Path | None = None) -> None:
    """Removes the surveys that prepares into `out` left, except `but`."""
    for folder in out.glob(".survey-*"):
        if folder != but:
            shutil.rmtree(folder)


def batches(documents: Iterable[Document], multiple: int, characters: int) -> Iterator[list[Document]]:
    """Lists of about `characters`, of which none crosses a multiple of `multiple` documents."""
    batch: list[Document] = []
    size = 0
    for number, document in enumerate(documents, 1):
        # What the record says beside its text is not for the workers.
        batch.append(Document(document.text, document.story, {}, document.fault))
        size += len(document.text)
        if size >= characters or number % multiple == 0:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _whole_parts(folder: Path) -> int:
    return next(part for part in count() if not _part(folder, part).exists())


def _part(folder: Path, part: int) -> Path:
    return folder / f"{part:05d}.npz"


def _signatures(folder: Path, part: int) -> Path:
    return folder / f"{part:05d}.signatures.npy"


def _write(folder: Path, part: int, held: list[Scanned]) -> None:
    """The signatures first: a part is whole when its other file is there."""
    tally = Tally()
    for scanned in held:
        tally.add(scanned.tally)
    buffer = io.BytesIO()
    np.save(buffer, np.concatenate([s.signatures for s in held], axis=1), allow_pickle=False)
    write_atomic(_signatures(folder, part), buffer.getvalue())
    buffer = io.BytesIO()
    np.savez(
        buffer,
        hashes=np.concatenate([s.hashes for s in held]),
        live=np.concatenate([s.live for s in held]),
        tally=np.frombuffer(json.dumps(tally.to_json()).encode(), np.uint8),
    )
    write_atomic(_part(folder, part), buffer.getvalue())
