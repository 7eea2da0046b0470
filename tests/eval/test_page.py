"""report.html: every part there, well-formed and offline, and stories that try to be markup."""

import json
import re
from dataclasses import replace

import pytest

from eval import published
from eval.model_rows import DIMENSIONS
from eval.page import html
from eval.records import Completion
from eval.report import PARTS, make_report
from tests.eval.page_reader import Page
from tests.eval.report_inputs import INJECTED, MODELS, STEPS, inputs


@pytest.fixture(scope="module")
def full():
    return make_report(inputs(), compare="paper")


@pytest.fixture(scope="module")
def page(full):
    return Page(html(full))


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


@pytest.mark.parametrize("why", [["grammar: tau 0.31, expected 0.8 at least"], []])
def test_failed_anchors_void_the_grades_at_the_top(why):
    report = make_report(inputs() | {"anchors": {"sound": False, "why": why, "taus": {"grammar": 0.31, "plot": None}}})
    assert report["void"] and report["warnings"]
    said = Page(html(report)).said
    assert said.index("These grades are void") < said.index("Models and grades")
    assert all(line in said[: said.index("Models and grades")] for line in why)


def test_a_link_outside_of_its_rulers_is_called_a_guess(full):
    guesses = {
        model["model"]: model["grades"]["grammar"]["link_is_guess"] for model in full["models"] if model["in_table"]
    }
    assert list(guesses.values()) == [True, False, False, False]  # means 4.0, 5.3, 6.6, 7.9; rulers 4.5 to 9
    assert Page(html(full)).said.count("the link is a guess here") == 1


def test_pairs_of_earlier_checkpoints_stay_in_the_json():
    given = inputs()
    given["pairs"].append(given["pairs"][0] | {"a": "wide-1024x1@300"})
    report = make_report(given)
    assert len(report["pairs"]) == 7
    assert "wide-1024x1@300 −" not in Page(html(report)).said


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


def test_per_model_variance_is_shown_with_its_model():
    given = inputs()
    given["variance"] = {name: given["variance"] for name, *_ in MODELS[:2]}
    assert html(make_report(given)).count("Instruction following<small>tiny-64x8</small>") == 1


def test_grades_on_instructions_stand_in_a_table_of_their_own(full):
    model = next(one for one in full["models"] if one["model"] == "small-256x8")
    assert model["instructed"]["grammar"]["mean"] == 4.5 and model["grades"]["grammar"]["mean"] == 5.3
    assert full["instructed"]["dimensions"] == list(DIMENSIONS)
    said = Page(html(full)).said
    assert "On instructions" in said and "of the instruct prompts alone" in said
    given = inputs()
    del given["instructed"]
    given["completions"] = [one for one in given["completions"] if one.kind != "instruct"]
    without = Page(html(make_report(given))).said
    assert "On instructions" not in without and "of the instruct prompts alone" not in without
    given["completions"] = [one for one in inputs()["completions"] if one.kind == "instruct"]
    assert "All grades are of instruct prompts" in Page(html(make_report(given))).said


def test_each_judge_is_shown_with_its_verdict(full):
    page = html(full)
    said = Page(page).said
    assert "stub: its anchors are sound." in said
    assert "stub-2: void: its anchors are not sound: grammar: tau 0.31, expected 0.8 at least." in said
    assert '<span class="unsure">4.50</span>' in page and "<span>4.00</span>" in page


def test_two_judges_of_one_vendor_are_said_once(full):
    (line,) = full["same_vendor"]
    assert line.startswith("stub and stub-2 are of one vendor") and line in Page(html(full)).said
    given = inputs()
    given["agreement"][0]["same_vendor"] = False
    assert make_report(given)["same_vendor"] == []
    given["judges"]["stub-2"]["same_vendor"] = ["stub"]
    assert make_report(given)["same_vendor"] == [line]


def test_the_papers_curve_ends_are_marked_only_beside_the_paper(full):
    deep, wide = full["curves"][MODELS[3][0]], full["curves"][MODELS[2][0]]
    assert (deep["loss"]["paper_end"], deep["grammar"]["paper_end"]) == (1.20, 8.2)  # Fig 3, 768x4
    assert deep["plot"]["paper_end"] is None and wide["loss"]["paper_end"] is None
    page = html(full)
    assert page.count('class="other end') == 4 and "read off a plot" in page  # loss and three grades
    alone = html(make_report(inputs()))
    assert 'class="other end' not in alone and "read off a plot" not in alone


def test_only_newest_checkpoints_are_outside_of_the_curves():
    given = inputs()
    early = "wide-1024x1@300"
    row = next(one for one in given["metrics"] if one["model"] == "wide-1024x1")
    given["metrics"].append(row | {"model": early})
    given["marking"].append(given["marking"][0] | {"model": early})
    for found in given["figures"].values():
        if isinstance(found, dict) and "wide-1024x1" in found:
            found[early] = found["wide-1024x1"]
    given["variance"] = {name: given["variance"] for name in ("wide-1024x1", early)}
    given["completions"] = [one for one in given["completions"] if "@" not in one.model]
    page = html(make_report(given))
    assert page.count(early) == 0 and "Learning curves" in page


