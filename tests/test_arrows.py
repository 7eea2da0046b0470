"""Imports point one way, and files stay small."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# design section 2: launch -> eval, data_gen -> tsjax; configs are loaded by name and build on tsjax alone, and so are
# benchmarks, which measure the rest
MAY_IMPORT = {
    "tsjax": set(),
    "data_gen": {"tsjax"},
    "eval": {"tsjax", "data_gen"},
    "configs": {"tsjax"},
    "launch": {"tsjax", "data_gen", "eval"},
    "benchmarks": {"tsjax", "data_gen", "eval", "launch"},
}
SOURCES = [p for folder in MAY_IMPORT for p in sorted((ROOT / folder).rglob("*.py"))]


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    return names


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_arrows_and_size(path):
    room = path.relative_to(ROOT).parts[0]
    forbidden = MAY_IMPORT.keys() - MAY_IMPORT[room] - {room}
    assert imported(path) & forbidden == set()
    assert not imported(path) & {"pickle", "dill", "marshal"}, "no pickle"
    assert path.name != "utils.py" and len(path.read_text().splitlines()) <= 350


def test_the_walk_found_the_rooms():
    assert {p.relative_to(ROOT).parts[0] for p in SOURCES} == MAY_IMPORT.keys()
