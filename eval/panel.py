"""The judges of a study: what each has to grade next, and what all their grades say.

- judge-NAME-MODE-PART/: the runs of the judges; again-NAME-MODE-N/: the same texts graded once more, for drift alone
- grades.jsonl, statistics.json, instructed.json, judges.json, anchors.json, agreement.json, link.json, drift.json,
  power.json, cost.json, settings.json: what came of them
"""

import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

from data_gen.capabilities import Profile, profile
from data_gen.offline import write_story
from eval import anchors, bill, part_folder, published, rubric, stats
from eval.docket import Docket, frozen
from eval.drift import Shift, drift
from eval.judge import GRADES, Judging, name_of
from eval.judge_work import NO_ANSWER
from eval.link import links
from eval.part import Part, agreed, between, between_parts, by_text, comparable, verdict
from eval.records import INSTRUCT, STORY, Completion, Grade, read_lines, write_lines
from eval.rubric import FOLLOWING
from eval.scores import Scores
from eval.slopes import order_slopes
from eval.study import STORIES, STUDY, Study
from eval.variance import power
from tsjax.atomic import write_json
from tsjax.errors import UserError

ANCHOR_STORIES, ANCHOR_SEED = 40, 99  # stories of the offline writer that anchors are made of
REPEATS = 3  # of a judge that nobody asked yet
SETTINGS = ("model", "mode", "rubric", "rubric_hash", "repeats", "seed", "host")
MADE = ("statistics", "instructed", "judges", "anchors", "agreement", "link", "drift", "power", "cost", "settings")


@dataclass(frozen=True)
class _Judge:
    """What a judge has graded so far, of anchors and of the texts that the study has now."""

    name: str  # as its grades call it
    slug: str  # as its folders do
    parts: Sequence[Part]
    grades: Sequence[Grade]
    verdict: Mapping[str, Any]

    @property
    def manifest(self) -> Mapping[str, Any]:
        """Of its first part; what matters of it is the same in all."""
        return self.parts[0].manifest

    @cached_property
    def shifts(self) -> list[dict[str, Shift]]:
        """Of each part against the first, by their anchors."""
        return between(self.parts)

    @property
    def answered(self) -> bool:
        """Whether anything came of asking it: grades, answers that can't be read, or a server that gave none."""
        return any(grade.why != NO_ANSWER for grade in self.grades if not grade.anchor)


