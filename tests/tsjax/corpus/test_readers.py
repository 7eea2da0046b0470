"""Readers give the documents that are there, whatever the form and packing, and name what cannot be a corpus."""

import gzip
import io
import json
import random
import re
import tarfile
import tracemalloc
from pathlib import Path

import pyarrow
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from tests.expect import refused
from tests.texts import CHARACTERS, stories
from tsjax.corpus import SEPARATOR as SEP
from tsjax.corpus import Document, json_values, readers, unpack
from tsjax.corpus.readers import FORMS, Reading, documents
from tsjax.errors import UserError


def pack(path: Path, data: bytes) -> Path:
    """Writes `data`, compressed as the name says; in an archive it is a file of the same form."""
    if ".tar" in path.suffixes:
        header = tarfile.TarInfo(f"member{path.suffixes[0]}")
        header.size = len(data)
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            archive.addfile(header, io.BytesIO(data))
        data = buffer.getvalue()
    if path.suffix == ".gz":
        data = gzip.compress(data, 1)
    elif path.suffix == ".zst":
        data = zstandard.compress(data)
    path.write_bytes(data)
    return path


def texts(path: Path, reading: Reading = Reading()) -> list[str]:
    """The texts of documents that all are good."""
    found = list(documents(path, reading))
    assert not [d for d in found if d.fault]
    return [d.text for d in found]


def faults(path: Path, reading: Reading = Reading()) -> list[str]:
    return [d.fault for d in documents(path, reading)]


def encode(form: str, wanted: list[str]) -> bytes:
    """A file of the form that holds these texts."""
    if form == "jsonl":
        return "\n".join(json.dumps({"id": i, "text": f"\n {t} "}) for i, t in enumerate(wanted)).encode()
    if form == "json":
        return json.dumps([{"text": t} for t in wanted], ensure_ascii=False, indent=1).encode()
    if form == "lines":
        return "\n".join(wanted).encode()
    if form == "blank-lines":
        return "\n \n\r\n\n".join(wanted).encode()
    return f"\n{SEP}\n".join(["", *wanted, " \n\n"]).encode()


ENDINGS = {"text": ".txt", "lines": ".txt", "blank-lines": ".txt", "jsonl": ".jsonl", "json": ".json"}


@pytest.mark.parametrize("packing", ["", ".gz", ".zst", ".tar", ".tar.gz", ".tar.zst"])
@pytest.mark.parametrize("form", ENDINGS)
def test_every_form_and_packing_gives_the_same_documents(tmp_path, form, packing):
    wanted = [*stories(50), "é " * 30_000 + "end", "  \tkept  inside\n\nthe  text".strip()]
    if form in ("lines", "blank-lines"):
        wanted = [re.sub(r"\n+", " " if form == "lines" else "\n", text) for text in wanted]
    path = pack(tmp_path / f"a{ENDINGS[form]}{packing}", encode(form, wanted))
    assert texts(path, Reading(form)) == wanted
    if form in ("text", "jsonl", "json"):
        assert texts(path) == wanted
    assert texts(pack(tmp_path / f"a.story{packing.replace('.tar', '')}", encode("text", wanted))) == wanted


@given(
    told=st.lists(st.text(CHARACTERS, max_size=40), max_size=8),
    chunk=st.integers(1, 30),
    suffix=st.sampled_from([".txt", ".txt.gz", ".txt.zst", ".jsonl", ".jsonl.zst", ".json", ".json.gz"]),
)
def test_chunk_size_never_matters_and_every_document_is_counted(tmp_path_factory, told, chunk, suffix):
    told = ["first", *told]
    path = tmp_path_factory.mktemp("corpus") / f"a{suffix}"
    if ".jsonl" in suffix:
        pack(path, b"".join(json.dumps({"text": t}, ensure_ascii=False).encode() + b"\n" for t in told))
    elif ".json" in suffix:
        pack(path, json.dumps([{"text": t} for t in told], ensure_ascii=False).encode())
    else:
        pack(path, SEP.join(told).encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unpack, "_CHUNK", chunk)
        patch.setattr(unpack, "_ZSTD_CHUNK", chunk)
        found = list(documents(path))
    if ".json" in suffix:  # a mark in a text cuts it, and only what holds nothing else is empty
        wanted = [part for t in told for part in ([*filter(None, map(str.strip, t.split(SEP)))] or [""])]
    else:
        wanted = [part.strip() for part in SEP.join(told).split(SEP)]
        wanted = wanted if SEP.join(told).split(SEP)[-1].encode().strip() else wanted[:-1]
    assert [d.text for d in found] == wanted
    assert [d.fault for d in found] == ["" if text else "empty" for text in wanted]


