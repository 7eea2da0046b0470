"""Beginnings and instructions in one study: never in one mean, and what was asked for is known, not guessed."""

import numpy as np
import pytest

from eval.paired import holm
from eval.records import INSTRUCT, STORY
from eval.rubric import CALIBRATED, PAPER, dimensions
from eval.stats import by_set
from tests.eval.graded import grade

KINDS = {f"s{p}": STORY for p in range(6)} | {f"i{p}": INSTRUCT for p in range(5)}


def graded(models="abc", kinds=KINDS, mode=CALIBRATED, seed=0, without=(), age="C"):
    """Stories are 8 in everything, instructed ones 2, with noise."""
    rng, made = np.random.default_rng(seed), []
    for model in models:
        for prompt, kind in kinds.items():
            for k in range(2):
                mean = 8 if kind == STORY else 2
                scores = {d: mean + rng.normal(0, 0.3) for d in dimensions(kind, mode) if d not in without}
                made.append(grade(prompt, k, 0, scores, model=model, age=age if kind == STORY else "A"))
    return made


@pytest.mark.parametrize("mode", [CALIBRATED, PAPER])
def test_story_prompts_make_the_table_and_instruct_prompts_make_one_column_of_it(mode):
    table, instructed = by_set(graded(mode=mode), KINDS, mode)
    for one in table["models"]:
        found = one["dimensions"]
        assert set(found) == {"grammar", "creativity", "consistency", "plot", "instruction_following"}
        assert {name: found[name]["prompts"] for name in found} == {
            **dict.fromkeys(dimensions(STORY, mode), 6), "instruction_following": 5,
        }  # fmt: skip
        assert found["instruction_following"]["mean"] == pytest.approx(2, abs=0.4)
        assert all(found[name]["mean"] == pytest.approx(8, abs=0.4) for name in dimensions(STORY, mode))
        assert not any(of["missing"] for of in found.values())
        assert one["age"]["C"] == 1 and one["age_missing"] == 0  # the instructed ones are all A
    for one in instructed["models"]:
        assert set(one["dimensions"]) == set(dimensions(INSTRUCT, mode)) and one["age"]["A"] == 1
        assert all(of["mean"] == pytest.approx(2, abs=0.4) for of in one["dimensions"].values())


@pytest.mark.parametrize("kind", [STORY, INSTRUCT])
def test_prompts_of_one_kind_make_everything(kind):
    kinds = {prompt: one for prompt, one in KINDS.items() if one == kind}
    table, instructed = by_set(graded(kinds=kinds), kinds, CALIBRATED)
    assert instructed is None
    assert all(set(one["dimensions"]) == set(dimensions(kind, CALIBRATED)) for one in table["models"])


def test_pairs_are_of_the_models_of_the_table_and_holm_counts_no_others():
    grades = graded(["a", "b", "a@100", "a@200"])
    table, instructed = by_set(grades, KINDS, CALIBRATED, table=["a", "b"])
    assert {(row["a"], row["b"]) for row in [*table["pairs"], *instructed["pairs"]]} == {("a", "b")}
    assert [one["model"] for one in table["models"]] == ["a", "a@100", "a@200", "b"]
    assert set(table["variance"]) == {"a", "a@100", "a@200", "b"}
    assert len(table["pairs"]) == 5  # with instruction following: one table, one correction
    assert [row["p_holm"] for row in table["pairs"]] == holm([row["p"] for row in table["pairs"]])
    assert by_set(grades, KINDS, CALIBRATED, table=())[0]["pairs"] == []


def test_a_dimension_that_a_judge_never_gives_is_missing_in_every_grade():
    table, _ = by_set(graded("a", without=("plot", "instruction_following")), KINDS, CALIBRATED)
    found = table["models"][0]["dimensions"]
    for name, asked in (("plot", 12), ("instruction_following", 10)):
        assert found[name]["mean"] is None and found[name]["missing"] == found[name]["grades"] == asked
        assert found[name]["bounds"] == [0, 10] and not found[name]["reportable"]
    assert found["grammar"]["missing"] == 0


def test_a_judge_of_whom_nothing_can_be_read_has_rows_all_the_same():
    grades = [grade(prompt, 0, 0, None, model=m, why="no JSON") for m in "ab" for prompt in KINDS]
    table, instructed = by_set(grades, KINDS, CALIBRATED)
    for found, names in ((table, dimensions(INSTRUCT, CALIBRATED)), (instructed, dimensions(INSTRUCT, CALIBRATED))):
        for one in found["models"]:
            assert set(one["dimensions"]) == set(names) and one["age"] == {}
            for of in one["dimensions"].values():
                assert of["mean"] is None and of["missing"] == of["grades"] and of["bounds"] == [0, 10]
        assert found["pairs"] == []
