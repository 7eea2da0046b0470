"""Only what is whole, licensed and meant to be public goes to the Hub."""

import json
from types import SimpleNamespace

import pytest

from data_gen import push as stage
from data_gen.curate import curate
from data_gen.push import push
from tests.data_gen.raw_run import ask, bundled, write
from tests.expect import refused
from tsjax.corpus.sources import sources
from tsjax.workers import Processes

TOKEN = "hf_thisisnotatokenatall0123456789"


class HubError(Exception):
    pass


class Hub:
    """What `push` uses of huggingface_hub, with a list of what was asked."""

    errors = SimpleNamespace(HfHubHTTPError=HubError, HFValidationError=HubError)

    def __init__(self, private: bool = True, fails: str = ""):
        self.private, self.fails, self.asked = private, fails, []

    def CommitOperationAdd(self, path_in_repo, path_or_fileobj):
        return path_in_repo, path_or_fileobj

    def HfApi(self, endpoint, token):
        self.asked.append(("token", token))
        return self

    def create_repo(self, repo, *, repo_type, private, exist_ok):
        if self.fails:
            raise HubError(self.fails)
        self.asked.append(("create", repo, repo_type, private, exist_ok))
        return f"https://hub.test/datasets/{repo}"

    def repo_info(self, repo, *, repo_type):
        return SimpleNamespace(private=self.private)

    def create_commit(self, repo, operations, *, commit_message, repo_type):
        held = {name: what if isinstance(what, bytes) else open(what, "rb").read() for name, what in operations}
        self.asked.append(("commit", repo, repo_type, held))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    recipe = bundled("tinystories")
    folder = write(tmp_path_factory.mktemp("runs") / "run", ask(recipe, 2, range(30)))
    curate(folder, recipe, seed=2, workers=Processes(1))
    return folder


@pytest.fixture
def hub(monkeypatch):
    hub = Hub()
    monkeypatch.setattr(stage, "_hub", lambda: hub)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return hub


def test_documents_card_and_report_go_up_and_nothing_else(finished, hub, tmp_path):
    assert push(finished, "me/stories", licence="cc-by-4.0") == "https://hub.test/datasets/me/stories"
    assert hub.asked[:2] == [("token", TOKEN), ("create", "me/stories", "dataset", True, True)]
    _, repo, kind, held = hub.asked[2]
    assert (repo, kind) == ("me/stories", "dataset") and len(hub.asked) == 3
    assert sorted(held) == ["README.md", "manifest.json", "report.json", "train.jsonl.zst", "valid.jsonl.zst"]
    for name in ("train.jsonl.zst", "valid.jsonl.zst"):
        assert held[name] == (finished / "documents" / name).read_bytes()
    manifest = json.loads((finished / "documents" / "manifest.json").read_text())
    assert json.loads(held["manifest.json"]) == manifest | {"licence": "cc-by-4.0"} and manifest["licence"] is None
    for name in ("train.jsonl.zst", "valid.jsonl.zst", "manifest.json"):
        (tmp_path / name).write_bytes(held[name])
    assert len(sources(tmp_path)) == 2  # whoever downloads it can check it
    assert b'license: "cc-by-4.0"' in held["README.md"] and TOKEN.encode() not in b"".join(held.values())


def test_what_may_not_go_up_does_not(finished, hub, tmp_path, monkeypatch):
    with refused("licence", "none"):
        push(finished, "me/stories")
    with refused("documents", "curate"):
        push(tmp_path, "me/stories", licence="mit")
    hub.private = False
    with refused("private", "public"):
        push(finished, "me/stories", licence="mit")
    assert not [asked for asked in hub.asked if asked[0] == "commit"]
    push(finished, "me/stories", private=False, licence="mit")
    assert hub.asked[-1][0] == "commit"
    monkeypatch.delenv("HF_TOKEN")
    with refused("HF_TOKEN"):
        push(finished, "me/stories", licence="mit")


def test_changed_files_are_refused(tmp_path, hub):
    recipe = bundled("tinystories")
    folder = write(tmp_path / "run", ask(recipe, 2, range(30)))
    curate(folder, recipe, seed=2, licence="mit", workers=Processes(1))
    with refused("licence mit", "apache-2.0"):
        push(folder, "me/stories", licence="apache-2.0")
    (folder / "report.json").write_text("{}")
    with refused("report.json"):
        push(folder, "me/stories")
    train = folder / "documents" / "train.jsonl.zst"
    train.write_bytes(train.read_bytes() + b"more")
    with refused("train.jsonl.zst", "sha256"):
        push(folder, "me/stories")
    manifest = folder / "documents" / "manifest.json"
    manifest.write_text(json.dumps({"kind": "documents", "writer": "instruct", "files": {}}))
    with refused("curate wrote", "instruct"):
        push(folder, "me/stories", licence="mit")
    assert not hub.asked


def test_the_hubs_refusal_is_one_line_without_the_token(finished, hub):
    hub.fails = f"403 Forbidden\nAuthorization: {TOKEN}"
    with pytest.raises(Exception, match="403 Forbidden") as failed:
        push(finished, "me/stories", licence="mit")
    assert TOKEN not in str(failed.value) and "\n" not in str(failed.value) and failed.value.__cause__ is None


def test_the_library_has_what_is_used():
    hub = pytest.importorskip("huggingface_hub")
    real = stage._hub()
    assert issubclass(real.errors.HfHubHTTPError, Exception) and issubclass(real.errors.HFValidationError, Exception)
    operation = hub.CommitOperationAdd("README.md", b"text")
    assert operation.path_in_repo == "README.md"
    for name in ("create_repo", "repo_info", "create_commit"):
        assert callable(getattr(hub.HfApi, name))
