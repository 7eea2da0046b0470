"""The model inside CraftGPT (sammyuri, 2025): 5,087,280 numbers in ROM, of which 4,626,480 are trained, on chats.

    tsjax prepare hf://starhopp3r/TinyChat --format chat --chat --kind words --vocab-size 1920 --rare drop --out data/chat
    tsjax train --config=configs/craftgpt.py --config.data.path=data/chat

The head is the embedding, as it was when the released weights were trained; the ROMs hold it twice. Weights are kept in
the range that the ROMs hold (`train.craftgpt = clip`); `--config.train.craftgpt=round` trains on the rounded ones as
well. Nobody has published how CraftGPT was trained: optimiser, rate and length here are ours.

`norm_input_limit` keeps the residual stream in the machine's range, which the clipped weights alone do not do
(docs/craftgpt.md has both in numbers).

Hardware, time: any; 500 steps of 32 rows took 9 minutes on 2 shared CPU cores, to 0.556 nats/token on offline chats.
"""

from ml_collections import ConfigDict

from tsjax import config as tsjax_config
from tsjax import families


def get_config() -> ConfigDict:
    config = tsjax_config.default()
    config.model.update(families.craftgpt(init_std=0.04, norm_input_limit=2.0))
    config.data.packing = "documents"
    config.optimizer.update(learning_rate=2e-3, schedule="cosine", warmup="5%", final_fraction=0.05)
    config.train.update(duration="20_000 steps", batch_size=128, craftgpt="clip", z_loss=1e-4)
    config.sample.update(prompts=("",), max_new=63, temperature=0.8, top_p=1.0)
    return config
