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
from eval.records import INSTRUCT, STORY, Completion, Prompt, mend, read_lines, write_lines
from eval.report import make_report, read_inputs
from tsjax.atomic import write_json
from tsjax.errors import UserError
from tsjax.lock import LOCK, lock

COMPLETIONS, PROMPTS = "completions.jsonl", "prompts.jsonl"
STUDY, ENDINGS = "study.json", "endings.jsonl"
STORIES = (STORY, INSTRUCT)  # kinds that a judge grades; the others are the paper's three families
FAMILY = {"mode": "greedy", "max_new": 32}  # how those are decoded, as in the paper
PROBABILITY, TEXTS = "by probability", "of texts"


class Study:
    """The folder `out`, held by this process until `close`. study.json holds what may not change while it lives: how texts
    are written, the prompts, the weights of each model by name, and which judge makes the table (the first by name that was
    asked). What a killed process left of a line of its texts is taken away.
    """

    def __init__(self, out: Path):
        self.out = out
        self._lock = lock(out, todo="wait for it, or choose another folder")
        for name in (COMPLETIONS, ENDINGS):
            mend(out / name)

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

    @property
    def begun(self) -> bool:
        return (self.out / STUDY).exists()

    def kept(self) -> dict[str, Any]:
        return {"models": {}, **self.read(STUDY, {})}

    def keep(self, **settings: Any) -> None:
        """UserError where the study was begun with other settings."""
        write_json(self.out / STUDY, self.agreed(settings))

    def write(
        self,
        runs: Sequence[Path],
        sets: Sequence[PromptSet],
        k: int | None,
        decoding: Mapping[str, Any],
        checkpoints: str = "",
    ) -> int:
        """Lets each model go on from each prompt, as far as that is not done yet; how many texts were made.

        sets: at most one of beginnings and one of instructions, and any of the three families, which are decoded greedily,
        as in the paper. k: completions of each prompt (None: 10 sampled ones, 1 otherwise). checkpoints: "all" that a run
        kept, as `name@step`, the newest under the run's name; "" for the newest alone. UserError for other weights, prompts
        or settings than the study was begun with, and for weights or texts that another model of the study has.
        """
        from eval.complete import complete_to, fitting
        from eval.models import models_of, weights

        settings = _settings(sets, k, decoding)
        self.agreed(settings)
        found = weights(models_of(runs, checkpoints))
        kept = self.agreed(settings)
        kept["models"] = self._with(kept["models"], {model.name: weight for model, weight in found.items()})
        write_json(self.out / STUDY, kept)
        write_lines(self.out / PROMPTS, [prompt for one in sets for prompt in one.prompts])
        made = 0
        for model in found:
            trained = model.open()
            for one in sets:
                family = one.prompts[0].kind not in STORIES
                try:
                    fits = fitting(one, trained)
                except UserError:
                    print(f"{model.name}: no prompt of {one.name} fits it")
                    continue
                if fits.note:
                    print(f"{model.name}: {fits.note}")
                how = FAMILY if family else dict(decoding)
                made += complete_to(self.out / COMPLETIONS, trained, fits, k=1 if family else k, name=model.name, **how)
        return made

    def planned(
        self,
        runs: Sequence[Path],
        sets: Sequence[PromptSet],
        k: int | None,
        decoding: Mapping[str, Any],
        checkpoints: str = "",
    ) -> list[Completion]:
        """Stand-ins for the texts to be graded that `write` would make, each as long as it may get: for an estimate.

        Loads no weights and writes nothing. UserError as `write`, but for what only the weights can tell.
        """
        from eval.models import models_of
        from eval.stand_ins import stand_ins

        self.agreed(_settings(sets, k, decoding))
        names = [model.name for model in models_of(runs, checkpoints)]
        have = {(one.model, one.prompt_id, one.k) for one in self.completions}
        return stand_ins(names, [one for one in sets if one.prompts[0].kind in STORIES], k, decoding, have)

    def add(self, paths: Sequence[Path], sets: Sequence[PromptSet], cut_at_repeat: bool) -> None:
        """Takes in completions of other models, of any of the sets; one text for each prompt and k of a model.

        What is there already stays as it is. UserError where that would mix two models: other texts under a name that the
        study has texts of, for the same prompt and k, or any under the name of one of its runs.
        """
        texts = self.with_texts_of(paths, sets, cut_at_repeat)
        if len(texts) > len(self.completions):
            write_lines(self.out / COMPLETIONS, texts)

    def with_texts_of(
        self, paths: Sequence[Path], sets: Sequence[PromptSet], cut_at_repeat: bool, runs: Sequence[str] = ()
    ) -> list[Completion]:
        """The texts that the study will have after `add`, if these runs, by name, write in it too. UserError as `add`; nothing
        is written."""
        owner = {prompt.id: one.hash for one in sets for prompt in one.prompts}
        everything = PromptSet("the study's sets", "", tuple(prompt for one in sets for prompt in one.prompts))
        have = {(one.model, one.prompt_id, one.k): one for one in self.completions}
        own = {*self.kept()["models"], *runs}
        for path in paths:
            for found in foreign(path, everything, cut_at_repeat=cut_at_repeat):
                key = found.model, found.prompt_id, found.k
                there = have.get(key)
                if there and there.text == found.text:
                    continue
                if there or found.model in own:
                    where = f"prompt {found.prompt_id}, k = {found.k}"
                    raise UserError(
                        expected=f"other models than those in {self.out}, or the same texts",
                        found=f"{found.model}, {'a run of the study' if found.model in own else 'another text'} "
                        f"({where} in {path})",
                        todo="give it another name in the file: two models of one name can't be told apart",
                    )
                have[key] = replace(found, prompts=owner[found.prompt_id])
        return list(have.values())

    def measure(self, runs: Sequence[Path], reference: Path | None = None, corpus: str | Path | None = None) -> None:
        """Everything that needs no key: metrics and diversity by model, marks by probability, what the models are.

        Of the runs, all checkpoints that the study has. `corpus`: documents (`tsjax.corpus.sources`, or shards) on which
        all of them are read, so that models of different tokenizers compare; its held-out part where it has one.
        `reference`: the run that tells how likely the texts are; what it told stays where it is not named again. UserError
        for another corpus or other weights of the reference than before.
        """
        from eval.complete import fingerprint, opened
        from eval.likelihood import Scorer

        scorer = None
        if reference:
            trained = next(opened(reference, ()))
            self.keep(reference=fingerprint(trained))
            scorer = Scorer(trained)
        before = {one["model"]: one["per_completion"] for one in self.read("metrics.json", [])}
        prompts = self.prompts
        metrics: list[dict[str, Any]] = []
        rows: list[dict[str, Any]] = []
        by_model = self._by_model()
        for model, texts in by_model.items():
            found = offline.offline(texts, prompts, scorer, before=before.get(model, ()))
            # Two kinds together would be more diverse than either.
            alike = [[one.text for one in texts if one.kind == kind] for kind in STORIES]
            more = diversity.diversity(model, alike[0] or alike[1])
            found["metrics"] |= more["metrics"]
            found["missing"] |= more["missing"]
            metrics.append(found)
            rows += [row | {"how": TEXTS} for row in found["marking"]]
        write_json(self.out / "metrics.json", metrics)
        self._measure_models(runs, list(by_model), rows, corpus)

    def _measure_models(
        self,
        runs: Sequence[Path],
        names: Sequence[str],
        marks_of_texts: Sequence[dict[str, Any]],
        corpus: str | Path | None,
    ) -> None:
        """models.json and marking.json."""
        from eval.corpus import Corpus
        from eval.likelihood import Scorer
        from eval.models import about

        texts = Corpus(corpus) if corpus else None
        if texts:
            self.keep(corpus=texts.sha256)
        told = {name: {"model": name} for name in names}
        told |= {row["model"]: row for row in self.read("models.json", [])}
        marks = [row for row in self.read("marking.json", []) if row["how"] == PROBABILITY]
        asked = [prompt for prompt in self.prompts if prompt.accepted]
        for model in self._models(runs):
            trained = model.open()
            scorer = Scorer(trained)
            before, row = told.get(model.name, {}), about(model, trained)
            loss = {name: value for name, value in before.items() if name.startswith("corpus_")}
            if texts and loss.get("corpus_sha256") != texts.sha256:
                loss = texts.loss(scorer)
            told[model.name] = row | loss
            marks = [row for row in marks if row["model"] != model.name]
            by_probability = marking.totals(marking.mark_prompts(scorer, asked), model.name)
            marks += [row | {"how": PROBABILITY} for row in by_probability]
        write_json(self.out / "marking.json", [*marks, *marks_of_texts])
        write_json(self.out / "models.json", list(told.values()))

    def memorised(self, runs: Sequence[Path], data: Path, seed: int = 0) -> None:
        """Figs 14 to 18: endings of training stories, by each run, against the whole of the shard folder `data`."""
        from eval.complete import complete_to, fitting
        from eval.figures import beginnings, figures
        from eval.models import name_of
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
        """What JSON is in the file, `otherwise` where there is none. UserError for what is damaged."""
        path = self.out / name
        if not path.exists():
            return otherwise
        try:
            found = json.loads(path.read_bytes())
            if not isinstance(found, type(otherwise)):
                raise ValueError(f"a {type(found).__name__}, not a {type(otherwise).__name__}")
        except (OSError, ValueError) as e:
            again = f"remove it: tsjax judge RUN ... --out {self.out} makes it again"
            raise UserError(
                expected=f"sound JSON in {path}", found=" ".join(str(e).split()),
                todo="put a copy of it back, or begin another study" if name == STUDY else again,
            ) from e  # fmt: skip
        return found

    def agreed(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """What is kept, with these settings; nothing is written. UserError as `keep`."""
        kept = self.kept()
        for name, value in settings.items():
            if kept.get(name) is None:
                kept[name] = value
            elif kept[name] != value:
                raise UserError(
                    expected=f"{name} {kept[name]}, with which the study in {self.out} was begun", found=str(value),
                    todo="choose another --out: what differs in it can't be compared",
                )  # fmt: skip
        return kept

    def _with(self, kept: Mapping[str, str], found: Mapping[str, str]) -> dict[str, str]:
        """Weights by name, those of `kept` and the new ones. UserError where a name or its weights are another model's."""
        names, strangers = (
            {weight: name for name, weight in kept.items()},
            {one.model for one in self.completions} - {*kept},
        )
        for name, weight in found.items():
            if kept.get(name, weight) != weight:
                raise UserError(
                    expected=f"the weights of {name} with which the study in {self.out} was begun", found="others",
                    todo="choose another --out, or rename the run: two models of one name can't be told apart",
                )  # fmt: skip
            if names.setdefault(weight, name) != name:
                raise UserError(expected="models of different weights", found=f"{names[weight]} and {name} have the same",
                                todo="leave one of them out")  # fmt: skip
            if name in strangers:
                raise UserError(
                    expected=f"no texts of {name} in {self.out} but its own", found="texts from a file of completions",
                    todo="rename the run: two models of one name can't be told apart",
                )  # fmt: skip
        return {**kept, **found}

    def _models(self, runs: Sequence[Path]) -> list[Any]:
        """Those of the study that are checkpoints of these runs."""
        from eval.complete import ALL
        from eval.models import models_of

        kept = self.kept()["models"]
        return [model for model in models_of(runs, ALL) if model.step is None or model.name in kept]

    def _by_model(self) -> dict[str, list[Completion]]:
        found: dict[str, list[Completion]] = {}
        for one in self.completions:
            found.setdefault(one.model, []).append(one)
        return found


def _settings(sets: Sequence[PromptSet], k: int | None, decoding: Mapping[str, Any]) -> dict[str, Any]:
    """As study.json keeps them. UserError for sets that one study can't hold, and texts that can't be written so."""
    from eval.complete import decoding_of, texts_each

    for one in sets:
        if len(kinds := {prompt.kind for prompt in one.prompts}) > 1:
            raise UserError(expected="prompts of one kind in a set", found=f"{', '.join(sorted(kinds))} in {one.name}",
                            todo="make a set of each")  # fmt: skip
    for kind, what in ((STORY, "beginnings"), (INSTRUCT, "instructions")):
        if len(alike := [one.name for one in sets if one.prompts[0].kind == kind]) > 1:
            raise UserError(expected=f"one set of {what}", found=", ".join(alike), todo="make a study of each")
    ids, names = [prompt.id for one in sets for prompt in one.prompts], [one.name for one in sets]
    for what, found in (("set", names), ("prompt id", ids)):
        if twice := sorted({one for one in found if found.count(one) > 1}):
            raise UserError(expected=f"each {what} once", found=f"{twice[0]} twice", todo="leave one out, or rename it")
    return {
        "k": texts_each(k, decoding_of(decoding)),
        "decoding": dict(decoding),
        "sets": {one.name: one.hash for one in sets},
    }
