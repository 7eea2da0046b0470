"""Whether a run folder is whole: documents as their manifest says, raw answers readable, ledger and answers in step.

No key may stand in any of its files either. Reads everything, changes nothing.
"""

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import zstandard

from data_gen import ledger, raw
from data_gen.curate import REJECTED, REPORT, WORK
from data_gen.documents import FOLDER
from tsjax.atomic import sha256_file
from tsjax.corpus.sources import MANIFEST, sources
from tsjax.errors import UserError

Pair = tuple[str, int]  # a request's id and the number of an attempt at it

SHOWN = 5  # problems of one kind that are told in full
_BLOCK = 1 << 20
_OVERLAP = 512  # longer than any key
# Runs of letters as keys have them: words after "Bearer", or "task-" in a story, are none.
_KEY = re.compile(rb"\bsk-[A-Za-z0-9_-]{16,}|\bhf_[A-Za-z0-9]{20,}|\bBearer\s+(?=[^\s\"]*[0-9])[A-Za-z0-9._~+/=-]{16,}")


def problems(folder: Path) -> list[str]:
    """What is wrong with a run folder, a line each; none: it is whole. UserError where there is no such folder."""
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(expected="the folder of a run", found=f"no {folder}", todo="check the path")
    return [*raw_problems(folder), *ledger_problems(folder), *document_problems(folder), *key_problems(folder)]


def document_problems(folder: Path) -> Iterator[str]:
    """Documents, rejects and report against their manifest. No documents at all are no problem."""
    out = folder / FOLDER
    if not out.exists():
        return
    try:
        sources(out)
        manifest = json.loads((out / MANIFEST).read_bytes())
        beside = ((REJECTED, manifest["rejected"]["sha256"]), (REPORT, manifest["report_sha256"]))
    except UserError as e:
        yield f"documents: {e}"
        return
    except (OSError, ValueError, KeyError, TypeError) as e:
        yield f"documents: no manifest that curate wrote ({e!r})"
        return
    for name, promised in beside:
        found = sha256_file(folder / name) if (folder / name).is_file() else "no such file"
        if found != promised:
            yield f"{name}: expected sha256 {promised[:12]}, found {found[:12]}"


def raw_problems(folder: Path) -> Iterator[str]:
    """Frames that are not whole, and rows that are no JSON objects with the names that a raw line has."""
    try:
        for line in raw.lines(folder):
            row = line.row
            if not isinstance(row, dict) or not {"id", "index", "step", "sample", "attempt", "body"} <= row.keys():
                yield f"raw/{line.file}, line {line.number}: no raw line"
    except (UserError, ValueError) as e:
        yield f"raw: {e}"
        return
    for path in sorted((folder / raw.FOLDER).glob("[0-9]*.jsonl.zst")):
        if left := _behind_frames(path):
            yield f"raw/{path.name}: {left:,} bytes at its end are no whole frame (a kill leaves that; the next start cuts it)"


def ledger_problems(folder: Path) -> Iterator[str]:
    """Answers that the ledger has and raw/ has not, and the other way round; requests with more than one settled row."""
    if not (folder / ledger.FILE).exists():
        if (folder / raw.FOLDER).exists():
            yield f"{ledger.FILE}: none, though there is a raw folder"
        return
    try:
        book = ledger.Ledger(folder, readonly=True)
        try:
            strange = _differing(book.settled(), _answered(folder))
            settled = Counter(pair for pair in book.settled() if _key(pair) in strange)
            answered = Counter(pair for pair in _answered(folder) if _key(pair) in strange)
        finally:
            book.close()
    except (UserError, ValueError, KeyError, TypeError) as e:
        yield f"ledger: {e}"
        return
    yield from _listed("answers in the ledger without a raw line", settled - answered)
    yield from _listed("raw lines without an answer in the ledger", answered - settled)


def _answered(folder: Path) -> Iterator[Pair]:
    return ((row["id"], row["attempt"]) for row in raw.read(folder))


def _key(pair: Pair) -> int:
    return int.from_bytes(blake2b(repr(pair).encode(), digest_size=8).digest(), "little")


def _differing(first: Iterable[Pair], second: Iterable[Pair]) -> set[int]:
    """Keys of the pairs that do not come equally often in both; memory: eight bytes a pair."""
    keys = [np.fromiter(map(_key, pairs), np.uint64) for pairs in (first, second)]
    every, where = np.unique(np.concatenate(keys), return_inverse=True)
    counts = [np.bincount(part, minlength=len(every)) for part in (where[: len(keys[0])], where[len(keys[0]) :])]
    return set(every[counts[0] != counts[1]].tolist())


def key_problems(folder: Path) -> Iterator[str]:
    """Files that hold what looks like a key, or one of the keys in this environment. The key itself is not told."""
    secrets = [v.encode() for k, v in os.environ.items() if k.endswith(("_API_KEY", "_TOKEN")) and len(v) >= 12]
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and WORK not in path.parts):
        if _holds_key(path, secrets):
            yield f"{path.relative_to(folder)}: holds what looks like an API key"


def _holds_key(path: Path, secrets: Sequence[bytes]) -> bool:
    with open(path, "rb") as f:
        packed = path.suffix == ".zst"
        stream = zstandard.ZstdDecompressor().stream_reader(f, read_across_frames=True) if packed else f
        tail = b""
        try:
            while block := cast(BinaryIO, stream).read(_BLOCK):
                text = tail + block
                if _KEY.search(text) or any(secret in text for secret in secrets):
                    return True
                tail = text[-_OVERLAP:]
        except zstandard.ZstdError:  # told elsewhere
            return False
    return False


def _behind_frames(path: Path) -> int:
    """Bytes behind the last whole frame."""
    data = path.read_bytes()
    return len(data) - max((end for _, end in raw.frames(data)), default=0)


def _listed(what: str, found: Counter[Pair]) -> Iterator[str]:
    if found:
        few = ", ".join(f"{request} (attempt {attempt})" for request, attempt in sorted(found)[:SHOWN])
        yield f"{found.total():,} {what}: {few}{', ...' if len(found) > SHOWN else ''}"
