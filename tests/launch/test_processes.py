"""Several processes: which flags go together, and when the environment speaks of them. See also test_train.py.

What happens when one of them is lost is in `tests/kill_drill.py` (`make drill`).
"""

import pytest

from launch.processes import found_by_flags, several
from tests.expect import refused
from tests.launch.conftest import one_line


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (("a:1", None, None), "add --processes and --process"),
        ((None, "2", "0"), "add --coordinator"),
        ((None, None, "0"), "--process 0"),
        (("a:1", "2", None), "add --process"),
        (("a", "2", "0"), "HOST:PORT"),
        ((":1", "2", "0"), "HOST:PORT"),
        (("a:70000", "2", "0"), "HOST:PORT"),
        (("a:1", "two", "0"), "as a number, or auto"),
        (("a:1", "0", "0"), "as a number, or auto"),
        (("a:1", "2", "2"), "from 0 to 1"),
        (("a:1", "2", "-1"), "from 0 to 1"),
        (("a:1", "auto", None), "--processes auto alone"),
    ],
)
def test_flags_that_do_not_fit_together_are_refused(flags, word):
    with refused(word):
        found_by_flags(*flags)


def test_flags_that_do():
    assert found_by_flags(None, None, None) is None
    assert found_by_flags("localhost:1234", "1", "0") is None, "one process is not several"
    assert found_by_flags(None, "auto", None) == {}
    told = found_by_flags("[::1]:1234", "3", "2")
    assert told["coordinator_address"] == told["coordinator_bind_address"] == "[::1]:1234"
    assert (told["num_processes"], told["process_id"]) == (3, 2)


SLURM = {"SLURM_JOB_ID": "7", "SLURM_STEP_NODELIST": "n[1-2]", "SLURM_PROCID": "1", "SLURM_LOCALID": "0"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        (SLURM | {"SLURM_NTASKS": "4"}, True),
        (SLURM | {"SLURM_NTASKS": "1"}, False),
        ({"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4"}, False),  # in an allocation, but not started by srun
        ({"OMPI_MCA_orte_hnp_uri": "1.0;tcp://10.0.0.1:1", "OMPI_COMM_WORLD_SIZE": "2"}, True),
        ({"OMPI_MCA_orte_hnp_uri": "1.0;tcp://10.0.0.1:1", "OMPI_COMM_WORLD_SIZE": "1"}, False),
        ({"TPU_WORKER_HOSTNAMES": "a,b"}, True),
        ({"TPU_WORKER_HOSTNAMES": "localhost"}, False),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, False),  # a pod may well be alone: --processes auto
    ],
)
def test_the_environment_speaks_of_several(environment, expected):
    assert several(environment) == expected


def test_a_wrong_combination_is_one_line_and_exit_65(tsjax, tmp_path):
    code, out, err = tsjax("train", "--config=configs/quickstart.py", f"--run={tmp_path / 'run'}", "--processes", "2")
    one_line(code, err, "expected --coordinator, --processes and --process together", "--processes 2")
    assert out == "" and not (tmp_path / "run").exists()
