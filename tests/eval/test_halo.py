"""A judge that gives one number to all dimensions is told of; one that grades each by itself is not, noisy or not."""

import pytest

from eval.anchors import check
from tests.eval.test_anchors import ANCHORS, BOTH, grades


def told(verdict) -> list[str]:
    """The dimensions of which it is told that the judge does not tell them from others."""
    return [d for d, found in verdict.separates.items() if found["low"] is not None and found["low"] <= 0]


def test_a_halo_judge_has_every_order_right_and_is_told_of():
    plain = check(grades(halo=True, noise=0, anchors=BOTH), BOTH)
    assert plain.sound and set(plain.taus.values()) == {1.0}
    assert all(found == {"gap": 0.0, "low": 0.0, "high": 0.0} for found in plain.separates.values())
    assert set(told(plain)) == {"grammar", "consistency", "plot"}
    noisy = [check(grades(halo=True, seed=seed), ANCHORS) for seed in range(20)]
    assert all(len(told(verdict)) >= 2 for verdict in noisy)
    assert plain.as_dict()["separates"] == plain.separates


@pytest.mark.parametrize("noise", [0.0, 0.7, 1.0])
def test_judges_that_grade_dimensions_are_not_taken_for_halo_judges(noise):
    verdicts = [check(grades(seed=seed, noise=noise), ANCHORS) for seed in range(20)]
    assert sum(bool(told(verdict)) for verdict in verdicts) <= 1
    for d, depth in {"grammar": 2.0, "consistency": 1.5, "plot": 1.5}.items():  # mean depth of what lowers it
        assert sum(v.separates[d]["gap"] for v in verdicts) / 20 == pytest.approx(2.25 * depth, abs=0.5)
