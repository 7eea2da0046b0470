"""The report of an evaluation as one JSON value: everything that was measured, and a list of what was not.

It puts together what the other parts of `eval` found (plain dicts, see `make_report`) and measures nothing itself.
`eval.page` makes the page of it.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from eval import published
from eval.records import Completion, Grade, read_lines
from eval.unmeasured import unmeasured
from tsjax.errors import UserError

DIMENSIONS = ("grammar", "creativity", "consistency", "plot", "instruction_following")
MOST_MISSING = 0.02  # of a model's grades in one dimension: over it the mean is not to be reported
PARTS = (
    "models", "statistics", "pairs", "variance", "agreement", "power", "length", "metrics", "figures", "marking",
    "anchors", "link", "drift", "cost", "settings",
)  # fmt: skip
COMPARE = ("", "paper")


def read_inputs(folder: Path) -> dict[str, Any]:
    """The inputs of `make_report` from a folder: PART.json of each part there is, completions.jsonl and grades.jsonl.

    UserError where the folder has none of them or a file is not JSON.
    """
    inputs: dict[str, Any] = {}
    for part in PARTS:
        path = folder / f"{part}.json"
        if path.exists():
            try:
                inputs[part] = json.loads(path.read_text("utf-8"))
            except (OSError, ValueError) as e:
                raise UserError(expected=f"JSON in {path}", found=str(e), todo="make the file again") from e
    if (folder / "completions.jsonl").exists():
        inputs["completions"] = list(read_lines(folder / "completions.jsonl", Completion))
    if (folder / "grades.jsonl").exists():
        inputs["grades"] = list(read_lines(folder / "grades.jsonl", Grade))
    if not inputs:
        raise UserError(
            expected=f"results of an evaluation in {folder}",
            found="no file of any part",
            todo="run `tsjax eval` or `tsjax judge` first, or check the path",
        )
    return inputs


def make_report(inputs: Mapping[str, Any], compare: str = "") -> dict[str, Any]:
    """report.json as a dict, without NaN. `compare` = "paper" adds the published row of each model's shape.

    Every part of `inputs` may be absent; then it is None in the report and named in "not_measured".

    models:      [{"model", and as far as known "run", "step", "hidden", "layers", "parameters", "loss" (nats per token),
                 "bits_per_byte", "corpus", "checkpoint", "tokenizer", "decoding"}]. Models of one `run` with different
                 `step` are its checkpoints: they make its learning curves, and only the last stands in the table.
    statistics:  what `eval.stats.statistics` returns: {"judge", "models": [..], "pairs", "variance", "length"}; or only
                 its "models": [{"model", "dimensions": {dimension: {"mean", "se", "low", "high", "prompts", "completions",
                 "repeats", "grades", "missing", "bounds"}}, "age": {"A": share, ..}, "age_missing"}]
    pairs:       [{"a", "b", "dimension", "difference", "se", "low", "high", "p", "p_holm", "prompts", "adjusted"}]
    variance:    {dimension: {"prompt", "completion", "repeat"}}, or the same under each model's name
    length:      {dimension: {"slope", "se", "low", "high", "p"}}, or the same under each model's name
    agreement:   [{"a", "b", "dimension", "n", "alpha", "kappa", "spearman", "mae", "shift"}] of two judges
    power:       [{"prompts", "completions", "repeats", "detectable"}]
    metrics:     [{"model", "metrics": {name: {"mean", "se", "n", "sees", "blind"}}, "missing": {name: why}}]
    figures:     {"fig14": {model: histogram}, "fig15": .., "copied": .., "fig16": {model: {k: histogram}}, "fig17": ..,
                 "fig18": [{"model", "completion", "story", "precision"}], "novelty": {model: {n: share}},
                 "diversity": {model: {name: number}}}; the human baseline is the model "held-out"
    marking:     [{"model", "family", "right", "partly", "wrong", "open", optionally "how" (of texts, by probability) and
                 "items": [{"prompt", "completion", "mark"}]}]; where absent, what `metrics` have as "marking" and "marks"
    anchors:     {"sound", "why": [..], "taus": {dimension: tau}, "lift", "tens", "missing", "judgements"}
    drift:       {dimension: {"shift", "se", "low", "high", "prompts", "completions"}}: an interval without 0 is an alarm
    link:        {"models": {model: {dimension: linked mean}}, "dimensions": {dimension: {"kind", "rms", "left_out", "span"}}}
    cost:        {"usd", "calls", ..}; settings: {name: value or hash}
    completions, grades: sequences of `eval.records`
    """
    if compare not in COMPARE:
        raise UserError(expected="compare = paper or none", found=compare, todo="leave it out or say paper")
    bad: list[str] = []
    given = {part: _finite(value or None, part, bad) for part, value in _unpacked(inputs).items()}
    completions: Sequence[Completion] = inputs.get("completions") or ()
    grades: Sequence[Grade] = inputs.get("grades") or ()
    given["marking"] = given["marking"] or _marking(given["metrics"] or (), completions) or None
    models = _models(given, completions, compare)
    report: dict[str, Any] = {
        "version": 1,
        "void": bool(given["anchors"]) and not given["anchors"].get("sound"),
        "warnings": _anchors_failed(given["anchors"]) + _drifted(given["drift"]) + _too_many_missing(models),
        "judge": given.pop("judge"),
        "compare": compare,
        "dimensions": _dimensions(models),
        "models": models,
        "curves": _curves(models),
        "prompts": _side_by_side(completions, grades, bad),
        "not_numbers": bad,
        "paper": _paper() if compare == "paper" else None,
    }
    report |= {part: given[part] for part in PARTS if part not in ("models", "statistics")}
    report["not_measured"] = unmeasured(report)
    return report


def _unpacked(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Every part; those inside of "statistics" taken out of it where they are not given by themselves."""
    parts = {part: inputs.get(part) for part in PARTS} | {"judge": None}
    whole = parts["statistics"]
    if isinstance(whole, Mapping):
        parts |= {"statistics": whole.get("models"), "judge": whole.get("judge")}
        parts |= {part: parts[part] or whole.get(part) for part in ("pairs", "variance", "length")}
    return parts


