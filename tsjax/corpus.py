"""Readers: files -> documents, one at a time, however large the files are.

Three forms are read, each plain, gzipped (`.gz`) or Zstandard (`.zst`):

- text with a line or mark `<|endoftext|>` between documents (any name that is not JSON lines);
- JSON lines (`.jsonl`), one object a line, the document under a text key;
- a folder: what `tsjax generate` wrote (checked against its manifest), or else every corpus file, by name.

Whatever cannot be a corpus is refused early, by name and place, rather than turned into tokens: memory stays
bounded because no document may be longer than `MAX_DOCUMENT` bytes.
"""

import codecs
import difflib
import gzip
import hashlib
import json
import re
import unicodedata
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import zstandard

from tsjax.atomic import sha256_file
from tsjax.errors import UserError

SEPARATOR = "<|endoftext|>"
SPLITS = ("train", "valid")
TRAIN, VALID, DROPPED = range(3)  # labels of documents; the first two are places in SPLITS
MAX_DOCUMENT = 1_000_000  # bytes of UTF-8
MAX_LINE = 16 * MAX_DOCUMENT  # JSON escapes can take six bytes for one, and provenance stands beside the text
STORIES = "stories.jsonl.zst"  # what the documents stage writes

_CHUNK = 1 << 20
_ZSTD_CHUNK = 1 << 12  # zstd may unpack 32,768 times what goes in; this bounds the memory of one step
_CORPUS_NAME = re.compile(r"[^.].*\.(txt|jsonl)(\.gz|\.zst)?")
_NOT_WORD = re.compile(r"[\W_]+")


def documents(path: Path, text_key: str = "text") -> Iterator[str]:
    """The documents of a file or folder, in order, without surrounding whitespace; empty ones are skipped.

    No document contains `SEPARATOR`. `text_key` is the key of the text in JSON lines. Raises UserError, while
    iterating, for whatever is missing, damaged, not UTF-8, not JSON, empty or without end.
    """
    for file in files(path):
        read = _json_texts(file, text_key) if _is_json_lines(file) else _texts(file)
        none = True
        for text in read:
            if text := text.strip():
                none = False
                yield text
        if none:
            raise UserError(expected="documents", found=f"none in {file}", todo="give a file that holds at least one")


def files(path: Path) -> list[Path]:
    """The corpus files behind `path`: itself, or those of a folder, checked against its manifest if any."""
    path = Path(path)
    if not path.exists():
        raise UserError(expected="a corpus file or folder", found=f"no {path}", todo="check the path")
    if not path.is_dir():
        return [path]
    stories, manifest = path / STORIES, path / "manifest.json"
    if manifest.exists():
        _check_stories(stories, manifest)
        return [stories]
    if stories.exists():
        raise UserError(
            expected=f"manifest.json beside {stories}",
            found="none, so the stage that writes it did not finish",
            todo="run that stage again, or name the file itself to use it as it is",
        )
    found = sorted(file for file in path.iterdir() if _CORPUS_NAME.fullmatch(file.name) and file.is_file())
    if not found:
        raise UserError(
            expected="corpus files (.txt or .jsonl, plain, .gz or .zst)",
            found=f"none in the folder {path}",
            todo="name the file itself if it is called something else",
        )
    return found


