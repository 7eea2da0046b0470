"""What stands on top of the page: a judge that changed, that can't tell its grades apart, or that failed its own test."""

import pytest

from eval.cautions import by_dimension, no_such_shape, rows_of
from eval.page import html
from eval.report import make_report
from tests.eval.page_reader import Page
from tests.eval.report_inputs import inputs


def warned(given):
    report = make_report(given)
    said = Page(html(report)).said
    assert all(line in said for line in report["warnings"])
    return report["warnings"]


def test_a_sound_judge_is_warned_of_by_nothing_but_its_missing_grades():
    (line,) = warned(inputs())
    assert "grades are missing" in line


@pytest.mark.parametrize("nested", [False, True])
def test_grades_that_changed_in_the_course_of_judging_are_warned_of(nested):
    given = inputs()
    given["order"]["plot"] |= {"slope": -0.42, "flagged": True}
    if nested:
        given["order"] = {"judge-stub-1": given["order"]}
    (line,) = [one for one in warned(given) if one.startswith("Grades changed")]
    assert ("plot -0.42 in judge-stub-1 points" if nested else "plot -0.42 points") in line and "grammar" not in line


def test_two_judges_of_other_scales_are_warned_of():
    given = inputs()
    given["agreement"][0] |= {"shift": -1.3, "flagged": True}
    (line,) = [one for one in warned(given) if "scale differently" in one]
    assert line.startswith("stub and stub-2") and "grammar -1.30" in line


@pytest.mark.parametrize(("low", "high", "moved"), [(0.05, 0.5, True), (-0.5, -0.05, True), (-0.1, 0.3, False)])
def test_parts_that_graded_the_anchors_otherwise_are_warned_of(low, high, moved):
    given = inputs()
    given["judges"]["stub"]["between_parts"]["grammar"] |= {"low": low, "high": high}
    lines = [one for one in warned(given) if one.startswith("stub ") and "can't be compared" in one]
    assert ["in judge-stub-calibrated-2 points" in one for one in lines] == [True] * moved
    assert ("Its later parts graded the anchors otherwise" in html(make_report(given))) == moved


@pytest.mark.parametrize(("low", "halo"), [(0.3, False), (-0.1, True), (0.0, True)])
def test_a_judge_of_one_impression_is_warned_of_but_not_void(low, halo):
    given = inputs()
    given["anchors"]["separates"]["grammar"]["low"] = low
    report = make_report(given)
    assert not report["void"]
    assert any("hardly tells grammar from its other grades" in one for one in report["warnings"]) == halo
    assert ("not told apart" in html(report)) == halo


def test_reasons_are_grouped_by_dimension():
    why = ["grammar: tau 0.31, expected 0.8 at least", "3 judgements of texts with an injection give a 10"]
    why += [f"plea of story {n}: above the undamaged one in {name}" for n in range(9) for name in ("grammar", "plot")]
    assert by_dimension(why) == [
        "3 judgements of texts with an injection give a 10",
        "grammar: tau 0.31, expected 0.8 at least; 9 stories with an injection above the one without",
        "plot: 9 stories with an injection above the one without",
    ]
    assert by_dimension(["the judge has not finished: SIGINT"]) == ["the judge has not finished: SIGINT"]


def test_shapes_that_fig_4_lacks_are_told_with_the_nearest():
    given = inputs()
    for one, (hidden, layers) in zip(given["models"], ((96, 4), (64, 5), (64, 8), (256, 8)), strict=False):
        one |= {"hidden": hidden, "layers": layers}
    report = make_report(given, compare="paper")
    assert report["no_such_shape"].startswith("Fig 4 has no 96x4 or 64x5") and report["no_such_shape"] in html(report)
    assert "128x4" in report["no_such_shape"] and "64x4" in report["no_such_shape"]
    assert "64x8" not in report["no_such_shape"]
    assert (
        make_report(given)["no_such_shape"] is None and make_report(inputs(), compare="paper")["no_such_shape"] is None
    )
    assert "is not known" in no_such_shape([{"model": "a", "in_table": True, "paper": None}])


def test_notes_stand_only_where_there_is_something_to_note():
    given = inputs()
    assert "n missing, so a to b" in html(make_report(given))
    given["statistics"][0]["dimensions"]["plot"] |= {"missing": 0}
    for one in given["models"]:
        one["hidden"] = 96
    page = html(make_report(given, compare="paper"))
    assert "n missing, so a to b" not in page and "Hollow diamonds: the paper" not in page
    assert "stand where the shape is the same" not in page


def test_rows_are_read_in_each_shape():
    flat = {"grammar": {"slope": 1}}
    row = {"of": "", "dimension": "grammar", "slope": 1}
    assert rows_of(flat, ["slope"]) == rows_of([flat], ["slope"]) == [row]
    assert rows_of({"m": flat}, ["slope"]) == [row | {"of": "m"}]
    assert [one["of"] for one in rows_of([flat, flat], ["slope"])] == ["part 1", "part 2"]
    assert rows_of(None, ["slope"]) == []