def _marking(metrics: Iterable[Mapping[str, Any]], completions: Sequence[Completion]) -> list[dict[str, Any]]:
    """The totals that come with the metrics, with the texts that were marked."""
    by_id = {done.id: done for done in completions}
    rows = []
    for one in metrics:
        for total in one.get("marking") or ():
            marks = [mark for mark in one.get("marks") or () if mark["family"] == total["family"]]
            found = [(by_id[mark["completion"]], mark["mark"]) for mark in marks if mark["completion"] in by_id]
            items = [{"prompt": done.prompt, "completion": done.text, "mark": mark} for done, mark in found]
            rows.append({**total, "items": items})
    return rows


def _dimensions(models: Sequence[Mapping[str, Any]]) -> list[str]:
    """Those graded: first ours in their order, then any others."""
    graded = dict.fromkeys(dimension for model in models for dimension in model["grades"])
    return [*(one for one in DIMENSIONS if one in graded), *(one for one in graded if one not in DIMENSIONS)]


def _anchors_failed(anchors: Mapping[str, Any] | None) -> list[str]:
    if not anchors or anchors.get("sound"):
        return []
    return [f"Anchors: {why}." for why in anchors.get("why") or ["the verdict is not sound"]]


def _drifted(drift: Mapping[str, Any] | None) -> list[str]:
    """One sentence per dimension in which frozen stories got other grades than before."""
    return [
        f"The judge has drifted in {dimension}: {one['shift']:+.2f} points ({one['low']:+.2f} to {one['high']:+.2f})."
        for dimension, one in (drift or {}).items()
        if one["low"] is not None and one["high"] is not None and not one["low"] <= 0 <= one["high"]
    ]


def _models(given: Mapping[str, Any], completions: Sequence[Completion], compare: str) -> list[dict[str, Any]]:
    """One dict per model that any part names, in the order they are first named."""
    rows: dict[str, dict[str, Any]] = {}
    for one in given["models"] or ():
        rows[str(one["model"])] = dict(one)
    for done in completions:
        row = rows.setdefault(done.model, {"model": done.model})
        known: dict[str, Any] = {"step": done.step, "parameters": done.parameters, "checkpoint": done.checkpoint}
        known |= {"tokenizer": done.tokenizer, "decoding": dict(done.decoding)}
        row |= {name: value for name, value in known.items() if value not in (None, "", {}) and row.get(name) is None}
        row["completions"] = row.get("completions", 0) + 1
    for part in ("statistics", "metrics", "marking"):
        for one in given[part] or ():
            rows.setdefault(str(one["model"]), {"model": str(one["model"])})
    link = given["link"] or {}
    spans = {dimension: one.get("span") for dimension, one in link.get("dimensions", {}).items()}
    statistics = {one["model"]: one for one in given["statistics"] or ()}
    for name, row in rows.items():
        of_model = statistics.get(name, {})
        row["age"] = of_model.get("age")
        linked = link.get("models", {}).get(name, {})
        printed = published.matching(row.get("hidden"), row.get("layers")) if compare == "paper" else None
        row["paper_loss"] = printed.loss if printed else None
        row["paper"] = printed.name if printed else None
        row["grades"] = {
            dimension: _grade(dimension, dict(found), linked.get(dimension), spans.get(dimension), printed)
            for dimension, found in of_model.get("dimensions", {}).items()
        }
    last: dict[str, int] = {}
    for row in rows.values():
        if row.get("run"):
            last[row["run"]] = max(last.get(row["run"], 0), row.get("step") or 0)
    for row in rows.values():
        row["in_table"] = not row.get("run") or (row.get("step") or 0) == last[row["run"]]
    return list(rows.values())


