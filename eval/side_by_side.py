"""The texts of all models under the prompt they go on from, each with its grades.

Of a run's earlier checkpoints the first text of each prompt is kept: with 20 checkpoints all of them would be most of the
report. completions.jsonl and grades.jsonl have the others.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from eval.finite import finite
from eval.records import Completion, Grade

ASSESSED = 2  # texts of each prompt whose assessments are kept: those of the others are in grades.jsonl


def side_by_side(
    completions: Sequence[Completion],
    grades: Sequence[Grade],
    earlier: Collection[str],
    bad: list[str],
    asked: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """[{"prompt", "set", "kind", "text", "completions": [{"completion", "model", "step", "k", "text", "stop", "tokens",
    "logprob", "judged"}]}], of models named in `earlier` with k = 0 alone. `bad` as in `eval.finite`.

    asked: ids of prompts in the order of their sets; prompts that are not in it come last, as they are met.
    """
    of: dict[str, list[Grade]] = {}
    for grade in grades:
        if not grade.anchor and (grade.k == 0 or grade.model not in earlier):
            of.setdefault(grade.completion, []).append(grade)
    prompts: dict[tuple[str, str], dict[str, Any]] = {}
    for done in completions:
        if done.model in earlier and done.k:
            continue
        prompt = prompts.setdefault(
            (done.prompts, done.prompt_id),
            {"prompt": done.prompt_id, "set": done.prompts, "kind": done.kind, "text": done.prompt, "completions": []},
        )
        identity = done.id
        prompt["completions"].append(
            {
                "completion": identity,
                "model": done.model,
                "step": done.step,
                "k": done.k,
                "text": done.text,
                "stop": done.stop,
                "tokens": done.tokens,
                "logprob": finite(done.logprob, f"logprob of {identity}", bad),
                "judged": _judged(of.get(identity, ()), bad),
            }
        )
    for prompt in prompts.values():
        prompt["completions"].sort(key=lambda one: one["k"])
    place = {prompt: n for n, prompt in enumerate(asked)}
    return sorted(prompts.values(), key=lambda prompt: place.get(prompt["prompt"], len(place)))


def _judged(grades: Iterable[Grade], bad: list[str]) -> list[dict[str, Any]]:
    """[{"judge", "scores": {dimension: mean over repeats}, "ages", "repeats", "missing", "split_ok": [whether the cut
    sentence is finished, by repeat], "met": {constraint: share of repeats}, "assessments" (of k < `ASSESSED`)}]"""
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
                scores[dimension] = finite(sum(values) / len(values), f"{dimension} of {own[0].completion}", bad)
        verdicts = [getattr(one, "split_ok", None) for one in own]
        met: dict[str, list[bool]] = {}
        for one in own:
            for constraint, followed in (getattr(one, "met", None) or {}).items():
                met.setdefault(constraint, []).append(followed)
        rows.append({
            "judge": judge,
            "scores": scores,
            "ages": [one.age for one in own if one.age],
            "repeats": len(own),
            "missing": len(own) - len(read),
            "split_ok": [one for one in verdicts if one is not None],
            "met": {constraint: sum(found) / len(found) for constraint, found in met.items()},
            "assessments": [one.assessment for one in own if one.assessment and one.k < ASSESSED],
        })  # fmt: skip
    return rows
