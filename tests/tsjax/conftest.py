"""A run that several files look at."""

from pathlib import Path

import pytest

from tests.tsjax.test_train import small
from tsjax.config import Config
from tsjax.train import train


@pytest.fixture(scope="module")
def finished(shard_folder, tmp_path_factory, as_shipped) -> tuple[Path, Config]:
    run, config = tmp_path_factory.mktemp("runs") / "small", small(shard_folder)
    assert train(config, run, quiet=True)["steps"] == 12
    return run, config
