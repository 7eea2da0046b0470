"""What the train step is fed with: for each dispatch, the batches of its steps, [K, B, T]."""

from collections.abc import Iterator

import jax
import numpy as np
from jax.sharding import Mesh

from tsjax import loader
from tsjax.sharding import put_batch


class LoadedFeed:
    """Batches that Grain reads ahead on the host, and that travel to the device whole."""

    def __init__(self, source: loader.ShuffledBatches, mesh: Mesh, step: int):
        self._mesh = mesh
        self._batches: Iterator[loader.Batch] = loader.train_batches(source, step)

    def take(self, length: int) -> dict[str, jax.Array]:
        """The batches of the next `length` steps, [length, B, T]."""
        batches = [next(self._batches) for _ in range(length)]
        stacked = {name: np.stack([batch[name] for batch in batches]) for name in batches[0]}
        return put_batch(self._mesh, stacked, axis=1)
