"""Lanes as whole runs: each folder is what a run of its own leaves, and no lane touches another."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.expect import refused
from tests.tsjax.test_train import ROOT, rows, small
from tsjax.config import Config
from tsjax.errors import Diverged
from tsjax.stop import Stop
from tsjax.train import train, train_lanes
from tsjax.trained import open_trained

RATES = (3e-3, 1e-3, 5e-3)


def lanes_of(shard_folder: Path, **changes) -> list[Config]:
    """Three learning rates and seeds."""
    changes = dict(checkpoint__every="4 steps", eval__every="4 steps", sample__every="8 steps") | changes
    return [
        small(shard_folder, optimizer__learning_rate=rate, train__seed=seed, train__duration="8 steps", **changes)
        for seed, rate in enumerate(RATES)
    ]


def folders_of(folder: Path) -> list[Path]:
    return [folder / str(e) for e in range(len(RATES))]


def assert_close(found: list[dict], expected: list[dict]) -> None:
    """The same rows; numbers that sums decide to 1e-4 relative, all others equal."""
    assert [(r["step"], r["kind"]) for r in found] == [(r["step"], r["kind"]) for r in expected]
    for row, other in zip(found, expected, strict=True):
        assert row.keys() == other.keys()
        for name, value in other.items():
            if isinstance(value, float):
                np.testing.assert_allclose(row[name], value, rtol=1e-4, err_msg=name)
            else:
                assert row[name] == value, name


@pytest.fixture(scope="module")
def finished(shard_folder, tmp_path_factory) -> tuple[list[Path], list[Config]]:
    folders, configs = folders_of(tmp_path_factory.mktemp("lanes")), lanes_of(shard_folder)
    assert [result["steps"] for result in train_lanes(configs, folders, quiet=True)] == [8, 8, 8]
    return folders, configs


def test_a_lane_leaves_the_folder_of_a_run_of_its_own(finished, tmp_path):
    folders, configs = finished
    train(configs[1], tmp_path / "alone", quiet=True)
    lane, alone = folders[1], tmp_path / "alone"
    files = [{p.relative_to(f).as_posix() for p in f.rglob("*") if "events.out" not in p.name} for f in (lane, alone)]
    top = [{name for name in names if "/" not in name} for names in files]
    assert top[0] == top[1]
    for name in ("config.json", "manifest.json"):
        assert json.loads((lane / name).read_text()) == json.loads((alone / name).read_text())
    assert_close(rows(lane), rows(alone))
    assert [r.keys() for r in rows(lane, "samples.jsonl")] == [r.keys() for r in rows(alone, "samples.jsonl")]
    assert sorted(p.name for p in (lane / "checkpoints").iterdir()) == ["00000004", "00000008"]
    for name, expected in open_trained(alone).params.items():
        np.testing.assert_allclose(open_trained(lane).params[name], expected, atol=1e-4)
    assert len({tuple(r["loss"] for r in rows(folder)) for folder in folders}) == 3, "the lanes differ"


def test_a_lane_goes_on_alone(finished, shard_folder, tmp_path):
    folders, configs = finished
    run = tmp_path / "taken"
    shutil.copytree(folders[2], run)
    shutil.rmtree(run / "checkpoints" / "00000008")
    (run / "result.json").unlink()
    train(configs[2], run, quiet=True)
    assert rows(run)[:4] == rows(folders[2])[:4]
    assert_close(rows(run), rows(folders[2]))


class AfterDispatches(Stop):
    """A stop that is asked for on its own after so many looks."""

    def __init__(self, looks: int):
        super().__init__()
        self._looks = looks

    def __bool__(self) -> bool:
        self._looks -= 1
        return self._looks < 0


def test_lanes_killed_between_two_saves_go_on_from_the_step_they_share(finished, tmp_path):
    """Lane 0 had saved step 8 and its result, lane 1 was killed before its own save: bit for bit the same rows in the end."""
    folders, configs = finished
    copies = folders_of(tmp_path)
    for source, copy in zip(folders, copies, strict=True):
        shutil.copytree(source, copy)
    for run in copies[1:]:
        shutil.rmtree(run / "checkpoints" / "00000008")
        (run / "result.json").unlink()
    assert len(train_lanes(configs, copies, quiet=True)) == 3
    for source, copy in zip(folders, copies, strict=True):
        assert rows(copy) == rows(source)
        assert rows(copy, "samples.jsonl") == rows(source, "samples.jsonl")
        assert json.loads((copy / "result.json").read_text()) == json.loads((source / "result.json").read_text())


def test_lanes_with_no_step_in_common_are_refused(finished, tmp_path):
    folders, configs = finished
    copies = folders_of(tmp_path)
    for source, copy in zip(folders, copies, strict=True):
        shutil.copytree(source, copy)
    shutil.rmtree(copies[1] / "checkpoints")
    (copies[1] / "result.json").unlink()
    with refused("a step of which every lane has a whole checkpoint", "none in", "alone"):
        train_lanes(configs, copies, quiet=True)
    assert rows(copies[0]) == rows(folders[0]), "nothing was lost"


def test_lanes_added_to_trained_ones_are_refused(shard_folder, tmp_path):
    """They would all start over."""
    configs = lanes_of(shard_folder, checkpoint__every="never", eval__every="never", sample__every="never")
    train_lanes(configs[:2], folders_of(tmp_path)[:2], quiet=True)
    before = [rows(folder) for folder in folders_of(tmp_path)[:2]]
    with refused("began together", "no run yet in", "--lanes"):
        train_lanes(configs, folders_of(tmp_path), quiet=True)
    assert [rows(folder) for folder in folders_of(tmp_path)[:2]] == before and len(before[0]) == 8


def test_a_lane_that_was_ahead_goes_on_alone_without_a_gap(finished, tmp_path):
    """Lane 0 had saved step 8 when the others were killed; all went on from 4 and were stopped before 8."""
    folders, configs = finished
    copies = folders_of(tmp_path)
    for source, copy in zip(folders, copies, strict=True):
        shutil.copytree(source, copy)
        (copy / "result.json").unlink()
    for run in copies[1:]:
        shutil.rmtree(run / "checkpoints" / "00000008")
    assert train_lanes(configs, copies, stop=AfterDispatches(6), quiet=True) is None
    assert max(r["step"] for r in rows(copies[0])) < 8
    train(configs[0], copies[0], quiet=True)
    assert_close(rows(copies[0]), rows(folders[0]))


def test_a_stop_saves_every_lane(shard_folder, finished, tmp_path):
    folders, configs = finished
    copies = folders_of(tmp_path)
    assert train_lanes(configs, copies, stop=AfterDispatches(12), quiet=True) is None
    steps = {max(p.name for p in (run / "checkpoints").iterdir()) for run in copies}
    assert len(steps) == 1 and 0 < int(steps.pop()) < 8
    train_lanes(configs, copies, quiet=True)
    assert [rows(run) for run in copies] == [rows(run) for run in folders]


def test_a_lane_that_diverges_ends_and_leaves_the_rest_untouched(finished, shard_folder, tmp_path, capsys):
    """Bit for bit; exit 70 at the end; called again, nothing is trained and the error is the same."""
    folders, configs = finished
    bad = dataclasses.replace(configs[1], optimizer=dataclasses.replace(configs[1].optimizer, learning_rate=1e36))
    copies = folders_of(tmp_path)
    for _ in range(2):
        with pytest.raises(Diverged) as caught:
            train_lanes([configs[0], bad, configs[2]], copies)
        assert caught.value.exit_code == 70 and "step" in caught.value.found
    out = capsys.readouterr().out
    assert "the other lanes go on" in out and "compiled" in out
    for e in (0, 2):
        assert rows(copies[e]) == rows(folders[e])
        assert (copies[e] / "result.json").exists()
    assert rows(copies[1])[-1]["skipped"] > 0 and not (copies[1] / "result.json").exists()
    assert json.loads((copies[1] / "diverged.json").read_text()) == caught.value.fields()


def test_lanes_go_on_without_the_one_that_diverged(finished, tmp_path):
    """Stopped after one had diverged: the others continue from their step, not from its last checkpoint."""
    folders, configs = finished
    bad = dataclasses.replace(configs[1], optimizer=dataclasses.replace(configs[1].optimizer, learning_rate=1e36))
    three, copies = [configs[0], bad, configs[2]], folders_of(tmp_path)
    with pytest.raises(Diverged):
        train_lanes(three, copies, quiet=True)
    for e in (0, 2):
        shutil.rmtree(copies[e] / "checkpoints" / "00000008")
        (copies[e] / "result.json").unlink()
    before = rows(copies[1])
    with pytest.raises(Diverged):
        train_lanes(three, copies, quiet=True)
    assert rows(copies[1]) == before
    assert [rows(copies[e]) for e in (0, 2)] == [rows(folders[e]) for e in (0, 2)]


@pytest.mark.parametrize("resident", ["no", "yes"])
def test_each_lane_may_have_its_own_order_of_the_data(shard_folder, tmp_path, resident):
    configs = [
        small(shard_folder, data__seed=seed, data__resident=resident, train__duration="4 steps", train__steps_per_dispatch=2,
              sample__every="never", data__packing="documents")
        for seed in (0, 5)
    ]  # fmt: skip
    train_lanes(configs, folders_of(tmp_path)[:2], quiet=True)
    train(configs[1], tmp_path / "alone", quiet=True)
    found = [rows(folder) for folder in folders_of(tmp_path)[:2]]
    assert_close(found[1], rows(tmp_path / "alone"))
    assert found[0][0]["loss"] != found[1][0]["loss"]


_SPREAD = """
import sys
from pathlib import Path
from tests.tsjax.test_train_lanes import folders_of, lanes_of
from tsjax import train as train_module

