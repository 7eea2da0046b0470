"""report.json: what is put beside what, what is warned of, and what is read from a folder."""

import sys
from dataclasses import replace

import pytest

from eval import published
from eval.cells import plain
from eval.model_rows import DIMENSIONS
from eval.page import html, write_html
from eval.report import PARTS, make_report, read_inputs
from tests.eval.page_reader import strict
from tests.eval.report_inputs import MODELS, inputs, write_inputs
from tsjax.errors import UserError


@pytest.fixture(scope="module")
def full():
    return make_report(inputs(), compare="paper")


def test_everything_is_in_the_json(full):
    again = strict(full)
    assert again == full  # nothing JSON would change, such as keys that are numbers
    assert all(again[part] for part in PARTS if part != "statistics")
    assert again["dimensions"] == list(DIMENSIONS)
    assert [model["model"] for model in again["models"] if model["in_table"]] == [name for name, *_ in MODELS]
    kept = [one for one in inputs()["completions"] if "@" not in one.model or one.k == 0]
    assert {one["completion"] for prompt in again["prompts"] for one in prompt["completions"]} == {
        one.id for one in kept
    }
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


@pytest.mark.parametrize(("low", "high", "alarm"), [(0.8, 1.2, True), (-1.2, -0.1, True), (-0.1, 0.3, False)])
def test_drift_is_a_warning_where_its_interval_has_no_zero(low, high, alarm):
    drift = {
        "creativity": {"shift": (low + high) / 2, "se": 0.1, "low": low, "high": high, "prompts": 17, "completions": 50}
    }
    report = make_report(inputs() | {"drift": drift})
    assert not report["void"]
    assert any("drifted in creativity" in line for line in report["warnings"]) == alarm


def test_statistics_may_come_whole(full):
    given = inputs()
    whole = {part: given.pop(part) for part in ("pairs", "variance", "length")} | {
        "models": given["statistics"],
        "judge": "stub",
    }
    report = make_report(given | {"statistics": whole}, compare="paper")
    assert report == full | {"judge": "stub"}


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


def test_the_released_beginnings_are_known_by_their_texts_too():
    given = inputs()
    given["completions"] = [replace(one, prompts=published.beginnings()) for one in given["completions"] if one.kind == "story"]
    assert make_report(given | {"sets": {"mine": published.beginnings()}})["other_prompts"] is None
    assert "44 beginnings" in make_report(given | {"completions": [replace(given["completions"][0], kind="instruct")]})[
        "other_prompts"
    ]  # fmt: skip


def test_a_checkpoint_of_another_corpus_is_no_reason_to_warn():
    given = inputs()
    next(one for one in given["models"] if "@" in one["model"])["corpus"] = "other"
    assert make_report(given)["losses_differ"] == []


def test_many_models_with_missing_grades_make_few_sentences():
    given = inputs()
    for one in given["statistics"]:
        one["dimensions"]["grammar"] |= {"missing": 132, "bounds": [1, 2]}
    given["statistics"][0]["dimensions"]["plot"] |= {"missing": 0}
    lines = make_report(given)["warnings"]
    assert len(lines) == 2
    assert lines[0].startswith(", ".join(name for name, *_ in MODELS)) and "10.0% of grammar" in lines[0]
    assert "and 4 more: grades of these earlier checkpoints are missing" in lines[1]
