"""Several processes that train one model: who writes, and how all come to the same decision.

The processes share a file system. Process 0 leads: what depends on files is done by it and told to the others, so
that all run the same programs in the same order. With one process everything here is a plain call.
"""

import hashlib
import json
from collections import deque
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from tsjax.errors import UserError
from tsjax.stop import Stop


def leads() -> bool:
    """Whether this is the process that writes files. For use once JAX has found its devices."""
    return jax.process_index() == 0


def led(action: Callable[[], Any]) -> Any:
    """Process 0's `action()`, which must be JSON, on every process; its UserError is raised on every process."""
    if jax.process_count() == 1:
        return action()
    told: dict[str, Any] = {}
    if leads():
        try:
            told = {"value": action()}
        except UserError as error:
            told = {"error": error.fields()}
    text = np.frombuffer(json.dumps(told).encode(), np.uint8)
    length = int(multihost_utils.broadcast_one_to_all(np.int32(len(text))))
    sent = text if leads() else np.zeros(length, np.uint8)
    told = json.loads(np.asarray(multihost_utils.broadcast_one_to_all(sent)).astype(np.uint8).tobytes())
    if "error" in told:
        raise UserError(**told["error"])
    return told["value"]


def agree(what: str, value: str) -> None:
    """Raises UserError, on every process, unless all have the same `value`; `what` names it in the message."""
    if jax.process_count() == 1:
        return
    mine = np.frombuffer(hashlib.sha256(value.encode()).digest(), np.uint8)
    all_Px32 = np.asarray(multihost_utils.process_allgather(mine)).reshape(jax.process_count(), -1)
    others = [i for i, digest in enumerate(all_Px32) if (digest != all_Px32[0]).any()]
    if others:
        raise UserError(expected=f"the same {what} on all processes", found=f"another one on {', '.join(map(str, others))} "
                        "than on 0", todo="start them with the same command but for --process")  # fmt: skip


class StopTogether:
    """A stop that all processes see between the same two dispatches, whichever of them was asked.

    Every dispatch asks and takes the answer of the question `patience` dispatches before, so that nobody waits.
    """

    def __init__(self, stop: Stop, patience: int):
        self._stop, self._patience, self._agreed = stop, patience, False
        self._asked: deque[jax.Array] = deque()
        self._alone = jax.process_count() == 1
        if not self._alone:
            mesh = jax.make_mesh((jax.device_count(),), ("all",), axis_types=(jax.sharding.AxisType.Auto,))
            self._split, whole = (jax.NamedSharding(mesh, jax.P(*axes)) for axes in (("all",), ()))
            self._any = jax.jit(lambda flags: flags.any(), out_shardings=whole)

    def __bool__(self) -> bool:
        return bool(self._stop) if self._alone else self._agreed

    def ask(self) -> None:
        if self._alone:
            return
        mine = np.full(jax.local_device_count(), bool(self._stop))
        self._asked.append(self._any(jax.make_array_from_process_local_data(self._split, mine)))
        if len(self._asked) > self._patience:
            self._agreed |= bool(np.asarray(self._asked.popleft()))