def normal_form(text: str) -> str:
    """`text` casefolded, with only letters, digits and single spaces: equal for what readers call one story.

    Text without any letter or digit keeps its symbols, or all such documents would be the same.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _NOT_WORD.sub(" ", folded).strip() or " ".join(folded.split())


def normal_hash(text: str, seed: int = 0) -> int:
    """64-bit hash of the normal form, uniform and independent for each `seed` (0 to 2**64 - 1)."""
    digest = hashlib.blake2b(normal_form(text).encode(), digest_size=8, key=seed.to_bytes(8, "little"))
    return int.from_bytes(digest.digest(), "little")


class Scan(NamedTuple):
    """What the split, the counts and bits/byte need of each document."""

    hashes: np.ndarray  # uint64 [documents], of normal forms
    bytes: np.ndarray  # int32 [documents], of UTF-8
    words: np.ndarray  # int32 [documents]


def scan(texts: Iterable[str], seed: int, tell: Callable[[int], None]) -> Scan:
    """Reads the texts once. `tell` is called now and then with the UTF-8 bytes read so far."""
    hashes, sizes, words, done = [], [], [], 0
    for i, text in enumerate(texts):
        hashes.append(normal_hash(text, seed))
        sizes.append(len(text.encode()))
        words.append(len(text.split()))
        done += sizes[-1]
        if i % 1000 == 999:
            tell(done)
    return Scan(np.array(hashes, np.uint64), np.array(sizes, np.int32), np.array(words, np.int32))


def split(
    hashes: np.ndarray, held_out: np.ndarray | None, fraction: float, keep_duplicates: bool
) -> tuple[np.ndarray, dict[str, int]]:
    """Which split each document goes to: (labels int8[N (+ M)], counts).

    `hashes`: uint64[N] of normal forms. `held_out`: uint64[M] of the validation files, whose labels follow,
    or None to draw about `fraction` of the hashes: the smallest, at least one and never all. So equal hashes
    stay together, and documents that are added later move no others. Documents of the training inputs that
    are in `held_out` are dropped, and so are repeats within the training split unless `keep_duplicates`.
    """
    labels = np.full(len(hashes), TRAIN, np.int8)
    if held_out is not None:
        labels[np.isin(hashes, held_out)] = DROPPED
        labels = np.concatenate([labels, np.full(len(held_out), VALID, np.int8)])
        hashes = np.concatenate([hashes, held_out])
    else:
        distinct = np.unique(hashes)
        if not 0 < fraction < 1:
            raise UserError(
                expected="a valid_fraction above 0 and below 1",
                found=f"{fraction}: {'training' if fraction >= 1 else 'validation'} split empty",
                todo="set valid_fraction, for example to 0.01, or give a validation file",
            )
        if len(distinct) < 2:
            raise UserError(
                expected="two different documents or more, one of them for validation",
                found=f"{len(hashes)} documents, {len(distinct)} different: validation split empty",
                todo=f"put {SEPARATOR} between documents, or give a validation file",
            )
        edge = np.searchsorted(distinct, np.uint64(fraction * 2**64))
        labels[hashes < distinct[np.clip(edge, 1, len(distinct) - 1)]] = VALID
    counts = {"documents": len(hashes), "dropped_as_in_valid": int((labels == DROPPED).sum())}
    for label, name in enumerate(SPLITS):
        where = np.flatnonzero(labels == label)
        repeats = np.delete(where, np.unique(hashes[where], return_index=True)[1])
        counts[f"{name}_duplicates"] = len(repeats)
        if label == TRAIN and not keep_duplicates:
            labels[repeats] = DROPPED
    if not (labels == TRAIN).any():
        raise UserError(
            expected="training documents that are not in the validation files",
            found="none",
            todo="give other inputs or other validation files",
        )
    return labels, counts


def _is_json_lines(path: Path) -> bool:
    name = path.with_suffix("") if path.suffix in (".gz", ".zst") else path
    return name.suffix == ".jsonl"


def _check_stories(stories: Path, manifest: Path) -> None:
    try:
        promised = json.loads(manifest.read_bytes())
        kind, sha256 = promised.get("kind"), promised.get("sha256")
    except (ValueError, AttributeError, OSError) as e:
        raise UserError(
            expected=f"a JSON object in {manifest}",
            found="something else",
            todo="write the documents again, or name the corpus file itself",
        ) from e
    if kind != "documents":
        raise UserError(
            expected=f"kind 'documents' in {manifest}",
            found=f"{kind!r}",
            todo="give a corpus file or the folder that generate wrote",
        )
    found = sha256_file(stories) if stories.exists() else "no such file"
    if found != sha256:
        raise UserError(
            expected=f"{stories} with sha256 {str(sha256)[:12]} (its manifest)",
            found=found[:12],
            todo="write the documents again, or name the file itself to use it as it is",
        )


def _texts(path: Path) -> Iterator[str]:
    for offset, piece in _pieces(path, SEPARATOR.encode(), MAX_DOCUMENT):
        text = _decode(piece, offset, path, whole=len(piece) <= MAX_DOCUMENT)
        if len(piece) > MAX_DOCUMENT and offset == 0:
            raise UserError(
                expected=f"{SEPARATOR} between the documents of {path}",
                found=f"none in the first {MAX_DOCUMENT:,} bytes",
                todo=f"put {SEPARATOR} after each document, or name the file .jsonl if it is JSON lines",
            )
        _check_length(len(piece), path, f"at byte {offset:,}")
        yield text


def _json_texts(path: Path, text_key: str) -> Iterator[str]:
    for number, (offset, line) in enumerate(_pieces(path, b"\n", MAX_LINE), 1):
        where = f"line {number} of {path}"
        text = _decode(line, offset, path, whole=len(line) <= MAX_LINE)
        if not text.strip():
            continue
        if len(line) > MAX_LINE:
            raise UserError(
                expected=f"lines of at most {MAX_LINE:,} bytes",
                found=f"a longer one, {where}",
                todo="give JSON lines: one object a line",
            )
        try:
            record = json.loads(text)
        except (ValueError, RecursionError) as e:
            raise UserError(
                expected=f"JSON in {where}",
                found=f"{text.strip()[:40]!r}",
                todo="mend or remove the line; a plain text corpus is named .txt",
            ) from e
        value = _text_of(record, text_key, where)
        _check_length(len(value), path, f"in line {number}")
        # A document holding the mark itself would teach the model a fake end: it is two documents.
        yield from value.decode().split(SEPARATOR)


def _text_of(record: object, text_key: str, where: str) -> bytes:
    """The UTF-8 text of one JSON record."""
    if not isinstance(record, dict):
        raise UserError(
            expected=f"a JSON object with the key {text_key!r} in {where}",
            found=f"a {type(record).__name__}",
            todo="give one object a line",
        )
    if text_key not in record:
        near = sorted(record, key=lambda key: -difflib.SequenceMatcher(None, key, text_key).ratio())
        raise UserError(
            expected=f"the key {text_key!r} in {where}",
            found=f"the keys {', '.join(map(repr, near[:8]))}" if near else "an empty object",
            todo="name the key of the text with --text-key",
        )
    value = record[text_key]
    if not isinstance(value, str):
        raise UserError(
            expected=f"a string under {text_key!r} in {where}",
            found=f"a {type(value).__name__}",
            todo="name the key of the text with --text-key",
        )
    try:
        return value.encode()
    except UnicodeEncodeError as e:
        raise UserError(
            expected=f"whole characters in {where}",
            found=f"half of a surrogate pair, {value[e.start]!r}",
            todo="mend or remove the line",
        ) from e


def _check_length(bytes_: int, path: Path, where: str) -> None:
    if bytes_ > MAX_DOCUMENT:
        raise UserError(
            expected=f"documents of at most {MAX_DOCUMENT:,} bytes",
            found=f"a longer one in {path} {where}",
            todo=f"cut it into documents, or look for a lost {SEPARATOR}",
        )


def _decode(piece: bytes, offset: int, path: Path, whole: bool) -> str:
    """UTF-8 text of `piece`; a piece that is not `whole` may end inside a character."""
    try:
        text, _ = codecs.utf_8_decode(piece, "strict", whole)
    except UnicodeDecodeError as e:
        raise UserError(
            expected=f"UTF-8 in {path}",
            found=f"the byte 0x{piece[e.start]:02x} at offset {offset + e.start:,}",
            todo="convert the file to UTF-8 (a compressed file must be named .gz or .zst)",
        ) from e
    return text.removeprefix("\ufeff") if offset == 0 else text


def _pieces(path: Path, separator: bytes, limit: int) -> Iterator[tuple[int, bytes]]:
    """(offset in bytes, bytes) of what stands between separators.

    Separators are ASCII, which in UTF-8 is never part of another character, so bytes can be cut before they
    are decoded. A piece over `limit` may come out unfinished: the reader must refuse it and stop.
    """
    offset, rest = 0, b""
    for chunk in _chunks(path):
        *whole, rest = (rest + chunk).split(separator)
        for piece in whole:
            yield offset, piece
            offset += len(piece) + len(separator)
        if len(rest) > limit:
            break
    yield offset, rest


def _chunks(path: Path) -> Iterator[bytes]:
    """The file's bytes, unpacked, in order, in chunks of bounded size."""
    try:
        if path.suffix == ".zst":
            yield from _unpack_zstd(path)
            return
        with gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb") as f:
            while chunk := f.read(_CHUNK):
                yield chunk
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as e:
        reason = getattr(e, "strerror", None) or " ".join(str(e).split())
        raise UserError(
            expected=f"a whole {path.suffix[1:] or 'text'} file at {path}",
            found=f"one that cannot be read ({reason})",
            todo="copy or compress it again",
        ) from e


def _unpack_zstd(path: Path) -> Iterator[bytes]:
    # zstandard's stream reader takes a truncated file for a whole one; the frame objects say when they end.
    with open(path, "rb") as f:
        frame, waiting = None, b""
        while data := waiting or f.read(_ZSTD_CHUNK):
            frame = frame or zstandard.ZstdDecompressor().decompressobj()
            if chunk := frame.decompress(data):
                yield chunk
            waiting = frame.unused_data if frame.eof else b""
            frame = None if frame.eof else frame
        if frame is not None:
            raise EOFError("the last frame has no end")