class Panel:
    """The judges of `study`: the first by name that was asked makes its table.

    training: stories that the models were trained on, for the anchors that copy one. rulers: model of the study -> row of
    the paper's Fig 4, besides the released checkpoints, which are known by name; the study keeps them. UserError for
    another row.
    """

    def __init__(self, study: Study, training: Sequence[str] = (), rulers: Mapping[str, str] | None = None):
        self.study, self.training = study, training
        self._rulers = {model: published.row_of(row).name for model, row in (rulers or {}).items()}

    # ---- what is to be graded

    def docket(
        self, model: str, mode: str, asked: Container[Path] = (), retry: bool = False
    ) -> tuple[Path, Docket] | None:
        """The folder of a judge's next part and what it is to grade; None where it has graded everything.

        A part that was begun is finished as it is; what came into the study since then makes a new part.

        asked: parts to pass over, since they were asked already; what is left of them had no answer. retry: a part with
        answers that can't be read is not finished either.
        """
        name, covered = f"judge-{_slug(model, mode)}", set[str]()
        begun = [folder for folder in self._parts(name) if part_folder.begun(folder)]
        for folder in begun:
            docket = Docket.load(folder)
            if folder not in asked and not _done(folder, retry):
                return folder, docket
            covered |= {one.id for one in docket.completions}
        texts = [one for one in self.study.completions if one.kind in STORIES and one.id not in covered]
        return (self.study.out / f"{name}-{_next(begun)}", self._docket(texts)) if texts else None

    def again(self, model: str, mode: str) -> tuple[Path, Docket] | None:
        """The folder and the texts that a judge grades once more, to see whether it is still the same; None where it has
        graded nothing yet.

        One that was begun is finished; else a new one, with the texts and anchors of the first. Its grades make drift.json
        alone, never a mean.
        """
        first = [folder for folder in self._parts(f"judge-{_slug(model, mode)}") if (folder / GRADES).exists()]
        readable = {
            grade.completion for folder in first for grade in read_lines(folder / GRADES, Grade) if grade.scores
        }
        texts = [one for one in self.study.completions if one.id in readable]
        if not texts:
            return None
        folders = [folder for folder in self._parts(f"again-{_slug(model, mode)}") if part_folder.begun(folder)]
        if folders and not _done(folders[-1]):
            return folders[-1], Docket.load(folders[-1])
        before = Docket.load(folders[0] if folders else first[0])
        chosen = before.completions if folders else frozen(texts)
        at = self.study.out / f"again-{_slug(model, mode)}-{_next(folders)}"
        return at, Docket(chosen, before.anchors, self._asks(chosen))

    def agreed(self, folder: Path, order: Judging) -> None:
        """UserError where an order for the part in `folder` asks otherwise than the judge's first part did, as
        `eval.part.agreed` tells. To be called before anybody is asked."""
        kind, _, name = folder.name.rpartition("-")[0].partition("-")
        first = self._parts(f"judge-{name}")[:1]
        if first and first[0] != folder and Part(first[0]).done:
            agreed(Part(first[0]), order, kind == "again")

    def left(self, cap: int | None, at: Path | None = None) -> int | None:
        """What is left of a cap for the whole study when the folder `at` is about to be worked in, as `eval.bill.left`."""
        return bill.left(self.study.out, cap, at)

    def power(
        self, prompts: int | None = None, completions: int | None = None, repeats: int | None = None
    ) -> dict[str, Any]:
        """What a study of this size can see, as `eval.variance.power` tells; a number that is not given is the study's own."""
        judges = self._judges()
        main = judges.get(self.study.kept().get("judge") or min(judges, default=""))
        scores: dict[str, dict[str, Scores]] = {}
        texts = [one for one in self.study.completions if one.kind in STORIES]
        kinds = {one.kind for one in texts}
        if kinds:
            kind = STORY if STORY in kinds else INSTRUCT
            texts = [one for one in texts if one.kind == kind]
            known, table = {one.id for one in texts}, self._table()
            mine = [one for one in main.grades if one.completion in known and one.model in table] if main else []
            scores = stats.scores_by_model(mine)
        size = (
            prompts or len({one.prompt_id for one in texts}),
            completions or 1 + max((one.k for one in texts), default=0),
            repeats or (main.manifest["repeats"] if main else REPEATS),
        )
        mode = main.manifest["mode"] if main else rubric.CALIBRATED
        names = {name for kind in kinds for name in rubric.dimensions(kind, mode)}
        compared = len(set(self._table()) & {one.model for one in self.study.completions if one.kind in STORIES})
        return power(scores, size, compared * (compared - 1) // 2 * len(names))

    # ---- what came of it

    def mend(self) -> None:
        """Makes grades that are gone or torn anew from the raw answers, and says so. Nobody is asked."""
        for folder in bill.folders(self.study.out):
            if part_folder.mend_grades(folder):
                print(f"{folder / GRADES} was gone or not whole: made anew from the judge's answers")

    def graded(self) -> None:
        """Statistics of all judges' grades, made anew from their folders."""
        for stale in MADE:
            (self.study.out / f"{stale}.json").unlink(missing_ok=True)
        (self.study.out / GRADES).unlink(missing_ok=True)
        if self._rulers:
            kept = self.study.kept()
            write_json(self.study.out / STUDY, kept | {"rulers": kept.get("rulers", {}) | self._rulers})
        if any(one.kind in STORIES for one in self.study.completions):
            self._write("power", self.power())
        if cost := bill.bill(self.study.out):
            self._write("cost", cost)
        judges = self._judges()
        if not judges:
            return
        self.study.keep(judge=self.study.kept().get("judge") or min(judges))
        main = judges.get(kept := self.study.kept()["judge"])
        if main is None:
            raise UserError(
                expected=f"the grades of {kept}, which makes the table of {self.study.out}", found=", ".join(judges),
                todo="put its folders back, or begin another study",
            )  # fmt: skip
        write_lines(self.study.out / GRADES, [grade for judge in judges.values() for grade in judge.grades])
        if main.answered:
            whole, instructed = self._statistics(main, self._table())
            place = {key: at for part in main.parts for key, at in part.places().items()}
            whole["order"] = order_slopes(main.grades, place)
            self._write("statistics", whole)
            if instructed:
                self._write("instructed", instructed)
            if link := self._link(whole["models"]):
                self._write("link", link)
        self._write("anchors", main.verdict)
        self._write(
            "settings",
            {f"judge-{one.slug}": {key: one.manifest.get(key) for key in SETTINGS} for one in judges.values()},
        )
        told: dict[str, Any] = {}
        for judge in judges.values():
            models = self._statistics(judge, ())[0]["models"] if judge.answered else []
            told[judge.name] = {"models": models, "sound": judge.verdict["sound"], "why": judge.verdict["why"]}
            told[judge.name]["parts"] = [part.told() for part in judge.parts]
            if len(judge.parts) > 1:
                told[judge.name]["between_parts"] = between_parts(judge.parts, judge.shifts)
            if again := self._again(judge):
                told[judge.name]["again"] = again
        if shifts := told[main.name].get("again", {}).get("drift"):
            self._write("drift", shifts)
        for a, b in combinations(judges.values(), 2):
            if _same_vendor(a, b):
                for one, other in ((a, b), (b, a)):
                    told[one.name].setdefault("same_vendor", []).append(other.name)
        self._write("judges", told)
        sound = [judge for judge in judges.values() if judge.verdict["sound"]]
        for judge in judges.values():
            if judge is not main and judge not in sound:
                print(f"{judge.name} is void, and left out: {'; '.join(judge.verdict['why'])}")
        if len(sound) > 1:
            self._write("agreement", stats.judge_agreement([grade for judge in sound for grade in judge.grades]))

    def _statistics(self, judge: _Judge, table: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any] | None]:
        texts = self.study.completions
        kinds = {one.prompt_id: one.kind for one in texts}
        found = stats.by_set(judge.grades, kinds, judge.manifest["mode"], stats.hundreds_of_words(texts), table)
        for one in found:
            if one:
                one["pairs"] = comparable(one["pairs"], judge.parts, judge.shifts)
        return found

    def _link(self, models: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
        kinds = {one.kind for one in self.study.completions}
        kind = STORY if STORY in kinds else INSTRUCT
        names = {name for one in models for name in one["dimensions"]}
        kept = self.study.kept()
        found = links(models, {name: INSTRUCT if name == FOLLOWING else kind for name in names}, kept.get("rulers"))
        asked = published.beginnings()
        return found and {**found, "prompts_are_the_papers": asked in kept.get("sets", {}).values()}

    def _again(self, judge: _Judge) -> dict[str, Any]:
        """{"drift", "sound", "why"} of the newest `again` that is finished, against the judge's first grades of its texts and
        anchors."""
        ends = [part for folder in self._parts(f"again-{judge.slug}") if (part := Part(folder)).done]
        if not ends:
            return {}
        found = ends[-1].manifest.get("anchor_verdict") or {"sound": True, "why": []}
        told = {"drift": None, "sound": found["sound"], "why": list(found["why"])}
        if ends[-1].manifest["rubric_hash"] != judge.manifest["rubric_hash"]:
            told["why"].append("no drift to be told: the rubric is another one than in the first grades")
            return told
        before, after = by_text(judge.grades), by_text(ends[-1].grades)
        try:
            told["drift"] = {name: asdict(shift) for name, shift in drift(before, after).items()}
        except UserError as e:
            told["why"].append(f"no drift to be told: expected {e.expected}, found {e.found}")
        return told

    def _judges(self) -> dict[str, _Judge]:
        """Those that have grades, by the name of their folders. The study may have taken in another text of a model and
        prompt since it was graded: grades of what it no longer holds stay in the judge's folder."""
        texts = {one.id for one in self.study.completions}
        names = {path.parent.name.rpartition("-")[0] for path in self.study.out.glob(f"judge-*-*/{GRADES}")}
        judges = {}
        for name in sorted(names):
            parts = [Part(folder) for folder in self._parts(name) if (folder / GRADES).exists()]
            every = [grade for part in parts for grade in part.grades]
            grades = [grade for grade in every if grade.anchor or grade.completion in texts]
            judges[name] = _Judge(name_of(parts[0].manifest), name.partition("-")[2], parts, grades, verdict(parts))
        return judges

    def _table(self) -> list[str]:
        """The models that are compared: of a run's checkpoints the last one alone."""
        rows = {row["model"]: row for row in self.study.read("models.json", [])}
        last: dict[str, int] = {}
        for row in rows.values():
            if run := row.get("run"):
                last[run] = max(last.get(run, 0), row.get("step") or 0)
        names = dict.fromkeys(one.model for one in self.study.completions)
        of = {name: rows.get(name, {}) for name in names}
        return [name for name, row in of.items() if not row.get("run") or (row.get("step") or 0) == last[row["run"]]]

    def _docket(self, texts: Sequence[Completion]) -> Docket:
        stories = [write_story(ANCHOR_SEED, n) for n in range(ANCHOR_STORIES)]
        made = anchors.make_anchors(stories, self.training, instruct=any(one.kind == INSTRUCT for one in texts))
        return Docket(texts, made, self._asks(texts) | anchors.asks_of(made))

    def _asks(self, texts: Sequence[Completion]) -> dict[str, Mapping[str, Any]]:
        """prompt -> what it asks for, of the instructed ones."""
        wanted = {one.prompt_id for one in texts if one.kind == INSTRUCT}
        return {prompt.id: prompt.asks for prompt in self.study.prompts if prompt.id in wanted and prompt.asks}

    def _parts(self, name: str) -> list[Path]:
        found = self.study.out.glob(f"{name}-[0-9]*")
        return sorted(found, key=lambda path: int(path.name.rpartition("-")[2]))

    def _write(self, name: str, value: Any) -> None:
        write_json(self.study.out / f"{name}.json", value)


def _slug(model: str, mode: str) -> str:
    return f"{re.sub(r'[^A-Za-z0-9.]+', '_', model)}-{mode}"


def _done(folder: Path, retry: bool = False) -> bool:
    """Whether nothing is left to ask."""
    part = Part(folder)
    return (
        part.done
        and not part_folder.unanswered(part.manifest)
        and not (retry and part_folder.unreadable(part.manifest))
    )


def _next(folders: Sequence[Path]) -> int:
    """The number of the part after these; one may have been moved away."""
    return 1 + max((int(folder.name.rpartition("-")[2]) for folder in folders), default=0)


def _same_vendor(a: _Judge, b: _Judge) -> bool:
    """Whether both are asked at one server, are one model, or of one known family: their errors may be the same then.

    Where neither is known they are not called the same.
    """
    hosts, models = ([one.manifest[key] for one in (a, b)] for key in ("host", "model"))
    one, other = (profile(model).name for model in models)
    return hosts[0] == hosts[1] is not None or models[0] == models[1] or one == other != Profile().name
