"""Answers of judges as they come, and what is read from them: the right grades or none."""

import json

import pytest

from eval.rubric import CALIBRATED, INSTRUCT, PAPER, STORY, dimensions
from eval.verdict import Unreadable, age_of, read_grades, read_json

NAMES = dimensions(STORY, CALIBRATED)
VALUES = {"assessment": "Good.", "split_sentence_ok": True, "grammar": 8, "creativity": 7, "consistency": 6, "plot": 5,
          "age_group": "C"}  # fmt: skip
SCORES = {"grammar": 8, "creativity": 7, "consistency": 6, "plot": 5}


def test_what_the_schema_asks_for_is_read():
    verdict = read_json(json.dumps(VALUES), NAMES)
    assert verdict.scores == SCORES and verdict.age == "C" and verdict.split_ok is True and not verdict.fenced


@pytest.mark.parametrize("around", ["```json\n{}\n```", "Here it is:\n```\n{}\n```\nDone.", "\n```JSON\n{}```"])
def test_json_in_one_fence_is_read_and_told(around):
    verdict = read_json(around.replace("{}", json.dumps(VALUES)), NAMES)
    assert verdict.scores == SCORES and verdict.fenced


WHOLE = json.dumps(VALUES)
BAD_JSON = {
    "nothing": "", "prose": "I give it an 8.", "number": "8", "a list": f"[{WHOLE}]", "half": WHOLE[:-9], "two": WHOLE + WHOLE,
    "prose before": f"Sure: {WHOLE}", "two fences": f"```\n{WHOLE}\n```\n```\n{WHOLE}\n```",
    "fence and more": f"```\n{WHOLE}\n```\n{{}}", "empty": "{}", "deep": "[" * 100_000,
    "deep object": '{"a":' * 100_000,
}  # fmt: skip
BAD_VALUES = {
    "11": {"grammar": 11}, "-1": {"grammar": -1}, "7.0": {"grammar": 7.0}, "text": {"grammar": "8"}, "true": {"grammar": True},
    "null": {"plot": None}, "nan": {"plot": float("nan")}, "age": {"age_group": "G"}, "lower": {"age_group": "c"},
    "ages": {"age_group": ["A"]}, "more": {"overall": 10}, "said": {"assessment": 5}, "split": {"split_sentence_ok": "yes"},
}  # fmt: skip


@pytest.mark.parametrize("text", BAD_JSON.values(), ids=BAD_JSON)
def test_what_is_no_such_json_gives_no_grades(text):
    with pytest.raises(Unreadable):
        read_json(text, NAMES)


@pytest.mark.parametrize("values", BAD_VALUES.values(), ids=BAD_VALUES)
def test_wrong_values_give_no_grades(values):
    with pytest.raises(Unreadable):
        read_json(json.dumps(VALUES | values), NAMES)


def test_missing_and_doubled_keys_give_no_grades():
    for key in VALUES:
        with pytest.raises(Unreadable, match=key):
            read_json(json.dumps({k: v for k, v in VALUES.items() if k != key}), NAMES)
    with pytest.raises(Unreadable, match="twice"):
        read_json(WHOLE[:-1] + ', "grammar": 10}', NAMES)


def test_constraints_are_each_met_or_not_once():
    one = [{"id": "word_1", "met": True}, {"id": "summary", "met": False}]
    asked = ["word_1", "summary"]
    assert read_json(json.dumps(VALUES | {"constraints": one}), NAMES, asked).met == {"word_1": True, "summary": False}
    for bad in (one[:1], [*one, one[0]], [one[0], {"id": "word_9", "met": True}], [{"id": "word_1"}], "all", None, [[], []],
                [one[0], {"id": "summary", "met": 1}], [one[0], {"id": [], "met": True}]):  # fmt: skip
        with pytest.raises(Unreadable):
            read_json(json.dumps(VALUES | {"constraints": bad}), NAMES, asked)


