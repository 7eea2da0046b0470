"""The device mesh, and where the batch, the parameters and what follows them live on it."""

import math
import re
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from tsjax.config import MeshConfig
from tsjax.errors import UserError

LOOKED_UP = ("embedding", "position")  # the parameters that are read by row numbers
ROWS = ("data", "fsdp")  # the mesh axes over which the rows of a batch are split

# Which mesh axis splits each axis of a parameter: the first pattern found in its name decides; a parameter that none
# fits is whole on every device. fsdp stores slices that are gathered for use; tensor splits the work itself, the first
# matrix of a branch by its columns and the second by its rows (Shoeybi et al. 2019), the vocabulary by its rows.
TABLE: tuple[tuple[str, tuple[str | None, ...]], ...] = (
    (r"embedding$", ("tensor", "fsdp")),  # V x E, tied or not
    (r"^position$", (None, "fsdp")),  # context x E
    (r"(query|key|value|gate|up)\.kernel$", ("fsdp", "tensor")),
    (r"(query|key|value|gate|up)\.bias$", ("tensor",)),
    (r"(out|down)\.kernel$", ("tensor", "fsdp")),
)


def make_mesh(config: MeshConfig = MeshConfig(), lanes: int = 1) -> Mesh:
    """All devices of all hosts along the axes lanes, data, fsdp and tensor.

    As many devices as divide `lanes` take a share of the lanes each. UserError when JAX finds none, or not so many.
    """
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:
        raise UserError(expected="a device that JAX can use", found=" ".join(str(error).split())[:200] or "none",
                        todo="see tsjax doctor; unset JAX_PLATFORMS") from error  # fmt: skip
    devices, model = jax.device_count(), config.fsdp * config.tensor
    if devices % model:
        raise UserError(expected=f"config.mesh.fsdp x config.mesh.tensor that divides the {devices} devices",
                        found=f"{config.fsdp} x {config.tensor}", todo="change one of them")  # fmt: skip
    apart = math.gcd(lanes, devices // model)
    shape = (apart, devices // model // apart, config.fsdp, config.tensor)
    return jax.make_mesh(shape, ("lanes", "data", "fsdp", "tensor"), axis_types=(AxisType.Auto,) * 4)


def replicated(mesh: Mesh) -> NamedSharding:
    """A full copy on each device."""
    return NamedSharding(mesh, PartitionSpec())


def partition(mesh: Mesh, name: str, shape: tuple[int, ...]) -> PartitionSpec:
    """Where a parameter lies by TABLE. An axis that its mesh axis does not divide is not split."""
    axes = next((axes for pattern, axes in TABLE if re.search(pattern, name)), ())
    return PartitionSpec(*(a if a and n % mesh.shape[a] == 0 else None for a, n in zip(axes, shape, strict=False)))


def shardings(mesh: Mesh, state: Any, *leading: str) -> Any:
    """Where each leaf of a training state (arrays or their shapes) lies.

    Parameters by TABLE; a leaf that has a parameter's name and shape (moments, average) with that parameter; others
    whole on every device. `leading`: mesh axes of axes that are put before those of `state`.
    """

    def place(path: tuple, leaf: Any) -> NamedSharding:
        name = getattr(path[-1], "key", "")
        parameter = state["params"].get(name)
        is_one = parameter is not None and parameter.shape == leaf.shape
        spec = partition(mesh, name, leaf.shape) if is_one else PartitionSpec()
        return NamedSharding(mesh, PartitionSpec(*leading, *spec))

    return jax.tree_util.tree_map_with_path(place, state)


def gather_lookups(mesh: Mesh, params: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """The tables that are read by row numbers, whole rows of them on each device, for use inside a program.

    Left to itself XLA reads the slices that fsdp stores, and to sum up their gradient it first makes the gradient of all
    activations whole on every device ("involuntary full rematerialization").
    """

    def gather(name: str, table: jax.Array) -> jax.Array:
        spec = partition(mesh, name, table.shape)
        rows = NamedSharding(mesh, PartitionSpec(*(None if axis == "fsdp" else axis for axis in spec)))
        return jax.lax.with_sharding_constraint(table, rows)

    return params | {name: gather(name, params[name]) for name in LOOKED_UP if name in params}


def abstract(shapes: Any, placed: Any) -> Any:
    """Shapes with their places: what a checkpoint is restored into."""
    return jax.tree.map(lambda x, where: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where), shapes, placed)


def check_batch(mesh: Mesh, rows: int, field: str) -> None:
    """Raises UserError unless `rows` can be split evenly over the devices that don't share their rows."""
    split = mesh.shape["data"] * mesh.shape["fsdp"]
    if rows % split:
        raise UserError(expected=f"{field} divisible by the {split} devices that split a batch", found=str(rows),
                        todo="change it")  # fmt: skip


def put_everywhere(mesh: Mesh, tables: dict[str, np.ndarray]) -> dict[str, jax.Array]:
    """The same arrays on every device."""

    def put(table: np.ndarray) -> jax.Array:
        return jax.make_array_from_callback(table.shape, replicated(mesh), lambda index: table[index])

    return {name: put(table) for name, table in tables.items()}


def host_rows(mesh: Mesh, rows: int) -> slice:
    """Of a batch of `rows`, those that this process must read: from the first to the last that its devices hold."""
    held = NamedSharding(mesh, PartitionSpec(ROWS)).addressable_devices_indices_map((rows,)).values()
    bounds = [index[0].indices(rows) for index in held if index is not None]
    return slice(min(start for start, _, _ in bounds), max(stop for _, stop, _ in bounds))


def put_batch(
    mesh: Mesh, batch: dict[str, np.ndarray], *leading: str | None, share: slice | None = None, total: int = 0
) -> dict[str, jax.Array]:
    """Rows -> global arrays split over the mesh axes ROWS. `leading`: mesh axes of the array axes before the rows.

    `batch` holds all rows, or those of `share` of `total` rows (`host_rows` says which a process needs).
    """
    axis, sharding = len(leading), NamedSharding(mesh, PartitionSpec(*leading, ROWS))
    first = 0 if share is None else share.start

    def put(local: np.ndarray) -> jax.Array:
        rows = local.shape[axis] if share is None else total

        def part(index: Any) -> np.ndarray:
            start, stop, _ = index[axis].indices(rows)
            return local[(*index[:axis], slice(start - first, stop - first))]

        return jax.make_array_from_callback((*local.shape[:axis], rows, *local.shape[axis + 1 :]), sharding, part)

    return {name: put(rows) for name, rows in batch.items()}


def on_one_device(mesh: Mesh, tree: Any) -> Any:
    """The whole arrays on this process's first device: for work that is not worth splitting."""
    whole = jax.jit(lambda tree: tree, out_shardings=replicated(mesh))(tree)
    return jax.tree.map(lambda array: array.addressable_data(0), whole)
