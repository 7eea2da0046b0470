"""Right, partly, wrong on the page: chance beside the models, what each way sees, and the paper only where it did the same;
and the captions of the figures, which say what may be compared."""

import pytest

from eval.cells import counted, name, short, with_error
from eval.mark_bars import mark_bars
from eval.marking import MARK_BLIND, MARK_SEES, TEXT_BLIND, TEXT_SEES
from eval.page import html
from eval.plots import Plots
from eval.report import make_report
from tests.eval.page_reader import Page
from tests.eval.report_inputs import MODELS, inputs

CHANCE = [0.31, 0.29, 0.4]


@pytest.fixture(scope="module")
def given():
    made = inputs()
    made["marking"] = [
        {**row, "how": how, "low": 0.21, "high": 0.44} | ({"chance": CHANCE} if how == "by probability" else {})
        for row in made["marking"]
        for how in ("by probability", "of texts")
    ]
    return made


def test_chance_stands_under_the_models_and_the_paper_beside_texts_alone(given):
    report = make_report(given, compare="paper")
    table = [model for model in report["models"] if model["in_table"]]
    groups = mark_bars(report["marking"], table, True)
    by = {(one["heading"], one["by_probability"]): [bar["model"] for bar in one["bars"]] for one in groups}
    names = [name for name, *_ in MODELS]
    assert by["knowledge, by probability", True] == [*names, "by chance"]
    of_texts = by["knowledge, of texts", False]
    assert "paper's 64x8, other prompts" in of_texts and "by chance" not in of_texts
    assert groups[0]["bars"][-1]["shares"] == [*CHANCE, 0.0]
    assert all(sum(bar["shares"]) == pytest.approx(1) for one in groups for bar in one["bars"])


def test_what_each_way_sees_and_its_intervals_are_told(given):
    said = Page(html(make_report(given))).said
    for words in (
        MARK_SEES,
        MARK_BLIND,
        TEXT_SEES,
        TEXT_BLIND,
        "at random: 31% right",
        "(21% to 44%)",
    ):
        assert words in said, words
    assert "its own 9, 9 and 6 prompts" not in said


def test_without_a_chance_level_that_is_said(given):
    what = {row["what"] for row in make_report(given)["not_measured"]}
    assert "What marks by probability would be by chance" not in what
    old = given | {"marking": [{k: v for k, v in row.items() if k != "chance"} for row in given["marking"]]}
    assert "What marks by probability would be by chance" in {row["what"] for row in make_report(old)["not_measured"]}


def captions(report, figure):
    return [" ".join(said) for _, _, said in Plots(report).figure(figure)]


def test_what_is_shaded_is_told_by_figure():
    report = make_report(inputs(), compare="paper")
    (first,), (second,) = captions(report, "fig14"), captions(report, "fig15")
    assert "its 64x8; its 256x8; its 1024x1; its 768x4" in first and "none for held-out" in first
    assert "another story" in first and "its models, all of them together; its stories by others" in second
    for said in captions(report, "fig17"):
        assert "Nothing of the paper's is shaded" in said and "tokens" in said
    page = html(report)
    rouge = page[page.index("nearest training story") : page.index("Closest training stories")]
    assert 'class="mark"' not in rouge and page.count('class="mark"') == 4 + 5
    assert 'class="mark"' not in html(make_report(inputs()))


def test_without_a_shape_of_the_papers_nothing_is_shaded():
    made = inputs()
    for one in made["models"]:
        one["hidden"] = 96
    report = make_report(made, compare="paper")
    assert captions(report, "fig14")[0].endswith("the paper has no histogram of these shapes.")


def test_the_bars_say_what_they_are_and_endings_are_not_completions():
    page = html(make_report(inputs()))
    assert "Highest F (words)." in page and "Diversity of the endings of training stories" in page
    assert "Diversity of the completions" not in page


@pytest.mark.parametrize(
    ("mean", "se", "said"),
    [
        (0.000896, 0.000411, ("0.0009", "0.0004")),
        (0.85763, 0.02501, ("0.86", "0.03")),
        (2.1931, 0.1302, ("2.19", "0.13")),
        (123.4, 12.3, ("123", "12")),
        (0.5, 0.0, ("0.500", "0")),
        (7.2659, None, ("7.27", "")),
    ],
)
def test_digits_that_count(mean, se, said):
    assert with_error({"mean": mean, "se": se}) == said


@pytest.mark.parametrize(
    ("value", "said"), [(0.0, "0"), (28.66, "28.7"), (12345.6, "12346"), (2e-7, "2.0e-07"), (3, "3")]
)
def test_short_numbers(value, said):
    assert short(value) == said


def test_names_break_behind_their_joints_and_counts_agree():
    assert str(name("deep-768x4_a@300 <b>")) == "deep-<wbr>768x4_<wbr>a@<wbr>300 &lt;b&gt;"
    assert [counted(n, "text") for n in (0, 1, 1200)] == ["0 texts", "1 text", "1,200 texts"]
    assert "1 earlier one is in" not in html(make_report(inputs())) and "8 earlier ones are in" in html(
        make_report(inputs())
    )


def test_grades_come_before_losses_and_no_tau_is_kendalls():
    page = html(make_report(inputs()))
    head = page[page.index("<thead>") : page.index("</thead>")]
    assert head.index("Grammar") < head.index("own validation")
    row = page[page.index("<tbody>") : page.index("</tr>", page.index("<tbody>"))]
    assert row.index("<b>4.00</b>") < row.index("2.10")
    assert "Kendall" not in page and "less the share of those in the other" in page
