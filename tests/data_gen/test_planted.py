"""The stub's spoiled answers: exactly they are rejected, each for its reason, and tests can tell from the body alone."""

import json
from collections import Counter

import numpy as np
import pytest

from data_gen.answer import EMPTY, STOP, Answer
from data_gen.examine import Examiner
from data_gen.recipe import bundled, load
from data_gen.render import render
from tests.data_gen import planted as module
from tests.data_gen.planted import COPIES, Planted
from tsjax.corpus.duplicates import near, normal_hash, signatures

COUNT = 250


def bodies(planted, count, answers=None):
    """(index, step, body) of the requests that a run would send."""
    recipe, examiner = planted.recipe, Examiner(planted.recipe)
    for index in range(count):
        factors, earlier = planted.sampler.draw(index), {}
        for number, step in enumerate(recipe.steps):
            request = render(recipe, number, factors, earlier, index=index, sample=0, model="m", overrides={})
            body = {"model": "m", "messages": [dict(message) for message in request.messages]}
            text = planted(body)
            finding = examiner.examine(number, factors, Answer(text, STOP if text.strip() else EMPTY), earlier)
            yield index, number, body, finding
            if finding.reason:
                break
            earlier[step.name] = finding.text


@pytest.mark.parametrize("name", bundled())
def test_what_is_planted_is_rejected_and_nothing_else(name):
    planted, found, texts = Planted(load(name), share=0.3), Counter(), {}
    for index, step, body, finding in bodies(planted, COUNT):
        expected = planted.expected(body)
        found[expected] += 1
        if step == 0:
            texts[index] = (expected, finding)
        if expected not in COPIES.values():
            assert finding.reason == expected, (index, planted.defect(index), finding.reasons)
        else:
            original, accepted = texts[index - 1]
            assert original == "" and accepted.reason == "" and finding.reason == ""
            same = normal_hash(accepted.text) == normal_hash(finding.text)
            assert same == (expected == "exact_duplicate")
            columns = signatures([accepted.text, finding.text])
            assert near(columns.__getitem__, np.arange(2), 0.7)[1] == 0
    assert 0.55 * found.total() < found[""] < 0.9 * found.total()
    assert len(found) >= 10


def test_the_same_answers_in_any_order_and_from_either_api():
    one, other = Planted(load("tinychat")), Planted(load("tinychat"))
    asked = [body for *_, body, _ in bodies(one, 30)]
    assert [one(body) for body in asked] == [other(body) for body in reversed(asked)][::-1]
    assert one(asked[7]) == other({"model": "another", "input": asked[7]["messages"], "max_output_tokens": 9})
    assert module.tinychat(asked[3]) == one(asked[3])
    with pytest.raises(AttributeError):
        module.no_such_recipe  # noqa: B018


def test_what_no_recipe_asks_is_an_error(monkeypatch):
    monkeypatch.setattr(module, "MOST", 1000)
    with pytest.raises(LookupError, match="no request of tinystories"):
        Planted(load("tinystories"))({"messages": [{"role": "user", "content": "Hello"}]})


def test_mended_defects_leave_no_trace():
    planted, mended = Planted(load("tinystories"), share=0.5), Counter()
    for index, *_, finding in bodies(planted, 200):
        if (kind := planted.defect(index)) in ("mojibake", "emphasis", "fence"):
            mended[kind] += 1
            assert finding.reason == "" and finding.edits
            assert not set("*`\u00e2\u20ac") & set(finding.text), finding.text
            assert json.dumps(finding.text)
    assert len(mended) == 3
