"""The models that benchmarks run, by name: the shapes of `configs/`, with the vocabulary filled in."""

from typing import Any

from tsjax import families
from tsjax.config import Config, OptimizerConfig, TrainConfig
from tsjax.model_config import ModelConfig

SHAPES: dict[str, dict[str, Any]] = {
    "neo-1m": families.gpt_neo(vocab_size=10_000, context=512, width=64, layers=8, heads=16),
    "neo-8m": families.gpt_neo(vocab_size=10_000, context=512, width=256, layers=8, heads=16),
    "neo-33m": families.gpt_neo(vocab_size=10_000, context=512, width=768, layers=4, heads=16),
    "llama-260k": families.llama(
        vocab_size=512, context=512, width=64, layers=5, heads=8, kv_heads=4, mlp_width=172, norm_eps=1e-5
    ),
    "llama-15m": families.llama(
        vocab_size=32_000, context=256, width=288, layers=6, heads=6, mlp_width=768, norm_eps=1e-5
    ),
    "cs336-23m": families.llama(
        vocab_size=10_000, context=256, width=512, layers=4, heads=16, mlp_width=1344, tied=False
    ),
}
CPU_BATCH = {
    "neo-1m": 4,
    "neo-8m": 2,
    "llama-260k": 8,
    "llama-15m": 4,
}  # rows of a step that two cores take about 1 s for


def model_config(name: str, **changes: Any) -> ModelConfig:
    """A shape, with fields changed."""
    return ModelConfig(**SHAPES[name] | changes)


def train_config(model: ModelConfig, batch_size: int, seed: int = 0) -> Config:
    """A run of that model as every step benchmark takes it: AdamW, clipped, constant rate, no dropout."""
    optimizer = OptimizerConfig(learning_rate=1e-3, schedule="constant", warmup="0 steps")
    return Config(model=model, optimizer=optimizer, train=TrainConfig(batch_size=batch_size, seed=seed))
