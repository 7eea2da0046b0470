"""Readers: a file -> its documents, one at a time and in order, however large the file is.

The forms:

- `text`: a line or mark `<|endoftext|>` between documents;
- `blank-lines`: one blank line or more between documents;
- `lines`: one document a line;
- `instruct`: as `text`, each document a block of TinyStories-Instruct;
- `chat`: one chat a line, `[INST] ... [/INST] ...`;
- `jsonl`: JSON lines, one object a line;
- `json`: one JSON list of objects, such as the files of TinyStories_all_data, or objects one behind another;
- `parquet`: one document a row.

Each may be gzipped (`.gz`), Zstandard (`.zst`) or within a tar archive. What
cannot be a corpus is refused early, by name and place, rather than turned into tokens: memory stays bounded because
no document may be longer than `MAX_DOCUMENT` bytes.
"""

import codecs
import difflib
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from tsjax.corpus import SEPARATOR, Document, chat, instruct, parquet
from tsjax.corpus.json_values import values
from tsjax.corpus.records import FILTERED, MALFORMED, TEXT_KEYS, Where, check_where, divided, documents_of, plain
from tsjax.corpus.unpack import is_archive, pieces, streams, suffix
from tsjax.errors import UserError

FORMS = ("auto", "text", "blank-lines", "lines", "instruct", "chat", "jsonl", "json", "parquet")
MAX_DOCUMENT = 1_000_000  # bytes of UTF-8
MAX_LINE = 16 * MAX_DOCUMENT  # JSON escapes can take six bytes for one, and provenance stands beside the text

_OF_RECORDS = ("jsonl", "json", "parquet")
_MARK = SEPARATOR.encode()


@dataclass(frozen=True)
class Reading:
    """How files are read.

    form:     one of FORMS; "auto" goes by the name of each file, and looks into `.txt` for instructions and chats.
    text_key: of JSON and parquet records; "" is the first of records.TEXT_KEYS that a record has.
    where:    keep only the records whose field has the value, such as ("source", "GPT-4").
    """

    form: str = "auto"
    text_key: str = ""
    where: Where = ()

    def check(self) -> None:
        """Raises UserError for a choice that no file could be read by."""
        if self.form not in FORMS:
            near = difflib.get_close_matches(self.form, FORMS, 1, cutoff=0)[0]
            raise UserError(
                expected=f"a --format of {', '.join(FORMS)}", found=repr(self.form), todo=f"did you mean {near}?"
            )
        if self.where and self.form not in ("auto", *_OF_RECORDS):
            raise self._no_records(f"--format {self.form}")
        if not all(field for field, _ in self.where):
            raise UserError(expected="--where FIELD=VALUE", found="an empty field", todo="name the field")

    def settings(self) -> dict[str, Any]:
        """The choices as JSON values."""
        return asdict(self) | {"where": [list(pair) for pair in self.where]}

    def _no_records(self, found: str) -> UserError:
        field, value = self.where[0]
        return UserError(
            expected=f"records ({', '.join(_OF_RECORDS)}) for --where {field}={value}",
            found=found,
            todo="leave out --where, or the files that have no fields",
        )


def documents(path: Path, reading: Reading = Reading()) -> Iterator[Document]:
    """The documents of a file, in order, texts without surrounding whitespace and without `SEPARATOR`.

    Nothing is skipped: what cannot be used has a fault, one of records.FAULTS. Whitespace before the first separator
    and behind the last is no document. Raises UserError, while iterating, for whatever is missing, damaged, not
    UTF-8, not JSON or without end, and at the end for a file without any good document (where it was not filtered).
    """
    reading.check()
    path = Path(path)
    counts: Counter[str] = Counter()
    malformed = ""
    for document in _documents(path, reading):
        counts[document.fault] += 1
        if document.fault == MALFORMED:
            malformed = malformed or document.text
        yield document
    if not counts[""] and not counts[FILTERED]:
        todo = "give a file that holds at least one"
        raise UserError(
            expected="documents",
            found=f"none in {path}" + (f" but malformed ones, the first {malformed[:40]!r}" if malformed else ""),
            todo=f"{todo}, or name its form with --format" if malformed else todo,
        )


