"""report.json and report.html: every part there, every part absent, and stories that try to be markup."""

import json
import re
import sys
from html.parser import HTMLParser

import pytest

from eval.cells import plain
from eval.model_rows import DIMENSIONS
from eval.page import html, write_html
from eval.records import Completion
from eval.report import PARTS, make_report, read_inputs
from tests.eval.report_inputs import INJECTED, MODELS, inputs, write_inputs
from tsjax.errors import UserError

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
EMPTY = {"circle", "line", "path", "polygon", "polyline", "rect"}  # of SVG, written <.../>


class Page(HTMLParser):
    """Fails where a tag is closed that is not the one open; keeps tags and the text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text, self.ids, self.hrefs = [], [], [], set(), []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.ids.add(dict(attrs).get("id"))
        if "href" in dict(attrs):
            self.hrefs.append(dict(attrs)["href"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        assert tag in EMPTY, tag
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    @property
    def said(self):
        return " ".join("".join(self.text).split())


@pytest.fixture(scope="module")
def full():
    return make_report(inputs(), compare="paper")


@pytest.fixture(scope="module")
def page(full):
    return Page(html(full))


def strict(report):
    return json.loads(json.dumps(report, allow_nan=False))


def test_everything_is_in_the_json(full):
    again = strict(full)
    assert again == full  # nothing JSON would change, such as keys that are numbers
    assert all(again[part] for part in PARTS if part != "statistics")
    assert again["dimensions"] == list(DIMENSIONS)
    assert [model["model"] for model in again["models"] if model["in_table"]] == [name for name, *_ in MODELS]
    kept = [one for one in inputs()["completions"] if "@" not in one.model or one.k == 0]
    assert {one["completion"] for prompt in again["prompts"] for one in prompt["completions"]} == {one.id for one in kept}
    assert again["completions"] == len(inputs()["completions"]) > len(kept)


def test_scores_are_normalised_and_put_beside_the_paper(full):
    model = next(one for one in full["models"] if one["model"] == "small-256x8")
    grade = model["grades"]["grammar"]
    assert grade["normalised"] == pytest.approx((grade["mean"] - 4.33) / (8.75 - 4.33))
    assert (grade["paper"], grade["paper_normalised"], model["paper_loss"]) == (7.72, 0.77, 1.38)
    assert grade["linked"] == 6.5
    without = next(one for one in make_report(inputs())["models"] if one["model"] == "small-256x8")
    assert without["grades"]["grammar"]["paper"] is None and without["paper_loss"] is None


def test_checkpoints_of_a_run_make_a_curve_and_one_row(full):
    assert list(full["curves"]) == [name for name, *_ in MODELS[2:]]
    curve = full["curves"]["wide-1024x1"]["grammar"]
    assert curve["x"] == [300, 900, 1500, 2100, 2700]
    assert curve["y"] == sorted(curve["y"]) and all(
        low < y < high for low, y, high in zip(curve["low"], curve["y"], curve["high"], strict=True)
    )
    assert not any("@" in model["model"] for model in full["models"] if model["in_table"])


def test_missing_grades_are_counted_and_flagged(full):
    grade = full["models"][0]["grades"]["plot"]
    assert grade["missing_share"] == pytest.approx(60 / (440 * 3)) and not grade["reportable"]
    assert any("plot" in line for line in full["warnings"])
    of_table = [
        one for prompt in full["prompts"] if prompt["prompt"] == "story-1" for one in prompt["completions"]
        if "@" not in one["model"]
    ]  # fmt: skip
    judged = [one["judged"][0] for one in of_table]
    assert all((one["repeats"], one["missing"]) == (3, 1) for one in judged)


def test_the_page_is_well_formed_and_has_every_part(page):
    assert {"grades", "curves", "marking", "metrics", "memory", "stories", "judge", "unmeasured"} <= page.ids
    assert all(href.startswith("#") and href[1:] in page.ids for href in page.hrefs)
    for said in (
        "Pairs of models",
        "Age group",
        "Closest training stories",
        "New n-grams",
        "Anchors",
        "Drift",
        "Cost and calls",
        "Where the spread of grades comes from",
        "Known slips in the paper",
        "paper 7.72 / 0.77",
    ):
        assert said in page.said, said


def test_the_page_loads_nothing(full):
    text = html(full)
    assert not re.search(r"https?://|//[a-z]", re.sub(r"&[a-z]+;", "", text))
    page = Page(text)
    assert not {"script", "link", "img", "iframe", "object", "video"} & {tag for tag, _ in page.tags}
    assert not any(name in ("src", "srcset") or name.startswith("on") for _, attrs in page.tags for name in attrs)
    assert "url(" not in text and "@import" not in text


def test_a_story_cannot_be_markup(full, page):
    assert "<script" not in html(full)
    assert page.said.count("".join(INJECTED)) >= 2  # the completion and a marked continuation, as text


def test_every_name_is_escaped():
    """A model, a prompt, a judge may be called anything."""
    bad = "<b onclick=x>&"
    text = json.dumps({name: value for name, value in inputs().items() if name in PARTS}).replace("small-256x8", bad)
    given = json.loads(text)
    given["completions"] = [
        Completion(model=bad, prompts="a", prompt_id=bad, kind=bad, k=0, prompt=bad, text=bad, stop="eos", tokens=1)
    ]
    made = html(make_report(given, compare="paper"))
    Page(made)
    assert "<b onclick" not in made and "&lt;b onclick" in made


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


def test_a_report_of_everything_lacks_only_what_it_cannot_have(full):
    assert {row["what"] for row in full["not_measured"]} == {
        "Agreement with people",
        "Instruction following of small-256x8",
    }


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


@pytest.mark.parametrize("why", [["grammar: tau 0.31, expected 0.8 at least"], []])
def test_failed_anchors_void_the_grades_at_the_top(why):
    report = make_report(inputs() | {"anchors": {"sound": False, "why": why, "taus": {"grammar": 0.31, "plot": None}}})
    assert report["void"] and report["warnings"]
    said = Page(html(report)).said
    assert said.index("These grades are void") < said.index("Models and grades")
    assert all(line in said[: said.index("Models and grades")] for line in why)


@pytest.mark.parametrize(("low", "high", "alarm"), [(0.8, 1.2, True), (-1.2, -0.1, True), (-0.1, 0.3, False)])
def test_drift_is_a_warning_where_its_interval_has_no_zero(low, high, alarm):
    drift = {
        "creativity": {"shift": (low + high) / 2, "se": 0.1, "low": low, "high": high, "prompts": 17, "completions": 50}
    }
    report = make_report(inputs() | {"drift": drift})
    assert not report["void"]
    assert any("drifted in creativity" in line for line in report["warnings"]) == alarm


def test_a_link_outside_of_its_rulers_is_called_a_guess(full):
    guesses = {
        model["model"]: model["grades"]["grammar"]["link_is_guess"] for model in full["models"] if model["in_table"]
    }
    assert list(guesses.values()) == [True, False, False, False]  # means 4.0, 5.3, 6.6, 7.9; rulers 4.5 to 9
    assert Page(html(full)).said.count(", a guess") == 1


def test_statistics_may_come_whole(full):
    given = inputs()
    whole = {part: given.pop(part) for part in ("pairs", "variance", "length")} | {
        "models": given["statistics"],
        "judge": "stub",
    }
    report = make_report(given | {"statistics": whole}, compare="paper")
    assert report == full | {"judge": "stub"}


def test_pairs_of_earlier_checkpoints_stay_in_the_json():
    given = inputs()
    given["pairs"].append(given["pairs"][0] | {"a": "wide-1024x1@300"})
    report = make_report(given)
    assert len(report["pairs"]) == 7
    assert "wide-1024x1@300 −" not in Page(html(report)).said


def test_what_no_model_has_is_said_once():
    given = inputs()
    for one in given["metrics"]:
        one["missing"] = {"prompt_gain": "no reference model was given"}
    lines = make_report(given)["not_measured"]
    assert {"what": "Prompt gain", "why": "Every model: no reference model was given."} in lines


def test_marks_that_come_with_the_metrics_are_shown_with_their_texts():
    given = inputs()
    del given["marking"]
    done = next(one for one in given["completions"] if one.kind == "knowledge")
    total = {"model": done.model, "family": "knowledge", "prompts": 1, "right": 0, "partly": 0, "wrong": 0, "open": 1}
    marks = [{"prompt": done.prompt_id, "completion": done.id, "k": 0, "family": "knowledge", "mark": "open"}]
    first = next(one for one in given["metrics"] if one["model"] == done.model)
    first |= {"marking": [total], "marks": marks}
    report = make_report(given)
    (row,) = report["marking"]
    assert row == total | {"items": [{"prompt": done.prompt, "completion": done.text, "mark": "open"}]}
    assert done.text[:100] in Page(html(report)).said


def test_marks_by_text_and_by_probability_are_apart():
    given = inputs()
    given["marking"] = [{**row, "how": how} for row in given["marking"][:4] for how in ("of texts", "by probability")]
    said = Page(html(make_report(given))).said
    assert "Knowledge, of texts" in said and "Knowledge, by probability" in said


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


def test_per_model_variance_is_shown_with_its_model():
    given = inputs()
    given["variance"] = {name: given["variance"] for name, *_ in MODELS[:2]}
    assert html(make_report(given)).count("Instruction following<small>tiny-64x8</small>") == 1


def test_read_from_a_folder(tmp_path, full):
    write_inputs(tmp_path, inputs())
    again = make_report(read_inputs(tmp_path), compare="paper")
    assert again == full
    write_html(again, tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text("utf-8") == html(full)


def test_a_folder_without_results_and_one_with_a_bad_file(tmp_path):
    with pytest.raises(UserError, match="results of an evaluation"):
        read_inputs(tmp_path)
    (tmp_path / "pairs.json").write_text("[")
    with pytest.raises(UserError, match=r"pairs\.json"):
        read_inputs(tmp_path)


def test_without_jinja2_the_json_can_still_be_made(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(UserError, match=r"tsjax\[report\]"):
        write_html(make_report(inputs()), tmp_path / "report.html")


def test_compare_with_something_unknown():
    with pytest.raises(UserError, match="paper"):
        make_report(inputs(), compare="gpt")


@pytest.mark.parametrize(
    ("value", "said"),
    [(None, "–"), (True, "yes"), (12345, "12,345"), (0.123456, "0.1235"), ({"a": 1, "b": None}, "a 1")],
)
def test_cells(value, said):
    assert plain(value) == said
