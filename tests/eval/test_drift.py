"""Drift: found where there is some, not where there is none, at the rate that is promised."""

from dataclasses import replace
from random import Random

import pytest

from eval.drift import drift
from eval.records import Grade
from tsjax.errors import UserError

NAMES = ("grammar", "creativity", "consistency", "plot")


def graded(
    seed: int, shift: float = 0.0, prompts: int = 50, repeats: int = 3, missing: float = 0.0, only=NAMES
) -> list[Grade]:
    """A judge with noise of 1 grades frozen completions; the second time `shift` higher in `only`."""
    texts, noise, made = Random("texts"), Random(f"noise {seed}"), []
    for p in range(prompts):
        true = texts.gauss(6, 1.5)
        for repeat in range(repeats):
            scores = {
                d: max(0.0, min(10.0, float(round(true + noise.gauss(0, 1) + (shift if d in only else 0)))))
                for d in NAMES
            }
            lost = noise.random() < missing
            made.append(Grade(f"c{p}", "frozen", f"p{p}", 0, repeat, "judge", None if lost else scores))
    return made


def test_a_judge_that_drifts_by_half_a_point_is_found_where_it_does():
    found = [drift(graded(2 * n), graded(2 * n + 1, -0.5, only=("plot",))) for n in range(40)]
    assert sum(one["plot"].alarm for one in found) >= 34
    assert sum(one[d].alarm for one in found for d in NAMES[:3]) <= 6
    mean = sum(one["plot"].shift for one in found) / 40
    assert mean == pytest.approx(-0.5, abs=0.06)


def test_one_that_does_not_raises_an_alarm_no_more_often_than_promised():
    alarms = sum(any(s.alarm for s in drift(graded(2 * n), graded(2 * n + 1)).values()) for n in range(1000, 1400))
    assert alarms <= 400 * 0.05 + 3 * (400 * 0.05 * 0.95) ** 0.5


def test_missing_grades_are_left_out_of_both_sides():
    shifts = drift(graded(1, missing=0.2), graded(2, 1.0, missing=0.2))
    assert all(s.alarm and s.shift == pytest.approx(1, abs=0.4) and s.prompts <= 50 for s in shifts.values())
    same = graded(3)
    assert all(s.shift == 0 and not s.alarm for s in drift(same, same).values())


def test_too_few_in_common_are_refused():
    with pytest.raises(UserError, match="10 prompts"):
        drift(graded(1, prompts=9), graded(2))
    with pytest.raises(UserError):
        drift(graded(1), [])


def test_a_dimension_of_few_prompts_does_not_hide_the_others():
    before, after = graded(1), graded(2, 1.0)
    some = [replace(g, scores={"following": 5.0}, completion=f"x{g.prompt_id}") for g in graded(3, prompts=4)]
    found = drift([*before, *some], [*after, *some])
    assert set(found) == set(NAMES) and all(one.alarm for one in found.values())
    assert found == drift(before, after)
