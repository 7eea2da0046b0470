"""Streams give the bytes that were packed, whatever the packing, and never pass a part for the whole."""

import gzip
import io
import random
import tarfile
import tracemalloc
from itertools import pairwise
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.expect import refused
from tsjax.corpus import unpack
from tsjax.corpus.unpack import is_archive, is_corpus, pieces, streams, suffix
from tsjax.errors import UserError

PACKINGS = {
    "": lambda data: data,
    ".gz": gzip.compress,
    ".zst": zstandard.compress,
}
ARCHIVES = {".tar": "", ".tar.gz": ".gz", ".tgz": ".gz", ".tar.zst": ".zst"}


def tar(members: dict[str, bytes], form: int = tarfile.GNU_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, data in members.items():
            header = tarfile.TarInfo(name)
            header.size = len(data)
            archive.addfile(header, io.BytesIO(data))
    return buffer.getvalue()


def read(path: Path) -> list[tuple[str, bytes]]:
    return [(name, b"".join(chunks)) for name, chunks in streams(path)]


@pytest.mark.parametrize("ending", PACKINGS)
def test_a_file_is_one_stream(tmp_path, ending):
    data = random.Random(0).randbytes(3_000_000)
    path = tmp_path / f"a.txt{ending}"
    path.write_bytes(PACKINGS[ending](data[:1_000_000]) + PACKINGS[ending](data[1_000_000:]))  # two members or frames
    assert read(path) == [(str(path), data)]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("ending", ARCHIVES)
def test_an_archive_is_a_stream_a_corpus_file(tmp_path, ending, form):
    long = "folder/" * 12 + "é" * 40 + ".txt" if form != tarfile.USTAR_FORMAT else "folder/e.txt"
    members = {
        "README.md": b"no",
        "README.txt": b"no",
        "z.txt": b"first, as in the archive",
        "._z.txt": b"no",
        ".hidden.txt": b"no",
        "deep/b.json.gz": gzip.compress(b"[1]"),
        "deep/c.jsonl.zst": zstandard.compress(b"{}"),
        "empty.txt": b"",
        long: b"x" * 512,
    }
    path = tmp_path / f"all{ending}"
    path.write_bytes(PACKINGS[ARCHIVES[ending]](tar(members, form)))
    assert read(path) == [
        (f"{path}:z.txt", b"first, as in the archive"),
        (f"{path}:deep/b.json.gz", b"[1]"),
        (f"{path}:deep/c.jsonl.zst", b"{}"),
        (f"{path}:empty.txt", b""),
        (f"{path}:{long}", b"x" * 512),
    ]
    # What nobody reads is skipped.
    assert [name.rpartition(":")[2] for name, _ in streams(path)] == [
        "z.txt",
        "deep/b.json.gz",
        "deep/c.jsonl.zst",
        "empty.txt",
        long,
    ]


def test_links_and_folders_in_an_archive_are_passed_over(tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for kind, name in (tarfile.DIRTYPE, "folder.txt"), (tarfile.SYMTYPE, "link.txt"), (tarfile.LNKTYPE, "hard.txt"):
            header = tarfile.TarInfo(name)
            header.type, header.linkname = kind, "/etc/passwd"
            archive.addfile(header)
        header = tarfile.TarInfo("b.txt")
        header.size = 2
        archive.addfile(header, io.BytesIO(b"ok"))
    assert read(path) == [(f"{path}:b.txt", b"ok")]


def test_an_archive_without_corpus_files_is_refused(tmp_path):
    (tmp_path / "a.tar").write_bytes(tar({"a.md": b"x"}))
    with refused("a.tar", "corpus files"):
        read(tmp_path / "a.tar")


@pytest.mark.parametrize("ending", [".gz", ".zst", *ARCHIVES])
def test_a_file_cut_at_any_byte_is_refused(tmp_path, ending):
    """Cut files are read to the cut and then refused; no cut passes for the end."""
    random_text = random.Random(0).randbytes(300).hex().encode()
    if ending in ARCHIVES:
        whole = tar({"a.txt": random_text, "skipped.bin": random_text, "b.txt": random_text[:512]})
        packed = PACKINGS[ARCHIVES[ending]](whole)
        content = len(tar({"a.txt": random_text, "skipped.bin": random_text, "b.txt": random_text[:512]}).rstrip(b"\0"))
        # Behind the first block of zeros nothing is lost with the rest of a plain archive.
        cuts = range(1, content // 512 * 512 + 512) if ending == ".tar" else range(1, len(packed))
    else:
        packed = PACKINGS[ending](random_text)
        cuts = range(1, len(packed))
    path = tmp_path / f"a.txt{ending}" if ending not in ARCHIVES else tmp_path / f"a{ending}"
    path.write_bytes(packed)
    assert read(path)
    for cut in cuts:
        path.write_bytes(packed[:cut])
        with refused(path.name, "cannot be read"):
            read(path)


@pytest.mark.parametrize("ending", [".gz", ".tar", ".tar.gz"])
def test_damage_is_found(tmp_path, ending):
    text = random.Random(0).randbytes(3000).hex().encode()
    data = bytearray(gzip.compress(text) if ending == ".gz" else tar({"a.txt": text, "b.txt": text}))
    at = len(data) // 2 if ending == ".gz" else 512 + (len(text) + 511) // 512 * 512 + 3  # within the second header
    data[at] ^= 1
    path = tmp_path / f"a.txt{ending}"
    path.write_bytes(gzip.compress(bytes(data)) if ending == ".tar.gz" else bytes(data))
    with refused(path.name, "cannot be read"):
        read(path)


def test_a_damaged_member_is_named(tmp_path):
    (tmp_path / "a.tar").write_bytes(tar({"ok.txt": b"x", "cut.txt.gz": gzip.compress(b"text")[:-3]}))
    with refused("a.tar:cut.txt.gz", "gz file", "cannot be read"):
        read(tmp_path / "a.tar")
    for name, data in {"more.tar": tar({"a.txt": b"x"}) + b"more", "not.tar": b"x" * 2000, "empty.tar": b""}.items():
        (tmp_path / name).write_bytes(data)
        with refused(name, "cannot be read"):
            read(tmp_path / name)


@given(
    members=st.dictionaries(
        st.text("abc/é", min_size=1, max_size=120).map(lambda name: f"x{name}.txt"),
        st.binary(max_size=1200),
        min_size=1,
    ),
    chunk=st.integers(1, 700),
    form=st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
@settings(max_examples=50)
def test_any_archive_in_any_chunks_reads_as_the_standard_library_reads_it(members, chunk, form):
    data = tar(members, form)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        wanted = [(m.name, archive.extractfile(m).read()) for m in archive]
    cut = iter([data[i : i + chunk] for i in range(0, len(data), chunk)])
    assert [(name, b"".join(content)) for name, content in unpack._members(cut)] == wanted


@given(st.binary(max_size=200), st.sampled_from([b"|", b"<>"]), st.lists(st.integers(0, 200)))
def test_pieces_are_what_split_gives_wherever_chunks_end(data, separator, cuts):
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    chunks = [data[a:b] for a, b in pairwise(edges)]
    wanted = data.split(separator)
    if not wanted[-1].strip():
        wanted.pop()
    found = list(pieces(chunks, separator, 1000))
    assert [piece for _, piece in found] == wanted
    assert all(data[offset:].startswith(piece) for offset, piece in found)


def test_names():
    assert all(map(is_archive, ["a.tar", "a.tar.gz", "b.c.tgz", "a.tar.zst"]))
    assert not any(map(is_archive, ["a.txt", "tar", "a.tar.xz", "a.gz"]))
    assert all(map(is_corpus, ["a.txt", "a.jsonl.gz", "a.b.json.zst", "a.parquet", "restate.json", "state.txt.gz"]))
    assert not any(map(is_corpus, ["a.md", ".a.txt", "._a.txt", "a.txt.tmp", "License.txt", "manifest.json", "a.tar"]))
    assert [suffix(n) for n in ("a.txt", "a.jsonl.gz", "b.c.json.zst", "a.gz", "a")] == [
        ".txt",
        ".jsonl",
        ".json",
        "",
        "",
    ]


@pytest.mark.parametrize(
    "ending, compress", [(".tar.gz", lambda data: gzip.compress(data, 1)), (".tar.zst", zstandard.compress)]
)
def test_memory_does_not_grow_with_the_file(tmp_path, ending, compress):
    """40 MB in an archive, as well packed as gzip can and not packed at all, read a few chunks at a time."""
    header = tarfile.TarInfo("a.txt")
    header.size = 40_000_000
    content = bytes(header.size) if ending == ".tar.gz" else random.Random(0).randbytes(header.size)
    (tmp_path / f"a{ending}").write_bytes(compress(header.tobuf() + content + bytes(-header.size % 512 + 1024)))
    del content
    tracemalloc.start()
    sizes = [sum(map(len, chunks)) for _, chunks in streams(tmp_path / f"a{ending}")]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sizes == [header.size] and peak < 8_000_000


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.txt.*check the path"):
        read(tmp_path / "nowhere.txt")
    with pytest.raises(UserError, match=r"directory.*check the path"):
        read(tmp_path)
