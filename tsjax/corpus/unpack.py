"""Files -> streams of bytes, one step at a time: plain, gzipped, Zstandard, and tar archives of these.

Nothing is written to disk and nothing is held whole, so memory is the same for a kilobyte and for a terabyte. A file
that was cut or damaged is refused by name: half a corpus must never pass for a whole one.
"""

import re
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import zstandard

from tsjax.errors import UserError

_CHUNK = 1 << 20
_ZSTD_CHUNK = 1 << 12  # zstd may unpack 32,768 times what goes in; this bounds the memory of one step
_BLOCK = 512  # of a tar archive: headers are one block, and files are padded to whole ones
_MOST_NAME = 1 << 20  # bytes of a tar header's extension, which only holds names and numbers
_PACKED = (".gz", ".zst")
_NO_FILE = (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)
_ARCHIVE = re.compile(r".*\.(tar|tar\.gz|tgz|tar\.zst)", re.DOTALL)
_CORPUS = re.compile(r"[^.].*\.(txt|jsonl|json|parquet)(\.gz|\.zst)?", re.DOTALL)
_ABOUT = re.compile(r"(readme|licen[cs]e|dataset_infos?|dataset_dict|state|manifest)\.(txt|json)", re.IGNORECASE)


def streams(path: Path) -> Iterator[tuple[str, Iterator[bytes]]]:
    """(name, chunks) of a file, or of each corpus file in an archive, in the archive's order.

    The name is for messages and its ending tells the form: the path, or `archive:member`. Each stream must be read
    before the next one is asked for; what is left of it then is skipped. Raises UserError, while iterating, for a
    file that is missing, cut or damaged, and for an archive without corpus files.
    """
    chunks = _unpack(_read(path), path.name)
    if not is_archive(path.name):
        yield str(path), _checked(chunks, str(path))
        return
    none = True
    with _refusing_damage(str(path)):
        for member, content in _members(chunks):
            if is_corpus(PurePosixPath(member).name):
                none = False
                yield f"{path}:{member}", _checked(_unpack(content, member), f"{path}:{member}")
    if none:
        raise UserError(
            expected=f"corpus files (.txt, .jsonl or .json, plain, .gz or .zst) in the archive {path}",
            found="none",
            todo="unpack it and name the corpus file itself",
        )


def is_archive(name: str) -> bool:
    """Whether a file of this name is read as a tar archive."""
    return _ARCHIVE.fullmatch(name) is not None


def is_corpus(name: str) -> bool:
    """Whether a file of this name (without folders) is taken for a corpus when nobody named it."""
    return _CORPUS.fullmatch(name) is not None and _ABOUT.fullmatch(name) is None


def suffix(name: str) -> str:
    """The ending that tells the form: of `a.jsonl.gz`, it is `.jsonl`."""
    path = PurePosixPath(name)
    return path.with_suffix("").suffix if path.suffix in _PACKED else path.suffix


def pieces(chunks: Iterable[bytes], separator: bytes, limit: int) -> Iterator[tuple[int, bytes]]:
    """(offset in bytes, bytes) of what stands between separators; blank bytes behind the last one are nothing.

    Separators are ASCII, which in UTF-8 is never part of another character, so bytes can be cut before they
    are decoded. A piece over `limit` may come out unfinished: the reader must refuse it and stop.
    """
    offset, rest = 0, b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(separator)
        for piece in whole:
            yield offset, piece
            offset += len(piece) + len(separator)
        if len(rest) > limit:
            break
    if rest.strip():
        yield offset, rest


def _checked(chunks: Iterator[bytes], name: str) -> Iterator[bytes]:
    with _refusing_damage(name):
        yield from chunks


@contextmanager
def _refusing_damage(name: str) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, zlib.error, zstandard.ZstdError, tarfile.TarError) as e:
        reason = getattr(e, "strerror", None) or " ".join(str(e).split())
        kind = PurePosixPath(name).suffix
        raise UserError(
            expected=f"a whole {kind[1:] if kind in ('.gz', '.zst', '.tar', '.tgz') else 'text'} file at {name}",
            found=f"one that cannot be read ({reason})",
            todo="check the path" if isinstance(e, _NO_FILE) else "copy or compress it again",
        ) from e


