"""A study: models side by side in one folder: what they wrote, what it measures, how it was graded, and the report.

- study.json: what may not change while it lives
- prompts.jsonl, completions.jsonl, endings.jsonl: what was asked and written
- models.json, metrics.json, marking.json, figures.json: what needs no key
- what the judges leave there: see `eval.panel`
- report.json, report.html
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from eval import diversity, marking, offline
from eval.foreign import foreign
from eval.prompts import PromptSet
from eval.records import INSTRUCT, STORY, Completion, Prompt, read_lines, write_lines
from eval.report import make_report, read_inputs
from tsjax.atomic import write_json
from tsjax.errors import UserError
from tsjax.lock import LOCK, lock

COMPLETIONS, PROMPTS = "completions.jsonl", "prompts.jsonl"
STUDY, ENDINGS = "study.json", "endings.jsonl"
STORIES = (STORY, INSTRUCT)


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
        return self.read(STUDY, {"models": {}})

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
        told |= {row["model"]: row for row in self.read("models.json", [])}
        marks = [row for row in self.read("marking.json", []) if row["how"] == "by probability"]
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

    def report(self, compare: str = "") -> dict[str, Any]:
        """Writes report.json and report.html of what is there."""
        from eval.page import write_html

        report = make_report(read_inputs(self.out), compare=compare)
        write_json(self.out / "report.json", report)
        write_html(report, self.out / "report.html")
        return report

    def read(self, name: str, otherwise: Any) -> Any:
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
