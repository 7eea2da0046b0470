"""The device mesh, and where the batch and the state live on it."""

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from tsjax.errors import UserError


def make_mesh() -> Mesh:
    """All devices of all hosts along one `data` axis. UserError when JAX finds none."""
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:
        raise UserError(expected="a device that JAX can use", found=" ".join(str(error).split())[:200] or "none",
                        todo="see tsjax doctor; unset JAX_PLATFORMS") from error  # fmt: skip
    return jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """Parameters and optimizer state: a full copy on each device."""
    return NamedSharding(mesh, PartitionSpec())


def check_batch(mesh: Mesh, rows: int, field: str) -> None:
    """Raises UserError unless `rows` can be split evenly over the devices."""
    if rows % mesh.shape["data"]:
        raise UserError(expected=f"{field} divisible by the {mesh.shape['data']} devices", found=str(rows),
                        todo="change it")  # fmt: skip


def put_everywhere(mesh: Mesh, tables: dict[str, np.ndarray]) -> dict[str, jax.Array]:
    """The same arrays on every device."""

    def put(table: np.ndarray) -> jax.Array:
        return jax.make_array_from_callback(table.shape, replicated(mesh), lambda index: table[index])

    return {name: put(table) for name, table in tables.items()}


def put_batch(mesh: Mesh, batch: dict[str, np.ndarray], axis: int = 0) -> dict[str, jax.Array]:
    """This host's rows -> global arrays whose rows, along `axis`, are split over the `data` axis."""
    sharding = NamedSharding(mesh, PartitionSpec(*[None] * axis, "data"))
    return {name: jax.make_array_from_process_local_data(sharding, rows) for name, rows in batch.items()}
