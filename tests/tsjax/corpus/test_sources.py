"""What the user names is found, checked, and downloaded once; what is not to be had is named in one line."""

import hashlib
import json
import socket
from pathlib import Path

import pytest

from tests.expect import refused
from tests.tsjax.corpus.small_hub import COMMIT, SmallHub
from tsjax.corpus import hub
from tsjax.corpus.readers import documents
from tsjax.corpus.sources import STORIES, Source, sources
from tsjax.errors import UserError

FILES = {
    "README.md": b"about",
    ".gitattributes": b"",
    "Evaluation prompts.yaml": b"[]",
    "Old-train.txt": b"old one<|endoftext|>old two",
    "Old-valid.txt": b"old three",
    "New-train.txt": b"new one<|endoftext|>new two",
    "all_data.tar.gz": b"packed",
    "data/train-00000-of-00002-a.parquet": b"table 1",
    "data/train-00001-of-00002-b.parquet": b"table 2",
    "data/validation-00000-of-00001-c.parquet": b"table 3",
    "data/test-00000-of-00001-d.parquet": b"table 4",
}


# ---- Files and folders ----


def test_a_file_is_itself_and_a_folder_its_corpus_files_in_order(tmp_path):
    names = ["b.txt", "a.jsonl.zst", "data00.json", "c.tar.gz", "t.parquet"]
    others = [
        "README.md",
        "README.txt",
        "LICENSE.txt",
        ".c.txt",
        "d.txt.tmp",
        "._b.txt",
        ".e.tar",
        "dataset_infos.json",
    ]
    for name in names + others:
        (tmp_path / name).write_text("x")
    (tmp_path / "folder.txt").mkdir()
    assert [s.path.name for s in sources(tmp_path)] == sorted(names)
    assert {s.split for s in sources(tmp_path)} == {None}
    for name in names + others:
        path = tmp_path / name
        assert sources(path) == sources(str(path)) == [Source(path, path.name, None)]
    (tmp_path / "none").mkdir()
    with refused("corpus files", str(tmp_path / "none")):
        sources(tmp_path / "none")
    with refused("nowhere", "check the path"):
        sources(tmp_path / "nowhere")


def test_the_old_documents_folder_is_checked_against_its_manifest(tmp_path):
    stories, manifest = tmp_path / STORIES, tmp_path / "manifest.json"
    stories.write_bytes(b"once")
    with refused("manifest.json", "did not finish"):
        sources(tmp_path)
    sha256 = hashlib.sha256(b"once").hexdigest()
    manifest.write_text(json.dumps({"kind": "documents", "sha256": sha256}))
    assert sources(tmp_path) == [Source(stories, stories.name, None)]
    stories.write_bytes(b"twice")
    with refused(STORIES, sha256[:12]):
        sources(tmp_path)
    for wrong, word in [('{"kind": "token_shards", "files": []}', "token_shards"), ("{", "JSON"), ("[]", "JSON")]:
        manifest.write_text(wrong)
        with refused("manifest.json", word):
            sources(tmp_path)


def test_a_documents_folder_with_splits_is_checked_file_by_file(tmp_path):
    promised = {}
    for split in ("train", "valid"):
        name = f"{split}.jsonl.zst"
        (tmp_path / name).write_bytes(split.encode())
        promised[split] = {"name": name, "sha256": hashlib.sha256(split.encode()).hexdigest(), "count": 1}
        with refused("manifest.json", "did not finish"):
            sources(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps({"kind": "documents", "files": promised}))
    assert [(s.path.name, s.split) for s in sources(tmp_path)] == [
        ("train.jsonl.zst", "train"),
        ("valid.jsonl.zst", "valid"),
    ]
    (tmp_path / "valid.jsonl.zst").write_bytes(b"changed")
    with refused("valid.jsonl.zst", "sha256"):
        sources(tmp_path)
    (tmp_path / "valid.jsonl.zst").unlink()
    with refused("valid.jsonl.zst", "no such file"):
        sources(tmp_path)


# ---- Names on the hub ----


