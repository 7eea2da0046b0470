"""Requests follow from the recipe and what was drawn: the same id on any machine, nothing of the template left in them."""

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_gen.factors import Sampler
from data_gen.recipe import Step, load
from data_gen.render import render
from data_gen.template import fields, fill
from tests.data_gen.recipes import factor, recipe


def asked(made, step=0, factors=None, earlier=None, *, index=0, sample=0, model="m", overrides=None):
    return render(
        made, step, factors or {}, earlier or {}, index=index, sample=sample, model=model, overrides=overrides or {}
    )


@pytest.mark.parametrize(
    ("template", "values", "text"),
    [
        ("Use {a} and {b}.", {"a": "x", "b": "y"}, "Use x and y."),
        ("one\n{a} and {b}\ntwo", {"a": "x"}, "one\ntwo"),
        ("one\n{a}\ntwo", {"a": ""}, "one\ntwo"),
        ("one\n\n{a}\n\ntwo", {}, "one\n\ntwo"),
        ("\n\n one {a}\n\n \n\n\ntwo \n", {"a": "x"}, "one x\n\ntwo"),
        ('{{"a": [{{"b": {a}}}]}}', {"a": "{x}"}, '{"a": [{"b": {x}}]}'),
        ("{a}{a}", {"a": "{a}"}, "{a}{a}"),
        ("", {}, ""),
    ],
)
def test_templates(template, values, text):
    assert fill(template, values) == text


@pytest.mark.parametrize(
    "bad", ["{a.b}", "{a[0]}", "{a!r}", "{a:x}", "{}", "{0}", "{A}", "{a b}", "{", "}", "{a", "a}}}"]
)
def test_nothing_but_plain_fields(bad):
    with pytest.raises(ValueError):
        fields(f"text {bad} text")


@given(st.text(), st.text(min_size=1))
def test_what_is_filled_in_is_never_read_as_a_template(value, around):
    around = around.replace("{", "{{").replace("}", "}}")
    assert fields(around) == frozenset()
    plain = " ".join(value.split())
    assert fill("-{a}-", {"a": plain}) == (f"-{plain}-" if plain else "")


MADE = recipe(
    factor("a", 3), factor("b", 4, number=(0, 3)), factor("c", present=0.5),
    steps=(
        Step("story", "Tell of {a}.\nUse {b}.\nOnly {c}.", "Be brief, {a}.", {"max_output_tokens": 9, "temperature": 1.0}),
        Step("summary", "Sum up:\n\n{story}", params={"max_output_tokens": 5}),
    ),
)  # fmt: skip


def test_a_request_is_what_was_drawn():
    factors = {"a": "a1", "b": ["b2", "b0"]}
    request = asked(MADE, 0, factors, index=7, sample=2, model="some-model")
    assert request.messages == (
        {"role": "system", "content": "Be brief, the a1."},
        {"role": "user", "content": "Tell of the a1.\nUse the b2; the b0."},
    )
    assert (request.recipe, request.index, request.step, request.sample) == ("a" * 16, 7, 0, 2)
    assert request.model == "some-model" and request.factors == factors
    assert request.params == {"max_output_tokens": 9, "temperature": 1.0}
    empty = asked(MADE, 0, {"a": "a1", "b": [], "c": "c0"})
    assert empty.messages[1]["content"] == "Tell of the a1.\nOnly the c0."


def test_a_later_step_holds_the_text_of_an_earlier_one():
    request = asked(MADE, 1, {"a": "a0", "b": []}, {"story": "One {a}.\n\nTwo."})
    assert request.messages == ({"role": "user", "content": "Sum up:\n\nOne {a}.\n\nTwo."},)
    for earlier in {}, {"story": ""}:
        with pytest.raises(ValueError, match="step summary needs the text of step story"):
            asked(MADE, 1, {"a": "a0", "b": []}, earlier)


def test_overrides_take_the_place_of_the_recipes_parameters():
    factors = {"a": "a0", "b": []}
    plain = asked(MADE, 0, factors)
    assert asked(MADE, 0, factors, overrides={"temperature": 1}).id == plain.id
    changed = asked(MADE, 0, factors, overrides={"temperature": None, "effort": "low", "max_output_tokens": 20})
    assert changed.params == {"max_output_tokens": 20, "effort": "low"} and changed.id != plain.id
    assert MADE.steps[0].params == {"max_output_tokens": 9, "temperature": 1.0}


def test_an_id_stays_what_it_is():
    """Answers on disk are known by the ids of their requests. If this fails, runs that were begun would pay again."""
    factors = Sampler(MADE, 42).draw(0)
    assert asked(MADE, 0, factors).id == "742a0e89cd21968b6f265783b5607258"


def test_every_part_of_a_request_is_in_its_id():
    factors = {"a": "a0", "b": []}
    ids = [
        asked(MADE, 0, factors).id,
        asked(MADE, 0, factors, index=1).id,
        asked(MADE, 0, factors, sample=1).id,
        asked(MADE, 0, factors, model="n").id,
        asked(MADE, 0, {"a": "a1", "b": []}).id,
        asked(MADE, 1, factors, {"story": "x"}).id,
        asked(recipe(*MADE.factors, steps=MADE.steps, request_hash="c" * 64), 0, factors).id,
        asked(MADE, 0, factors, overrides={"top_p": 0.9}).id,
    ]
    assert len(set(ids)) == len(ids)


def test_another_process_asks_the_same():
    program = (
        "from data_gen.recipe import load; from data_gen.factors import Sampler; from data_gen.render import render\n"
        "r = load('simple_stories')\n"
        "for i in (19, 3, 10**9): print(render(r, 0, Sampler(r, 7).draw(i), {}, index=i, sample=0, model='m', overrides={}).id)"
    )
    made = load("simple_stories")
    here = [asked(made, 0, Sampler(made, 7).draw(i), index=i).id for i in (19, 3, 10**9)]
    environment = {**os.environ, "PYTHONHASHSEED": "123"}
    there = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    assert there.stdout.split() == here
