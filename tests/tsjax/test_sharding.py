"""The table places every matrix of every model, and nothing that it can't; eight devices train the model of one."""

import dataclasses
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.tsjax.eight_devices import CASES, MAXIMAL, MESHES
from tests.tsjax.test_model import KNOBS
from tsjax import model
from tsjax.config import ModelConfig
from tsjax.sharding import TABLE, partition

ROOT = Path(__file__).parents[2]
MESH = SimpleNamespace(shape={"data": 1, "fsdp": 2, "tensor": 4})
# Vectors as long as the residual stream, a head, or the number of heads: whole on every device.
SMALL = r"(^norm|attention_norm|mlp_norm|query_norm|key_norm)\.(scale|bias)$|\.sinks$|\.(out|down)\.bias$"


@pytest.mark.parametrize("config", [MAXIMAL, *KNOBS.values()], ids=["maximal", *KNOBS])
def test_every_parameter_is_in_the_table_or_small(config):
    """Each matches one row of the table, or is named above: a new parameter must be decided on."""
    for name, leaf in model.abstract(config).items():
        places = [axes for pattern, axes in TABLE if re.search(pattern, name)]
        assert len(places) + bool(re.search(SMALL, name)) == 1, name
        if places:
            assert len(places[0]) == leaf.ndim and "fsdp" in places[0] + ("fsdp",) * (leaf.ndim == 1), name
        else:
            assert leaf.ndim == 1, name


def test_every_part_of_the_maximal_model_is_met():
    """So that the test above can't pass by leaving parameters out."""
    names = set(model.abstract(dataclasses.replace(MAXIMAL, layers=1)))
    assert {"embedding", "unembedding", "position", "blocks.0.attention.sinks", "blocks.0.attention.query_norm.scale",
            "blocks.0.attention.key_norm.scale", "blocks.0.mlp.gate.bias", "norm.bias"} <= names  # fmt: skip


@pytest.mark.parametrize(
    "fields", [dict(), dict(position="learned", bias="all", mlp="gelu", tied=False, norm="layernorm")]
)
def test_every_matrix_has_a_place_and_every_vector_of_the_residual_stream_is_whole(fields):
    params = model.abstract(ModelConfig(vocab_size=64, context=32, width=32, layers=2, heads=4, **fields))
    for name, leaf in params.items():
        spec = partition(MESH, name, leaf.shape)
        if leaf.ndim == 2:
            assert "fsdp" in spec and ("tensor" in spec or name == "position"), name
        else:
            inner = name.endswith((".query.bias", ".key.bias", ".value.bias", ".gate.bias", ".up.bias"))
            assert tuple(spec) == (("tensor",) if inner else ()), name


def test_an_axis_that_does_not_divide_is_whole():
    assert tuple(partition(MESH, "embedding", (50257, 32))) == (None, "fsdp")
    assert tuple(partition(MESH, "blocks.0.mlp.up.kernel", (31, 8))) == (None, "tensor")


@pytest.fixture(scope="module")
def found(shard_folder, tmp_path_factory) -> dict:
    out = tmp_path_factory.mktemp("eight") / "found.json"
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    command = [sys.executable, "-m", "tests.tsjax.eight_devices", shard_folder, out]
    subprocess.run(command, check=True, env=environment, cwd=ROOT)
    return json.loads(out.read_text())


@pytest.mark.parametrize(("case", "mesh"), [(case, mesh) for case in CASES for mesh in MESHES[case]])
def test_eight_devices_train_the_model_of_one(found, case, mesh):
    """Tolerance 1e-5 nats, and 1e-4 for parameters after three steps: sums over devices are added in another order."""
    alone, together = found[case]["alone"], found[case][mesh]
    assert len(alone["losses"]) == 3 and alone["losses"][2] < alone["losses"][0]
    np.testing.assert_allclose(together["losses"], alone["losses"], atol=1e-5)
    assert max(together["far"].values()) < 1e-4, together["far"]


@pytest.mark.parametrize(("case", "mesh"), [(case, mesh) for case in CASES for mesh in MESHES[case]])
def test_each_device_holds_its_share_and_no_more(found, case, mesh):
    """Of parameters and of the moments and average that go with them."""
    fsdp, tensor = MESHES[case][mesh]
    axes = SimpleNamespace(shape={"data": 8 // fsdp // tensor, "fsdp": fsdp, "tensor": tensor})
    shapes, seen = model.abstract(CASES[case].model), set()
    for path, share in found[case][mesh]["held"].items():
        *where, name = path.split("/")
        if name in shapes and (where == ["params"] or where == ["ema"] or {"mu", "nu"} & set(where)):
            spec = partition(axes, name, shapes[name].shape)
            assert share == pytest.approx(1 / math.prod(axes.shape[a] for a in spec if a)), path
            seen.add(where[0])
    assert seen == {"params", "optimizer"} | ({"ema"} if CASES[case].optimizer.ema else set())
    split = found[case][mesh]["held"]["params/blocks.0.attention.out.kernel"]
    assert split == 1 / fsdp / tensor
