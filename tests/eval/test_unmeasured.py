"""What a report does not show is named: parts that are absent, and grades that could not be read."""

import pytest

from eval.page import html
from eval.report import PARTS, make_report
from tests.eval.page_reader import Page, strict
from tests.eval.report_inputs import MODELS, inputs


@pytest.fixture(scope="module")
def full():
    return make_report(inputs(), compare="paper")


def unread(n=1320):
    """A dimension of which no grade could be read, as the statistics tell it."""
    blank = dict.fromkeys(("mean", "se", "low", "high"))
    return blank | {"prompts": 44, "completions": 440, "repeats": 3, "grades": n, "missing": n, "bounds": [0, 10]}


@pytest.mark.parametrize("part", [*PARTS, "completions", "grades"])
def test_a_part_that_is_absent_is_no_error_and_is_named(part, full):
    given = inputs()
    del given[part]
    report = make_report(given, compare="paper")
    strict(report)
    Page(html(report))
    more = {row["what"] for row in report["not_measured"]} - {row["what"] for row in full["not_measured"]}
    # grades and completions are texts beside the statistics; settings describe, they measure nothing
    assert more or part in ("power", "settings", "grades"), part


@pytest.mark.parametrize("name", ["fig14", "fig15", "fig16", "fig17", "fig18", "copied", "novelty", "diversity"])
def test_a_figure_that_is_absent_is_named(name, full):
    given = inputs()
    del given["figures"][name]
    report = make_report(given, compare="paper")
    Page(html(report))
    assert len(report["not_measured"]) == len(full["not_measured"]) + 1


def test_nothing_but_a_metric():
    one = {"model": "a", "metrics": {"loss of words": {"mean": 1.0, "se": None, "n": 3, "sees": "", "blind": ""}}}
    report = make_report({"metrics": [one]})
    what = {row["what"] for row in report["not_measured"]}
    assert {"Grades", "Plot", "Learning curves (Fig 3)", "Novelty of n-grams"} <= what
    assert "Agreement with a second judge" not in what  # nothing was judged
    assert "loss of words" in Page(html(report)).said.lower()


def test_plot_without_a_judge_has_no_stand_in():
    report = make_report({})
    row = next(row for row in report["not_measured"] if row["what"] == "Plot")
    assert "no metric without a judge stands in" in row["why"]
    assert "Evaluation of 0 models" in Page(html(report)).said


def test_what_is_not_a_number_is_left_empty_and_named():
    given = inputs()
    given["statistics"][0]["dimensions"]["grammar"] |= {"mean": float("nan"), "low": float("nan"), "high": float("inf")}
    given["metrics"][0]["metrics"]["names kept"]["mean"] = float("-inf")
    report = make_report(given)
    strict(report)
    assert report["models"][0]["grades"]["grammar"]["mean"] is None
    assert len(report["not_numbers"]) == 4 and "metrics.0.metrics.names kept.mean" in report["not_numbers"]
    assert any("values that were not numbers" in row["what"] for row in report["not_measured"])
    Page(html(report))


def test_without_a_held_out_curve_the_page_says_so():
    given = inputs()
    del given["figures"]["novelty"]["held-out"]
    report = make_report(given)
    assert any("held-out" in row["what"] for row in report["not_measured"])
    assert "no curve of held-out stories" in Page(html(report)).said


def test_a_judge_that_could_not_be_read_is_not_no_judge():
    given = inputs()
    for one in given["statistics"]:
        one["dimensions"] = {name: unread() for name in one["dimensions"]}
    report = make_report(given, compare="paper")
    strict(report)
    lines = {row["what"]: row["why"] for row in report["not_measured"]}
    assert "not one of its" in lines["Grades"] and "No judge" not in lines["Grades"]
    assert not any(model["grades"]["grammar"]["reportable"] for model in report["models"])
    (of_table,) = [line for line in report["warnings"] if line.startswith(MODELS[0][0])]
    assert "nothing could be read" in of_table
    page = html(report)
    said = Page(page).said
    assert '<b class="none">none</b>' in page and "1,320 of 1,320 missing" in said and "so 0.00 to 10.00" in said
    assert "No judge was asked" not in said


def test_a_report_of_everything_lacks_only_what_it_cannot_have(full):
    assert {row["what"] for row in full["not_measured"]} == {
        "Agreement with people",
        "Instruction following of small-256x8",
    }


def test_what_no_model_has_is_said_once():
    given = inputs()
    for one in given["metrics"]:
        one["missing"] = {"prompt_gain": "no reference model was given"}
    lines = make_report(given)["not_measured"]
    assert {"what": "Prompt gain", "why": "Every model: no reference model was given."} in lines


def test_metrics_that_could_not_be_measured_are_named_with_their_reason():
    given = inputs()
    given["metrics"][1]["missing"] = {
        "self_bleu": "sacrebleu is not installed",
        "plot": "no stand-in",
        "age": "no stand-in",
    }
    report = make_report(given)
    assert {"what": "Self bleu", "why": "small-256x8: sacrebleu is not installed."} in report["not_measured"]
    assert not {"Plot", "Age"} & {row["what"] for row in report["not_measured"]}  # the judge graded them
    del given["statistics"]
    assert {"Plot", "Age"} <= {row["what"] for row in make_report(given)["not_measured"]}


def test_one_model_without_a_readable_grade_is_named():
    given = inputs()
    given["statistics"][0]["dimensions"]["creativity"] = unread()
    lines = {row["what"]: row["why"] for row in make_report(given)["not_measured"]}
    assert "no grade could be read" in lines["Creativity of tiny-64x8"] and "Grades" not in lines


@pytest.mark.parametrize("left", ["judges", "grades", "cost"])
def test_a_judge_without_statistics_was_still_asked(left):
    given = inputs()
    given = {part: given[part] for part in ("models", "completions", left)}
    lines = {row["what"]: row["why"] for row in make_report(given)["not_measured"]}
    assert "was asked" in lines["Grades"] and "No judge" not in lines["Grades"]
    del given[left]
    lines = {row["what"]: row["why"] for row in make_report(given)["not_measured"]}
    assert lines["Grades"].startswith("No judge was asked.")
