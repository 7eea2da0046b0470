"""The story models of llama2.c: Llama 2 shapes on TinyStories.

    tsjax prepare TinyStories-train.txt --valid TinyStories-valid.txt --vocab-size 512 --out data/v1-512
    tsjax train --config=configs/llama2c.py:260k --config.data.path=data/v1-512

260k wants a 512-piece tokenizer, the others one of 32,000 pieces. Parameters: 260k 260,032; 15m 15,191,712;
42m 41,689,600; 110m 109,529,856. Published validation losses (other split, so a guide only): 1.297, 1.072, 0.847, 0.760
nats/token after 100,000 steps (110m: 200,000). llama2.c also drops out attention weights; here dropout is on the
embedding and on each branch.

Hardware, time: not measured here; llama2.c took about 24 hours on four A100 for 110m.
"""

from ml_collections import ConfigDict

from tsjax import config as tsjax_config
from tsjax import families

SIZES = {
    "260k": dict(vocab_size=512, context=512, width=64, layers=5, heads=8, kv_heads=4, mlp_width=172),
    "15m": dict(vocab_size=32_000, context=256, width=288, layers=6, heads=6, mlp_width=768),
    "42m": dict(vocab_size=32_000, context=1024, width=512, layers=8, heads=8, mlp_width=1376),
    "110m": dict(vocab_size=32_000, context=1024, width=768, layers=12, heads=12, mlp_width=2048),
}
TRAINING = {
    "260k": dict(batch_size=128, accumulate=1, learning_rate=1e-3, beta2=0.99, weight_decay=0.01, dropout=0.05),
    "15m": dict(batch_size=512, accumulate=4, learning_rate=5e-4, beta2=0.95, weight_decay=0.1, dropout=0.0),
    "42m": dict(batch_size=512, accumulate=16, learning_rate=5e-4, beta2=0.95, weight_decay=0.1, dropout=0.0),
    "110m": dict(batch_size=128, accumulate=8, learning_rate=4e-4, beta2=0.95, weight_decay=0.1, dropout=0.1),
}


def get_config(size: str) -> ConfigDict:
    config = tsjax_config.default()
    recipe = TRAINING[size]
    config.model.update(families.llama(norm_eps=1e-5) | SIZES[size] | {"dropout": recipe["dropout"]})
    config.optimizer.update({k: recipe[k] for k in ("learning_rate", "beta2", "weight_decay")})
    config.optimizer.update(schedule="cosine", warmup="1000 steps", final_fraction=0.0)
    config.train.update(batch_size=recipe["batch_size"], accumulate=recipe["accumulate"])
    config.train.duration = "200_000 steps" if size == "110m" else "100_000 steps"
    return config