@pytest.mark.parametrize(
    "where, repo, revision, files",
    [
        ("hf://a/b", "a/b", "main", ""),
        ("hf:/a/b", "a/b", "main", ""),
        ("hf://datasets/a/b", "a/b", "main", ""),
        ("hf://a/b.c-d_e@v1.0/x/y-*.txt", "a/b.c-d_e", "v1.0", "x/y-*.txt"),
        ("hf://a/b@refs/convert/parquet/default", "a/b", "refs/convert/parquet", "default"),
        ("hf://a/b@refs%2Fpr%2F7", "a/b", "refs/pr/7", ""),
        ("hf://a/b/data/", "a/b", "main", "data"),
    ],
)
def test_addresses(where, repo, revision, files):
    assert hub.is_address(where)
    assert hub.parse(where) == hub.Address(repo, revision, files)
    assert hub.is_address(str(Path(where)))


@pytest.mark.parametrize("where", ["hf://", "hf://a", "hf://a/b@", "hf://a b/c", "hf://a//b"])
def test_what_is_no_address_is_refused(where):
    with refused("hf://owner/name"):
        sources(where)


def chosen(files: list[str], wanted: str = "") -> list[tuple[str, str | None]]:
    return hub.select(files, hub.Address("a/b", "main", wanted))


def test_the_bare_name_means_the_tables_under_data():
    assert chosen([*FILES]) == [
        ("data/train-00000-of-00002-a.parquet", "train"),
        ("data/train-00001-of-00002-b.parquet", "train"),
        ("data/validation-00000-of-00001-c.parquet", "valid"),
    ]
    assert chosen(["x.parquet", "y.txt"]) == [("x.parquet", None)]
    assert chosen(["README.md", "a.yaml", "chats.txt", ".x/b.txt"]) == [("chats.txt", None)]


def test_paths_folders_and_globs_mean_others():
    assert chosen([*FILES], "New-train.txt") == [("New-train.txt", "train")]
    assert chosen([*FILES], "Old-*") == [("Old-train.txt", "train"), ("Old-valid.txt", "valid")]
    assert chosen([*FILES], "data") == chosen([*FILES])
    assert chosen([*FILES], "README.md") == [("README.md", None)]
    assert chosen([*FILES], "all_data.tar.gz") == [("all_data.tar.gz", None)]
    with refused("hf://a/b@main/Old-trian.txt", "Old-train.txt"):
        chosen([*FILES], "Old-trian.txt")
    with refused("none"):
        chosen(["README.md"])


@pytest.mark.parametrize("word", ["valid", "validation", "val", "dev", "VALID"])
def test_tests_count_as_validation_only_where_there_is_none(word):
    assert dict(chosen([f"x_{word}.txt", "x_test.txt", "x_train.txt"])) == {
        "x_train.txt": "train",
        f"x_{word}.txt": "valid",
    }
    assert chosen(["x_test.txt", "x_train.txt"]) == [("x_test.txt", "valid"), ("x_train.txt", "train")]
    assert chosen(["contest.txt", "trainer.txt"]) == [("contest.txt", None), ("trainer.txt", None)]
    assert chosen(["test-suite/train/0.txt"]) == [("test-suite/train/0.txt", "train")]


