"""All metrics without a key, of a handful of completions."""

import json
import subprocess
import sys

import pytest

from eval.marking import RIGHT, WRONG, wilson
from eval.offline import NO_STAND_IN, offline
from eval.records import INSTRUCT, KNOWLEDGE, STORY, Completion, Prompt
from tests.eval.test_likelihood import finished, scorer  # noqa: F401
from tests.expect import refused


def completion(prompt_id, k, prompt, text, kind=STORY, model="m") -> Completion:
    return Completion(model, "set", prompt_id, kind, k, prompt, text, "eos", len(text.split()))


STORIES = [
    completion("a", 0, "One day, Lily and her dog", " ran home. Lily was happy."),
    completion("a", 1, "One day, Lily and her dog", " ran ran home. a dog have a apple ."),
    completion("b", 0, "Then Tom", ' said, "Hi!"'),
]
MARKED = Prompt("k", KNOWLEDGE, "He drank a glass of", (" water",), (" sand",))
ASKED = Prompt(
    "i", INSTRUCT, "Words: oak\nFeatures: Dialogue\nStory:", asks={"words": ["oak"], "features": ["Dialogue"]}
)
OTHERS = [
    completion("k", 0, MARKED.text, " water.", KNOWLEDGE),
    completion("k", 1, MARKED.text, " sand.", KNOWLEDGE),
    completion("i", 0, ASKED.text, ' The oaks said, "Hi!"', INSTRUCT),
]


def test_the_shape_that_reports_take():
    found = offline([*STORIES, *OTHERS], [MARKED, ASKED])
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert {tuple(one) for one in found["metrics"].values()} == {("mean", "se", "n", "sees", "blind")}
    assert all(one["sees"] and one["blind"] and one["n"] for one in found["metrics"].values())
    assert [row["completion"] for row in found["per_completion"]] == [one.id for one in [*STORIES, *OTHERS]]


def test_plot_has_no_stand_in_and_that_is_said():
    found = offline(STORIES)
    assert "no stand-in" in found["missing"]["plot"] and "plot" not in found["metrics"]
    assert found["missing"].keys() >= NO_STAND_IN.keys()
    assert found["missing"]["prompt_gain"] == "no reference model was given"
    assert found["missing"]["required_words"] == "no instructions were asked for"
    assert offline(OTHERS, [ASKED])["missing"]["summary_words"] == "none of these completions has it"
    assert not found["missing"].keys() & found["metrics"].keys()


def test_means_weigh_prompts_equally():
    found = offline(STORIES)
    one, two, three = (row["clean_sentences"] for row in found["per_completion"])
    assert one == three == 1 and two < 1
    metric = found["metrics"]["clean_sentences"]
    assert metric["mean"] == pytest.approx(((one + two) / 2 + three) / 2) and metric["n"] == 3


def test_instructed_texts_change_no_metric_of_stories():
    alone, both = offline(STORIES)["metrics"], offline([*STORIES, *OTHERS], [MARKED, ASKED])["metrics"]
    assert {name: both[name] for name in alone} == alone and both["required_words"]["mean"] == 1
    assert offline(OTHERS[-1:], [ASKED])["metrics"]["clean_sentences"]["n"] == 1  # no stories: of the instructed ones


def test_each_kind_has_its_own_metrics():
    found = offline([*STORIES, *OTHERS], [MARKED, ASKED])
    story, knowledge, instruct = (found["per_completion"][n] for n in (0, 3, 5))
    assert story["names_kept"] == 1 and "required_words" not in story
    assert knowledge.keys() == {"completion"}
    assert instruct["required_words"] == instruct["dialogue"] == 1 and "names_kept" not in instruct
    assert [row["mark"] for row in found["marks"]] == [RIGHT, WRONG]
    low, high = wilson(1, 2)
    assert found["marking"] == [
        {"model": "m", "family": KNOWLEDGE, "prompts": 2, "right": 1, "partly": 0, "wrong": 1, "open": 0,
         "low": low, "high": high}
    ]  # fmt: skip


def test_with_a_reference_model(scorer):  # noqa: F811
    found = offline(STORIES, reference=scorer)
    assert found["metrics"]["reference_bits_per_byte"]["mean"] > 0 and found["metrics"]["prompt_gain"]["n"] == 3
    names = {"prompt_gain", "reference_bits_per_byte"}
    assert found["missing"].keys() & names == set()
    later = offline([*STORIES, completion("b", 1, "Then Tom", " ran.")], before=found["per_completion"])
    assert {name: later["metrics"][name] for name in names} == {name: found["metrics"][name] for name in names}
    assert later["per_completion"][:3] == found["per_completion"] and not names & later["per_completion"][3].keys()
    other = offline([completion("b", 1, "Then Tom", " ran.")], before=found["per_completion"])
    assert other["missing"].keys() >= names


def test_one_model_at_a_time():
    with refused("completions of one model", "m, n"):
        offline([*STORIES, completion("a", 0, "x", "y", model="n")])
    with refused("completions of one model", "none"):
        offline([])


def test_the_rules_need_no_jax():
    code = "import sys, eval.offline, eval.stats; assert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
