"""Whether a model that was written and read again computes what it did: the check of every export format."""

import dataclasses

import jax
import numpy as np

from tsjax import model
from tsjax.errors import UserError
from tsjax.trained import Trained

ROWS, LENGTH = 2, 64
CLEAR = 1e-3  # a gap between the two likeliest tokens at which they must not change places


@dataclasses.dataclass(frozen=True)
class Difference:
    """Of the logits of the same tokens."""

    largest: float
    deviation: float  # standard deviation of the reference's logits
    changed: int  # positions whose likeliest token changed although it was clear

    @property
    def tolerance(self) -> float:
        """What float32 leaves open: 5e-5 max(2, deviation)."""
        return 5e-5 * max(2.0, self.deviation)

    def __str__(self) -> str:
        return f"{self.largest:.2e} (tolerance {self.tolerance:.1e})"


def difference(reference: Trained, other: Trained) -> Difference:
    """Between the logits of two models on 2 x 64 drawn tokens, both computed in float32."""
    vocab = min(reference.config.model.vocab_size, other.config.model.vocab_size)
    tokens_BxT = drawn(vocab, min(reference.config.model.context, other.config.model.context))
    expected, found = logits(reference, tokens_BxT)[..., :vocab], logits(other, tokens_BxT)[..., :vocab]
    second, first = np.moveaxis(np.sort(expected, axis=-1)[..., -2:], -1, 0)
    changed = (expected.argmax(-1) != found.argmax(-1)) & (first - second > CLEAR)
    return Difference(float(np.abs(expected - found).max()), float(expected.std()), int(changed.sum()))


def drawn(vocab: int, context: int) -> np.ndarray:
    """2 x 64 token ids (fewer where the context is shorter), always the same."""
    return np.random.default_rng(0).integers(vocab, size=(ROWS, min(LENGTH, context)), dtype=np.int32)


def logits(trained: Trained, tokens_BxT: np.ndarray) -> np.ndarray:
    """B x T x V, float32, by the reference kernel whatever the run's config says of speed."""
    config = dataclasses.replace(trained.config.model, dtype="float32", kernel="reference")

    @jax.jit
    def compute(params: model.Params, tokens: jax.Array) -> jax.Array:
        decoder = model.bind(config, params)
        return decoder.logits(decoder(tokens))

    with jax.default_matmul_precision("highest"):
        return np.asarray(compute(trained.params, tokens_BxT))


def deviation(trained: Trained) -> float:
    """The standard deviation of the model's logits on `drawn` tokens."""
    config = trained.config.model
    return float(logits(trained, drawn(config.vocab_size, config.context)).std())


def check(reference: Trained, other: Trained) -> Difference:
    """`difference`; UserError where it is above the tolerance (NaN is)."""
    return accepted(difference(reference, other))


def accepted(found: Difference) -> Difference:
    """`found`; UserError where it is above its tolerance."""
    if not found.largest <= found.tolerance or found.changed:
        raise UserError(
            expected=f"logits within {found.tolerance:.1e} of the run's after writing and reading",
            found=f"a difference of {found.largest:.2e}, {found.changed} likeliest tokens changed",
            todo="keep the run and report this: the export is wrong",
        )
    return found
