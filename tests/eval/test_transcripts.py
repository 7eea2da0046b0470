"""The texts on the page: side by side, in the order of the sets, with the judge's words, and not too many."""

import re
from dataclasses import replace

import pytest

from eval.page import html
from eval.report import make_report
from eval.transcripts import Transcripts
from tests.eval.page_reader import Page
from tests.eval.report_inputs import INJECTED, MODELS, inputs


@pytest.fixture(scope="module")
def full():
    return make_report(inputs())


def cards(texts, report):
    return [[[(one["model"], one["k"]) for one in row] for row in texts.rows(prompt)] for prompt in report["prompts"]]


def test_models_stand_in_the_same_place_of_every_row(full):
    names = [name for name, *_ in MODELS]
    texts = Transcripts(full)
    assert cards(texts, full)[0] == [[(name, k) for name in names] for k in (0, 1)]
    assert 'class="cards of-4"' in html(full)
    assert texts.abreast(range(9)) == ""


def test_one_model_has_its_texts_beside_each_other():
    given = inputs()
    given["completions"] = [one for one in given["completions"] if one.model == "tiny-64x8"]
    for part in ("models", "statistics"):
        given[part] = [one for one in given[part] if one["model"] == "tiny-64x8"]
    report = make_report(given)
    assert cards(Transcripts(report), report)[0] == [[("tiny-64x8", 0), ("tiny-64x8", 1)]]


def test_prompts_come_in_the_order_of_their_sets(full):
    given = inputs()
    order = [prompt["prompt"] for prompt in full["prompts"]]
    assert order == given["asked"]
    given["asked"] = order[::-1][:-1]  # one is not known there, so it comes last
    assert [prompt["prompt"] for prompt in make_report(given)["prompts"]] == [*order[::-1][:-1], order[0]]


def test_the_judges_words_are_folded_in_the_cards_and_are_text(full):
    page = html(full)
    said = Page(page).said
    assert "What the judge wrote" in said and f"tiny-64x8 said {INJECTED} 0 0 0" in said and "0 1 2" in said
    assert "0 2 0" not in re.findall(r"on (\d \d \d)", said)  # #2 is not on the page
    without = inputs()
    without["grades"] = [replace(one, assessment="") for one in without["grades"]]
    assert "What the judge wrote" not in html(make_report(without))


def test_where_the_raw_answers_lie_is_told(full):
    folders = "judge-stub-calibrated-1/raw, judge-stub-calibrated-2/raw"
    assert folders in Page(html(full)).said and ">2025-01-02</td>" in html(full)
    given = inputs()
    del given["judges"]["stub"]["parts"]
    assert "in the folders judge-*/raw of the study" in Page(html(make_report(given))).said


def test_a_large_study_shows_less_and_says_so(full):
    all_of_it = sum(Transcripts(full)._size(prompt) for prompt in full["prompts"])
    assert not Transcripts(full, all_of_it).cut
    found = [Transcripts(full, int(all_of_it * part)) for part in (1, 0.99, 0.8, 0.4)]
    assert [(one.shown, one.assessed) for one in found][:2] == [(2, 2), (2, 1)]
    assert found[2].shown == 1 or found[2].assessed < 2
    least = Transcripts(full, 1)
    assert (least.shown, least.assessed, len(least.prompts), least.left_out) == (1, 0, 1, len(full["prompts"]) - 1)
    assert least.words_of(full["prompts"][0]["completions"][0]) == [] and least.cut


def test_the_page_of_a_large_study_is_not_larger_than_a_browser_likes():
    given = inputs()
    given["completions"] = [
        replace(one, prompt_id=f"{one.prompt_id}-{n}", text=one.text * 4)
        for one in given["completions"] for n in range(20) if "@" not in one.model
    ]  # fmt: skip
    given["asked"], given["grades"] = [], []
    report = make_report(given)
    assert len(report["prompts"]) == 180
    page = html(report)
    assert len(page) < 3e6 and "too large for one page" in page


def test_a_cards_verdicts_are_told():
    report = make_report(inputs())
    judged = report["prompts"][0]["completions"][0]["judged"][0]
    judged |= {"split_ok": [True, True, False], "met": {"word_1": 1.0, "summary": 0.0, "sentence": 0.5}}
    said = Page(html(report)).said
    for words in ("finished, by some repeats", "Word 1 followed", "Summary not followed", "Sentence followed, by 50%"):
        assert words in said


def test_verdicts_of_models_have_a_table(full):
    said = Page(html(full)).said
    assert "Cut sentence finished" in said and "Instructions followed" in said and "80%74% to 86%" in said
    given = inputs()
    for one in given["statistics"]:
        one.pop("met", None)
        one.pop("split_ok", None)
    report = make_report(given)
    assert "Cut sentence finished" not in html(report)
    what = {row["what"] for row in report["not_measured"]}
    assert {"Whether the cut sentence is finished", "Which instructions are followed, by the judge"} <= what
