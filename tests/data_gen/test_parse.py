"""Answers are read as their step says, and nothing else passes for it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_gen.parse import WAYS, Candidate, parse
from tsjax.corpus.chat import Turn

CHAT = {"messages": [{"role": "user", "content": "Hi!"}, {"role": "assistant", "content": "Hello."}]}


def test_plain_is_all_of_it():
    assert parse("\n A dog ran. \n", "plain").candidates == (Candidate("A dog ran."),)


@pytest.mark.parametrize("fence", ["```\n{}\n```", "```text\r\n{}\r\n```", "\n```json\n{}\n  ```\n"])
def test_a_lone_fence_is_taken_away_and_counted(fence):
    found = parse(fence.format("A dog ran."), "plain")
    assert found.candidates == (Candidate("A dog ran."),) and found.edits == {"fence": 1} and not found.reason


def test_a_fence_inside_stays():
    text = "Look:\n```\nA dog ran.\n```"
    assert parse(text, "plain").candidates == (Candidate(text),)
    two = "```\nA dog.\n```\n\n```\nA cat.\n```"
    assert parse(two, "plain").candidates == (Candidate(two),)


def test_json_chat():
    turns = (Turn("user", "Hi!"), Turn("assistant", "Hello."))
    assert parse(json.dumps(CHAT), "json").candidates == (Candidate("", turns),)
    fenced = parse(f"```json\n{json.dumps(CHAT, indent=1)}\n```", "json")
    assert fenced.candidates == (Candidate("", turns),) and fenced.edits == {"fence": 1}


def test_json_text():
    assert parse('{"text": "A dog ran."}', "json").candidates == (Candidate("A dog ran."),)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A dog ran.",
        f"Here it is:\n```json\n{json.dumps(CHAT)}\n```",
        json.dumps(CHAT) + " I hope this helps!",
        json.dumps(CHAT)[:-1],
        "[1, 2]",
        "null",
        '{"text": "a", "text": "b"}',
        '{"text": NaN}',
        '{"text": "a", "n": 1e999}',
        "[" * 100_000,
        '{"text": ' + "9" * 5_000 + "}",
    ],
)
def test_not_json(text):
    assert parse(text, "json").reason == "not_json" and not parse(text, "json").candidates


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"wrong": ["schema", 1]},
        {"text": 1},
        {"messages": []},
        {"messages": "Hi!"},
        {"messages": ["Hi!"]},
        {"messages": [{"role": "customer", "content": "Hi!"}]},
        {"messages": [{"role": "user"}]},
        {"messages": [{"role": ["user"], "content": "Hi!"}]},
        {"messages": [{"role": "user", "content": None}]},
        {"messages": [*CHAT["messages"], {"role": "user", "content": 3}]},
    ],
)
def test_wrong_shape(found):
    assert parse(json.dumps(found), "json").reason == "wrong_shape"


@pytest.mark.parametrize("mark", ["---", "=====", "  ***  ", "####"])
def test_packed_answers_are_divided_on_a_mark(mark):
    found = parse(f"{mark}\nA dog ran.\n{mark}\nA cat - so big - sat.\r\n{mark}\r\n\nThe end.\n{mark}\n", "marker", 3)
    assert [one.text for one in found.candidates] == ["A dog ran.", "A cat - so big - sat.", "The end."]
    assert not found.reason


@pytest.mark.parametrize("items", [1, 3])
def test_wrong_number(items):
    found = parse("A dog ran.\n---\nA cat sat.", "marker", items)
    assert found.reason == "wrong_number" and len(found.candidates) == 2


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["messages", "role", "content", "text"]), inner),
)


@given(st.text() | VALUES.map(json.dumps), st.sampled_from(WAYS))
def test_never_raises(text, way):
    found = parse(text, way, 2)
    assert found.reason in ("", "not_json", "wrong_shape", "wrong_number")
    assert found.reason or found.candidates
