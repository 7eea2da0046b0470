"""Whole runs, small: what is in the folder, what is refused, what repeats."""

import dataclasses
import json
import os
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from tsjax import config as tsjax_config
from tsjax import train as train_module
from tsjax.config import Config
from tsjax.errors import Diverged, UserError
from tsjax.program import Dispatch
from tsjax.stop import Stop
from tsjax.train import train
from tsjax.trained import open_trained

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures("as_shipped")


def small(shard_folder: Path, **changes) -> Config:
    config = tsjax_config.default()
    config.model.update(width=32, layers=2, heads=2, mlp_width=64, context=64)
    config.data.path = str(shard_folder)
    config.train.update(duration="12 steps", batch_size=8, log_every=1)
    config.optimizer.update(learning_rate=3e-3, warmup="2 steps")
    config.eval.update(every="6 steps", batch_size=8)
    config.sample.update(every="6 steps", max_new=8)
    config.checkpoint.every = "6 steps"
    for name, value in changes.items():
        section, key = name.split("__")
        config[section][key] = value
    return tsjax_config.resolve(config)


def rows(run: Path, name: str = "metrics.jsonl") -> list[dict]:
    return [json.loads(line) for line in (run / name).read_text().splitlines()]


def test_the_folder_has_what_the_design_says(finished, shard_folder):
    run, _ = finished
    names = {p.name for p in run.iterdir()}
    assert names >= {"config.json", "manifest.json", "tokenizer.model", "metrics.jsonl", "samples.jsonl", "checkpoints",
                     "tensorboard", "result.json"}  # fmt: skip
    train_rows = [r for r in rows(run) if r["kind"] == "train"]
    valid_rows = [r for r in rows(run) if r["kind"] == "valid"]
    assert [r["step"] for r in train_rows] == list(range(1, 13))
    assert [r["step"] for r in valid_rows] == [6, 12]
    assert train_rows[-1]["loss"] < train_rows[0]["loss"]
    assert [r["step"] for r in rows(run, "samples.jsonl")] == [6, 12]
    manifest = json.loads((run / "manifest.json").read_text())
    shards = json.loads((shard_folder / "manifest.json").read_text())
    assert manifest["data"]["fingerprint"] == shards["fingerprint"]
    assert all(r["data"] == shards["fingerprint"][:12] for r in rows(run))
    assert manifest["derived"]["steps"] == 12 and manifest["packages"]["jax"]
    assert [p.name for p in sorted((run / "checkpoints").iterdir())] == ["00000006", "00000012"]


def test_the_evaluation_is_that_of_an_independent_loop(finished, shard_folder):
    """nats/token, bits/byte and standard error from plain numpy over documents read one by one."""
    import jax
    import jax.numpy as jnp

    from tsjax import model
    from tsjax.shards import open_shards

    run, _ = finished
    trained, shards = open_trained(run), open_shards(shard_folder)
    last = rows(run)[-1]
    stream, starts = shards.tokens("valid").astype(int), list(shards.document_starts("valid"))
    step = jax.jit(lambda ids: (d := model.bind(trained.config.model, trained.params)).logits(d(ids)))
    nats_D, tokens_D = np.zeros(len(starts)), np.zeros(len(starts))
    for at in range(0, len(stream) - 1, 64):
        ids = np.pad(stream[at : at + 65], (0, max(0, at + 65 - len(stream))))
        logp = jax.nn.log_softmax(step(jnp.asarray(ids[None, :-1])))[0]
        for t in range(min(64, len(stream) - 1 - at)):
            if at + t + 1 not in starts:  # the next document's BOS is given
                document = np.searchsorted(starts, at + t + 1, side="right") - 1
                nats_D[document] -= float(logp[t, ids[t + 1]])
                tokens_D[document] += 1
    loss = nats_D.sum() / tokens_D.sum()
    text_bytes = sum(len(text.encode()) for text in shards.texts("valid"))
    assert last["loss"] == pytest.approx(loss, rel=1e-5)
    assert last["bits_per_byte"] == pytest.approx(nats_D.sum() / np.log(2) / text_bytes, rel=1e-5)
    assert last["tokens"] == tokens_D.sum() and last["documents"] == len(starts)
    jackknife = [(nats_D.sum() - n) / (tokens_D.sum() - t) for n, t in zip(nats_D, tokens_D, strict=True)]
    n = len(starts)
    error = np.sqrt((n - 1) / n * np.sum((np.array(jackknife) - np.mean(jackknife)) ** 2))
    assert last["standard_error"] == pytest.approx(error, rel=0.05)


@pytest.mark.parametrize("most", [4, 64])
def test_the_rows_do_not_tell_how_many_steps_were_in_a_dispatch(finished, shard_folder, tmp_path, monkeypatch, most):
    """Bit for bit, also where pauses (every 6 steps) and the end cut a dispatch short, and rows are left out."""
    lengths = []

    class Counted(Dispatch):
        def __call__(self, state, fed):
            lengths.append(len(fed["tokens"]))
            return super().__call__(state, fed)

    monkeypatch.setattr(train_module, "Dispatch", Counted)
    every = 1 if most == 4 else 5
    train(small(shard_folder, train__steps_per_dispatch=most, train__log_every=every), tmp_path / "run", quiet=True)
    assert lengths == ([4, 1, 1, 4, 1, 1] if most == 4 else [1] * 12)
    expected = [r for r in rows(finished[0]) if r["kind"] == "valid" or every == 1 or r["step"] in (5, 10, 12)]
    assert rows(tmp_path / "run") == expected
    assert rows(tmp_path / "run", "samples.jsonl") == rows(finished[0], "samples.jsonl")