def test_members_frames_and_byte_order_marks(tmp_path):
    for name, packed in {
        "a.txt.gz": gzip.compress(b"one<|endoft") + gzip.compress(b"ext|>two"),
        "a.txt.zst": zstandard.compress(b"one<|endoft") + zstandard.compress(b"ext|>two"),
        "a.txt": b"\xef\xbb\xbfone<|endoftext|>two",
        "a.json": b'\xef\xbb\xbf["one", "two"]'.replace(b'"one"', b'{"text":"one"}').replace(
            b'"two"', b'{"text":"two"}'
        ),
        "a.jsonl": b'\xef\xbb\xbf{"text": "one"}\r\n\r\n{"text": "two"}\r\n',
    }.items():
        (tmp_path / name).write_bytes(packed)
        assert texts(tmp_path / name) == ["one", "two"]


# ---- What is no document, and what is an empty one ----


@pytest.mark.parametrize(
    "form, data, wanted",
    [
        ("text", f"a{SEP}\n\n\n", ["a"]),
        ("text", f"\n{SEP}a{SEP}", ["a"]),
        ("text", f"a{SEP}\n{SEP}b", ["a", "", "b"]),
        ("text", f"a{SEP}{SEP}", ["a", ""]),
        ("lines", "\n\na\n\nb\n\n\n", ["a", "", "b"]),
        ("lines", f"a{SEP}\n{SEP}b\n", ["a", "b"]),
        ("blank-lines", "\n\na\nb\n \n\n\nc\n\n", ["a\nb", "c"]),
        ("chat", "[INST] a [/INST] b\n\n", ["[INST] a [/INST] b"]),
        ("jsonl", '{"text": "a"}\n\n{"text": " "}\n{"text": null}\n', ["a", "", ""]),
        ("json", '[{"text": "a"}, {"text": ""}]', ["a", ""]),
    ],
)
def test_empty_documents_are_counted_but_not_blank_ends(tmp_path, form, data, wanted):
    (tmp_path / "a").write_text(data)
    found = list(documents(tmp_path / "a", Reading(form)))
    assert [d.text for d in found] == wanted
    assert [d.fault for d in found] == ["" if text else "empty" for text in wanted]


def test_a_mark_inside_a_text_of_any_form_ends_a_document(tmp_path):
    told = f"one {SEP} two {SEP}"
    assert texts(pack(tmp_path / "a.jsonl", json.dumps({"text": told}).encode())) == ["one", "two"]
    for form in ("lines", "blank-lines"):
        assert texts(pack(tmp_path / "a.txt", told.encode()), Reading(form)) == ["one", "two"]


# ---- The form of a file that nobody named ----

BLOCK = "Words: a, b\nStory: \n\nOnce.\n\nTwice."


