"""A format whose package is not installed says which, and writes nothing."""

import importlib.util
import sys

import pytest

from tests.expect import refused
from tests.tsjax.formats.models import CONFIGS, trained
from tsjax.formats.gguf import write_gguf
from tsjax.formats.stablehlo import write_stablehlo


@pytest.mark.parametrize(("write", "package"), [(write_gguf, "gguf"), (write_stablehlo, "flatbuffers")])
def test_a_missing_package_is_named(write, package, tmp_path, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else found(name))
    with refused(f"`{package}`", "pip install 'tsjax["):
        write(trained(CONFIGS["llama"]), tmp_path / "out")
    assert not list(tmp_path.iterdir())