@pytest.mark.parametrize("packing", ["concat", "documents"])
def test_a_token_set_on_the_device_trains_the_same_model(finished, shard_folder, tmp_path, packing):
    """Bit for bit: only the way of the batches differs."""
    folders = []
    for resident in ("no", "yes"):
        folder = tmp_path / resident
        train(small(shard_folder, data__resident=resident, data__packing=packing, train__steps_per_dispatch=3,
                    train__duration="6 steps", sample__every="never"), folder, quiet=True)  # fmt: skip
        folders.append(rows(folder))
    assert folders[0] == folders[1] and len(folders[0]) == 7


def test_a_complete_run_is_left_alone(finished, capsys):
    run, config = finished
    before = {p: p.stat().st_mtime_ns for p in run.rglob("*") if p.is_file() and p.name != ".lock"}
    result = train(config, run, quiet=True)
    assert result["steps"] == 12 and "is complete" in capsys.readouterr().out
    assert {p: p.stat().st_mtime_ns for p in run.rglob("*") if p.is_file() and p.name != ".lock"} == before


def test_another_config_is_refused_and_fresh_keeps_the_old_run(finished, tmp_path):
    run, config = tmp_path / "copy", finished[1]
    shutil.copytree(finished[0], run)
    other = dataclasses.replace(config, optimizer=dataclasses.replace(config.optimizer, learning_rate=1e-4))
    with pytest.raises(UserError, match=r"config\.optimizer\.learning_rate = 0\.003.*found 0\.0001"):
        train(other, run, quiet=True)
    train(
        dataclasses.replace(other, train=dataclasses.replace(other.train, duration="1 step")),
        run,
        fresh=True,
        quiet=True,
    )
    assert rows(tmp_path / "copy.old-1") == rows(finished[0])
    assert [r["step"] for r in rows(run) if r["kind"] == "train"] == [1]


def test_other_shards_are_refused(finished, tmp_path):
    from data_gen.offline import write_corpus
    from tsjax.corpus.split import Splitting
    from tsjax.prepare import prepare
    from tsjax.tokenizer import Recipe

    run, config = finished
    write_corpus(tmp_path / "stories", 100, seed=9)
    same = Recipe(path=run / "tokenizer.model")
    prepare([tmp_path / "stories"], tmp_path / "shards", recipe=same, splitting=Splitting(0.2))
    moved = dataclasses.replace(config, data=dataclasses.replace(config.data, path=str(tmp_path / "shards")))
    with pytest.raises(UserError, match="expected shards"):
        train(moved, run, quiet=True)


def test_two_processes_do_not_share_a_run(finished):
    from tsjax.run import Run

    run, config = finished
    holder = Run(run)
    holder.lock()
    with pytest.raises(UserError, match=f"process {os.getpid()}"):
        train(config, run, quiet=True)


def test_divergence_stops_with_exit_70_and_no_bad_checkpoint(shard_folder, tmp_path):
    config = small(shard_folder, optimizer__learning_rate=1e30, optimizer__clip_norm=0.0, optimizer__name="sgd",
                   checkpoint__every="1 steps", sample__every="never")  # fmt: skip
    with pytest.raises(Diverged) as caught:
        train(config, tmp_path / "run", quiet=True)
    assert caught.value.exit_code == 70
    assert rows(tmp_path / "run")[-1]["skipped"] > 0
    assert not (tmp_path / "run" / "result.json").exists()
    assert all(np.isfinite(p).all() for p in open_trained(tmp_path / "run").params.values())


def test_skipping_goes_on_until_too_many_in_a_row(shard_folder, tmp_path):
    config = small(shard_folder, optimizer__learning_rate=1e30, optimizer__clip_norm=0.0, optimizer__name="sgd",
                   train__on_nonfinite="skip", train__max_skips=3, sample__every="never", eval__every="never")  # fmt: skip
    with pytest.raises(Diverged):
        train(config, tmp_path / "run", quiet=True)
    last = rows(tmp_path / "run")[-1]
    assert last["skips_in_a_row"] == 3 and last["gradient_norm"] is None


