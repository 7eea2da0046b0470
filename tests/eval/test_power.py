"""What a study can see: from a pilot's grades where there are some, else from assumptions that are called so."""

import json

import numpy as np
import pytest

from eval.variance import ASSUMED, detectable, power, power_table
from tests.eval.graded import as_scores, study


def test_the_assumed_variances_are_those_of_the_survey():
    """Its table, section 9.5: deviations of 1.8 within prompts and 0.5 between them, normal quantiles."""
    sizes = [(44, 1, 1), (44, 3, 1), (44, 10, 1), (44, 30, 1), (200, 10, 1)]
    found = [round(row["detectable"], 2) for row in power_table(sizes, ASSUMED, large_sample=True)]
    assert found == [1.10, 0.66, 0.40, 0.29, 0.19]


def test_without_a_pilot_the_variances_are_assumed_and_it_says_so():
    found = power({}, (44, 10, 3))
    assert found["assumed"] and found["of"] == ASSUMED and found["why"].startswith("assumed")
    rows = {(row["prompts"], row["completions"], row["repeats"]): row for row in found["rows"]}
    assert set(rows) == {
        (44, 10, 3), (60, 10, 3), (200, 10, 3), (44, 1, 3), (44, 3, 3), (44, 30, 3), (44, 10, 1),
    }  # fmt: skip
    assert rows[44, 10, 3]["detectable"] == detectable(44, 10, 3, ASSUMED) and rows[44, 10, 3]["grades"] == 1320
    assert rows[44, 10, 3]["detectable_holm"] == rows[44, 10, 3]["detectable"] and "not corrected" in found["test"]
    twelve = power({}, (44, 10, 3), 12)
    assert twelve["tests"] == 12
    for row in twelve["rows"]:
        size = row["prompts"], row["completions"], row["repeats"]
        assert row["detectable_holm"] == detectable(*size, ASSUMED, alpha=0.05 / 12) > row["detectable"]
    assert rows[44, 10, 3]["detectable"] == rows[44, 10, 1]["detectable"]  # the judge's noise is not known by itself
    assert json.dumps(found, allow_nan=False)


def test_two_models_are_a_pilot_and_the_hardest_dimension_counts():
    rng = np.random.default_rng(0)
    within = {"grammar": 0.5, "plot": 2.0}
    prompt_P = rng.normal(0, 1, 1600)
    scores = {
        model: {
            name: as_scores(study(rng, 1600, 5, 3, sd=(0, sd, 1.0), prompt_P=prompt_P + rng.normal(0, 0.6, 1600)))
            for name, sd in within.items()
        }
        for model in "ab"
    }
    found = power(scores, (44, 10, 3))
    assert not found["assumed"] and "plot" in found["why"] and "1 pair of models" in found["why"]
    assert found["of"]["completion"] == pytest.approx(4, rel=0.1)
    assert found["of"]["repeat"] == pytest.approx(1, rel=0.1)
    assert found["of"]["prompt"] == pytest.approx(2 * 0.36, rel=0.3)
    rows = {(row["prompts"], row["completions"], row["repeats"]): row["detectable"] for row in found["rows"]}
    assert rows[44, 10, 3] < rows[44, 10, 1] and rows[200, 10, 3] < rows[44, 30, 3]


def test_what_a_pilot_cannot_tell_is_said():
    rng = np.random.default_rng(1)
    once = {m: {"plot": as_scores(study(rng, 20, 1, 1))} for m in "ab"}
    why = power(once, (44, 10, 3))["why"]
    assert "judged once" in why and "one text" in why
    more = {m: {"plot": as_scores(study(rng, 20, 2, 2))} for m in "ab"}
    assert "once" not in power(more, (44, 10, 3))["why"]


def test_one_model_or_few_prompts_are_no_pilot():
    rng = np.random.default_rng(2)
    assert power({"a": {"plot": as_scores(study(rng, 44, 2, 2))}}, (44, 10, 3))["assumed"]
    assert power({m: {"plot": as_scores(study(rng, 9, 2, 2))} for m in "ab"}, (44, 10, 3))["assumed"]
    missing = {m: {"plot": as_scores(np.full((20, 2, 2), np.nan))} for m in "ab"}
    assert power(missing, (44, 10, 3))["assumed"]


def test_a_study_of_one_prompt_has_no_row_of_its_own():
    rows = power({}, (1, 10, 3))["rows"]
    assert {row["prompts"] for row in rows} == {44, 60, 200} and json.dumps(rows, allow_nan=False)
