"""A study: models side by side in one folder: what they wrote, what it measures, how it was graded, and the report.

- study.json: what may not change while it lives
- prompts.jsonl, completions.jsonl, endings.jsonl: what was asked and written
- models.json, metrics.json, marking.json, figures.json: what needs no key
- judge-NAME-MODE-PART/: the runs of the judges
- grades.jsonl, statistics.json, anchors.json, agreement.json, cost.json, settings.json: what came of them
- report.json, report.html
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from data_gen import job as jobs
from data_gen.engine import DONE
from data_gen.offline import write_story
from data_gen.run_folder import spent
from eval import anchors, diversity, marking, offline, stats
from eval.docket import Docket
from eval.foreign import foreign
from eval.judge import Judging
from eval.prompts import PromptSet
from eval.records import INSTRUCT, STORY, Completion, Grade, Prompt, read_lines, write_lines
from eval.report import make_report, read_inputs
from tsjax.atomic import write_json
from tsjax.errors import UserError
from tsjax.lock import LOCK, lock

COMPLETIONS, GRADES, PROMPTS = "completions.jsonl", "grades.jsonl", "prompts.jsonl"
STUDY, ENDINGS = "study.json", "endings.jsonl"
ANCHOR_STORIES, ANCHOR_SEED = 40, 99  # stories of the offline writer that anchors are made of
STORIES = (STORY, INSTRUCT)
SETTINGS = ("model", "mode", "rubric", "rubric_hash", "repeats", "seed", "host")


class Study:
    """The folder `out`, held by this process until `close`. study.json holds what may not change while it lives: how texts
    are written, the prompts, the weights of each model, and which judge makes the table (the first by name that was asked).
    """

    def __init__(self, out: Path):
        self.out = out
        self._lock = lock(out, todo="wait for it, or choose another folder")

    def close(self) -> None:
        (self.out / LOCK).unlink(missing_ok=True)
        self._lock.close()
        if not any(self.out.iterdir()):
            self.out.rmdir()

    @property
    def completions(self) -> list[Completion]:
        path = self.out / COMPLETIONS
        return list(read_lines(path, Completion)) if path.exists() else []

    @property
    def prompts(self) -> list[Prompt]:
        path = self.out / PROMPTS
        return list(read_lines(path, Prompt)) if path.exists() else []

    def kept(self) -> dict[str, Any]:
        return self._read(STUDY, {"models": {}})

    def keep(self, **settings: Any) -> None:
        """UserError where the study was begun with other settings."""
        kept = self.kept()
        for name, value in settings.items():
            if kept.setdefault(name, value) != value:
                raise UserError(
                    expected=f"{name} {kept[name]}, with which the study in {self.out} was begun", found=str(value),
                    todo="choose another --out: what differs in it can't be compared",
                )  # fmt: skip
        write_json(self.out / STUDY, kept)

    def write(self, runs: Sequence[Path], sets: Sequence[PromptSet], k: int | None, decoding: Mapping[str, Any]) -> int:
        """Lets each model go on from each prompt, as far as that is not done yet; how many texts were made.

        k: completions of each beginning (None: 10 sampled ones, 1 otherwise). The three families are decoded greedily, as
        in the paper. UserError for other weights, prompts or settings than the study was begun with.
        """
        from eval.complete import complete_to, fingerprint, fitting, opened

        stories = [one.name for one in sets if one.prompts[0].kind in STORIES]
        if len(stories) > 1:
            raise UserError(expected="one set of beginnings", found=", ".join(stories), todo="make a study of each")
        weights = {name_of(run): fingerprint(next(opened(run, ()))) for run in runs}
        if len(weights) < len(runs):
            raise UserError(expected="runs of different names", found="one name twice", todo="rename one")
        self.keep(k=k, decoding=dict(decoding), sets={one.name: one.hash for one in sets})
        kept = self.kept()
        for name, found in weights.items():
            if kept["models"].setdefault(name, found) != found:
                raise UserError(
                    expected=f"the weights of {name} with which the study in {self.out} was begun", found="others",
                    todo="choose another --out, or rename the run: two models of one name can't be told apart",
                )  # fmt: skip
        write_json(self.out / STUDY, kept)
        write_lines(self.out / PROMPTS, [prompt for one in sets for prompt in one.prompts])
        made = 0
        for run in runs:
            for one in sets:
                family = one.prompts[0].kind not in STORIES
                how = {"mode": "greedy", "max_new": 32} if family else dict(decoding)
                try:
                    fits = fitting(one, run)
                except UserError:
                    print(f"{name_of(run)}: no prompt of {one.name} fits it")
                    continue
                if fits.note:
                    print(f"{name_of(run)}: {fits.note}")
                made += complete_to(self.out / COMPLETIONS, run, fits, k=1 if family else k, name=name_of(run), **how)
        return made

    def add(self, paths: Sequence[Path], sets: Sequence[PromptSet], cut_at_repeat: bool) -> None:
        """Takes in completions of other models, of any of the sets; one text for each prompt and k of a model."""
        owner = {prompt.id: one.hash for one in sets for prompt in one.prompts}
        everything = PromptSet("all", "", tuple(prompt for one in sets for prompt in one.prompts))
        have = {(one.model, one.prompt_id, one.k): one for one in self.completions}
        for path in paths:
            for found in foreign(path, everything, cut_at_repeat=cut_at_repeat):
                have[found.model, found.prompt_id, found.k] = replace(found, prompts=owner[found.prompt_id])
        write_lines(self.out / COMPLETIONS, have.values())

    def measure(self, runs: Sequence[Path], reference: Path | None = None) -> None:
        """Everything that needs no key: metrics and diversity by model, marks by probability, what the models are."""
        from eval.complete import opened
        from eval.likelihood import Scorer

        scorer = Scorer(next(opened(reference, ()))) if reference else None
        prompts = self.prompts
        metrics: list[dict[str, Any]] = []
        rows: list[dict[str, Any]] = []
        for model, texts in self._by_model().items():
            stories, others = ([one for one in texts if (one.kind in STORIES) == side] for side in (True, False))
            found = offline.offline(stories or others, prompts, scorer)
            if stories and others:
                marked = offline.offline(others, prompts)
                found |= {key: marked[key] for key in ("marks", "marking")}
            more = diversity.diversity(model, [one.text for one in stories])
            found["metrics"] |= more["metrics"]
            found["missing"] |= more["missing"]
            metrics.append(found)
            rows += [row | {"how": "of texts"} for row in found["marking"]]
        write_json(self.out / "metrics.json", metrics)
        told = {model: {"model": model} for model in self._by_model()}
        told |= {row["model"]: row for row in self._read("models.json", [])}
        marks = [row for row in self._read("marking.json", []) if row["how"] == "by probability"]
        for run in runs:
            trained, name = next(opened(run, ())), name_of(run)
            told[name] = {"model": name, **about(run, trained)}
            by_probability = marking.mark_prompts(Scorer(trained), [prompt for prompt in prompts if prompt.accepted])
            marks = [row for row in marks if row["model"] != name]
            marks += [row | {"how": "by probability"} for row in marking.totals(by_probability, name)]
        write_json(self.out / "marking.json", marks + rows)
        write_json(self.out / "models.json", list(told.values()))

    def memorised(self, runs: Sequence[Path], data: Path, seed: int = 0) -> None:
        """Figs 14 to 18: endings of training stories, by each run, against the whole of the shard folder `data`."""
        from eval.complete import complete_to, fitting
        from eval.figures import beginnings, figures
        from tsjax.shards import open_shards

        shards = open_shards(data)
        self.keep(data=shards.fingerprint)
        prompts, endings = beginnings(shards, seed=seed)
        asked, path = PromptSet("endings", "", tuple(prompts)), self.out / ENDINGS
        for run in runs:
            complete_to(path, run, fitting(asked, run), k=1, seed=seed, name=name_of(run))
        write_json(self.out / "figures.json", figures(shards, endings, list(read_lines(path, Completion)), seed))

    def docket(self, model: str, mode: str) -> tuple[Path, Docket] | None:
        """The folder of a judge's next part and what it is to grade; None where it has graded everything.

        A part that was begun is finished as it is; what came into the study since then makes a new part.
        """
        covered: set[str] = set()
        folders = sorted(self.out.glob(f"{_folder(model, mode)}-[0-9]*"), key=lambda path: int(path.name.rpartition("-")[2]))
        for folder in folders:
            docket = Docket.load(folder)
            if not (folder / GRADES).exists() or jobs.load(folder, Judging).get("stopped") != DONE:
                return folder, docket
            covered |= {one.id for one in docket.completions}
        stories = [one for one in self.completions if one.kind in STORIES and one.id not in covered]
        if not stories:
            return None
        made = anchors.make_anchors([write_story(ANCHOR_SEED, n) for n in range(ANCHOR_STORIES)])
        return self.out / f"{_folder(model, mode)}-{len(folders) + 1}", Docket(stories, made)

    def graded(self) -> None:
        """Statistics of all judges' grades, made anew from their folders."""
        judges: dict[str, list[Path]] = {}
        for folder in sorted(self.out.glob("judge-*-*")):
            if (folder / GRADES).exists():
                judges.setdefault(folder.name.rpartition("-")[0], []).append(folder)
        for stale in ("statistics", "anchors", "agreement", "cost", "settings"):
            (self.out / f"{stale}.json").unlink(missing_ok=True)
        (self.out / GRADES).unlink(missing_ok=True)
        if not judges:
            return
        self.keep(judge=self.kept().get("judge") or min(judges))
        main = self.kept()["judge"]
        grades = {
            judge: [grade for folder in folders for grade in read_lines(folder / GRADES, Grade)]
            for judge, folders in judges.items()
        }
        write_lines(self.out / GRADES, [grade for some in grades.values() for grade in some])
        if any(grade.scores for grade in grades[main] if not grade.anchor):
            found = stats.statistics(grades[main], stats.hundreds_of_words(self.completions))
            write_json(self.out / "statistics.json", found)
        verdicts = {judge: _verdict(folders) for judge, folders in judges.items()}
        write_json(self.out / "anchors.json", verdicts[main])
        sound = [judge for judge in judges if verdicts[judge]["sound"]]
        for judge in sorted(set(judges) - {*sound, main}):
            print(f"{judge} is void, and left out: {'; '.join(verdicts[judge]['why'])}")
        if len(sound) > 1:
            write_json(self.out / "agreement.json", stats.judge_agreement([g for judge in sound for g in grades[judge]]))
        bills = [spent(folder) for folders in judges.values() for folder in folders]
        write_json(self.out / "cost.json", {
            "usd": sum(bill["cost_usd"]["settled"] for bill in bills),
            "usd_in_doubt": sum(bill["cost_usd"]["doubtful"] for bill in bills),
            "calls": sum(bill["attempts"]["attempts"] for bill in bills),
        })  # fmt: skip
        write_json(self.out / "settings.json", {
            judge: {key: jobs.load(folders[0], Judging).get(key) for key in SETTINGS} for judge, folders in judges.items()
        })  # fmt: skip

    def report(self, compare: str = "") -> dict[str, Any]:
        """Writes report.json and report.html of what is there."""
        from eval.page import write_html

        report = make_report(read_inputs(self.out), compare=compare)
        write_json(self.out / "report.json", report)
        write_html(report, self.out / "report.html")
        return report

    def _read(self, name: str, otherwise: Any) -> Any:
        path = self.out / name
        return json.loads(path.read_bytes()) if path.exists() else otherwise

    def _by_model(self) -> dict[str, list[Completion]]:
        found: dict[str, list[Completion]] = {}
        for one in self.completions:
            found.setdefault(one.model, []).append(one)
        return found


def about(run: Path, trained: Any) -> dict[str, Any]:
    """What is known of a model: its shape, and the last evaluation of its run."""
    from eval.complete import fingerprint

    config = trained.config.model
    result = run / "result.json"
    told = json.loads(result.read_bytes()) if result.exists() else {}
    return {
        "run": name_of(run),
        "step": trained.step,
        "hidden": config.width,
        "layers": config.layers,
        "parameters": sum(int(value.size) for value in trained.params.values()),
        "loss": told.get("loss"),
        "bits_per_byte": told.get("bits_per_byte"),
        "corpus": told.get("data"),
        "checkpoint": fingerprint(trained),
        "tokenizer": trained.tokenizer.fingerprint,
    }


def name_of(run: Path) -> str:
    """What records call the model of a run folder or a file."""
    return run.resolve().name.removesuffix(".bin")


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
