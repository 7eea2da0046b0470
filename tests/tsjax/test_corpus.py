"""Readers give the documents that are there, whatever the packing, and name what cannot be a corpus."""

import gzip
import hashlib
import json
import random
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from tsjax import corpus
from tsjax.errors import UserError

SEP = corpus.SEPARATOR
CHARACTERS = st.characters(exclude_categories=["Cs"])


def stories(count: int, seed: int = 0, words: int = 600) -> list[str]:
    """Made-up stories of made-up words, some common and some rare, with paragraphs and quotation marks."""
    rng = random.Random(seed)
    syllables = [c + v for c in "bdfgklmnprst" for v in "aeiou"]
    lexicon = ["".join(rng.choices(syllables, k=rng.randint(1, 4))) for _ in range(words)]
    weights = [1 / (i + 1) for i in range(words)]

    def sentence() -> str:
        return " ".join(rng.choices(lexicon, weights, k=rng.randint(4, 12))).capitalize() + rng.choice(".!?")

    return [
        "\n\n".join(f'{sentence()} "{sentence()}" {sentence()}' for _ in range(rng.randint(1, 3))) for _ in range(count)
    ]


def pack(path: Path, data: bytes) -> Path:
    """Writes `data`, compressed as the name says."""
    if path.suffix == ".gz":
        data = gzip.compress(data)
    elif path.suffix == ".zst":
        data = zstandard.compress(data)
    path.write_bytes(data)
    return path


def one_line_error(path: Path, *words: str, **options: str) -> str:
    with pytest.raises(UserError) as caught:
        list(corpus.documents(path, **options))
    message = str(caught.value)
    assert caught.value.exit_code == 65
    assert "\n" not in message and "Traceback" not in message
    assert all(word in message for word in (path.name, *words)), message
    return message


@pytest.mark.parametrize("packing", ["", ".gz", ".zst"])
@pytest.mark.parametrize("form", [".txt", ".jsonl", ".story"])
def test_every_form_and_packing_gives_the_same_documents(tmp_path, form, packing):
    wanted = [*stories(50), "é " * 30_000 + "end", "  \tkept  inside\n\nthe  text"]
    if form == ".jsonl":
        data = "\n".join(json.dumps({"id": i, "text": f"\n {text} "}) for i, text in enumerate(wanted))
    else:
        data = f"\n{SEP}\n".join(["", *wanted, "  "])
    path = pack(tmp_path / f"a{form}{packing}", data.encode())
    assert list(corpus.documents(path)) == [text.strip() for text in wanted]


@given(
    texts=st.lists(st.text(CHARACTERS, max_size=40), max_size=8),
    chunk=st.integers(1, 30),
    suffix=st.sampled_from([".txt", ".txt.gz", ".txt.zst", ".jsonl", ".jsonl.zst"]),
)
def test_chunk_size_never_matters(tmp_path_factory, texts, chunk, suffix):
    texts = ["first", *texts]
    path = tmp_path_factory.mktemp("corpus") / f"a{suffix}"
    if ".jsonl" in suffix:
        pack(path, b"".join(json.dumps({"text": t}, ensure_ascii=False).encode() + b"\n" for t in texts))
    else:
        pack(path, SEP.join(texts).encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus, "_CHUNK", chunk)
        patch.setattr(corpus, "_ZSTD_CHUNK", chunk)
        found = list(corpus.documents(path))
    assert found == [s for t in texts for part in t.split(SEP) if (s := part.strip())]


def test_members_frames_and_byte_order_marks(tmp_path):
    for name, packed in {
        "a.txt.gz": gzip.compress(b"one<|endoft") + gzip.compress(b"ext|>two"),
        "a.txt.zst": zstandard.compress(b"one<|endoft") + zstandard.compress(b"ext|>two"),
        "a.txt": b"\xef\xbb\xbfone<|endoftext|>two",
    }.items():
        (tmp_path / name).write_bytes(packed)
        assert list(corpus.documents(tmp_path / name)) == ["one", "two"]


def test_a_mark_inside_a_json_text_ends_a_document(tmp_path):
    path = pack(tmp_path / "a.jsonl", json.dumps({"text": f"one {SEP} two {SEP}"}).encode())
    assert list(corpus.documents(path)) == ["one", "two"]


