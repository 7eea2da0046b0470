"""The report of an evaluation as one JSON value: everything that was measured, and a list of what was not.

It puts together what the other parts of `eval` found (plain dicts, see `make_report`) and measures nothing itself.
`eval.page` makes the page of it.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from eval import cautions, published
from eval.finite import finite
from eval.learning_curves import learning_curves
from eval.model_rows import dimensions, model_rows
from eval.records import Completion, Grade, Prompt, read_lines
from eval.side_by_side import side_by_side
from eval.unmeasured import unmeasured
from tsjax import __version__
from tsjax.errors import UserError

PARTS = (
    "models", "statistics", "instructed", "pairs", "variance", "agreement", "judges", "power", "length", "order", "metrics",
    "figures", "marking", "anchors", "link", "drift", "cost", "settings",
)  # fmt: skip
COMPARE = ("", "paper")
STUDY, PROMPTS = "study.json", "prompts.jsonl"


def read_inputs(folder: Path) -> dict[str, Any]:
    """The inputs of `make_report` from a folder: PART.json of each part there is, completions.jsonl, grades.jsonl, the prompt
    sets that study.json names and the order of prompts in prompts.jsonl.

    UserError where the folder has none of them or a file is not JSON.
    """
    inputs: dict[str, Any] = {part: _json(path) for part in PARTS if (path := folder / f"{part}.json").exists()}
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
    if (folder / PROMPTS).exists():
        inputs["asked"] = [prompt.id for prompt in read_lines(folder / PROMPTS, Prompt)]
    if (folder / STUDY).exists():
        inputs["sets"] = _json(folder / STUDY).get("sets")
    return inputs


def make_report(inputs: Mapping[str, Any], compare: str = "") -> dict[str, Any]:
    """report.json as a dict, without NaN. `compare` = "paper" adds the published row of each model's shape.

    Every part of `inputs` may be absent; then it is None in the report and named in "not_measured".

    models:      [{"model", and as far as known "run", "step", "hidden", "layers", "parameters", "loss" (nats per token),
                 "bits_per_byte", "corpus" (what these two are over), "corpus_loss", "corpus_bits_per_byte", "corpus_name"
                 (the same texts for every model), "corpus_why" (why not), "checkpoint", "tokenizer", "decoding"}]. Models
                 of one `run` with different `step` are its checkpoints: they make its learning curves, and only the last
                 stands in the table.
    statistics:  what `eval.stats.statistics` returns: {"judge", "models": [..], "pairs", "variance", "length"}; or only
                 its "models": [{"model", "dimensions": {dimension: {"mean", "se", "low", "high", "prompts", "completions",
                 "repeats", "grades", "missing", "bounds"}}, "age": {"A": share, ..}, "age_missing", "split_ok": {"mean",
                 "se", "low", "high", "prompts", "n"} or None, "met": {"all" or kind: the same} or None}]. Where no grade
                 could be read, mean is None, missing is all of them, and bounds are [0, 10]. Its instruction_following is of
                 the instruct prompts alone, the rest of the beginnings, where there are both.
    instructed:  the same of the instruct prompts alone
    pairs:       [{"a", "b", "dimension", "difference", "se", "low", "high", "p", "p_holm", "prompts", "adjusted"}]
    variance:    {dimension: {"prompt", "completion", "repeat"}}, or the same under each model's name
    length:      {dimension: {"slope" (points per 100 words), "se", "low", "high", "p", "flagged"}}, or the same under each
                 model's name
    order:       {dimension: {"slope" (points from the first to the last text judged), "se", "low", "high", "flagged"}}, or
                 the same under the name of each part of the judging
    agreement:   [{"a", "b", "dimension", "n", "alpha", "kappa", "spearman", "mae", "shift", "low", "high", "flagged" (of the
                 shift), "same_vendor"}] of two judges
    judges:      {judge: {"models": as in statistics, "sound", "why": [..], optionally "same_vendor": [judge, ..] and "again":
                 {"drift" (as below, or None), "sound", "why"}: frozen texts graded once more, "parts": [{"folder", "host",
                 "repeats", "models", "date"}], "between_parts": {dimension: drift of the anchors against part 1}}} of all
                 that were asked
    power:       {"assumed": whether the variances are, "of": {"prompt", "completion", "repeat"}, "why": where they come from,
                 "rows": [{"prompts", "completions", "repeats", "grades", "detectable"}]}
    metrics:     [{"model", "metrics": {name: {"mean", "se", "n", "sees", "blind"}}, "missing": {name: why}}]
    figures:     {"fig14": {model: histogram}, "fig15": .., "copied": .., "fig16": {model: {k: histogram}}, "fig17": ..,
                 "fig18": [{"model", "completion", "story", "precision"}], "novelty": {model: {n: share}},
                 "diversity": {model: {name: number}}}; the human baseline is the model "held-out"
    marking:     [{"model", "family", "right", "partly", "wrong", "open", optionally "how" (of texts, by probability) and
                 "items": [{"prompt", "completion", "mark"}], "chance" (shares right, partly, wrong of a scorer that orders
                 continuations at random), "low", "high" (of the share right)}]; where absent, what
                 `metrics` have as "marking" and "marks"
    anchors:     {"sound", "why": [..], "taus": {dimension: tau}, "lift", "tens", "missing", "judgements", optionally
                 "lifts": {kind of injection: points}, "separates": {dimension: {"gap", "low", "high"}}}
    drift:       {dimension: {"shift", "se", "low", "high", "prompts", "completions"}}: an interval without 0 is an alarm
    link:        {"models": {model: {dimension: linked mean}}, "dimensions": {dimension: {"kind", "rms", "left_out", "span"}},
                 "rulers": {model: name of its row in the paper's Fig 4}, "why": {dimension: why it has no link}}
    cost:        {"usd", "calls", "judges": {judge: usd}, ..}; settings: {name: value or hash}
    sets:        {name: hash} of the prompt sets that were asked; asked: ids of the prompts, in the order of the sets
    completions, grades: sequences of `eval.records`
    """
    if compare not in COMPARE:
        raise UserError(expected="compare = paper or none", found=compare, todo="leave it out or say paper")
    bad: list[str] = []
    given = {part: finite(value or None, part, bad) for part, value in _unpacked(inputs).items()}
    instructed = given.pop("instructed_rest") or {}
    completions: Sequence[Completion] = inputs.get("completions") or ()
    grades: Sequence[Grade] = inputs.get("grades") or ()
    given["marking"] = given["marking"] or _marking(given["metrics"] or (), completions) or None
    void = bool(given["anchors"]) and not given["anchors"].get("sound")
    models = model_rows(given, completions, compare, void)
    earlier = {str(model["model"]) for model in models if not model["in_table"]}
    report: dict[str, Any] = {
        "version": 2,
        "made_by": f"tsjax {__version__}",
        "void": void,
        "warnings": cautions.warnings(given, models),
        "judge": given.pop("judge"),
        "compare": compare,
        "sets": inputs.get("sets"),
        "other_prompts": cautions.other_prompts(inputs.get("sets"), completions),
        "no_such_shape": cautions.no_such_shape(models) if compare == "paper" else None,
        "losses_differ": cautions.losses_differ(models),
        "same_vendor": cautions.same_vendor(given["agreement"], given["judges"]),
        "dimensions": dimensions(models),
        "models": models,
        "curves": learning_curves(models, compare),
        "completions": len(completions),
        "prompts": side_by_side(completions, grades, earlier, bad, inputs.get("asked") or ()),
        "not_numbers": bad,
        "paper": _paper() if compare == "paper" else None,
    }
    report |= {part: given[part] for part in PARTS if part not in ("models", "statistics", "instructed")}
    _mark_void(report)
    if given["instructed"]:  # the means stand with the models
        instructed |= {"dimensions": dimensions(models, "instructed")}
    report["instructed"] = instructed or None
    report["not_measured"] = unmeasured(report)
    return report


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as e:
        raise UserError(expected=f"JSON in {path}", found=str(e), todo="make the file again") from e


def _unpacked(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Every part; those inside of "statistics" taken out of it where they are not given by themselves."""
    parts = {part: inputs.get(part) for part in PARTS} | {"judge": None, "instructed_rest": {}}
    whole = parts["statistics"]
    if isinstance(whole, Mapping):
        parts |= {"statistics": whole.get("models"), "judge": whole.get("judge")}
        parts |= {part: parts[part] or whole.get(part) for part in ("pairs", "variance", "length", "order")}
    instructed = parts["instructed"]
    if isinstance(instructed, Mapping):
        rest = {part: value for part, value in instructed.items() if part != "models"}
        parts |= {"instructed": instructed.get("models"), "instructed_rest": rest}
    return parts


def _mark_void(report: Mapping[str, Any]) -> None:
    """Nothing that a void judge said is reportable: pairs of a void study, and the means of each judge that failed."""
    if report["void"]:
        for pair in report["pairs"] or ():
            pair |= {"reportable": False, "why": "the judge failed its own test"}
    for judge in (report["judges"] or {}).values():
        if not judge.get("sound"):
            for grade in (one for model in judge.get("models") or () for one in model["dimensions"].values()):
                grade["reportable"] = False


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


def _paper() -> dict[str, Any]:
    facts = published.facts()
    return {
        "source": facts["paper"], "page": facts["fig4"]["page"], "judge": facts["judge"], "slips": facts["slips"],
        "marking": facts["marking"], "diversity": facts["diversity"], "fig3": facts["fig3"],
    }  # fmt: skip
