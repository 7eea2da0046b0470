"""Linking to the published scores: what is known is found, and what can't be known is refused."""

import random

import pytest

from eval.link import LINEAR, MONOTONE, fit_link, links
from eval.published import row_of
from eval.records import INSTRUCT, STORY
from tsjax.errors import UserError

PAPER = {"1M": 6.14, "3M": 7.23, "8M": 7.72, "28M": 8.34, "33M": 8.43}


def test_a_line_is_found_with_its_residuals_and_what_it_is_off_by():
    ours = {name: (score - 2) / 0.8 for name, score in PAPER.items()}
    link = fit_link(ours, PAPER, LINEAR)
    assert link(5.0) == pytest.approx(6.0) and link.rms < 1e-12 and link.left_out < 1e-12
    assert all(abs(r) < 1e-12 for r in link.residuals.values()) and set(link.residuals) == set(PAPER)
    assert link.span == (ours["1M"], ours["33M"])
    assert link.error(5.0, 0.5) == pytest.approx(0.8 * 0.5)  # nothing but our own


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


def test_the_kind_is_chosen_without_the_ruler_that_is_left_out():
    """The kind that fits all rulers best has seen each of them: what it is off by is less than that of a new model."""
    rng = random.Random(1)
    more = 0
    for _ in range(40):
        ours = {str(n): float(n) for n in range(6)}
        theirs = {name: 4 + 0.6 * x + rng.gauss(0, 0.7) for name, x in ours.items()}
        link = fit_link(ours, theirs)
        off = []
        for name in ours:
            rest = fit_link({o: x for o, x in ours.items() if o != name}, theirs)
            off.append(theirs[name] - rest(ours[name]))
        assert link.left_out == pytest.approx((sum(x * x for x in off) / 6) ** 0.5)
        least = min(fit_link(ours, theirs, kind).left_out for kind in (LINEAR, MONOTONE))
        more += link.left_out > least + 1e-9
        assert (
            link.error(2.5, 1.5) > link.left_out
        )  # a monotone link is level in places: there our own error moves nothing
    assert more > 5


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


def table_of(scores, **changed):
    """Models as `eval.stats.statistics` has them, of model -> dimension -> mean."""
    return [
        {
            "model": model,
            "dimensions": {
                name: {"mean": mean, "se": 0.25, "reportable": True, **changed} for name, mean in of.items()
            },
        }
        for model, of in scores.items()
    ]


def halved(rows, names):
    return {model: {d: row_of(row).scores[d] / 2 for d in names} for model, row in rows.items()}


BASE = {"TinyStories-1M": "64x8", "TinyStories-8M": "256x8", "roneneldan/TinyStories-33M": "768x4"}
GIVEN = dict.fromkeys(("grammar", "creativity", "consistency", "plot"), STORY) | {"instruction_following": INSTRUCT}


def test_released_checkpoints_in_a_study_link_its_other_models():
    scores = halved(BASE, ("grammar", "creativity", "plot")) | {"mine": {"grammar": 4.0, "plot": 3.0}}
    found = links(table_of(scores), GIVEN)
    assert found["rulers"] == BASE and set(found["dimensions"]) == {"grammar", "creativity"}
    assert found["models"]["mine"] == {"grammar": pytest.approx(8.0)}
    assert found["errors"]["mine"] == {"grammar": pytest.approx(2 * 0.25)}  # two of theirs are one of ours
    assert set(found["dimensions"]["grammar"]["residuals"]) == set(BASE)
    assert found["models"]["TinyStories-8M"]["grammar"] == pytest.approx(7.72)
    grammar = found["dimensions"]["grammar"]
    assert grammar["kind"] == LINEAR and grammar["left_out"] < 1e-9
    assert grammar["span"] == [row_of("64x8").scores["grammar"] / 2, row_of("768x4").scores["grammar"] / 2]
    assert found["why"] == {"plot": "the paper did not grade plot on beginnings of stories"}
    assert links(table_of({"mine": {"grammar": 4.0}}), GIVEN) is None


def test_instructed_rulers_link_what_the_paper_graded_on_instructions():
    rows = {"TinyStories-Instruct-1M": "64x8", "TinyStories-Instruct-8M": "256x8", "TinyStories-Instruct-33M": "768x4"}
    names = ("grammar", "instruction_following", "plot")
    found = links(table_of(halved(rows, names)), dict.fromkeys(GIVEN, INSTRUCT))
    assert set(found["dimensions"]) == {"instruction_following", "plot"}
    mixed = links(table_of(halved(rows, names)), GIVEN)  # their beginnings are not what Fig 4 graded
    assert set(mixed["dimensions"]) == {"instruction_following"} and "found 0" in mixed["why"]["grammar"]


def test_a_link_that_cannot_be_made_says_why():
    few = links(table_of(halved(dict(list(BASE.items())[:2]), ("grammar",))), GIVEN)
    assert few["dimensions"] == few["models"] == {} and "found 2" in few["why"]["grammar"]
    wrong = {model: {"grammar": 10 - of["grammar"]} for model, of in halved(BASE, ("grammar",)).items()}
    assert "a slope of" in links(table_of(wrong), GIVEN)["why"]["grammar"]
    missing = links(table_of(halved(BASE, ("grammar",)), reportable=False), GIVEN)
    assert "found 0" in missing["why"]["grammar"]


def test_a_user_names_rulers_of_their_own():
    rows = {"a": "64x2", "b": "64x8", "c": "GPT-2 small 125M"}
    found = links(table_of(halved(rows, ("grammar",))), GIVEN, rows)
    assert found["rulers"] == rows and found["dimensions"]["grammar"]["rms"] < 1e-9