# ---- Downloads, from a small hub on this machine ----


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache; no waiting between attempts."""
    import huggingface_hub
    from huggingface_hub import file_download
    from huggingface_hub.utils import _http

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    for module in (file_download, _http):
        monkeypatch.setattr(module.time, "sleep", lambda seconds: None)
    return tmp_path / "cache"


@pytest.fixture
def small_hub(cache, monkeypatch):
    with SmallHub(dict(FILES)).serving() as served:
        monkeypatch.setenv("HF_ENDPOINT", served.endpoint)
        yield served


def test_files_are_downloaded_once_and_named_by_their_commit(small_hub):
    found = sources("hf://owner/stories/Old-*.txt")
    assert [(s.name, s.split, s.path.read_bytes()) for s in found] == [
        (f"hf://owner/stories@{COMMIT}/Old-train.txt", "train", FILES["Old-train.txt"]),
        (f"hf://owner/stories@{COMMIT}/Old-valid.txt", "valid", FILES["Old-valid.txt"]),
    ]
    assert [d.text for d in documents(found[0].path)] == ["old one", "old two"]
    asked = len(small_hub.requests)
    assert sources("hf://owner/stories/Old-*.txt") == found
    assert [path for _, path, _ in small_hub.requests[asked:]] == ["/api/datasets/owner/stories/revision/main"]
    # A commit never changes: nothing needs to be asked at all.
    asked = len(small_hub.requests)
    assert sources(f"hf://owner/stories@{COMMIT}/Old-*.txt") == found
    assert len(small_hub.requests) == asked


def test_a_new_commit_is_seen(small_hub):
    (old,) = sources("hf://owner/stories/Old-train.txt")
    small_hub.commit, small_hub.files["Old-train.txt"] = "f" * 40, b"mended"
    (new,) = sources("hf://owner/stories/Old-train.txt")
    assert new.path.read_bytes() == b"mended" and old.path.read_bytes() == FILES["Old-train.txt"]
    assert new.name != old.name


def test_a_broken_download_goes_on_where_it_broke(small_hub, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1 << 16)  # it keeps whole ones
    data = bytes(range(256)) * 4096
    small_hub.files["Old-train.txt"] = data
    small_hub.breaks["Old-train.txt"] = 300_000
    (found,) = sources("hf://owner/stories/Old-train.txt")
    assert found.path.read_bytes() == data
    gets = [asked for method, path, asked in small_hub.requests if method == "GET" and path.endswith("Old-train.txt")]
    assert gets[0] is None and len(gets) == 2
    assert 0 < int(gets[1].removeprefix("bytes=").rstrip("-")) <= 300_000


def test_what_is_in_the_cache_needs_no_network(small_hub, monkeypatch):
    import huggingface_hub

    found = sources("hf://owner/stories")
    assert len(found) == 3
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{closed_port()}")
    assert sources("hf://owner/stories") == found
    with refused("hf://owner/stories@main/Old-train.txt", "network"):
        sources("hf://owner/stories/Old-train.txt")  # listed, but not downloaded
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert sources("hf://owner/stories") == found


def test_without_network_and_cache_one_line_says_so(cache, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{closed_port()}")
    with refused("hf://owner/stories@main", "network"):
        sources("hf://owner/stories")


def test_a_hub_in_trouble_is_like_no_network(small_hub):
    found = sources("hf://owner/stories/Old-train.txt")
    small_hub.refusal = (503, {})
    assert sources("hf://owner/stories/Old-train.txt") == found
    with refused("hf://owner/stories@v2", "network"):
        sources("hf://owner/stories@v2")
    asked = len(small_hub.requests)
    with refused("hf://owner/stories@main/Old-valid.txt", "network"):
        sources("hf://owner/stories/Old-valid.txt")
    assert len(small_hub.requests) == asked + 1  # it is not asked again and again, file by file


@pytest.mark.parametrize(
    "where, refusal, words",
    [
        ("hf://owner/nothing", None, ["hf://owner/nothing", "check the name"]),
        ("hf://owner/stories@v9", None, ["'v9'", "behind @"]),
        ("hf://owner/stories", (403, {"X-Error-Code": "GatedRepo"}), ["hf auth login", "terms"]),
        ("hf://owner/stories", (401, {}), ["hf://owner/stories", "private", "HF_TOKEN"]),
        ("hf://owner/stories", (403, {"X-Error-Message": "no"}), ["permission"]),
        ("hf://owner/stories/Old-trian.txt", None, ["Old-train.txt"]),
        ("hf://owner..x/stories--", None, ["hf://owner..x/stories--", "check the name"]),
    ],
)
def test_what_the_hub_refuses_is_said_in_one_line(small_hub, monkeypatch, where, refusal, words):
    monkeypatch.setenv("HF_TOKEN", "hf_secretsecretsecret")
    small_hub.refusal = refusal
    with pytest.raises(UserError) as caught:
        sources(where)
    message = str(caught.value)
    assert "\n" not in message and all(word in message for word in words), message
    assert "secret" not in message


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with refused("huggingface_hub", "pip install 'tsjax[hf]'"):
        sources("hf://owner/stories")


def closed_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
