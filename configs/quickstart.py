"""The first run: stories of the offline writer, a model small enough to learn them in front of you.

    make quickstart        # or: tsjax quickstart

Hardware: 2 CPU cores. Time and loss: see README.md, which shows a real run.
"""

from ml_collections import ConfigDict

from tsjax import config as tsjax_config
from tsjax import families


def get_config(_: str = "") -> ConfigDict:
    config = tsjax_config.default()
    config.model.update(families.llama(vocab_size=1024, context=256, width=128, layers=4, heads=4, mlp_width=384))
    config.data.packing = "documents"
    config.optimizer.update(name="muon", learning_rate=1e-2, schedule="linear", warmup="20 steps", final_fraction=0.0,
                            beta2=0.95)  # fmt: skip
    config.train.update(duration="600 steps", batch_size=8)
    config.eval.update(every="50%", batch_size=16)
    config.sample.update(every="never", prompts=("",), temperature=0.6, top_p=0.95)
    config.checkpoint.every = "50%"
    return config
