"""`tsjax quickstart`: corpus, tokenizer, shards, model, stories, in one go."""

import time
from pathlib import Path

from data_gen.offline import write_corpus
from launch import config_file
from launch.prepare import summary
from launch.sample import complete_all
from tsjax.prepare import prepare
from tsjax.samples import Manner, make_sampler, stops
from tsjax.stop import Stop
from tsjax.tokenizer import Recipe
from tsjax.train import train
from tsjax.trained import open_trained

STORIES = 3


def quickstart(run: Path, stories: int, fresh: bool, stop: Stop) -> dict | None:
    """Every stage is skipped when it is complete, so a second call only trains what is left and tells stories."""
    began = time.monotonic()
    run = run.absolute() if run.name == "" else run
    data = run.with_name(f"{run.name}-data")
    print(f"[1/4] corpus: the offline writer writes {stories:,} stories", flush=True)
    documents = data / f"stories-{stories}"
    write_corpus(documents, stories, seed=0)
    config = config_file.load("configs/quickstart.py", [])
    print(f"[2/4] tokenizer and token shards ({config.model.vocab_size:,} pieces)", flush=True)
    folder = data / f"shards-{stories}"
    manifest = prepare([documents], folder, recipe=Recipe(vocab_size=config.model.vocab_size))
    print(summary(manifest))
    print("[3/4] training", flush=True)
    config = config_file.load("configs/quickstart.py", [f"--config.data.path={folder}"])
    result = train(config, run, fresh=fresh, stop=stop.install())
    stop.uninstall()
    if result is None:
        return None
    print(f"validation: {result['loss']:.3f} nats/token, {result['bits_per_byte']:.3f} bits/byte")
    print(f"[4/4] {STORIES} stories by the model, each from nothing\n", flush=True)
    trained = open_trained(run)
    manner = Manner(make_sampler(config), stops(trained.tokenizer), config.sample.max_new)
    for row in complete_all(trained, [""] * STORIES, manner):
        print(f"--- story {row['index'] + 1}\n{row['text'].strip()}\n")
    print(f"The run is in {run} ({time.monotonic() - began:.0f} s). More: tsjax sample {run} --temperature 0.8")
    return result