def _read(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as f:
        while chunk := f.read(_CHUNK):
            yield chunk


def _unpack(chunks: Iterator[bytes], name: str) -> Iterator[bytes]:
    if name.endswith((".gz", ".tgz")):
        return _gunzip(chunks)
    return _unpack_zstd(chunks) if name.endswith(".zst") else chunks


def _gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    member, padding = None, b""
    for data in chunks:
        while data:
            if member is None:
                # Tapes and block devices pad with zeros; as gzip does, take them for nothing behind a member.
                if not (data := data.lstrip(padding) if padding else data):
                    break
                member, padding = zlib.decompressobj(16 + zlib.MAX_WBITS), b"\0"  # 16: gzip, with its checksum
            if chunk := member.decompress(data, _CHUNK):
                yield chunk
            data = member.unused_data if member.eof else member.unconsumed_tail
            member = None if member.eof else member
    if member is not None:
        raise EOFError("the last member has no end")


def _unpack_zstd(chunks: Iterable[bytes]) -> Iterator[bytes]:
    # zstandard's stream reader takes a truncated file for a whole one; the frame objects say when they end.
    frame = None
    for packed in chunks:
        for start in range(0, len(packed), _ZSTD_CHUNK):
            data = packed[start : start + _ZSTD_CHUNK]
            while data:
                frame = frame or zstandard.ZstdDecompressor().decompressobj()
                if chunk := frame.decompress(data):
                    yield chunk
                data = frame.unused_data if frame.eof else b""
                frame = None if frame.eof else frame
    if frame is not None:
        raise EOFError("the last frame has no end")


class _Cursor:
    """Chunks, read in other sizes than they come in."""

    def __init__(self, chunks: Iterator[bytes]):
        self._chunks, self._waiting, self.position = chunks, memoryview(b""), 0

    def until(self, end: int) -> Iterator[bytes]:
        """The bytes from here to position `end`, in some pieces."""
        while self.position < end:
            while not self._waiting:
                if (chunk := next(self._chunks, None)) is None:
                    raise EOFError("it ends before its end mark")
                self._waiting = memoryview(chunk)
            piece = self._waiting[: end - self.position]
            self._waiting = self._waiting[len(piece) :]
            self.position += len(piece)
            yield bytes(piece)

    def take(self, count: int) -> bytes:
        return b"".join(self.until(self.position + count))

    def rest(self) -> Iterator[bytes]:
        yield bytes(self._waiting)
        yield from self._chunks


def _members(chunks: Iterator[bytes]) -> Iterator[tuple[str, Iterator[bytes]]]:
    """(name, content) of the files in a tar archive; links, folders and devices are passed over.

    The standard library's reader takes a damaged header, or the lack of the end mark, for the end of the archive,
    and half an archive for a whole one; so only its parser of single headers is used.
    """
    cursor = _Cursor(chunks)
    told: dict[str, str] = {}  # by the headers that only describe the next one
    while (block := cursor.take(_BLOCK)).strip(b"\0"):
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        if header.type in (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE):
            if header.size > _MOST_NAME:
                raise tarfile.ReadError(f"a header of {header.size:,} bytes")
            described = cursor.take(header.size)
            cursor.take(-header.size % _BLOCK)
            if header.type == tarfile.GNUTYPE_LONGNAME:
                told["path"] = described.rstrip(b"\0").decode("utf-8", "surrogateescape")
            elif header.type == tarfile.XHDTYPE:
                told |= _extended(described)
            continue
        if header.type == tarfile.GNUTYPE_SPARSE or any(key.startswith("GNU.sparse") for key in told):
            raise tarfile.ReadError("a sparse file in the archive")
        holds_bytes = header.isreg() or header.type not in tarfile.SUPPORTED_TYPES
        size = int(told.get("size", header.size)) if holds_bytes else 0
        end = cursor.position + size
        if header.isreg():
            yield told.get("path", header.name), cursor.until(end)
        for _ in cursor.until(end + -size % _BLOCK):
            pass
        told = {}
    if any(chunk.strip(b"\0") for chunk in cursor.rest()):  # also runs the checks at the end of a compressed file
        raise tarfile.ReadError("more behind its end mark")


def _extended(described: bytes) -> dict[str, str]:
    """The keys and values of a pax header: lines `<length> <key>=<value>`, where a value may hold anything."""
    found = {}
    while described:
        digits, _, _ = described.partition(b" ")
        if not digits.isdigit() or not len(digits) < int(digits) <= len(described):
            raise tarfile.ReadError("a damaged extended header")
        key, _, value = described[len(digits) + 1 : int(digits) - 1].partition(b"=")
        found[key.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
        described = described[int(digits) :]
    return found
