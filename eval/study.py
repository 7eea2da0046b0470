"""A study: models side by side in one folder: what they wrote, what it measures, how it was graded, and the report.

completions.jsonl, prompts.jsonl    what was asked and written
models.json, metrics.json, marking.json, figures.json    what needs no key
judge-NAME/                         the runs of the judges
grades.jsonl, statistics.json, anchors.json, agreement.json, power.json, cost.json
report.json, report.html
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_gen.offline import write_story
from data_gen.senders import Sender
from eval import anchors, diversity, marking, offline, stats, variance
from eval.docket import Docket
from eval.foreign import foreign
from eval.judge import JudgeRun, Judging
from eval.prompts import PromptSet
from eval.records import INSTRUCT, STORY, Completion, Grade, Prompt, read_lines, write_lines
from eval.report import make_report, read_inputs
from tsjax.atomic import write_json
from tsjax.errors import UserError
from tsjax.lock import LOCK, lock

COMPLETIONS, GRADES, PROMPTS = "completions.jsonl", "grades.jsonl", "prompts.jsonl"
ANCHOR_STORIES, ANCHOR_SEED = 40, 99  # stories of the offline writer that anchors are made of
SIZES = [(44, 1, 1), (44, 3, 1), (44, 10, 1), (44, 10, 3), (100, 10, 1), (200, 10, 1)]  # of the power table


@dataclass(frozen=True)
class Writing:
    """How models write: `k` completions of each prompt (None: 10 sampled ones, 1 otherwise), and how they are decoded."""

    k: int | None = None
    checkpoints: Sequence[int] | str = ()
    decoding: Mapping[str, Any] | None = None


class Study:
    """The folder `out`, held by this process until `close`."""

    def __init__(self, out: Path):
        self.out = out
        self._lock = lock(out, todo="wait for it, or choose another folder")

    def close(self) -> None:
        (self.out / LOCK).unlink(missing_ok=True)
        self._lock.close()

    @property
    def completions(self) -> list[Completion]:
        path = self.out / COMPLETIONS
        return list(read_lines(path, Completion)) if path.exists() else []

    @property
    def prompts(self) -> list[Prompt]:
        path = self.out / PROMPTS
        return list(read_lines(path, Prompt)) if path.exists() else []

    def write(self, runs: Sequence[Path], sets: Sequence[PromptSet], how: Writing) -> int:
        """Lets each model go on from each prompt, as far as that is not done yet; how many texts were made."""
        from eval.complete import complete_to, fitting

        names = [run.resolve().name for run in runs]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise UserError(expected="runs in folders of different names", found=f"{twice[0]} twice", todo="rename one")
        known = {prompt.id: prompt for prompt in self.prompts}
        known |= {prompt.id: prompt for one in sets for prompt in one.prompts}
        write_lines(self.out / PROMPTS, known.values())
        made = 0
        for run in runs:
            for one in sets:
                decoding = dict(how.decoding or {})
                count = how.k
                if one.prompts[0].kind not in (STORY, INSTRUCT):  # marked greedily, as in the paper
                    decoding, count = {"mode": "greedy", "max_new": 32}, 1
                made += complete_to(
                    self.out / COMPLETIONS, run, fitting(one, run), k=count, checkpoints=how.checkpoints, **decoding
                )
        return made

    def add(self, paths: Sequence[Path], sets: Sequence[PromptSet]) -> None:
        """Takes in completions of other models; those that are there already are not taken twice."""
        have = {one.id: one for one in self.completions}
        for path in paths:
            for one in sets[:1] or (None,):
                have |= {found.id: found for found in foreign(path, one)}
        write_lines(self.out / COMPLETIONS, have.values())

    def measure(self, runs: Sequence[Path], reference: Path | None = None) -> None:
        """Everything that needs no key: metrics and diversity by model, marks by probability, what the models are."""
        from eval.complete import opened
        from eval.likelihood import Scorer

        scorer = Scorer(next(opened(reference, ()))) if reference else None
        metrics, prompts = [], self.prompts
        for model, texts in self._by_model().items():
            found = offline.offline(texts, prompts, scorer)
            more = diversity.diversity(model, [one.text for one in texts if one.kind == STORY])
            found["metrics"] |= more["metrics"]
            found["missing"] |= more["missing"]
            metrics.append(found)
        write_json(self.out / "metrics.json", metrics)
        rows: list[dict[str, Any]] = []
        told: list[dict[str, Any]] = []
        for run in runs:
            trained = next(opened(run, ()))
            name = run.resolve().name.removesuffix(".bin")
            marks = marking.mark_prompts(Scorer(trained), [prompt for prompt in prompts if prompt.accepted])
            rows += [row | {"how": "by probability"} for row in marking.totals(marks, name)]
            rows += [row | {"how": "of texts"} for one in metrics if one["model"] == name for row in one["marking"]]
            told.append({"model": name, **about(run, trained)})
        known = {row["model"] for row in told}
        told += [{"model": model} for model in self._by_model() if model not in known]
        write_json(self.out / "marking.json", rows)
        write_json(self.out / "models.json", told)

    def memorised(self, runs: Sequence[Path], data: Path, seed: int = 0) -> None:
        """Figs 14 to 18: endings of training stories, by each run, against the whole of the shard folder `data`."""
        from eval.complete import complete
        from eval.figures import beginnings, figures
        from tsjax.shards import open_shards

        shards = open_shards(data)
        prompts, endings = beginnings(shards, seed=seed)
        asked = PromptSet("endings", "", tuple(prompts))
        written = [one for run in runs for one in complete(run, asked, k=1, seed=seed)]
        write_json(self.out / "figures.json", figures(shards, endings, written, seed))

    def docket(self) -> Docket:
        """What judges are to grade: the stories of all models, and the anchors."""
        stories = [one for one in self.completions if one.kind in (STORY, INSTRUCT)]
        if not stories:
            raise UserError(
                expected=f"stories to grade in {self.out}", found="none", todo="name runs to complete prompts"
            )
        made = anchors.make_anchors([write_story(ANCHOR_SEED, n) for n in range(ANCHOR_STORIES)])
        return Docket(stories, made, {prompt.id: prompt.asks for prompt in self.prompts if prompt.asks})

    def judge_folder(self, model: str, mode: str) -> Path:
        return self.out / f"judge-{re.sub(r'[^A-Za-z0-9.-]+', '-', model)}-{mode}"

    def judge(self, order: Judging, sender: Sender | None = None) -> JudgeRun:
        """The judge's run, to be run by whoever hears signals; then `graded`."""
        return JudgeRun(self.judge_folder(order.model, order.mode), order, sender)

    def graded(self) -> None:
        """Statistics of all judges' grades, made anew from their folders. The first judge by name makes the table."""
        folders = sorted(path for path in self.out.glob("judge-*") if (path / GRADES).exists())
        if not folders:
            return
        grades = {folder: list(read_lines(folder / GRADES, Grade)) for folder in folders}
        manifests = [json.loads((folder / "manifest.json").read_bytes()) for folder in folders]
        first = grades[folders[0]]
        write_lines(self.out / GRADES, first)
        found = stats.statistics(first, stats.hundreds_of_words(self.completions))
        write_json(self.out / "statistics.json", found)
        verdict = manifests[0].get("anchor_verdict")
        if verdict:
            write_json(self.out / "anchors.json", verdict)
        if len(folders) > 1:
            write_json(
                self.out / "agreement.json", stats.judge_agreement([g for some in grades.values() for g in some])
            )
        write_json(self.out / "power.json", power(found))
        write_json(self.out / "cost.json", {
            "usd": sum(one["cost_usd"]["settled"] for one in manifests),
            "usd_in_doubt": sum(one["cost_usd"]["doubtful"] for one in manifests),
            "calls": sum(one["attempts"]["attempts"] for one in manifests),
        })  # fmt: skip
        write_json(self.out / "settings.json", {
            folder.name: {key: one.get(key) for key in ("model", "mode", "rubric", "rubric_hash", "repeats", "seed", "host")}
            for folder, one in zip(folders, manifests, strict=True)
        })  # fmt: skip

    def report(self, compare: str = "") -> dict[str, Any]:
        """Writes report.json and report.html of what is there."""
        from eval.page import write_html

        report = make_report(read_inputs(self.out), compare=compare)
        write_json(self.out / "report.json", report)
        write_html(report, self.out / "report.html")
        return report

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
        "run": run.resolve().name,
        "step": trained.step,
        "hidden": config.width,
        "layers": config.layers,
        "parameters": sum(int(value.size) for value in trained.params.values()),
        "loss": told.get("loss"),
        "bits_per_byte": told.get("bits_per_byte"),
        "checkpoint": fingerprint(trained),
        "tokenizer": trained.tokenizer.fingerprint,
    }


def power(found: Mapping[str, Any]) -> list[dict[str, float]]:
    """Smallest differences that studies of other sizes would see, from the first model's components; none where unknown."""
    for of in found["variance"].values():
        for parts in of.values():
            if all(parts.get(name) is not None for name in ("prompt", "completion")):
                return variance.power_table(SIZES, parts)
    return []
