"""The seven released TinyStories models (Eldan & Li 2023): GPT-Neo shapes, trained as their model card says.

    tsjax prepare TinyStoriesV2-GPT4-train.txt --valid TinyStoriesV2-GPT4-valid.txt --vocab-size 10000 --out data/v2
    tsjax train --config=configs/tinystories.py:33m --config.data.path=data/v2

Constant learning rate 5e-4, betas 0.9 and 0.95, weight decay 0.1, context 512, 1,280 rows a step (80 x 16; the card
does not say on how many GPUs). The paper keeps the 10,000 most common GPT-Neo tokens; here the tokenizer is trained,
and its size is the model's vocabulary (config.model.vocab_size = 0). Released files count 50,257 tokens and 2,048
positions.

Parameters with V=50257, P=2048 / with V=10000, P=512: 1m 3,745,984 / 1,071,232; 3m 8,278,400 / 2,928,896;
8m 19,702,528 / 9,003,520; 28m 51,987,968 / 30,589,952; 33m 68,514,048 / 36,417,024; 1layer-21m 66,155,520 /
23,359,488; 2layers-33m 78,748,672 / 35,952,640.

Hardware, time, loss: this recipe is not measured here (the paper: up to 30 hours on one V100). The shape of 1m with another
recipe reached 0.912 bits/byte in minutes on 2 CPU cores (docs/lab-book.md, 2026-11-21).
"""

from ml_collections import ConfigDict

from tsjax import config as tsjax_config
from tsjax import families

SIZES = {
    "1m": dict(width=64, layers=8),
    "3m": dict(width=128, layers=8),
    "8m": dict(width=256, layers=8),
    "28m": dict(width=512, layers=8),
    "33m": dict(width=768, layers=4),
    "1layer-21m": dict(width=1024, layers=1, attention=("global",)),
    "2layers-33m": dict(width=1024, layers=2),
}


def get_config(size: str) -> ConfigDict:
    config = tsjax_config.default()
    config.model.update(families.gpt_neo(context=512, heads=16) | SIZES[size])
    config.optimizer.update(learning_rate=5e-4, schedule="constant", warmup="100 steps")
    config.train.update(duration="2750 steps", batch_size=1280, accumulate=16)
    return config
