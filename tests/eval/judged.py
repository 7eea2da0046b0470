"""A judging that kills itself: python -m tests.eval.judged FOLDER URL MODE POINT N: at the N-th time POINT is reached."""

import sys
from pathlib import Path

from data_gen import limiter
from eval.docket import Docket
from eval.judge import Judging, judge_run
from eval.judge_work import JudgeWork
from eval.records import Grade
from tests.data_gen.killed import Point, arm
from tests.eval import judges

MODEL = "gpt-6-luna"
DOLLAR = 10**12


def order(url: str, mode: str = "calibrated", **changed) -> Judging:
    fields = {
        "docket": Docket(judges.completions(), judges.anchors()[:12]), "model": MODEL, "mode": mode, "repeats": 2,
        "anchor_repeats": 1, "seed": 3, "cap": DOLLAR, "base_url": url, "key_env": "TSJAX_TEST_KEY", "concurrency": 8,
        "timeout": 0.5,
    }  # fmt: skip
    return Judging(**fields | changed)


def run(folder: Path, url: str, mode: str = "calibrated") -> list[Grade]:
    return judge_run(folder / "run", order(url, mode))


if __name__ == "__main__":
    limiter.BASE, limiter.CAP = 0.004, 0.02
    point = Point(int(sys.argv[5]))
    if sys.argv[4].endswith("told"):
        inner = JudgeWork.answered

        def answered(self, request, answer):
            if sys.argv[4] == "before told":
                point.reached()
            inner(self, request, answer)
            if sys.argv[4] == "after told":
                point.reached()

        JudgeWork.answered = answered
    elif sys.argv[4] == "before grades":
        from eval import judge

        write = judge.write_lines

        def written(*args):
            point.reached()
            write(*args)

        judge.write_lines = written
    else:
        arm(sys.argv[4], point)
    run(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
