"""The TinyStories baseline of Stanford's CS336, assignment 1: 22,696,448 parameters, 327.68M tokens.

    tsjax prepare TinyStoriesV2-GPT4-train.txt --valid TinyStoriesV2-GPT4-valid.txt --vocab-size 10000 --out data/v2-10k
    tsjax train --config=configs/cs336.py --config.data.path=data/v2-10k

Target of the course: validation loss of at most 1.45 nats/token; students report 1.34 to 1.37 with learning rates of
1e-3 to 3e-3, in 17 to 40 minutes on one H100 or H200. Those use a byte-level BPE of 10,000; with the SentencePiece tokenizer of
`tsjax prepare` compare bits/byte, not nats/token. Hardware, time, loss: not measured here yet.
"""

from ml_collections import ConfigDict

from tsjax import config as tsjax_config
from tsjax import families


def get_config() -> ConfigDict:
    config = tsjax_config.default()
    config.model.update(
        families.llama(vocab_size=10_000, context=256, width=512, layers=4, heads=16, mlp_width=1344, tied=False)
    )
    config.optimizer.update(learning_rate=1e-3, schedule="cosine", warmup="500 steps", final_fraction=0.1)
    config.train.update(duration="10_000 steps", batch_size=128)
    return config