BAD = {
    "empty.txt": (b"", "none"),
    "empty.txt.gz": (b"", "none"),
    "blank.txt": (f" \n{SEP}\n {SEP}".encode(), "none"),
    "blank.jsonl": (b"\n\n", "none"),
    "latin.txt": ("caf\xe9 au lait".encode("latin-1"), "offset 3"),
    "latin.jsonl": (b'{"text": "ok"}\n{"text": "caf\xe9 "}', "offset 28"),
    "late.txt": (b"x" * 90 + SEP.encode() + b"y" * 7 + b"\xff", "offset 110"),
    "cut.txt": ("story é".encode()[:-1], "offset 6"),
    "packed.txt": (gzip.compress(b"text"), "UTF-8", ".gz"),
    "wide.txt": ("story".encode("utf-16"), "UTF-8"),
    "endless.txt": (b"word " * 300_000, SEP, "1,000,000"),
    "long.txt": (b"a<|endoftext|>" + b"word " * 300_000, "longer", "byte 14"),
    "long.jsonl": (json.dumps({"text": "word " * 250_000}).encode(), "longer", "line 1"),
    "not.jsonl": (b'{"text": "a"}\n{"text": \n', "line 2", "JSON"),
    "deep.jsonl": (b"[" * 200_000, "line 1"),
    "list.jsonl": (b'["text"]', "line 1", "list"),
    "key.jsonl": (b'{"id": 1, "texts": "a", "story": "b"}', "line 1", "'texts', 'story', 'id'", "--text-key"),
    "none.jsonl": (b"{}", "an empty object"),
    "value.jsonl": (b'{"text": 3}', "line 1", "int"),
    "half.jsonl": (b'{"text": "\\ud83d"}', "line 1", "surrogate"),
    "not.txt.gz": (b"plain", "cannot be read"),
    "cut.txt.gz": (gzip.compress(random.Random(0).randbytes(3000).hex().encode())[:-9], "cannot be read"),
    "cut.txt.zst": (zstandard.compress(b"a word " * 900)[:-4], "cannot be read"),
    "not.jsonl.zst": (b"plain", "cannot be read"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_a_corpus_is_named(tmp_path, name):
    data, *words = BAD[name]
    (tmp_path / name).write_bytes(data)
    one_line_error(tmp_path / name, *words)


def test_a_flipped_byte_in_gzip_is_found(tmp_path):
    data = bytearray(gzip.compress("\n".join(stories(20)).encode()))
    data[len(data) // 2] ^= 1
    (tmp_path / "a.txt.gz").write_bytes(data)
    one_line_error(tmp_path / "a.txt.gz", "cannot be read")


def test_a_corpus_without_end_fails_after_a_megabyte(tmp_path, monkeypatch):
    path = pack(tmp_path / "a.txt", b"word " * 2_000_000)
    read = []
    chunks = corpus._chunks
    monkeypatch.setattr(corpus, "_chunks", lambda path: (read.append(len(c)) or c for c in chunks(path)))
    one_line_error(path, SEP)
    assert sum(read) <= 2**21


def test_missing_file_and_text_key(tmp_path):
    one_line_error(tmp_path / "nowhere.txt", "check the path")
    path = pack(tmp_path / "a.jsonl", b'{"story": "once"}')
    assert list(corpus.documents(path, text_key="story")) == ["once"]
    one_line_error(path, "'story'")


def test_a_folder_is_its_corpus_files_in_order(tmp_path):
    pack(tmp_path / "b.txt", b"two")
    pack(tmp_path / "a.jsonl.zst", b'{"text": "one"}')
    for other in ("README.md", ".c.txt", "d.txt.tmp"):
        (tmp_path / other).write_text("not a story")
    assert list(corpus.documents(tmp_path)) == ["one", "two"]
    (tmp_path / "none").mkdir()
    one_line_error(tmp_path / "none", "corpus files")


def test_the_documents_folder_is_checked_against_its_manifest(tmp_path):
    stories_file = pack(tmp_path / corpus.STORIES, b'{"id": "a", "text": "once"}\n')
    one_line_error(tmp_path, "manifest.json", "did not finish")
    manifest = tmp_path / "manifest.json"
    sha256 = hashlib.sha256(stories_file.read_bytes()).hexdigest()
    manifest.write_text(json.dumps({"kind": "documents", "sha256": sha256}))
    assert list(corpus.documents(tmp_path)) == ["once"]
    pack(stories_file, b'{"id": "a", "text": "twice"}\n')
    one_line_error(tmp_path, sha256[:12])
    for wrong, word in [('{"kind": "token_shards"}', "token_shards"), ("{", "JSON"), ("[]", "JSON")]:
        manifest.write_text(wrong)
        one_line_error(tmp_path, word)


def test_normal_form_takes_case_and_punctuation_for_the_same():
    assert corpus.normal_form('  "Oh, no!" said  Tim_2.\n') == "oh no said tim 2"
    assert corpus.normal_form("STRASSE") == corpus.normal_form("straße")
    assert corpus.normal_form("cafe\u0301") == corpus.normal_form("Café")
    assert corpus.normal_form("😀") != corpus.normal_form("🎉")
    assert corpus.normal_hash("Oh, no!", 3) == corpus.normal_hash("oh no", 3) != corpus.normal_hash("oh no", 4)


@given(
    hashes=st.lists(st.integers(0, 2**64 - 1), min_size=2, max_size=40),
    fraction=st.floats(1e-6, 1 - 1e-6),
    keep=st.booleans(),
)
def test_a_split_is_never_empty_and_repeats_stay_together(hashes, fraction, keep):
    if len(set(hashes)) < 2:
        return
    labels, counts = corpus.split(np.array(hashes, np.uint64), None, fraction, keep)
    sides = [{h for h, label in zip(hashes, labels, strict=True) if label == side} for side in (0, 1)]
    assert sides[0] and sides[1] and not sides[0] & sides[1]
    kept = np.count_nonzero(labels == corpus.TRAIN)
    assert kept == len(sides[0]) + (counts["train_duplicates"] if keep else 0)


def test_documents_added_later_move_no_others():
    hashes = np.array([corpus.normal_hash(text) for text in stories(2000)], np.uint64)
    before, _ = corpus.split(hashes[:1500], None, 0.1, True)
    after, _ = corpus.split(hashes, None, 0.1, True)
    assert (after[:1500] == before).all()
    assert 0.07 < (after == corpus.VALID).mean() < 0.13


@pytest.mark.parametrize("fraction", [0, 1, -0.1, float("nan")])
def test_an_empty_split_is_refused(fraction):
    with pytest.raises(UserError, match="split empty"):
        corpus.split(np.array([1, 2], np.uint64), None, fraction, True)
