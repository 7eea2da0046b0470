"""The model inside CraftGPT (sammyuri, 2025): 5,087,280 numbers in ROM, of which 4,626,480 are trained, on chats.

    tsjax prepare hf://starhopp3r/TinyChat --format chat --chat --kind words --vocab-size 1920 --rare drop --out data/chat
    tsjax train --config=configs/craftgpt.py --config.data.path=data/chat

The head is the embedding, as it was when the released weights were trained; the ROMs hold it twice. Weights are kept in
the range that the ROMs hold (`train.craftgpt = clip`); `--config.train.craftgpt=round` trains on the rounded ones as
well. Nobody has published how CraftGPT was trained: optimiser, rate and length here are ours.

Hardware, time: any; a step of 32 rows takes about 0.6 s on 2 CPU cores (docs/lab-book.md).
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
