"""python -m tests.openai_server --script FILE --ledger FILE: the stub as a process of its own.

Prints its address as the first line and serves until SIGTERM, SIGINT or the end of its standard input.
"""

import argparse
import importlib
import signal
import sys
import threading
from pathlib import Path

from tests.openai_server.answers import offline_story
from tests.openai_server.script import Script
from tests.openai_server.server import StubServer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--script", type=Path, help="JSON as Script.dump gives it; without it nothing goes wrong")
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--answer", help="module:function, from a request's body to text")
    parser.add_argument("--port", type=int, default=0)
    given = parser.parse_args()
    script = Script.load(given.script.read_text()) if given.script else Script()
    answer = offline_story
    if given.answer:
        module, _, name = given.answer.partition(":")
        answer = getattr(importlib.import_module(module), name)
    end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end.set())
    with StubServer(script, given.ledger, answer, port=given.port) as server:
        print(server.url, flush=True)
        threading.Thread(target=lambda: (sys.stdin.read(), end.set()), daemon=True).start()
        end.wait()


if __name__ == "__main__":
    main()
