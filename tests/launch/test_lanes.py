"""--lanes: which runs it names."""

import pytest

from launch.lanes import lane_configs
from tests.expect import refused

SPEC = "configs/tinystories.py:1m"


def test_every_combination_is_a_lane_with_a_name_of_its_own():
    found = lane_configs(SPEC, ["--config.model.width=32"], ["optimizer.learning_rate=1e-3,3e-3", "train.seed=0, 1"])
    assert list(found) == ["learning_rate=1e-3_seed=0", "learning_rate=1e-3_seed=1", "learning_rate=3e-3_seed=0",
                           "learning_rate=3e-3_seed=1"]  # fmt: skip
    assert [(c.optimizer.learning_rate, c.train.seed) for c in found.values()] == [
        (1e-3, 0),
        (1e-3, 1),
        (3e-3, 0),
        (3e-3, 1),
    ]
    assert {c.model.width for c in found.values()} == {32}


def test_two_fields_of_one_name_are_told_apart():
    assert list(lane_configs(SPEC, [], ["train.seed=0", "data.seed=1,2"])) == [
        "train.seed=0_data.seed=1", "train.seed=0_data.seed=2"
    ]  # fmt: skip


def test_no_lanes_are_one_run_in_the_folder_itself():
    assert list(lane_configs(SPEC, [], [])) == [""]


@pytest.mark.parametrize(
    "lanes",
    [["train.seed"], ["train.seed="], ["train.seed=0,,1"], ["train.seed=0,0"], ["train.seed=0", "train.seed=1"]],
)
def test_what_names_no_lanes_is_refused(lanes):
    with refused("--lanes SECTION.FIELD=V1,V2", "train.seed"):
        lane_configs(SPEC, [], lanes)