def test_minutes_become_steps_once(shard_folder, tmp_path):
    config = small(shard_folder, train__duration="0.005 minutes", optimizer__warmup="0.001 minutes",
                   sample__every="never")  # fmt: skip
    result = train(config, tmp_path / "run", quiet=True)
    derived = json.loads((tmp_path / "run" / "manifest.json").read_text())["derived"]
    assert result["steps"] == derived["steps"] == -(-0.3 // derived["seconds_per_step"])
    (tmp_path / "run" / "result.json").unlink()
    assert train(config, tmp_path / "run", quiet=True) == result, "a resume counts with the rate of the first start"


def test_a_vocabulary_that_does_not_fit_the_shards_is_refused(shard_folder, tmp_path):
    with pytest.raises(UserError, match=r"--config\.model\.vocab_size=512"):
        train(small(shard_folder, model__vocab_size=600), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run" / "config.json").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (dict(sample__top_p=0.0), "top_p"),
        (dict(sample__prompts=("a cat and a dog " * 30,)), "config.sample.prompts of at most 62 tokens"),
        (dict(eval__every="0 steps"), "config.eval.every of at least one step"),
        (dict(train__duration="0 steps"), "at least one step"),
        (dict(optimizer__warmup="never"), "finite duration"),
    ],
)
def test_what_would_fail_later_fails_before_the_run_exists(shard_folder, tmp_path, change, words):
    with pytest.raises(UserError) as caught:
        train(small(shard_folder, **change), tmp_path / "run", quiet=True)
    assert words in str(caught.value)
    assert not (tmp_path / "run" / "config.json").exists()


def test_a_run_without_checkpoints_evaluations_or_samples_still_has_its_weights(shard_folder, tmp_path):
    config = small(shard_folder, train__duration="2 steps", eval__every="never", sample__every="never",
                   checkpoint__every="never")  # fmt: skip
    train(config, tmp_path / "run", quiet=True)
    assert open_trained(tmp_path / "run").step == 2


@pytest.mark.parametrize("phase", ["evaluate", "sample_rows"])
def test_a_stop_inside_a_pause_saves_the_step_it_is_at(shard_folder, tmp_path, monkeypatch, phase):
    stop, original = Stop(), getattr(train_module, phase)

    def struck(*args, **kwargs):
        stop._caught(signal.SIGTERM, None)
        return original(*args, **kwargs)

    monkeypatch.setattr(train_module, phase, struck)
    config = small(shard_folder, checkpoint__every="never")
    assert train(config, tmp_path / "run", stop=stop, quiet=True) is None
    assert open_trained(tmp_path / "run").step == 6


def test_fresh_does_nothing_when_data_or_config_is_bad(finished, tmp_path):
    run, config = finished
    for bad in (
        dataclasses.replace(config, data=dataclasses.replace(config.data, path=str(tmp_path / "none"))),
        dataclasses.replace(config, train=dataclasses.replace(config.train, duration="never")),
        dataclasses.replace(config, optimizer=dataclasses.replace(config.optimizer, warmup="1 minute")),
    ):
        with pytest.raises(UserError):
            train(bad, run, fresh=True, quiet=True)
        assert (run / "result.json").exists() and not run.with_name("small.old-1").exists()


def test_checkpoints_without_a_config_are_not_taken_for_a_new_run(finished, tmp_path):
    run, config = tmp_path / "copy", finished[1]
    shutil.copytree(finished[0], run)
    (run / "config.json").unlink()
    with pytest.raises(UserError, match="beside the checkpoints"):
        train(config, run, quiet=True)
    short = dataclasses.replace(config, train=dataclasses.replace(config.train, duration="1 step"))
    train(short, run, fresh=True, quiet=True)
    assert [r["step"] for r in rows(run) if r["kind"] == "train"] == [1] and (tmp_path / "copy.old-1").is_dir()


def test_bfloat16_trains(shard_folder, tmp_path):
    """The loss of 12 steps stays within 0.05 nats of float32's."""
    low, high = (
        train(
            small(shard_folder, model__dtype=dtype, model__width=16, sample__every="never"),
            tmp_path / dtype,
            quiet=True,
        )
        for dtype in ("bfloat16", "float32")
    )
    assert 0 < abs(low["loss"] - high["loss"]) < 0.05


def test_every_field_is_read_by_a_run(shard_folder, tmp_path, monkeypatch):
    """Reads are recorded by section and field; copying and checking the config does not count."""
    read: set[str] = set()

    def recorder(section):
        def read_one(self, name):
            if sys._getframe(1).f_globals["__name__"] not in ("dataclasses", "tsjax.config", "copy"):
                read.add(f"{section}.{name}")
            return object.__getattribute__(self, name)

        return read_one

    for section, cls in tsjax_config.SECTIONS.items():
        monkeypatch.setattr(cls, "__getattribute__", recorder(section))
    config = small(shard_folder, train__duration="2 steps", optimizer__schedule="wsd", checkpoint__keep_every=1,
                   model__attention=("local",), model__window=9)  # fmt: skip
    train(config, tmp_path / "run", quiet=True)
    assert sorted(set(tsjax_config.all_names()) - read) == []


def test_no_secret_of_the_environment_is_written(shard_folder, tmp_path, monkeypatch):
    secret = "sk-" + "q7" * 20
    monkeypatch.setenv("OPENAI_API_KEY", secret)
    train(small(shard_folder, train__duration="1 step"), tmp_path / "run", quiet=True)
    for path in (tmp_path / "run").rglob("*"):
        if path.is_file():
            raw = path.read_bytes()
            assert secret.encode() not in raw and str(Path.home()).encode() + b"/" not in raw, path
