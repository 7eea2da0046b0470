"""The table places every matrix of every family, and nothing that it can't."""

from types import SimpleNamespace

import pytest

from tsjax import model
from tsjax.config import ModelConfig
from tsjax.sharding import partition

MESH = SimpleNamespace(shape={"data": 1, "fsdp": 2, "tensor": 4})


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
