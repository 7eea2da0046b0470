"""The judges of a study: what each has to grade next, and what all their grades say.

- judge-NAME-MODE-PART/: the runs of the judges
- grades.jsonl, statistics.json, anchors.json, agreement.json, cost.json, settings.json: what came of them
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_gen import job as jobs
from data_gen.engine import DONE
from data_gen.offline import write_story
from data_gen.run_folder import spent
from eval import anchors, stats
from eval.docket import Docket
from eval.judge import GRADES, Judging
from eval.records import Grade, read_lines, write_lines
from eval.study import STORIES, Study
from tsjax.atomic import write_json

ANCHOR_STORIES, ANCHOR_SEED = 40, 99  # stories of the offline writer that anchors are made of
SETTINGS = ("model", "mode", "rubric", "rubric_hash", "repeats", "seed", "host")


class Panel:
    """The judges of `study`: the first by name that was asked makes its table."""

    def __init__(self, study: Study):
        self.study = study

    def docket(self, model: str, mode: str) -> tuple[Path, Docket] | None:
        """The folder of a judge's next part and what it is to grade; None where it has graded everything.

        A part that was begun is finished as it is; what came into the study since then makes a new part.
        """
        covered: set[str] = set()
        found = self.study.out.glob(f"{_folder(model, mode)}-[0-9]*")
        folders = sorted(found, key=lambda path: int(path.name.rpartition("-")[2]))
        for folder in folders:
            docket = Docket.load(folder)
            if not (folder / GRADES).exists() or jobs.load(folder, Judging).get("stopped") != DONE:
                return folder, docket
            covered |= {one.id for one in docket.completions}
        stories = [one for one in self.study.completions if one.kind in STORIES and one.id not in covered]
        if not stories:
            return None
        made = anchors.make_anchors([write_story(ANCHOR_SEED, n) for n in range(ANCHOR_STORIES)])
        return self.study.out / f"{_folder(model, mode)}-{len(folders) + 1}", Docket(stories, made)

    def graded(self) -> None:
        """Statistics of all judges' grades, made anew from their folders."""
        judges: dict[str, list[Path]] = {}
        for folder in sorted(self.study.out.glob("judge-*-*")):
            if (folder / GRADES).exists():
                judges.setdefault(folder.name.rpartition("-")[0], []).append(folder)
        for stale in ("statistics", "anchors", "agreement", "cost", "settings"):
            (self.study.out / f"{stale}.json").unlink(missing_ok=True)
        (self.study.out / GRADES).unlink(missing_ok=True)
        if not judges:
            return
        self.study.keep(judge=self.study.kept().get("judge") or min(judges))
        main = self.study.kept()["judge"]
        grades = {
            judge: [grade for folder in folders for grade in read_lines(folder / GRADES, Grade)]
            for judge, folders in judges.items()
        }
        write_lines(self.study.out / GRADES, [grade for some in grades.values() for grade in some])
        if any(grade.scores for grade in grades[main] if not grade.anchor):
            found = stats.statistics(grades[main], stats.hundreds_of_words(self.study.completions))
            write_json(self.study.out / "statistics.json", found)
        verdicts = {judge: _verdict(folders) for judge, folders in judges.items()}
        write_json(self.study.out / "anchors.json", verdicts[main])
        sound = [judge for judge in judges if verdicts[judge]["sound"]]
        for judge in sorted(set(judges) - {*sound, main}):
            print(f"{judge} is void, and left out: {'; '.join(verdicts[judge]['why'])}")
        if len(sound) > 1:
            write_json(self.study.out / "agreement.json", stats.judge_agreement([g for judge in sound for g in grades[judge]]))
        bills = [spent(folder) for folders in judges.values() for folder in folders]
        write_json(self.study.out / "cost.json", {
            "usd": sum(bill["cost_usd"]["settled"] for bill in bills),
            "usd_in_doubt": sum(bill["cost_usd"]["doubtful"] for bill in bills),
            "calls": sum(bill["attempts"]["attempts"] for bill in bills),
        })  # fmt: skip
        write_json(self.study.out / "settings.json", {
            judge: {key: jobs.load(folders[0], Judging).get(key) for key in SETTINGS} for judge, folders in judges.items()
        })  # fmt: skip


def _folder(model: str, mode: str) -> str:
    return f"judge-{re.sub(r'[^A-Za-z0-9.]+', '_', model)}-{mode}"


def _verdict(folders: Sequence[Path]) -> dict[str, Any]:
    """That of the first part that failed; a part that was not finished proves nothing."""
    found = [jobs.load(folder, Judging).get("anchor_verdict") for folder in folders]
    if failed := [one for one in found if one and not one["sound"]]:
        return failed[0]
    if found[0] and all(found):
        return found[0]
    return {"sound": False, "why": ["the judge has not finished: its anchors are not all graded"]}
