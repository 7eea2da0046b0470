"""How long a judging takes, killed in the middle or not: python -m tests.eval.judge_speed [--kill SECONDS]

3 models x 44 prompts x 10 completions and the anchors, against the stub server with 50 ms before each answer.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from data_gen.job import load
from data_gen.raw import read
from eval.docket import Docket
from eval.judge import Judging, judge_run
from tests.eval import judged, judges
from tests.openai_server import Script, StubServer

LATENCY = 0.05


def docket() -> Docket:
    return Docket(judges.completions(prompts=44, each=10), judges.anchors())


def run(folder: Path, url: str) -> None:
    judge_run(folder, judged.order(url, docket=docket(), repeats=1, anchor_repeats=3, concurrency=128, timeout=30.0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kill", type=float, help="SIGKILL after so many seconds, then go on")
    given = parser.parse_args()
    made = docket()
    os.environ["TSJAX_TEST_KEY"] = "sk-test-0123456789abcdef0123456789"
    with (
        tempfile.TemporaryDirectory() as name,
        StubServer(
            Script(latency=LATENCY), answer=judges.Judge(judges.truth_of(made.completions, made.anchors))
        ) as server,
    ):
        folder, began, before = Path(name, "run"), time.perf_counter(), set[str]()
        command = [sys.executable, "-c", "import sys; from pathlib import Path; from tests.eval import judge_speed; "
                   "judge_speed.run(Path(sys.argv[1]), sys.argv[2])", str(folder), server.url]  # fmt: skip
        if given.kill:
            with subprocess.Popen(command) as process:
                time.sleep(given.kill)
                process.send_signal(signal.SIGKILL)
            before = {row["id"] for row in read(folder)}
        subprocess.run(command, check=True)
        seconds, manifest = time.perf_counter() - began, load(folder, Judging)
        after = [row["id"] for row in read(folder)]
        assert len(after) == len(set(after)) == manifest["grades"] and before <= set(after)
        print(f"{manifest['grades']:,} judgements ({manifest['attempts']}) in {seconds:.1f} s, start of the process included; "
              f"{len(before):,} were settled before the kill, {server.calls:,} calls in all; "
              f"anchors sound: {manifest['anchor_verdict']['sound']}")  # fmt: skip


if __name__ == "__main__":
    main()
