"""Finds the reference data: `$TSJAX_REFERENCE`, or `shared` beside the checkout."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    path = Path(os.environ.get("TSJAX_REFERENCE") or Path(__file__).parents[2].parent / "shared")
    if not (path / "data").is_dir():
        pytest.skip(f"no reference data: set TSJAX_REFERENCE to a folder with data/ and models/ (looked at {path})")
    return path