def _documents(path: Path, reading: Reading) -> Iterator[Document]:
    form = reading.form if reading.form != "auto" else suffix(path.name)[1:]
    if form == "parquet" and not is_archive(path.name) and suffix(path.name) == path.suffix:
        yield from _of_parquet(path, str(path), reading)
        return
    for name, chunks in streams(path):
        form = reading.form
        if form == "auto":
            form, chunks = _form_of(name, chunks)
        if reading.where and form not in _OF_RECORDS:
            raise reading._no_records(f"{name}, read as {form}")
        match form:
            case "jsonl":
                yield from _of_records(_json_lines(name, chunks), reading)
            case "json":
                yield from _of_records(_json_values(name, chunks), reading)
            case "parquet":
                # It is read from its end, so it is unpacked first.
                with tempfile.NamedTemporaryFile() as spooled:
                    spooled.writelines(chunks)
                    spooled.flush()
                    yield from _of_parquet(Path(spooled.name), name, reading)
            case "text":
                yield from map(plain, _texts(name, chunks))
            case "instruct":
                yield from map(_block, _texts(name, chunks))
            case "chat":
                yield from map(_chat, _divided(_lines(name, chunks)))
            case "lines":
                yield from map(plain, _divided(_lines(name, chunks)))
            case "blank-lines":
                yield from map(plain, _divided(_paragraphs(name, chunks)))


def _of_parquet(path: Path, name: str, reading: Reading) -> Iterator[Document]:
    wanted = {reading.text_key, *TEXT_KEYS, "instruction", *(field.partition(".")[0] for field, _ in reading.where)}
    rows = enumerate(parquet.records(path, wanted, name), 1)
    yield from _of_records(((f"row {number} of {name}", row) for number, row in rows), reading)


def _form_of(name: str, chunks: Iterator[bytes]) -> tuple[str, Iterator[bytes]]:
    """The form of a file that nobody named, and its chunks with those that were looked at."""
    ending = suffix(name)
    if ending != ".txt":
        return ending[1:] if ending[1:] in _OF_RECORDS else "text", chunks
    head = b""
    for chunk in chunks:
        head += chunk
        if _MARK in head or len(head) > MAX_DOCUMENT:
            break
    form = "text"
    first = head.partition(_MARK)[0].decode("utf-8", "replace").strip("\ufeff \r\n")
    if chat.is_chat(first):
        form = "chat"
    else:
        with suppress(ValueError):
            form = "instruct" if instruct.parse(first).lines else "text"
    return form, chain([head], chunks)


def _texts(name: str, chunks: Iterator[bytes]) -> Iterator[str]:
    """What stands between marks, stripped; blank text before the first mark and behind the last is nothing."""
    for offset, piece in pieces(chunks, _MARK, MAX_DOCUMENT):
        text = _decode(piece, offset, name, whole=len(piece) <= MAX_DOCUMENT)
        if len(piece) > MAX_DOCUMENT and offset == 0:
            chats = "--format chat, or " if chat.is_chat(text) else ""
            raise UserError(
                expected=f"{SEPARATOR} between the documents of {name}",
                found=f"none in the first {MAX_DOCUMENT:,} bytes",
                todo=f"put {SEPARATOR} after each document, or read it by {chats}--format blank-lines, "
                "--format lines or --format jsonl",
            )
        _check_length(len(piece), f"at byte {offset:,} of {name}")
        if (text := text.strip()) or offset:
            yield text


def _lines(name: str, chunks: Iterator[bytes]) -> Iterator[str]:
    """Lines, stripped; blank ones at the start and the end are nothing."""
    blank, started = 0, False
    for number, (offset, line) in enumerate(pieces(chunks, b"\n", MAX_DOCUMENT), 1):
        text = _decode(line, offset, name, whole=len(line) <= MAX_DOCUMENT).strip()
        _check_length(len(line), f"in line {number} of {name}", "read the file by --format text")
        if not text:
            blank += started
            continue
        yield from [""] * blank
        blank, started = 0, True
        yield text


