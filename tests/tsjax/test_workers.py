"""Order, laziness and errors are those of the built-in map, whatever the number of processes; none outlives its parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.expect import refused
from tsjax.errors import UserError
from tsjax.workers import LOOK_AHEAD, Processes


class Power:
    """Pickled with what it holds."""

    def __init__(self, exponent: int):
        self.exponent = exponent

    def __call__(self, x: int) -> tuple[int, int]:
        return x**self.exponent, os.getpid()


class Failing:
    def __init__(self, how: str):
        self.how = how

    def __call__(self, x: int) -> int:
        if x == 3 and self.how == "user":
            raise UserError(expected="less than 3", found="3", todo="count to 2")
        if x == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return x


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("items", [0, 1, 2, 40])
def test_results_come_in_order(count, items):
    found = list(Processes(count).map(Power(2), iter(range(items))))
    assert [value for value, _ in found] == [x * x for x in range(items)]
    processes = {process for _, process in found}
    # One item is not worth a process.
    assert (processes <= {os.getpid()}) == (count == 1 or items < 2)


def test_items_are_taken_as_they_are_needed():
    taken = []
    results = Processes(2).map(Power(1), (taken.append(x) or x for x in range(100)))
    for n in range(5):
        next(results)
        assert len(taken) <= n + 1 + 2 * LOOK_AHEAD
    results.close()


@pytest.mark.parametrize("count", [1, 2])
def test_a_user_error_comes_through(count):
    with refused("less than 3", "count to 2"):
        list(Processes(count).map(Failing("user"), range(10)))


def test_a_killed_worker_is_told():
    with refused("killed", "--workers"):
        list(Processes(2).map(Failing("kill"), range(10)))


def test_no_workers_are_refused():
    with refused("1 worker", "0"):
        Processes(0)


def test_workers_die_with_their_parent(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, time\n"
        "from tests.tsjax.test_workers import Power\n"
        "from tsjax.workers import Processes\n"
        "def slowly():\n"
        "    yield 1\n    yield 2\n    yield 3\n    yield 4\n    yield 5\n    yield 6\n    yield 7\n    time.sleep(600)\n"
        "if __name__ == '__main__':\n"
        "    for _, process in Processes(2).map(Power(2), slowly()):\n"
        "        print(process, flush=True)\n"
    )
    root = Path(__file__).parents[2]
    parent = subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(root)}
    )
    worker = int(parent.stdout.readline())
    os.kill(worker, 0)
    parent.kill()
    parent.wait()
    for _ in range(100):
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            return
        if Path(f"/proc/{worker}/stat").read_text().split()[2] == "Z":
            return  # ended; nobody has asked after it yet
        time.sleep(0.1)
    raise AssertionError("the worker outlived its parent by 10 seconds")