def _grade(
    dimension: str,
    found: dict[str, Any],
    linked: float | None,
    span: Sequence[float] | None,
    printed: published.Row | None,
) -> dict[str, Any]:
    """What the statistics found, with the columns that put it beside the paper's numbers."""
    mean, missing = found.get("mean"), found.get("missing") or 0
    asked = found.get("grades") or (found.get("completions") or 0) * (found.get("repeats") or 1)
    found["missing_share"] = missing / asked if asked else None
    found["reportable"] = mean is not None and (found["missing_share"] or 0) <= MOST_MISSING
    found["link_is_guess"] = (
        linked is not None and mean is not None and span is not None and not span[0] <= mean <= span[1]
    )
    found["normalised"] = None if mean is None else published.normalised(mean, dimension)
    found["linked"] = linked
    found["linked_normalised"] = None if linked is None else published.normalised(linked, dimension)
    found["paper"] = printed.scores.get(dimension) if printed else None
    found["paper_normalised"] = printed.normalised.get(dimension) if printed else None
    return found


def _too_many_missing(models: Iterable[Mapping[str, Any]]) -> list[str]:
    """One sentence per model of which too many grades are missing."""
    said = []
    for model in models:
        missing = {name: grade["missing_share"] or 0 for name, grade in model["grades"].items()}
        shares = [f"{part:.1%} of {name.replace('_', ' ')}" for name, part in missing.items() if part > MOST_MISSING]
        if shares:
            said.append(
                f"{model['model']}: grades are missing, {', '.join(shares)}; over {MOST_MISSING:.0%} no mean is reportable."
            )
    return said


def _curves(models: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]] | None:
    """{run: {"loss" or dimension: {"x": steps, "y", "low", "high", "what"}}} of runs with at least two checkpoints."""
    made: dict[str, dict[str, Any]] = {}
    for run in dict.fromkeys(model["run"] for model in models if model.get("run")):
        points = sorted(
            (one for one in models if one.get("run") == run and one.get("step") is not None),
            key=lambda one: one["step"],
        )
        if len(points) < 2:
            continue
        for name in ("loss", *_dimensions(points)):
            there = [
                (one["step"], one if name == "loss" else one["grades"][name])
                for one in points
                if (one.get("loss") is not None if name == "loss" else name in one["grades"])
            ]
            value = "loss" if name == "loss" else "mean"
            if there:
                made.setdefault(run, {})[name] = {
                    "x": [step for step, _ in there],
                    "y": [found.get(value) for _, found in there],
                    "low": [found.get("low") for _, found in there],
                    "high": [found.get("high") for _, found in there],
                    "what": "nats per token" if name == "loss" else "points of 10",
                }
    return made or None


def _side_by_side(completions: Sequence[Completion], grades: Sequence[Grade], bad: list[str]) -> list[dict[str, Any]]:
    """Per prompt all completions of all models, each with its mean grades by judge."""
    of: dict[str, list[Grade]] = {}
    for grade in grades:
        if not grade.anchor:
            of.setdefault(grade.completion, []).append(grade)
    prompts: dict[tuple[str, str], dict[str, Any]] = {}
    for done in completions:
        prompt = prompts.setdefault(
            (done.prompts, done.prompt_id),
            {"prompt": done.prompt_id, "set": done.prompts, "kind": done.kind, "text": done.prompt, "completions": []},
        )
        prompt["completions"].append(
            {
                "completion": done.id,
                "model": done.model,
                "step": done.step,
                "k": done.k,
                "text": done.text,
                "stop": done.stop,
                "tokens": done.tokens,
                "logprob": _finite(done.logprob, f"logprob of {done.id}", bad),
                "judged": _judged(of.get(done.id, ()), bad),
            }
        )
    for prompt in prompts.values():
        prompt["completions"].sort(key=lambda one: one["k"])
    return list(prompts.values())


def _judged(grades: Iterable[Grade], bad: list[str]) -> list[dict[str, Any]]:
    """[{"judge", "scores": {dimension: mean over repeats}, "ages", "repeats", "missing"}]"""
    judges: dict[str, list[Grade]] = {}
    for grade in grades:
        judges.setdefault(grade.judge, []).append(grade)
    rows = []
    for judge, own in sorted(judges.items()):
        read = [dict(grade.scores) for grade in own if grade.scores is not None]
        scores = {}
        for dimension in dict.fromkeys(name for one in read for name in one):
            values = [one[dimension] for one in read if one.get(dimension) is not None]
            if values:
                scores[dimension] = _finite(sum(values) / len(values), f"{dimension} of {own[0].completion}", bad)
        rows.append({"judge": judge, "scores": scores, "ages": [one.age for one in own if one.age],
                     "repeats": len(own), "missing": len(own) - len(read)})  # fmt: skip
    return rows


def _paper() -> dict[str, Any]:
    facts = published.facts()
    return {
        "source": facts["paper"], "page": facts["fig4"]["page"], "judge": facts["judge"], "slips": facts["slips"],
        "marking": facts["marking"], "diversity": facts["diversity"], "fig3": facts["fig3"],
    }  # fmt: skip


def _finite(value: Any, where: str, bad: list[str]) -> Any:
    """`value` as JSON can keep it: NaN and infinity become None, and `bad` says where they were."""
    if isinstance(value, Mapping):
        return {str(name): _finite(one, f"{where}.{name}", bad) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one, f"{where}.{place}", bad) for place, one in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        bad.append(where)
        return None
    return value