def _paragraphs(name: str, chunks: Iterator[bytes]) -> Iterator[str]:
    """What stands between blank lines, stripped."""
    lines: list[str] = []
    size = start = 0
    for offset, line in pieces(chunks, b"\n", MAX_DOCUMENT):
        text = _decode(line, offset, name, whole=len(line) <= MAX_DOCUMENT)
        if text.strip():
            start = start if lines else offset
            lines.append(text)
            size += len(line) + 1
            _check_length(size - 1, f"at byte {start:,} of {name}", "read the file by --format lines")
        elif lines:
            yield "\n".join(lines).strip()
            lines, size = [], 0
    if lines:
        yield "\n".join(lines).strip()


def _divided(texts: Iterable[str]) -> Iterator[str]:
    return chain.from_iterable(map(divided, texts))


def _block(text: str) -> Document:
    try:
        return instruct.parse(text).document()
    except ValueError:
        return plain(text, MALFORMED)


def _chat(line: str) -> Document:
    try:
        return plain(chat.tidy(line))  # in one spelling, so that the markers can be tokens
    except ValueError:
        return plain(line, MALFORMED)


def _of_records(records: Iterable[tuple[str, object]], reading: Reading) -> Iterator[Document]:
    """The documents of (place, record) pairs."""
    first = True
    for place, record in records:
        if first:
            check_where(record, reading.where, place)
            first = False
        for document in documents_of(record, reading.text_key, reading.where, place):
            _check_length(len(document.text.encode()), f"in {place}")
            yield document


def _json_lines(name: str, chunks: Iterator[bytes]) -> Iterator[tuple[str, object]]:
    for number, (offset, line) in enumerate(pieces(chunks, b"\n", MAX_LINE), 1):
        place = f"line {number} of {name}"
        text = _decode(line, offset, name, whole=len(line) <= MAX_LINE)
        if not text.strip():
            continue
        if len(line) > MAX_LINE:
            raise UserError(
                expected=f"lines of at most {MAX_LINE:,} bytes",
                found=f"a longer one, {place}",
                todo="give JSON lines: one object a line; a list of objects is read by --format json",
            )
        try:
            record = json.loads(text)
        except (ValueError, RecursionError) as e:
            raise UserError(
                expected=f"JSON in {place}",
                found=f"{text.strip()[:40]!r}",
                todo="mend or remove the line; a plain text corpus is named .txt",
            ) from e
        yield place, record


def _json_values(name: str, chunks: Iterator[bytes]) -> Iterator[tuple[str, object]]:
    number = 0
    try:
        for number, value in enumerate(values(_decoded(chunks, name), MAX_LINE), 1):
            yield f"record {number} of {name}", value
    except ValueError as e:
        raise UserError(
            expected=f"a JSON list of records in {name}",
            found=f"after record {number}: {e}",
            todo="mend the file, or copy it again",
        ) from e


def _decoded(chunks: Iterator[bytes], name: str) -> Iterator[str]:
    """The text of chunks that may end inside a character."""
    offset, rest = 0, b""
    for chunk in chunks:
        text, used = _decode_part(rest + chunk, offset, name, whole=False)
        offset, rest = offset + used, (rest + chunk)[used:]
        yield text
    yield _decode(rest, offset, name, whole=True)


def _decode(piece: bytes, offset: int, name: str, whole: bool) -> str:
    """UTF-8 text of `piece`; a piece that is not `whole` may end inside a character."""
    return _decode_part(piece, offset, name, whole)[0]


def _decode_part(piece: bytes, offset: int, name: str, whole: bool) -> tuple[str, int]:
    """The text, and how many bytes of `piece` it takes."""
    try:
        text, used = codecs.utf_8_decode(piece, "strict", whole)
    except UnicodeDecodeError as e:
        raise UserError(
            expected=f"UTF-8 in {name}",
            found=f"the byte 0x{piece[e.start]:02x} at offset {offset + e.start:,}",
            todo="convert the file to UTF-8 (a compressed file must be named .gz or .zst)",
        ) from e
    return text.removeprefix("\ufeff") if offset == 0 else text, used


def _check_length(bytes_: int, place: str, todo: str = f"look for a lost {SEPARATOR}") -> None:
    if bytes_ > MAX_DOCUMENT:
        raise UserError(
            expected=f"documents of at most {MAX_DOCUMENT:,} bytes",
            found=f"a longer one {place}",
            todo=f"cut it into documents, or {todo}",
        )
