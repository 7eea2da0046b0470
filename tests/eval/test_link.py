"""Linking to the published scores: what is known is found, and what can't be known is refused."""

import random

import pytest

from eval.link import LINEAR, MONOTONE, fit_link
from tsjax.errors import UserError

PAPER = {"1M": 6.14, "3M": 7.23, "8M": 7.72, "28M": 8.34, "33M": 8.43}


def test_a_line_is_found_with_its_residuals_and_what_it_is_off_by():
    ours = {name: (score - 2) / 0.8 for name, score in PAPER.items()}
    link = fit_link(ours, PAPER, LINEAR)
    assert link(5.0) == pytest.approx(6.0) and link.rms < 1e-12 and link.left_out < 1e-12
    assert all(abs(r) < 1e-12 for r in link.residuals.values()) and set(link.residuals) == set(PAPER)
    assert link.inside(ours["8M"]) and not link.inside(ours["1M"] - 0.1) and not link.inside(ours["33M"] + 0.1)


def test_the_leave_one_out_error_is_that_of_a_ruler_the_link_has_not_seen():
    ours = {"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}
    theirs = {"a": 1.0, "b": 2.0, "c": 3.0, "d": 5.0}
    link = fit_link(ours, theirs, LINEAR)
    off = []
    for name in ours:
        rest = [one for one in ours if one != name]
        off.append(theirs[name] - fit_link({o: ours[o] for o in rest}, theirs, LINEAR)(ours[name]))
    assert link.left_out == pytest.approx((sum(x * x for x in off) / 4) ** 0.5) and link.left_out > link.rms


def test_the_monotone_link_is_the_least_squares_fit_that_never_falls():
    rng = random.Random(0)
    for _ in range(50):
        n = rng.randint(3, 8)
        xs = sorted(rng.sample(range(40), n))
        ours = {str(i): x / 4 for i, x in enumerate(xs)}
        theirs = {str(i): x / 4 + rng.gauss(0, 1.5) for i, x in enumerate(xs)}
        try:
            link = fit_link(ours, theirs, MONOTONE)
        except UserError:
            continue
        fitted = [link(ours[str(i)]) for i in range(n)]
        assert fitted == sorted(fitted)
        # The least squares fit by another way: max over starts of the min over ends of the means (min-max formula).
        y = [theirs[str(i)] for i in range(n)]
        for i in range(n):
            expected = max(min(sum(y[a : b + 1]) / (b + 1 - a) for b in range(i, n)) for a in range(i + 1))
            assert fitted[i] == pytest.approx(expected)
        assert link(-5) == fitted[0] and link(50) == fitted[-1]


def test_the_kind_that_is_off_by_less_is_chosen():
    bent = {"a": 0.0, "b": 1.0, "c": 2.0, "d": 3.0, "e": 4.0, "f": 5.0}
    line = {name: 2 + 0.5 * x for name, x in bent.items()}
    assert fit_link(bent, line).kind == LINEAR
    step = {name: 1.0 if x < 2.5 else 9.0 for name, x in bent.items()}
    assert fit_link(bent, step).kind == MONOTONE


def test_too_few_rulers_or_ones_in_another_order_are_refused():
    with pytest.raises(UserError, match=r"2 \(1M, 3M\)"):
        fit_link({"1M": 1, "3M": 2, "mine": 5}, PAPER)
    with pytest.raises(UserError, match="slope"):
        fit_link({name: -score for name, score in PAPER.items()}, PAPER)
    with pytest.raises(UserError):
        fit_link(dict.fromkeys(PAPER, 5.0), PAPER)


def test_equal_scores_of_ours_are_one_knot():
    link = fit_link({"a": 1.0, "b": 1.0, "c": 2.0}, {"a": 1.0, "b": 3.0, "c": 4.0}, MONOTONE)
    assert link(1.0) == pytest.approx(2.0) and link(1.5) == pytest.approx(3.0)