def test_instructions_and_chats_are_seen_in_text_files(tmp_path):
    path = pack(tmp_path / "i.txt.gz", f"{BLOCK}\n{SEP}\nno block\n{SEP}\nStory:\nThrice.\n{SEP}\n".encode())
    assert list(documents(path)) == [
        Document(BLOCK, "Once.\n\nTwice.", {"words": ["a", "b"]}),
        Document("no block", "no block", {}, "malformed"),
        Document("Story:\nThrice.", "Thrice.", {}),
    ]
    chats = "[inst] hi [/inst]  hello\n[INST] hi [/INST] hello [INST]\n\n[INST] a [/INST] b"
    path = pack(tmp_path / "c.txt", chats.encode())
    assert [(d.text, d.fault) for d in documents(path)] == [
        ("[INST] hi [/INST] hello", ""),
        ("[INST] hi [/INST] hello [INST]", "malformed"),
        ("", "empty"),
        ("[INST] a [/INST] b", ""),
    ]
    # Named forms are not guessed, and neither are files of other names.
    assert len(texts(path, Reading("text"))) == 1
    assert texts(pack(tmp_path / "i.text", BLOCK.encode())) == [BLOCK]
    # A story below no instruction may be any text.
    assert texts(pack(tmp_path / "s.txt", b"Story:\nOnce.")) == ["Story:\nOnce."]


def test_a_json_file_may_hold_lines_or_one_record(tmp_path):
    path = pack(tmp_path / "a.json", b'{"text": "a"}\n{"text": "b"}\n')
    assert texts(path) == ["a", "b"]
    assert texts(pack(tmp_path / "b.json", b'{\n "text":\n "a"}')) == ["a"]


