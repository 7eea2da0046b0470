"""Parameters and floating-point operations by component, and what share of the device's peak a rate is.

A multiply-add counts as two operations. Training costs three forwards: the backward pass makes two matmuls for
each of the forward's. Norms, activations, soft-caps and softmax are left out (under 5 % at these sizes).
"""

import dataclasses

from tsjax.model_config import GATED, ModelConfig, head_shape, layer_patterns, mlp_width


@dataclasses.dataclass(frozen=True)
class Parameters:
    """Trainable numbers by component; `total` is their sum."""

    embedding: int
    position: int
    attention: int
    mlp: int
    norms: int
    head: int  # 0 when tied

    @property
    def total(self) -> int:
        return sum(dataclasses.astuple(self))

    @property
    def blocks(self) -> int:
        """What most papers call non-embedding parameters, the final norm included."""
        return self.attention + self.mlp + self.norms


def count_parameters(config: ModelConfig) -> Parameters:
    """By formula; a test holds it against the arrays."""
    V, E, L = config.vocab_size, config.width, config.layers
    H, K, D = head_shape(config)
    F = mlp_width(config)
    qkv_bias = (H + 2 * K) * D if config.bias == "all" else 0
    out_bias = E if config.bias != "none" else 0
    sinks = H if config.attn_sinks else 0
    matrices = _mlp_matrices(config)
    mlp_bias = (matrices - 1) * F + E if config.bias != "none" and matrices else 0
    norms = L * (2 if matrices else 1) + (1 if config.norm_position == "pre" else 0)
    per_norm = E * (2 if config.norm == "layernorm" else 1)
    return Parameters(
        embedding=V * E,
        position=config.context * E if "learned" in config.position else 0,
        attention=L * (E * (2 * H + 2 * K) * D + qkv_bias + out_bias + sinks),
        mlp=L * (matrices * E * F + mlp_bias),
        norms=norms * per_norm + (L * 2 * D if config.qk_norm else 0),
        head=0 if config.tied else V * E,
    )


def _mlp_matrices(config: ModelConfig) -> int:
    return 0 if config.mlp == "none" else 3 if config.mlp in GATED else 2


@dataclasses.dataclass(frozen=True)
class Flops:
    """Training operations per token, under three conventions.

    exact: matmuls, and attention over the keys that the causal and local masks leave (mean over the context).
    full: matmuls, and attention over all `context` keys, as PaLM (Chowdhery et al. 2022, appendix B) counts.
    six_n: 6 x parameters of the blocks (Kaplan et al. 2020, section 2.1).
    """

    exact: float
    full: float
    six_n: float


def count_flops(config: ModelConfig) -> Flops:
    parameters = count_parameters(config)
    E, T = config.width, config.context
    H, K, D = head_shape(config)
    weights = config.layers * (E * (2 * H + 2 * K) * D + _mlp_matrices(config) * E * mlp_width(config))
    weights += config.vocab_size * E
    seen = sum(mean_keys(T, config.window if pattern == "local" else T) for pattern, _ in layer_patterns(config))
    # Scores and the weighted sum of values: two matmuls of H x D per key seen.
    return Flops(
        exact=3 * (2 * weights + 4 * H * D * seen),
        full=3 * (2 * weights + 4 * H * D * T * config.layers),
        six_n=6.0 * parameters.blocks,
    )


def mean_keys(context: int, window: int) -> float:
    """Keys a query sees, on average over positions 0 .. context - 1, when it sees `window` of them at most."""
    w = min(window, context)
    return (w * (w + 1) / 2 + (context - w) * w) / context


# Dense bfloat16 peak, operations/s, from the makers' data sheets; the first name that the device's kind contains wins.
_PEAKS = {
    "H200": 989e12, "H100": 989e12, "A100": 312e12, "L40": 181e12, "L4": 121e12, "4090": 165e12, "V100": 125e12,
    "TPU v6": 918e12, "TPU v5p": 459e12, "TPU v5": 197e12, "TPU v4": 275e12, "TPU v3": 123e12,
}  # fmt: skip


def peak_flops(device_kind: str) -> float | None:
    """bfloat16 peak of one device; None where it is not known (any CPU)."""
    return next((peak for name, peak in _PEAKS.items() if name.lower() in device_kind.lower()), None)
