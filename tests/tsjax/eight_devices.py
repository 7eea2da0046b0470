"""Training steps on eight forced host devices against one of them, for test_sharding.py.

python -m tests.tsjax.eight_devices SHARDS OUT.json
"""

import dataclasses
import json
import os
import sys
from pathlib import Path

import numpy as np

from tsjax import families
from tsjax.config import Config, DataConfig, MeshConfig, ModelConfig, OptimizerConfig, TrainConfig

STEPS = 3
SHAPE = dict(vocab_size=512, context=64, width=32, layers=1, heads=4, mlp_width=64)
ADAMW = OptimizerConfig(learning_rate=3e-3, warmup="0")
# Everything a parameter can be: learned positions, biases, both head norms, sinks, GQA, gates, an untied head.
MAXIMAL = ModelConfig(
    **SHAPE, position="learned", bias="all", norm="layernorm", qk_norm=True, attn_sinks=True, kv_heads=2, tied=False
)
CASES = {
    "llama": Config(ModelConfig(**families.llama(**SHAPE)), optimizer=ADAMW, train=TrainConfig(batch_size=16)),
    # Fewer key/value heads than the tensor axis is long: a head's dimensions are split there.
    "maximal": Config(
        MAXIMAL, DataConfig(packing="documents", resident="yes"), dataclasses.replace(ADAMW, name="muon", ema=0.9),
        TrainConfig(batch_size=16, accumulate=2, steps_per_dispatch=3, z_loss=1e-4),
    ),
    "attention_only": Config(
        ModelConfig(**SHAPE | {"layers": 2}, mlp="none", position="alibi", norm_position="post", kv_heads=1,
                    attn_soft_cap=20.0, attention=("local", "global"), window=9, final_soft_cap=30.0),
        DataConfig(resident="yes"), ADAMW, TrainConfig(batch_size=16),
    ),
}  # fmt: skip
MESHES = {
    "llama": {"data": (1, 1), "fsdp": (8, 1), "tensor": (1, 4)},
    "maximal": {"mixed": (2, 2), "tensor": (1, 4)},
    "attention_only": {"fsdp and tensor": (4, 2)},
}


def steps(config: Config, shards, mesh) -> tuple[dict, dict[str, np.ndarray]]:
    """What test_sharding.py asks about STEPS steps on `mesh`, and the parameters after them."""
    import jax

    from tsjax import loader
    from tsjax.program import Dispatch, Solo
    from tsjax.units import Rates

    rows = loader.make_rows(shards, "train", config.model.context, config.data)
    program = Solo(config, Rates(1, 1, total_steps=STEPS), mesh)
    feed = program.feed(rows, STEPS, 0)
    state, dispatch = program.init(), Dispatch(program, feed)
    length, losses = config.train.steps_per_dispatch, []
    for _ in range(STEPS // length):
        state, metrics = dispatch(state, feed.take(length))
        losses += metrics["loss"].tolist()
    held = {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf.addressable_data(0).size / leaf.size
        for path, leaf in jax.tree_util.tree_leaves_with_path(state)
    }
    told = {"losses": losses, "held": held}
    return told, {name: np.asarray(p) for name, p in state["params"].items()}


def main(folder: Path, out: Path) -> None:
    import jax
    from jax.sharding import AxisType, Mesh

    from tsjax.sharding import make_mesh
    from tsjax.shards import open_shards

    assert jax.device_count() == 8
    shards, found = open_shards(folder), {}
    axes = ("lanes", "data", "fsdp", "tensor")
    one = Mesh(np.array(jax.devices()[:1]).reshape(1, 1, 1, 1), axes, axis_types=(AxisType.Auto,) * 4)
    for case, config in CASES.items():
        plain = dataclasses.replace(
            config, data=dataclasses.replace(config.data, resident="no"),
            train=dataclasses.replace(config.train, steps_per_dispatch=1),
        )  # fmt: skip
        alone, expected = steps(plain, shards, one)
        found[case] = {"alone": alone}
        for name, shape in MESHES[case].items():
            os.write(2, f"== {case} on {name}\n".encode())  # XLA's warnings follow it
            told, params = steps(config, shards, make_mesh(MeshConfig(*shape)))
            far = {n: float(np.abs(params[n] - p).max()) for n, p in expected.items()}
            found[case][name] = told | {"far": far}
    logits_stay_apart(make_mesh())
    out.write_text(json.dumps(found))


def logits_stay_apart(mesh) -> None:
    """Where rows are split over the devices, each computes the logits of its own and no others."""
    import jax
    import jax.numpy as jnp

    from tsjax import loss
    from tsjax.sharding import put_batch, replicated

    for N, V in ((1024, 40), (5120, 10000), (8192, 50257)):
        shapes = dict(x=((N, 16), "float32"), targets=((N,), "int32"), weights=((N,), "float32"))
        batch = put_batch(mesh, {k: np.zeros(*v) for k, v in shapes.items()})
        rows = loss.chunk_rows(N, V)

        def total(head, b, rows=rows):
            return loss.cross_entropy_sums(b["x"], head, b["targets"], b["weights"], rows)[0]

        head = jax.device_put(jnp.zeros((V, 16)), replicated(mesh))
        hlo = jax.jit(jax.grad(total)).lower(head, batch).compile().as_text()
        assert "all-gather" not in hlo and f"f32[{rows // 8},{V}]" in hlo, (N, V)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