def test_an_archive_may_mix_forms(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name, data in {"b.jsonl": b'{"story": "one"}', "a.txt": b"two", "c.json": b'[{"text": "three"}]'}.items():
            header = tarfile.TarInfo(name)
            header.size = len(data)
            archive.addfile(header, io.BytesIO(data))
    assert texts(tmp_path / "a.tar") == ["one", "two", "three"]


# ---- What cannot be a corpus ----

BAD = {
    "empty.txt": (b"", "none"),
    "empty.txt.gz": (b"", "none"),
    "blank.txt": (f" \n{SEP}\n {SEP}".encode(), "none"),
    "blank.jsonl": (b"\n\n", "none"),
    "empty.json": (b"", "none"),
    "none.json": (b" [ ] ", "none"),
    "latin.txt": ("caf\xe9 au lait".encode("latin-1"), "offset 3"),
    "latin.jsonl": (b'{"text": "ok"}\n{"text": "caf\xe9 "}', "offset 28"),
    "latin.json": (b'[{"text": "ok"},\n{"text": "caf\xe9 "}]', "offset 30"),
    "late.txt": (b"x" * 90 + SEP.encode() + b"y" * 7 + b"\xff", "offset 110"),
    "cut.txt": ("story é".encode()[:-1], "offset 6"),
    "packed.txt": (gzip.compress(b"text"), "UTF-8", ".gz"),
    "wide.txt": ("story".encode("utf-16"), "UTF-8"),
    "endless.txt": (b"word " * 300_000, SEP, "1,000,000", "--format blank-lines", "--format lines"),
    "endless.chat": (b"[INST] a [/INST] b\n" * 60_000, SEP, "--format chat"),
    "long.txt": (b"a<|endoftext|>" + b"word " * 300_000, "longer", "byte 14"),
    "long.jsonl": (json.dumps({"text": "word " * 250_000}).encode(), "longer", "line 1"),
    "long.json": (json.dumps([{"text": "a"}, {"text": "word " * 250_000}]).encode(), "longer", "record 2"),
    "not.jsonl": (b'{"text": "a"}\n{"text": \n', "line 2", "JSON"),
    "deep.jsonl": (b"[" * 200_000, "line 1"),
    "deep.json": (b"[" * 200_000, "record 0"),
    "list.jsonl": (b'["text"]', "line 1", "list"),
    "list.json": (b'[{"text": "a"}, "b"]', "record 2", "str"),
    "key.jsonl": (b'{"id": 1, "texts": "a", "tale": "b"}', "line 1", "'texts', 'tale', 'id'", "--text-key"),
    "none.jsonl": (b"{}", "an empty object"),
    "value.jsonl": (b'{"text": 3}', "line 1", "int"),
    "half.jsonl": (b'{"text": "\\ud83d"}', "line 1", "surrogate"),
    "cut.json": (b'[{"text": "a"}, {"text": "b', "record 1"),
    "end.json": (b'[{"text": "a"}', "record 1"),
    "comma.json": (b'[{"text": "a"} {"text": "b"}]', "record 1", "comma"),
    "last.json": (b'[{"text": "a"},]', "record 1"),
    "more.json": (b'[{"text": "a"}] x', "record 1", "nothing more"),
    "cutlines.json": (b'{"text": "a"}\n{"text": ', "record 1"),
    "not.txt.gz": (b"plain", "cannot be read"),
    "cut.txt.gz": (gzip.compress(random.Random(0).randbytes(3000).hex().encode())[:-9], "cannot be read"),
    "cut.txt.zst": (zstandard.compress(b"a word " * 900)[:-4], "cannot be read"),
    "not.jsonl.zst": (b"plain", "cannot be read"),
    "not.parquet": (b"plain", "parquet", "cannot be read"),
    "a.parquet.gz": (gzip.compress(b"x"), "a.parquet.gz", "cannot be read"),
    "chats.txt": (b"[INST] a\n[INST] b\n", "malformed", "'[INST] a'", "--format"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_a_corpus_is_named(tmp_path, name):
    data, *words = BAD[name]
    (tmp_path / name).write_bytes(data)
    with refused(name, *words):
        list(documents(tmp_path / name))


def test_long_lines_and_paragraphs_are_refused(tmp_path):
    path = pack(tmp_path / "a.txt", b"a\n" + b"word " * 250_000)
    with refused("line 2", "longer"):
        list(documents(path, Reading("lines")))
    path = pack(tmp_path / "a.txt", b"a\n\n" + b"word word\n" * 110_000)
    with refused("byte 3 ", "longer"):
        list(documents(path, Reading("blank-lines")))


def test_a_flipped_byte_in_gzip_is_found(tmp_path):
    data = bytearray(gzip.compress("\n".join(stories(20)).encode()))
    data[len(data) // 2] ^= 1
    (tmp_path / "a.txt.gz").write_bytes(data)
    with refused("a.txt.gz", "cannot be read"):
        list(documents(tmp_path / "a.txt.gz"))


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a.jsonl", "a.json", "a.parquet"])
def test_a_file_cut_at_any_byte_is_no_other_corpus(tmp_path, name):
    """A cut file is refused, or (plain text and lines) gives all whole documents but the last."""
    told = [{"text": f"story {i} é"} for i in range(6)]
    path = tmp_path / name
    if name == "a.parquet":
        parquet.write_table(pyarrow.Table.from_pylist(told), path)
    else:
        form = {".jsonl": "jsonl", ".json": "json"}.get(path.suffix, "text")
        pack(path, encode(form, [t["text"] for t in told]))
    whole = path.read_bytes()
    wanted = texts(path)
    assert len(wanted) == 6
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        found = []
        try:
            for document in documents(path):
                found.append(document.text)
        except UserError:
            if name in ("a.txt.gz", "a.json"):
                assert found == wanted[: len(found)]
        else:
            assert name in ("a.txt", "a.jsonl") or whole[cut:].strip() == b""
            assert found[:-1] == wanted[: len(found) - 1] and wanted[len(found) - 1].startswith(
                found[-1].split("<")[0].strip()
            )


def test_a_corpus_without_end_fails_after_a_megabyte(tmp_path, monkeypatch):
    path = pack(tmp_path / "a.txt", b"word " * 2_000_000)
    read = []
    chunks = unpack._read
    monkeypatch.setattr(unpack, "_read", lambda path: (read.append(len(c)) or c for c in chunks(path)))
    with refused(SEP):
        list(documents(path))
    assert 0 < sum(read) <= 2**21


# ---- Readings ----


def test_readings_are_checked():
    for form in FORMS:
        Reading(form).check()
    with refused("'parqet'", "did you mean parquet?"):
        Reading("parqet").check()
    for form in ("text", "lines", "blank-lines", "chat", "instruct"):
        with refused("--where a=b", f"--format {form}"):
            Reading(form, where=(("a", "b"),)).check()
    with refused("FIELD=VALUE"):
        Reading(where=(("", "b"),)).check()
    assert json.loads(json.dumps(Reading("json", "k", (("a", "b"),)).settings())) == {
        "form": "json",
        "text_key": "k",
        "where": [["a", "b"]],
    }


def test_where_needs_records(tmp_path):
    path = pack(tmp_path / "a.txt", b"once")
    with refused("--where a=b", "a.txt", "read as text"):
        list(documents(path, Reading(where=(("a", "b"),))))


def test_what_where_leaves_out_is_counted(tmp_path):
    records = [{"text": f"t{i}", "source": f"GPT-{i % 2}", "n": {"deep": i}} for i in range(6)] + [{"text": "none"}]
    path = pack(tmp_path / "a.jsonl", "\n".join(map(json.dumps, records)).encode())
    found = list(documents(path, Reading(where=(("source", "GPT-1"),))))
    assert [d.text for d in found if not d.fault] == ["t1", "t3", "t5"]
    assert [d.fault for d in found if d.fault] == ["filtered"] * 4
    assert [d.text for d in documents(path, Reading(where=(("n.deep", "4"),))) if not d.fault] == ["t4"]
    assert set(faults(path, Reading(where=(("source", "other"),)))) == {"filtered"}  # no reason to stop
    with refused("'sources'", "'source', 'text'"):
        list(documents(path, Reading(where=(("sources", "GPT-1"),))))


def test_missing_file_and_text_key(tmp_path):
    with refused("nowhere.txt", "check the path"):
        list(documents(tmp_path / "nowhere.txt"))
    path = pack(tmp_path / "a.jsonl", b'{"tale": "once"}')
    assert texts(path, Reading(text_key="tale")) == ["once"]
    with refused("'tale'", "--text-key"):
        list(documents(path))


# ---- Parquet ----


def table(path: Path, columns: dict, **options) -> Path:
    parquet.write_table(pyarrow.table(columns), path, **options)
    return path


def test_parquet_rows_are_documents(tmp_path):
    told = [*stories(2500), "", None]
    path = table(
        tmp_path / "a.parquet",
        {"id": range(len(told)), "text": told, "image": [b"\xff"] * len(told), "vector": [[1.0]] * len(told)},
        row_group_size=700,
    )
    found = list(documents(path))
    assert [d.text for d in found] == [*stories(2500), "", ""]
    assert [d.fault for d in found] == [""] * 2500 + ["empty"] * 2
    assert found[3].fields == {"id": 3}
    assert [d.text for d in documents(path, Reading(where=(("id", "7"),))) if not d.fault] == [told[7]]
    with refused("row 1", "a.parquet", "'text', 'id'", "--text-key"):
        list(documents(path, Reading(text_key="texts")))


def test_parquet_of_other_columns(tmp_path):
    request = [{"prompt": "write", "words": ["a"], "features": []}]
    path = table(tmp_path / "a.parquet", {"story": [" once "], "instruction": request, "summary": ["s"]})
    assert list(documents(path)) == [
        Document("once", "once", {"summary": "s", "prompt": "write", "words": ["a"], "features": []})
    ]
    said = [
        [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}],
        [{"role": "user", "content": "hi"}],
    ]
    path = table(tmp_path / "b.parquet", {"messages": said})
    assert faults(path) == ["", "malformed"]
    assert next(documents(path)).text == "[INST] hi [/INST] hello"
    path = table(tmp_path / "c.parquet", {"text": [b"bytes"]})
    with refused("c.parquet", "bytes", "row 1"):
        list(documents(path))
    with refused("none"):
        list(documents(table(tmp_path / "d.parquet", {"text": pyarrow.array([], "string")})))


def test_parquet_without_pyarrow_names_the_extra(tmp_path, monkeypatch):
    path = table(tmp_path / "a.parquet", {"text": ["once"]})
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with refused("pyarrow", "pip install 'tsjax[hf]'"):
        list(documents(path))


# ---- Memory ----


@pytest.mark.parametrize("form", ["text", "jsonl", "json"])
def test_memory_stays_small_for_any_size(monkeypatch, form, tmp_path):
    """A stream of 24 MB that nobody holds: a few chunks, and what one record needs, are in memory at once."""
    part = encode(form, stories(2000))
    part = part.strip(b"[]") if form == "json" else part + b"\n"

    def read(path):
        if form == "json":
            yield b"["
        for i in range(24_000_000 // len(part)):
            yield (b"," * (i > 0) + part) if form == "json" else part
        if form == "json":
            yield b"]"

    monkeypatch.setattr(unpack, "_read", read)
    tracemalloc.start()
    count = sum(1 for _ in documents(tmp_path / f"a.{form}"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count >= 24_000_000 // len(part) * 2000
    assert peak < 12 * len(part)


def test_a_row_group_is_not_held_whole(tmp_path):
    told = ["".join(part) for part in zip(*[iter(random.Random(0).randbytes(8_000_000).hex())] * 2000, strict=True)]
    path = table(tmp_path / "a.parquet", {"text": told}, compression="none", use_dictionary=False)
    assert parquet.ParquetFile(path).num_row_groups == 1 and path.stat().st_size > 16_000_000
    pool = pyarrow.default_memory_pool()
    before = pool.bytes_allocated()
    held = [pool.bytes_allocated() - before for _ in documents(path)]
    assert len(held) == 8000 and 0 < max(held) < 9_000_000


# ---- JSON values ----

VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(CHARACTERS, max_size=9)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(CHARACTERS, max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.lists(VALUES, max_size=6), st.integers(1, 9), st.booleans(), st.sampled_from([None, 2]))
def test_a_list_in_any_parts_is_its_values(wanted, part, ascii_only, indent):
    text = f" {json.dumps(wanted, ensure_ascii=ascii_only, indent=indent)}\n"
    parts = [text[i : i + part] for i in range(0, len(text), part)]
    assert list(json_values.values(parts, 10_000)) == wanted
    for cut in range(text.index("[") + 1, text.rindex("]") + 1):
        with pytest.raises(ValueError):
            list(json_values.values([text[:cut]], 10_000))


@given(st.lists(st.dictionaries(st.text(CHARACTERS, max_size=3), VALUES, max_size=3), max_size=6), st.integers(1, 9))
def test_objects_behind_each_other_in_any_parts_are_values(wanted, part):
    text = "\n".join(map(json.dumps, wanted))
    assert list(json_values.values([text[i : i + part] for i in range(0, len(text), part)], 10_000)) == wanted


def test_a_value_without_end_is_refused_soon():
    read = []
    parts = (read.append(1) or '"a", ' * 100 for _ in range(10_000))
    with pytest.raises(ValueError, match="over 2,000 characters"):
        list(json_values.values(("[" * (i == 0) + '{"x": [' * (i == 0) + p for i, p in enumerate(parts)), 2000))
    assert len(read) < 20
    assert readers.MAX_LINE > readers.MAX_DOCUMENT


def test_packed_parquet_is_unpacked(tmp_path):
    plain = table(tmp_path / "a.parquet", {"text": ["once", "twice"]}).read_bytes()
    packed = tmp_path / "b.parquet.gz"
    packed.write_bytes(gzip.compress(plain))
    with tarfile.open(tmp_path / "c.tar", "w") as archive:
        archive.add(tmp_path / "a.parquet", "a.parquet")
    for path in (packed, tmp_path / "c.tar"):
        assert [d.text for d in documents(path)] == ["once", "twice"]
