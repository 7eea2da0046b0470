"""The models of a study: run folders, their earlier checkpoints, and llama2.c files, by name; what is known of each."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.complete import ALL, fingerprint, opened
from tsjax.errors import UserError
from tsjax.trained import Trained, steps_kept


@dataclass(frozen=True)
class Model:
    """`run`: a run folder, or a llama2.c `.bin` or its folder. `step`: of an earlier checkpoint; None for the newest one."""

    run: Path
    step: int | None = None

    @property
    def name(self) -> str:
        """What records call it."""
        return name_of(self.run) + ("" if self.step is None else f"@{self.step}")

    def open(self) -> Trained:
        (trained,) = opened(self.run, () if self.step is None else (self.step,))
        return trained


def name_of(run: Path) -> str:
    """What records call the newest checkpoint of a run folder, or the model of a file."""
    return run.resolve().name.removesuffix(".bin")


def models_of(runs: Sequence[Path], checkpoints: str = "") -> list[Model]:
    """The newest checkpoint of each run, and behind it the earlier ones, newest first, where `checkpoints` is "all".

    A file of weights has just one. Opens nothing, so a checkpoint may turn out to be damaged. UserError where two would
    have one name, and for a path where nothing is.
    """
    if checkpoints not in ("", ALL):
        raise UserError(
            expected=f"checkpoints: {ALL!r}, or none for the newest", found=repr(checkpoints), todo="change it"
        )
    found: list[Model] = []
    for run in runs:
        if not run.exists():
            raise UserError(expected="a run folder or a llama2.c .bin", found=f"no {run}", todo="check the path")
        found.append(Model(run))
        if checkpoints and (run / "config.json").exists():
            found += [Model(run, step) for step in reversed(steps_kept(run)[:-1])]
    names = [model.name for model in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(expected="runs of different names", found=f"{twice[0]} twice", todo="rename one")
    return found


def weights(models: Sequence[Model]) -> dict[Model, str]:
    """The fingerprint of each model's weights.

    Earlier checkpoints that are damaged are told of and left out, and so is one with the weights of another of its run.
    """
    found: dict[Model, str] = {}
    newest: dict[Path, int | None] = {}
    for model in models:
        if model.step is None:
            trained = model.open()
            newest[model.run] = trained.step
        elif model.step == newest.get(model.run):
            continue  # the checkpoints behind it are damaged, so it has the plain name
        else:
            try:
                trained = model.open()
            except UserError as error:
                print(f"{model.name} is left out: {error}")
                continue
        weight = fingerprint(trained)
        same = [other.name for other, known in found.items() if known == weight and other.run == model.run]
        if same:
            print(f"{model.name} is left out: it has the weights of {same[0]}")
            continue
        found[model] = weight
    return found


def about(model: Model, trained: Trained) -> dict[str, Any]:
    """What is known of a model: its shape, and its run's evaluation at that step."""
    config = trained.config.model
    found = _evaluation(model.run, trained.step)
    return {
        "model": model.name,
        "run": name_of(model.run),
        "step": trained.step,
        "hidden": config.width,
        "layers": config.layers,
        "parameters": sum(int(value.size) for value in trained.params.values()),
        "loss": found.get("loss"),
        "bits_per_byte": found.get("bits_per_byte"),
        "corpus": found.get("data"),
        "checkpoint": fingerprint(trained),
        "tokenizer": trained.tokenizer.fingerprint,
    }


def _evaluation(run: Path, step: int | None) -> dict[str, Any]:
    """The run's validation at that step, from metrics.jsonl or what a complete run ended with; empty where there is none."""
    found: dict[str, Any] = {}
    rows, result = run / "metrics.jsonl", run / "result.json"
    if step is not None and rows.exists():
        with open(rows, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                try:
                    row = json.loads(line) if '"valid"' in line else {}
                except ValueError:
                    continue  # torn: the training that goes on will take it away
                if row.get("kind") == "valid" and row.get("step") == step:
                    found = row
    if not found and step is not None and result.exists():
        ended = json.loads(result.read_bytes())
        found = ended if ended.get("steps") == step else {}
    return found