def test_of_many_checkpoints_a_few_first_texts_are_on_the_page_and_folded():
    given = inputs()
    name = MODELS[2][0]
    done = next(one for one in given["completions"] if one.model == name)
    steps = range(100, 2100, 100)
    given["models"] += [{"model": f"{name}@{step}", "run": name, "step": step} for step in steps if step not in STEPS]
    given["completions"] = [done] + [
        replace(done, model=f"{name}@{step}", step=step, k=k, text=f"story {step} {k}.")
        for step in steps
        for k in range(10)
    ]
    report = make_report(given)
    texts = [one["text"] for prompt in report["prompts"] for one in prompt["completions"]]
    assert len(texts) == 1 + len(steps) and report["completions"] == 1 + 10 * len(steps)
    page = html(report)
    assert re.findall(r"story (\d+) (\d)\.", page) == [(str(n), "0") for n in (100, 400, 800, 1200, 1600, 2000)]
    assert page.index("Earlier checkpoints: 6 texts") < page.index("story 100 0.") and "at most 6 checkpoints" in page


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        ({"stories": "ab12"}, "“stories”, not the paper's 44"),
        ({"released": "ab12"}, "“released”, not the paper's 44"),
        ({"mine": published.beginnings()}, "of a set that the study does not name"),
        (None, "Nothing tells which beginnings"),
    ],
)
def test_other_beginnings_than_the_papers_are_said_at_its_numbers(sets, said):
    report = make_report(inputs() | {"sets": sets}, compare="paper")
    assert said in report["other_prompts"] if said else report["other_prompts"] is None
    shown = html(report)
    assert ("<strong>Prompts.</strong>" in shown) == (said is not None)
    alone = inputs()
    del alone["link"]
    assert "<strong>Prompts.</strong>" not in html(make_report(alone))  # nothing of the paper's is there


def test_the_link_shows_its_rulers_errors_and_what_it_could_not_tie(full):
    said = Page(html(full)).said
    assert "linked 6.50 ± 0.34 / " in said
    page = html(full)
    ruler = page[page.index("<small>the paper's 256x8</small>") :]
    assert ruler[: ruler.index("</tr>")].count("5.30<small>paper 7.72</small>") == 1  # grammar alone has a link
    assert "No link: The rulers come out in another order" in said
    given = inputs()
    given["link"] = {"models": {}, "dimensions": {}, "rulers": {}, "why": {"grammar": "only 2 rulers were judged"}}
    report = make_report(given)
    assert {"what": "Grades on the paper's scale", "why": "only 2 rulers were judged"} in report["not_measured"]
    assert "No link: only 2 rulers were judged" in Page(html(report)).said


def test_power_says_whether_its_variances_are_assumed(full):
    assert "Assumed variances, not measured here." in Page(html(full)).said
    given = inputs()
    given["power"] |= {"assumed": False, "why": "from 132 grades of gpt-x"}
    said = Page(html(make_report(given))).said
    assert "Variances of a pilot: grades that are there. Where they come from: from 132 grades of gpt-x." in said


def test_a_judge_asked_again_is_shown_with_what_came_of_it(full):
    assert "Frozen texts were graded again: no drift found." in Page(html(full)).said
    given = inputs()
    given["judges"]["stub"]["again"]["drift"]["grammar"] |= {"low": 0.01}
    assert "it has drifted in grammar" in Page(html(make_report(given))).said
    given["judges"]["stub"]["again"] = {"drift": None, "sound": False, "why": ["the rubric is another one"]}
    del given["drift"]
    report = make_report(given)
    said = Page(html(report)).said
    assert "no drift could be told (the rubric is another one); its anchors were not sound that time." in said
    assert {"what": "Drift of the judge", "why": "the rubric is another one"} in report["not_measured"]


def test_losses_over_other_texts_or_tokenizers_are_said_at_the_table(full):
    assert full["losses_differ"] == [] and "Loss, same texts" in html(full)
    given = inputs()
    given["models"][0] |= {"corpus": "other", "tokenizer": "t1"}
    given["models"][1] |= {"corpus_loss": None, "corpus_bits_per_byte": None, "corpus_why": "no byte <for> it"}
    report = make_report(given)
    assert len(report["losses_differ"]) == 2
    page = html(report)
    assert "Losses are not of one kind." in page and "no byte &lt;for&gt; it" in page
    assert {"what": "Loss on the corpus of the others, of small-256x8", "why": "no byte <for> it"} in report[
        "not_measured"
    ]
    for one in given["models"]:
        for name in ("corpus_loss", "corpus_bits_per_byte", "corpus_why", "corpus_name"):
            one.pop(name, None)
    report = make_report(given)
    assert "Loss, same texts" not in html(report)
    assert "Loss of every model on the same texts" in {row["what"] for row in report["not_measured"]}


def test_cost_by_judge(full):
    assert 'stub-2</th><td class="n">0.52' in html(full)


def test_slopes_are_shown_as_they_were_given(full):
    assert ">0.12<small>flagged</small>" in html(full)  # points per 100 words: no factor is added
