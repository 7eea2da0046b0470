"""A judging that kills itself, at the n-th time that a point is reached; for `tests.forks`."""

from pathlib import Path

from data_gen import limiter
from eval.docket import Docket
from eval.judge import Judging, judge_run
from eval.judge_work import JudgeWork
from eval.records import Grade
from tests.data_gen.batch_world import warm as warm
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


def main(folder: str, url: str, mode: str, where: str, n: int) -> None:
    limiter.BASE, limiter.CAP = 0.004, 0.02
    point = Point(n)
    if where.endswith("told"):
        inner = JudgeWork.answered

        def answered(self, request, answer):
            if where == "before told":
                point.reached()
            inner(self, request, answer)
            if where == "after told":
                point.reached()

        JudgeWork.answered = answered
    elif where == "before grades":
        from eval import judge

        write = judge.write_lines

        def written(*args):
            point.reached()
            write(*args)

        judge.write_lines = written
    else:
        arm(where, point)
    run(Path(folder), url, mode)
