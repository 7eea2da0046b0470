"""Folders with anything in their JSON end in a UserError, or in a model; never in another exception."""

import json
import random

import pytest

from tests.tsjax.formats.models import CONFIGS, tokenizer, trained
from tsjax.errors import UserError
from tsjax.formats.huggingface import open_hf, write_hf

VALUES = [None, True, 0, -1, 3, 2.5, 1e400, float("nan"), "", "gelu", "x" * 50, [], [1], [[["local"], 2]], [["a"]], {},
          {"a": 1}, {"rope_type": 3}, 10**30]  # fmt: skip


def changed(value, rng: random.Random):
    """`value` with one part of it, wherever, replaced or gone."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(sorted(value))
        if rng.random() < 0.1:
            return {k: v for k, v in value.items() if k != key}
        return value | {key: changed(value[key], rng)}
    return rng.choice(VALUES)


@pytest.mark.parametrize("name", ["llama", "gpt_neo odd layers", "gpt2"])
@pytest.mark.parametrize("file", ["config.json", "tsjax.json", "tokenizer_config.json"])
def test_malformed_json(name, file, tmp_path):
    write_hf(trained(CONFIGS[name], tokenizer("byte-bpe")), tmp_path / "m")
    if file != "tsjax.json":
        (tmp_path / "m" / "tsjax.json").unlink()
    path = tmp_path / "m" / file
    good = path.read_text()
    rng = random.Random(name + file)
    refused = 0
    for _ in range(10):
        bad = json.dumps(changed(json.loads(good), rng))
        path.write_text(bad)
        try:
            open_hf(tmp_path / "m")
        except UserError as error:
            refused += 1
            assert error.todo
    assert refused or file == "tokenizer_config.json"
    for bad in ("", "[]", "null", good[:-20], "\x00"):
        path.write_text(bad)
        try:
            open_hf(tmp_path / "m")
        except UserError:
            continue
        assert file == "tokenizer_config.json"  # which the tokenizer can do without
