"""The first run: stories of the offline writer, a model small enough to learn them in front of you.

    make quickstart        # or: tsjax quickstart

Hardware: 2 CPU cores. Time and loss: see README.md, which shows a real run.
"""

from ml_collections import ConfigDict

from tsjax import config as tsjax_config
from tsjax import families


def get_config() -> ConfigDict:
    config = tsjax_config.default()
    # 2,048 pieces: one token for most words and every name, and two stories fill a row of 256.
    # 0.1 = 1/sqrt(width): the usual 0.02 suits widths of 768 and more (docs/lab-book.md, 2026-11-21).
    shape = dict(vocab_size=2048, context=256, width=96, layers=4, heads=2, mlp_width=288, init_std=0.1)
    config.model.update(families.llama(**shape))
    config.data.packing = "documents"
    config.optimizer.update(name="muon", learning_rate=1e-2, schedule="linear", warmup="20 steps", final_fraction=0.0)
    config.train.update(duration="1100 steps", batch_size=8)
    config.eval.update(every="50%", batch_size=16)
    config.sample.update(every="never", prompts=("",), temperature=0.5, top_p=0.95)
    config.checkpoint.every = "50%"
    return config
