"""The serving drill: a server that is asked anything stays alive and keeps its size.

    python -m tests.serve_drill [--requests 10000] [--seed 0] [--clients 16]

`tsjax serve` of a model of noise, in a process of its own, gets random requests from several clients at once, good and
malformed; one in twenty hangs up before its answer is whole. It must answer each of the others in OpenAI's shape, end with
no request in hand, and grow by no more than --growth MiB in the second half of the requests: rare shapes still get programs.
"""

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from http.client import HTTPConnection
from pathlib import Path

from tests.tsjax.formats.models import CONFIGS, tokenizer, trained
from tests.tsjax.serving.fuzz import random_request
from tsjax.formats.imported import write_run

GIVES_UP = 0.05  # share of clients that hang up


def memory(pid: int) -> float:
    """MiB resident."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024


def ask(port: int, rng: random.Random, found: Counter[str], wrong: list[str]) -> None:
    path, body = random_request(rng)
    connection = HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request("POST", path, body)
        if rng.random() < GIVES_UP:
            time.sleep(rng.random() * 0.05)
            connection.close()
            found["hung up"] += 1
            return
        answer = connection.getresponse()
        text = answer.read().decode()
    finally:
        connection.close()
    found[str(answer.status)] += 1
    if answer.getheader("content-type", "").startswith("text/event-stream"):
        good = answer.status == 200 and text.endswith("data: [DONE]\n\n") and '"error"' not in text
    else:
        data = json.loads(text)
        good = (
            bool(data["choices"])
            if answer.status == 200
            else set(data["error"]) == {"message", "type", "param", "code"}
        )
    if not good or answer.status >= 500:
        wrong.append(f"{answer.status} {body[:200]!r} {text[:300]}")


def some(port: int, requests: int, clients: int, seed: int) -> tuple[Counter[str], list[str]]:
    """So many requests from so many clients at once."""
    found, wrong, left, lock = Counter[str](), [], iter(range(requests)), threading.Lock()

    def client() -> None:
        while True:
            with lock:
                number = next(left, None)
            if number is None or wrong:
                return
            try:
                ask(port, random.Random(f"{seed} {number}"), found, wrong)
            except Exception as error:
                wrong.append(f"request {number}: {error!r}")

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found, wrong


def health(port: int) -> dict:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/health")
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return answer


def drill(requests: int, seed: int, clients: int, growth: float) -> list[str]:
    """What went wrong; prints what happened."""
    with tempfile.TemporaryDirectory() as folder:
        run = write_run(trained(CONFIGS["llama"], tokenizer("chat")), Path(folder) / "noise", {})
        command = [sys.executable, "-m", "launch.cli", "serve", str(run), "--port", "0", "--warm"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout is not None
                line = next(line for line in server.stdout if "http://" in line)
                port = int(re.search(r":(\d+) ", line)[1])
                sizes, total, began = [memory(server.pid)], Counter[str](), time.monotonic()
                parts = [requests // 10, requests - requests // 10 - requests * 9 // 20, requests * 9 // 20]
                for part, count in enumerate(parts):
                    found, wrong = some(port, count, clients, seed * 10 + part)
                    total += found
                    if wrong or server.poll() is not None:
                        return wrong or [f"the server ended with {server.returncode}"]
                    sizes.append(memory(server.pid))
                until = time.monotonic() + 30
                while (state := health(port))["rows"] + state["waiting"] and time.monotonic() < until:
                    time.sleep(0.1)
                seconds = time.monotonic() - began
                print(f"{requests} requests in {seconds:.0f} s: {dict(sorted(total.items()))}; then {state}")
                print("MiB resident when warm, after a tenth, half, all: " + ", ".join(f"{size:.0f}" for size in sizes))
                if state["rows"] or state["waiting"]:
                    return ["requests were left in hand"]
                if sizes[-1] - sizes[-2] > growth:
                    return [f"the second half of the requests made it {sizes[-1] - sizes[-2]:.0f} MiB larger"]
                return []
            finally:
                server.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--growth", type=float, default=32.0, help="MiB that the second half may add (default 32)")
    arguments = parser.parse_args()
    wrong = drill(arguments.requests, arguments.seed, arguments.clients, arguments.growth)
    for one in wrong:
        print(one, file=sys.stderr)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
