"""An imported model as a run: the same weights bit for bit, and the other verbs take it."""

import dataclasses
import json

import numpy as np
import pytest

from tests.expect import refused
from tests.tsjax.formats.models import CONFIGS, tokenizer, trained
from tsjax.config import OptimizerConfig
from tsjax.formats.imported import write_run
from tsjax.run import Run
from tsjax.samples import Manner, complete_texts, make_sampler, stops
from tsjax.trained import open_trained


@pytest.mark.parametrize("ema", [0.0, 0.99])
@pytest.mark.parametrize("step", [None, 0, 7])
def test_the_same_weights_bit_for_bit(step, ema, tmp_path):
    given = trained(CONFIGS["llama"], step=step)
    given = dataclasses.replace(given, config=dataclasses.replace(given.config, optimizer=OptimizerConfig(ema=ema)))
    assert write_run(given, tmp_path / "run", {"format": "test", "data": "feed"}) == tmp_path / "run"
    back = open_trained(tmp_path / "run")
    assert back.params.keys() == given.params.keys() and back.config == given.config and back.step == step
    assert all(np.asarray(back.params[n]).tobytes() == np.asarray(v).tobytes() for n, v in given.params.items())
    assert back.tokenizer.fingerprint == given.tokenizer.fingerprint
    assert Run(tmp_path / "run").manifest()["imported_from"] == {"format": "test", "data": "feed"}
    manner = Manner(make_sampler(back.config), stops(back.tokenizer), max_new=4)
    (row,) = complete_texts(back.config, back.params, back.tokenizer, ["Once"], manner)
    assert row["prompt"] == "Once"


def test_refused_before_anything_is_written(tmp_path):
    given = trained(CONFIGS["llama"])
    short = {name: value for name, value in given.params.items() if name != "norm.scale"}
    with refused("norm.scale"):
        write_run(dataclasses.replace(given, params=short), tmp_path / "run", {})
    assert not list(tmp_path.iterdir())
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}")
    with refused("something there"):
        write_run(given, tmp_path / "run", {})


def test_training_does_not_continue_it(tmp_path):
    given = trained(CONFIGS["llama"], tokenizer("words chat"))
    run = Run(write_run(given, tmp_path / "run", {}))
    with refused("--init"):
        run.check_same(run.config(), "feed")
    json.dumps(run.manifest())