class Watched(train_module.Dispatch):
    def __call__(self, state, fed):
        new = super().__call__(state, fed)
        x = new[0]["params"]["blocks.0.mlp.down.kernel"]
        assert x.addressable_data(0).shape == (1, *x.shape[1:]) and len(x.sharding.device_set) == 6
        return new

train_module.Dispatch = Watched
train_module.train_lanes(lanes_of(Path(sys.argv[1])), folders_of(Path(sys.argv[2])), quiet=True)
"""


def test_lanes_are_spread_over_the_devices(finished, shard_folder, tmp_path):
    """Three lanes on six devices: each device holds one lane and half of its batch."""
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=6"}
    command = [sys.executable, "-c", _SPREAD, str(shard_folder), str(tmp_path)]
    subprocess.run(command, check=True, env=environment, cwd=ROOT)
    for found, expected in zip(folders_of(tmp_path), finished[0], strict=True):
        assert_close(rows(found), rows(expected))


def test_lanes_that_can_not_be_are_refused_before_anything_is_written(shard_folder, tmp_path):
    configs = lanes_of(shard_folder)
    configs[2] = dataclasses.replace(configs[2], model=dataclasses.replace(configs[2].model, width=64))
    with refused("config.model.width = 32 in every lane", "64 in lane 2"):
        train_lanes(configs, folders_of(tmp_path), quiet=True)
    assert not any(tmp_path.iterdir())
