"""What the grades of one judge say: means with intervals, ages, pairs of models, variance components, length.

The unit is the prompt. Nothing here calls anything: the same grades and seed give the same numbers.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from eval.agreement import agreement
from eval.intervals import REPORTABLE, bootstrap_interval, level_of_each, t_interval, worst_case
from eval.paired import crosswise, differences, holm, sign_flip_p
from eval.records import INSTRUCT, Completion, Grade
from eval.rubric import AGES, FOLLOWING, dimensions
from eval.scores import Scores, asked, dimension_scores, nested
from eval.slopes import flagged, length_adjusted, slope
from eval.variance import components
from tsjax.errors import UserError

LETTERS = "".join(AGES)


def by_set(
    grades: Sequence[Grade],
    kinds: Mapping[str, str],
    mode: str,
    lengths: Mapping[str, float] | None = None,
    table: Collection[str] | None = None,
    seed: int = 0,
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """(the statistics of a study's table, those of its instruct prompts alone). Grades of one judge.

    kinds: prompt -> STORY or INSTRUCT, of each prompt that was graded. mode: the judge's; with the kind it says which
    dimensions were asked for, so that one which a judge never gives is missing, not forgotten.
    Beginnings and instructions are never in one mean: in the table the instruct prompts make instruction following alone.
    Where all prompts are of one kind they make everything, and the second is None.
    """
    graded = dict.fromkeys(grade.prompt_id for grade in grades if not grade.anchor)
    wanted = {prompt: frozenset(dimensions(kinds[prompt], mode)) for prompt in graded}
    instructed = {prompt for prompt in graded if kinds[prompt] == INSTRUCT}
    stories = set(graded) - instructed
    if not (stories and instructed):
        return statistics(grades, lengths, seed, wanted=wanted, table=table), None
    mixed = wanted | {prompt: wanted[prompt] & {FOLLOWING} for prompt in instructed}
    alone = [grade for grade in grades if grade.prompt_id in instructed]
    return (
        statistics(grades, lengths, seed, wanted=mixed, table=table, aged=stories),
        statistics(alone, lengths, seed, wanted=wanted, table=table),
    )


def statistics(
    grades: Sequence[Grade],
    lengths: Mapping[str, float] | None = None,
    seed: int = 0,
    *,
    wanted: Mapping[str, frozenset[str]] | None = None,
    table: Collection[str] | None = None,
    aged: Collection[str] | None = None,
) -> dict[str, Any]:
    """{"judge", "models": [`model_statistics`], "pairs": [...], "variance": {model: {dimension: components}}, "length"}.

    `lengths`: completion -> its length, for the length slopes and the adjusted differences; `hundreds_of_words` makes the
    slopes points per 100 words. The intervals of all slopes, over models and dimensions, hold together in 95 % of the cases.
    wanted: prompt -> the dimensions that its grades count in; None: those that any of them has. table: the models that are
    compared in pairs; aged: the prompts whose ages count; None: all. Anchors are left out.
    UserError when the grades are of several judges or there are none.
    """
    grades = [grade for grade in grades if not grade.anchor]
    judges = sorted({grade.judge for grade in grades})
    if len(judges) != 1:
        raise UserError(expected="the grades of one judge", found=", ".join(judges) or "none",
                        todo="take each judge's grades by themselves; judge_agreement compares them")  # fmt: skip
    scores = scores_by_model(grades, wanted)
    by_model = {model: [grade for grade in grades if grade.model == model] for model in scores}
    found: dict[str, Any] = {
        "judge": judges[0],
        "models": [model_statistics(model, scores[model], by_model[model], seed, aged) for model in scores],
        "pairs": pair_statistics(
            {model: of for model, of in scores.items() if table is None or model in table}, lengths, seed
        ),
        "variance": {model: {name: components(one) for name, one in of.items()} for model, of in scores.items()},
    }
    if lengths:
        level = level_of_each(sum(len(of) for of in scores.values()))
        slopes = {model: {name: slope(one, lengths, level) for name, one in of.items()} for model, of in scores.items()}
        found["length"] = {
            model: {name: one | {"flagged": flagged(one)} for name, one in of.items()} for model, of in slopes.items()
        }
    return found


def hundreds_of_words(completions: Iterable[Completion]) -> dict[str, float]:
    return {one.id: len(one.text.split()) / 100 for one in completions}


def scores_by_model(
    grades: Sequence[Grade], wanted: Mapping[str, frozenset[str]] | None = None
) -> dict[str, dict[str, Scores]]:
    """model -> dimension -> its scores, models and dimensions by name. Grades of one judge, without anchors.

    `wanted`: prompt -> dimensions that its grades count in; None: as `eval.scores.asked` finds.
    """
    wanted = asked(grades) if wanted is None else wanted
    found: dict[str, dict[str, Scores]] = {}
    for model in sorted({grade.model for grade in grades}):
        mine = [grade for grade in grades if grade.model == model]
        dimensions = sorted(set().union(*(wanted[grade.prompt_id] for grade in mine)))
        found[model] = {dimension: dimension_scores(mine, dimension, wanted) for dimension in dimensions}
    return found


def model_statistics(
    model: str,
    scores: Mapping[str, Scores],
    grades: Sequence[Grade],
    seed: int = 0,
    aged: Collection[str] | None = None,
) -> dict[str, Any]:
    """{"model", "dimensions": {name: {"mean", "se", "low", "high", "bootstrap", "prompts", "completions", "repeats",
    "grades", "missing", "bounds", "reportable"}}, "age": {"A": share, ...}, "age_missing", "split_ok", "met"}.

    low and high: 95 % t-interval. bounds: its low end with every missing grade at 0, its high end with every one at 10.
    Counts are of what was asked for; more than 2 % missing is not reportable. Ages are of the prompts in `aged` (None: all),
    and weigh them equally, as the means do.
    split_ok: how often the sentence that the beginning cuts is finished, by the judge: {"mean" (share), "se", "low", "high",
    "prompts", "n" (judgements)}; met: the same of what instructions asked for, {"all", and each kind of constraint: ..}.
    None where it was not asked.
    """
    ages = nested(grades, lambda grade: float(LETTERS.index(grade.age)) if grade.age in AGES else None, aged)
    shares = {}
    for number, age in enumerate(LETTERS):
        is_P = _indicator(ages, number).prompt_mean_P
        shares[age] = t_interval(is_P).mean
    return {
        "model": model,
        "dimensions": {name: _dimension(one, seed) for name, one in scores.items()},
        "age": {age: share for age, share in shares.items() if share is not None},
        "age_missing": ages.missing,
        "split_ok": _share([(grade, float(grade.split_ok)) for grade in grades if grade.split_ok is not None]),
        "met": _met(grades),
    }


def pair_statistics(
    scores: Mapping[str, Mapping[str, Scores]], lengths: Mapping[str, float] | None = None, seed: int = 0
) -> list[dict[str, Any]]:
    """Every two models in every dimension: [{"a", "b", "dimension", "difference" (a - b), "se", "low", "high", "p",
    "p_holm", "prompts", "reportable"}], over the prompts of both; with `lengths` also "adjusted", where grades are missing
    "bounds": the least and the greatest difference that they allow, and where it is not reportable "why".

    p: sign-flip test; p_holm: Holm over all rows. low and high are not corrected for their number.
    """
    rows: list[dict[str, Any]] = []
    for a, b in combinations(scores, 2):
        for dimension in scores[a].keys() & scores[b].keys():
            one, other = scores[a][dimension], scores[b][dimension]
            difference_P = differences(one, other)
            found = t_interval(difference_P)
            if found.mean is None:
                continue
            row: dict[str, Any] = {
                "a": a,
                "b": b,
                "dimension": dimension,
                "difference": found.mean,
                "se": found.se,
                "low": found.low,
                "high": found.high,
                "p": sign_flip_p(difference_P, seed),
                "prompts": found.n,
            }
            whys = [
                f"over {REPORTABLE:.0%} of the grades of {name} are missing"
                for name, of in ((a, one), (b, other))
                if not _reportable(of)
            ]
            if one.missing or other.missing:
                least, most = crosswise(one, other)
                row["bounds"] = [least, most]
                if least <= 0 <= most and least < most:
                    whys.append("the missing grades could turn the difference round, or make it 0")
            row |= {"reportable": not whys} | ({"why": "; ".join(whys)} if whys else {})
            rows.append(row | ({"adjusted": length_adjusted(one, other, lengths)} if lengths else {}))
    rows.sort(key=lambda row: (row["a"], row["b"], row["dimension"]))
    adjusted = holm([row["p"] for row in rows])
    return [row | {"p_holm": p} for row, p in zip(rows, adjusted, strict=True)]


def judge_agreement(grades: Sequence[Grade]) -> list[dict[str, Any]]:
    """`agreement` of every two judges in every dimension; the intervals of all their shifts hold together."""
    dimensions = sorted({name for grade in grades for name in grade.scores or ()})
    judges = len({grade.judge for grade in grades})
    level = level_of_each(len(dimensions) * judges * (judges - 1) // 2)
    return [row for dimension in dimensions for row in agreement(grades, dimension, level)]


def _share(said: Sequence[tuple[Grade, float]]) -> dict[str, Any] | None:
    """Mean of shares by prompts, as of grades; its interval ends at 0 and 1."""
    if not said:
        return None
    value = {(grade.completion, grade.repeat): share for grade, share in said}
    scores = nested((grade for grade, _ in said), lambda grade: value[grade.completion, grade.repeat])
    found = t_interval(scores.prompt_mean_P)
    low, high = (None if end is None else min(1.0, max(0.0, end)) for end in (found.low, found.high))
    return {"mean": found.mean, "se": found.se, "low": low, "high": high, "prompts": found.n, "n": len(said)}


def _met(grades: Sequence[Grade]) -> dict[str, Any] | None:
    """Share of what was asked for that is there, of "all" and of each kind (that of `word_2` is "word")."""
    by: dict[str, list[tuple[Grade, float]]] = {}
    for grade in grades:
        of_kind: dict[str, list[bool]] = {}
        for id, met in grade.met.items():
            of_kind.setdefault("all", []).append(met)
            of_kind.setdefault(id.partition("_")[0], []).append(met)
        for kind, found in of_kind.items():
            by.setdefault(kind, []).append((grade, sum(found) / len(found)))
    return {kind: _share(said) for kind, said in by.items()} or None


def _dimension(scores: Scores, seed: int) -> dict[str, Any]:
    found = t_interval(scores.prompt_mean_P)
    return {
        "mean": found.mean,
        "se": found.se,
        "low": found.low,
        "high": found.high,
        "bootstrap": bootstrap_interval(scores.prompt_mean_P, seed),
        "prompts": len(scores.prompts),
        "completions": len(scores.completions),
        "repeats": scores.repeats,
        "grades": len(scores.score_N),
        "missing": scores.missing,
        "bounds": list(worst_case(scores)),
        "reportable": _reportable(scores),
    }


def _reportable(scores: Scores) -> bool:
    return scores.missing <= REPORTABLE * len(scores.score_N)


def _indicator(scores: Scores, value: float) -> Scores:
    """1 where the score is `value`, 0 where it is another, still missing where it is."""
    is_N = np.where(np.isnan(scores.score_N), np.nan, scores.score_N == value)
    return Scores(scores.prompts, scores.completions, scores.prompt_C, scores.completion_N, is_N)
