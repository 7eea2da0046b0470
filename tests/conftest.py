"""Shared fixtures: a small corpus and its shards, made once; no network in any test."""

import os
import socket
from pathlib import Path

import pytest

os.environ.setdefault("JAX_PLATFORMS", "cpu")


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
