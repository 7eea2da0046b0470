"""Processes to kill: one has imported everything and forks a child for each, since a new interpreter takes a second."""

import importlib
import json
import os
import subprocess
import sys
import threading
import traceback


class Forks:
    """Runs `main(*words)` of a module of tests, each time in a process of its own. Close it, or use `with`.

    The module may have `warm()`, which imports what is imported late. It leaves no thread behind: a fork has only one.
    """

    def __init__(self, module: str) -> None:
        command = [sys.executable, "-m", "tests.forks", module]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def code(self, *words: str | int) -> int:
        """How the process ended: its exit code, or less than 0 where a signal ended it."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(10)

    def __enter__(self) -> "Forks":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _serve(name: str) -> None:
    module = importlib.import_module(name)
    getattr(module, "warm", lambda: None)()
    assert threading.active_count() == 1  # a fork would leave the others behind
    for line in sys.stdin:
        if not (child := os.fork()):
            try:
                module.main(*json.loads(line))
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    _serve(sys.argv[1])
