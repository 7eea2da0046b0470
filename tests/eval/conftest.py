"""A run that completions are made with."""

from pathlib import Path

import pytest

from tests.tsjax.test_train import small
from tsjax.config import Config
from tsjax.train import train


@pytest.fixture(scope="module")
def finished(shard_folder, tmp_path_factory) -> tuple[Path, Config]:
    """As `tests.tsjax`'s, but compiled in haste: nothing here promises equal bits."""
    run, config = tmp_path_factory.mktemp("runs") / "small", small(shard_folder)
    assert train(config, run, quiet=True)["steps"] == 12
    return run, config
