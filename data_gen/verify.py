"""Whether a run folder is whole: documents as their manifest says, raw answers readable, ledger and answers in step.

In step means: the same answers, at the same price; and the sums in the manifest of a run that has ended are the ledger's.
No key may stand in any of its files either. Reads everything, changes nothing.
"""

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import zstandard

from data_gen import job as jobs
from data_gen import ledger, raw
from data_gen.curate import REJECTED, REPORT, WORK
from data_gen.documents import FOLDER
from data_gen.journal import tokens_of
from data_gen.key import SHORTEST
from tsjax.atomic import sha256_file
from tsjax.corpus.sources import MANIFEST, sources
from tsjax.errors import UserError

Pair = tuple[str, int]  # a request's id and the number of an attempt at it
Booked = tuple[str, int, int, int, int, int]  # with cost, doubt, tokens in and out

SHOWN = 5  # problems of one kind that are told in full
_BLOCK = 1 << 20
_OVERLAP = 512  # longer than any key
# Runs of letters as keys have them: words after "Bearer", or "task-" in a story, are none.
_KEY = re.compile(rb"\bsk-[A-Za-z0-9_-]{16,}|\bhf_[A-Za-z0-9]{20,}|\bBearer\s+(?=[^\s\"]*[0-9])[A-Za-z0-9._~+/=-]{16,}")


def problems(folder: Path) -> list[str]:
    """What is wrong with a run folder, a line each; none: it is whole. UserError where there is no run in it."""
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(expected="the folder of a run", found=f"no {folder}", todo="check the path")
    manifest = jobs.load(folder)
    return [
        *raw_problems(folder), *ledger_problems(folder, manifest), *document_problems(folder), *key_problems(folder, manifest),
    ]  # fmt: skip


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
    if why := raw.damage(folder / raw.FOLDER, _mark(folder)):
        yield f"raw: {why}"
        return
    for path in raw.parts(folder / raw.FOLDER):
        if left := _behind_frames(path):
            yield f"raw/{path.name}: {left:,} bytes at its end are no whole frame (a kill leaves that; the next start cuts it)"


def _mark(folder: Path) -> raw.Mark:
    """How far the ledger knows of answers; nowhere, where it can't be read, which is told elsewhere."""
    try:
        book = ledger.Ledger(folder, readonly=True)
        try:
            return book.mark
        finally:
            book.close()
    except (UserError, ValueError, TypeError):
        return raw.Mark(0, 0)


def ledger_problems(folder: Path, manifest: Mapping[str, Any]) -> Iterator[str]:
    """Answers that only the ledger or only raw/ has, or that differ in price; sums that are not the manifest's."""
    if not (folder / ledger.FILE).exists():
        if (folder / raw.FOLDER).exists() or "stopped" in manifest:
            yield f"{ledger.FILE}: none, though there is a raw folder or a run that has ended"
        return
    try:
        book = ledger.Ledger(folder, readonly=True)
        try:
            unsound, totals = book.unsound(), book.totals()
            strange = _differing(book.booked(), _answered(folder))
            settled = Counter(row for row in book.booked() if _key(row) in strange)
            answered = Counter(row for row in _answered(folder) if _key(row) in strange)
        finally:
            book.close()
    except (UserError, ValueError, KeyError, TypeError) as e:
        yield f"ledger: {e}"
        return
    yield from (f"{ledger.FILE}: {' '.join(found.split())}" for found in unsound)
    ours, theirs = _pairs(settled - answered), _pairs(answered - settled)
    yield from _listed("answers with another cost or other tokens in the ledger than in their raw line", ours & theirs)
    yield from _listed("answers in the ledger without a raw line", ours - theirs)
    yield from _listed("raw lines without an answer in the ledger", theirs - ours)
    if "stopped" in manifest:
        yield from _sums(manifest, totals)


def _sums(manifest: Mapping[str, Any], totals: ledger.Totals) -> Iterator[str]:
    """Where the manifest of a run that has ended says other sums than its ledger."""
    found: dict[str, dict[str, float]] = {
        "cost_usd": {"settled": totals.cost / 1e12, "doubtful": totals.doubt / 1e12},
        "tokens": {"input": totals.tokens_in, "output": totals.tokens_out},
        "attempts": {name: getattr(totals, name) for name in ("attempts", "settled", "extra", "doubtful", "failed")},
    }
    for group, sums in found.items():
        told = manifest.get(group)
        for name, value in sums.items():
            if not isinstance(told, dict) or told.get(name) != value:
                said = told.get(name) if isinstance(told, dict) else None
                yield f"{MANIFEST}: {group} {name} is {said}, and {value} by the ledger"


def _pairs(rows: Counter[Booked]) -> Counter[Pair]:
    pairs: Counter[Pair] = Counter()
    for row, count in rows.items():
        pairs[row[:2]] += count
    return pairs


def _answered(folder: Path) -> Iterator[Booked]:
    for row in raw.read(folder):
        numbers = (row["cost"], row["doubt"], *tokens_of(row["body"], row["params"]))
        cost, doubt, tokens_in, tokens_out = (min(number, ledger.MOST) for number in numbers)
        yield row["id"], row["attempt"], cost, doubt, tokens_in, tokens_out


def _key(row: Booked) -> int:
    return int.from_bytes(blake2b(repr(row).encode(), digest_size=8).digest(), "little")


def _differing(first: Iterable[Booked], second: Iterable[Booked]) -> set[int]:
    """Keys of the rows that do not come equally often in both; memory: eight bytes a row."""
    keys = [np.fromiter(map(_key, rows), np.uint64) for rows in (first, second)]
    every, where = np.unique(np.concatenate(keys), return_inverse=True)
    counts = [np.bincount(part, minlength=len(every)) for part in (where[: len(keys[0])], where[len(keys[0]) :])]
    return set(every[counts[0] != counts[1]].tolist())


def key_problems(folder: Path, manifest: Mapping[str, Any]) -> Iterator[str]:
    """Files that hold what looks like a key, or one of the keys in this environment. The key itself is not told.

    The run's own key is known by the name of its variable in the manifest, whatever that is.
    """
    secrets = [v.encode() for k, v in os.environ.items() if k.endswith(("_API_KEY", "_TOKEN")) and len(v) >= 12]
    order = manifest.get("order")
    own = os.environ.get(
        str((order.get("key_env") if isinstance(order, dict) else None) or "OPENAI_API_KEY"), ""
    ).strip()
    secrets += [own.encode()] if len(own) >= SHORTEST else []
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
