"""The loss over a whole validation split: nats/token, bits/byte, and how sure the number is."""

import dataclasses
from collections.abc import Callable

import jax
import numpy as np
from jax.sharding import Mesh

from tsjax import model
from tsjax.loader import Rows, eval_batches
from tsjax.loss import bits_per_byte
from tsjax.sharding import put_batch


@dataclasses.dataclass(frozen=True)
class Evaluation:
    loss: float  # nats per token; a document's tokens are its pieces and its EOS
    standard_error: float  # of `loss`, with documents as the unit
    bits_per_byte: float | None  # of the documents' UTF-8 text; None when only a part of it is learned
    tokens: int
    documents: int

    def __str__(self) -> str:
        bits = "" if self.bits_per_byte is None else f", {self.bits_per_byte:.4f} bits/byte"
        return f"{self.loss:.4f} ± {self.standard_error:.4f} nats/token{bits}"


def evaluate(
    params: model.Params,
    eval_step: Callable,
    rows: Rows,
    *,
    text_bytes: int | None,
    documents: int,
    batch_size: int,
    mesh: Mesh,
    lanes: int = 1,
    stopped: Callable[[], bool] = lambda: False,
) -> list[Evaluation] | None:
    """Every target of the split once, for each of the `lanes` that `params` hold. None when `stopped()` turned true.

    `text_bytes`: UTF-8 bytes of the text that the targets spell; None when they spell only a part of it.

    The standard error is that of a ratio of sums over documents (linearised; Cochran 1977, section 2.11).
    """
    nats_ExD, tokens_D = np.zeros((lanes, documents)), np.zeros(documents)
    pending: tuple | None = None

    def add(nll: jax.Array, weights: np.ndarray, owners: np.ndarray) -> None:
        nll_ExBxT = np.asarray(nll).reshape(lanes, *weights.shape)
        mine = weights > 0
        for nats_D, nll_BxT in zip(nats_ExD, nll_ExBxT, strict=True):
            np.add.at(nats_D, owners[mine], nll_BxT[mine].astype(np.float64))
        np.add.at(tokens_D, owners[mine], 1)

    for batch, owners in eval_batches(rows, batch_size):
        nll = eval_step(params, put_batch(mesh, batch))
        if pending is not None:
            add(*pending)  # the batch before: the device is already at work on this one
        pending = (nll, batch["weights"], owners)
        if stopped():
            return None
    assert pending is not None
    add(*pending)
    return [summary(nats_D, tokens_D, text_bytes) for nats_D in nats_ExD]


def summary(nats_D: np.ndarray, tokens_D: np.ndarray, text_bytes: int | None) -> Evaluation:
    """Of documents with these nats and numbers of tokens."""
    documents = len(nats_D)
    nats, tokens = float(nats_D.sum()), float(tokens_D.sum())
    loss = nats / tokens
    residual = float(np.sum((nats_D - loss * tokens_D) ** 2))
    return Evaluation(
        loss=loss,
        standard_error=(documents / max(documents - 1, 1) * residual) ** 0.5 / tokens,
        bits_per_byte=None if text_bytes is None else bits_per_byte(nats, text_bytes),
        tokens=int(tokens),
        documents=documents,
    )
