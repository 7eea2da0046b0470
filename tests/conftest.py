"""Shared fixtures: a small corpus and its shards, made once; no network in any test."""

import os
import socket
from pathlib import Path

import pytest

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Most tests compile what another one has compiled: whole runs of one small model, in this process and in others. Cold,
# within one session, it saves about half of such files; `rm -r .pytest_cache` starts cold again.
CACHE = Path(__file__).parents[1] / ".pytest_cache" / "xla"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """A connection to anything but this machine fails the test that makes it."""
    connect = socket.socket.connect

    def guarded(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test reached for the network: {address}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(scope="session")
def shard_folder(tmp_path_factory) -> Path:
    """Token shards of 300 offline stories, 512 pieces."""
    from data_gen.offline import write_corpus
    from tsjax.corpus.split import Splitting
    from tsjax.prepare import prepare
    from tsjax.tokenizer import Recipe

    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder / "stories", 300, seed=7)
    prepare([folder / "stories"], folder / "shards", recipe=Recipe(vocab_size=512), splitting=Splitting(0.1))
    return folder / "shards"
