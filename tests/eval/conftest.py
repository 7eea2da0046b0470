"""A run that completions are made with, and what a judge needs to be asked in a test."""

from pathlib import Path

import pytest

from tests.data_gen import runs
from tests.tsjax.test_train import small
from tsjax.config import Config
from tsjax.train import train


@pytest.fixture
def quick(monkeypatch):
    """A key for the stub server, and waits that suit a test."""
    monkeypatch.setenv("TSJAX_TEST_KEY", "sk-test-0123456789abcdef0123456789")
    runs.short_waits(monkeypatch)


@pytest.fixture(scope="module")
def finished(shard_folder, tmp_path_factory) -> tuple[Path, Config]:
    """As `tests.tsjax`'s, but compiled in haste: nothing here promises equal bits."""
    run, config = tmp_path_factory.mktemp("runs") / "small", small(shard_folder)
    assert train(config, run, quiet=True)["steps"] == 12
    return run, config
