"""A judge that failed its own test: nothing of its grades is on the page that could be taken for a result."""

import pytest

from eval.page import html
from eval.report import make_report
from tests.eval.page_reader import Page, strict
from tests.eval.report_inputs import inputs

HIDDEN = (
    "Pairs of models", "Age group the judge", "normalised 0", "normalised −", "linked ", "paper 7.72 / 0.77",
    "What the judge says of the text besides grades", "Link to the paper's scale", "Creativity over steps",
)  # fmt: skip


def void(compare="paper"):
    given = inputs()
    given["anchors"] |= {"sound": False, "why": ["grammar: tau 0.31, expected 0.8 at least"]}
    return make_report(given, compare=compare)


@pytest.mark.parametrize("said", HIDDEN)
def test_what_looks_like_a_result_is_hidden(said):
    assert said in html(make_report(inputs(), compare="paper")).replace("&#39;", "'")
    assert said not in html(void()).replace("&#39;", "'")


def test_no_chart_of_grades_is_drawn_and_the_losses_still_are():
    page = html(void())
    assert 'aria-label="Grammar"' in html(make_report(inputs())) and 'aria-label="Grammar"' not in page
    assert 'aria-label="Loss over steps"' in page
    said = Page(page).said
    assert said.count("not shown; they are in report.json") == 2
    assert '<b class="unsure">' in page  # the grades in the cards


def test_nothing_is_reportable_but_everything_is_in_the_json():
    report = void()
    strict(report)
    sound = make_report(inputs(), compare="paper")
    grades = [one for model in report["models"] for of in ("grades", "instructed") for one in model[of].values()]
    assert grades and not any(one["reportable"] for one in grades)
    assert any(one["reportable"] for model in sound["models"] for one in model["grades"].values())
    assert report["pairs"] and not any(pair["reportable"] for pair in report["pairs"])
    assert report["curves"] == sound["curves"] and report["models"][0]["age"] == sound["models"][0]["age"]


def test_of_other_judges_only_those_that_failed_are_not_reportable():
    report = make_report(inputs())
    (own,) = [one for one in report["judges"]["stub-2"]["models"] if one["model"] == "tiny-64x8"]
    assert own["dimensions"]["grammar"]["reportable"] is False
    assert "reportable" not in report["judges"]["stub"]["models"][0]["dimensions"]["grammar"]  # as it was given