GOOD_TEXTS = [
    "Grammar: 8/10\nCreativity: 7/10\nConsistency: 6/10\nPlot: 5/10\nAge group: C",
    "Grammar: 8/10, Creativity: 7/10, Consistency: 6/10, Plot: 5/10, Age group: C (6-7)",
    "**Grammar:** 8/10\n**Creativity:** 7/10\n**Consistency:** 6/10\n**Plot:** 5/10\n**Age group:** C",
    "- Grammar - 8\n- Creativity - 7\n- Consistency - 6\n- Plot - 5\n- Age group - C",
    "| Grammar | 8 |\n| Creativity | 7 |\n| Consistency | 6 |\n| Plot | 5 |\n| Age group | C |",
    '{"grammar": 8, "creativity": 7, "consistency": 6, "plot": 5, "age_group": "C"}',
    "grammar = 8 out of 10; creativity = 7 out of 10; consistency = 6 out of 10; plot = 5 out of 10; age: C",
    "Grammar (8/10). Creativity (7/10). Consistency (6/10). Plot (5/10). Age group (C).",
    "GRAMMAR: 8\nCREATIVITY: 7\nCONSISTENCY: 6\nPLOT: 5\nAGE GROUP: C",
    "Grammar: eight out of ten\nCreativity: seven\nConsistency: six\nPlot: five\nAge group: C",
    "Grammar: 8/10 - a good one.\nCreativity: 7/10 (stock phrases).\nConsistency: 6/10.\nPlot: 5/10.\nAge group: C",
    "Grammar score: 8\nCreativity score: 7\nConsistency with the beginning: 6\nPlot makes sense: 5\nAge group: C",
    "For grammar I'd give 8/10; creativity gets a 7/10; consistency is 6; plot is 5. Age group: C",
    "Grammar: 8.0/10\nCreativity: 7/10\nConsistency: 6/10\nPlot: 5/10\nI'd say age group C: 6-7.",
    "The grammar is good.\n\nGrammar: 8/10\nCreativity: 7/10\nConsistency: 6/10\nPlot: 5/10\nAge group: C",
    "Grammar: 8/10\nCreativity: 7/10\nConsistency: 6/10\nPlot: 5/10\nAge group: 6-7\nGrammar: 8/10 again.",
    "1. Grammar: 8/10\n2. Creativity: 7/10\n3. Consistency: 6/10\n4. Plot: 5/10\n5. Age group: C",
]  # fmt: skip
TRAPS = {
    "two grades": "Grammar: 8/10\nCreativity: 7\nConsistency: 6\nPlot: 5\nIn the end Grammar: 6/10",
    "a range": "Grammar: 7-8\nCreativity: 7\nConsistency: 6\nPlot: 5",
    "an alternative": "Grammar: 7 or 8\nCreativity: 7\nConsistency: 6\nPlot: 5",
    "in words": "Grammar: seven or eight\nCreativity: 7\nConsistency: 6\nPlot: 5",
    "corrected": "Grammar: 8/10, no, 6/10\nCreativity: 7\nConsistency: 6\nPlot: 5",
    "one missing": "Grammar: 8\nCreativity: 7\nConsistency: 6",
    "out of 5": "Grammar: 4/5\nCreativity: 7\nConsistency: 6\nPlot: 5",
    "out of 100": "Grammar: 8/100\nCreativity: 7\nConsistency: 6\nPlot: 5",
    "a percentage": "Grammar: 10%\nCreativity: 7\nConsistency: 6\nPlot: 5",
    "above the scale": "Grammar: 11/10\nCreativity: 7\nConsistency: 6\nPlot: 5",
    "below it": "Grammar: -3\nCreativity: 7\nConsistency: 6\nPlot: 5",
    "80": "Grammar: 80\nCreativity: 7\nConsistency: 6\nPlot: 5",
    "before the names": "8/10 for grammar - 7/10 for creativity - 6/10 for consistency - 5/10 for plot",
    "before, with commas": "8/10 for grammar, 7/10 for creativity, 6/10 for consistency and 5/10 for plot",
    "two names, one number": "Grammar and creativity: 8\nConsistency: 6\nPlot: 5",
    "errors counted": "Grammar: there are 3 errors\nCreativity: 7\nConsistency: 6\nPlot: 5",
    "a third": "Grammar: 7.3\nCreativity: 7\nConsistency: 6\nPlot: 5",
    "overall alone": "Overall: 9/10. Good grammar, some creativity, consistency and plot.",
    "no number": "Grammar: N/10\nCreativity: N/10\nConsistency: N/10\nPlot: N/10",
    "nothing": "",
}


@pytest.mark.parametrize("text", GOOD_TEXTS)
def test_grades_in_free_text_are_read_however_they_are_laid_out(text):
    verdict = read_grades(text, NAMES)
    assert verdict.scores == SCORES and verdict.age == "C"


@pytest.mark.parametrize("text", TRAPS.values(), ids=TRAPS)
def test_what_can_be_read_in_two_ways_is_not_read(text):
    with pytest.raises(Unreadable):
        read_grades(text, NAMES)


def test_half_grades_and_the_ends_of_the_scale_are_taken():
    verdict = read_grades("Grammar: 7.5/10\nCreativity: 0/10\nConsistency: 10/10\nPlot: 10", NAMES)
    assert verdict.scores == {"grammar": 7.5, "creativity": 0, "consistency": 10, "plot": 10} and verdict.age == ""


def test_instructions_are_a_dimension_of_the_paper_too():
    names = dimensions(INSTRUCT, PAPER)
    verdict = read_grades("Grammar: 8\nCreativity: 7\nInstructions: 9\nPlot: 5", names)
    assert verdict.scores["instruction_following"] == 9 and "consistency" not in verdict.scores


@pytest.mark.parametrize(
    ("text", "age"),
    [("Age group: B", "B"), ("Age: 13-16", "F"), ("age group: A or B: unsure. Age group: B", ""), ("Age group: unclear", ""),
     ("Age group: A (3 or under)", "A"), ("Age group: 10 to 12", "E"), ("An A for effort", ""),
     ("Age group: A or B", ""), ("Age group: B-C", ""), ("I guess the age group is D.", "D")],
)  # fmt: skip
def test_the_age_is_one_letter_or_none(text, age):
    assert age_of(text) == age
