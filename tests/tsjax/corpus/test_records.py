"""What a record says arrives: its text, its story, its fields; and what it lacks is named with its place."""

import json

import pytest

from tests.expect import refused
from tsjax.corpus import SEPARATOR, Document
from tsjax.corpus.readers import Reading, documents
from tsjax.corpus.records import FAULTS, check_where, documents_of

CHAT = [{"role": "user", "content": "hi\nyou"}, {"role": "assistant", "content": "hello"}]
ALL_DATA = {
    "story": "\n\nOnce.",
    "instruction": {"prompt:": "write", "words": ["a", "b"], "features": ["Dialogue"]},
    "summary": "s",
    "source": "GPT-4",
}


def one(record: object, text_key: str = "", where=()) -> Document:
    (found,) = documents_of(record, text_key, where, "line 7 of a")
    return found


def test_a_record_of_all_data():
    wanted = {"summary": "s", "source": "GPT-4", "prompt": "write", "words": ["a", "b"], "features": ["Dialogue"]}
    assert one(ALL_DATA) == Document("Once.", "Once.", wanted)
    without_colon = ALL_DATA | {"instruction": {"prompt": "write", "words": ["a", "b"], "features": ["Dialogue"]}}
    assert one(without_colon) == one(ALL_DATA)


def test_the_text_is_under_the_first_key_there_is():
    record = {"messages": CHAT, "content": "c", "story": "s", "text": "t", "other": "o"}
    for key, text in ("text", "t"), ("story", "s"), ("content", "c"), ("messages", "[INST] hi you [/INST] hello"):
        assert one(record).text == text
        assert one(record, "other").text == "o"
        del record[key]
    assert one(record, "other").fields == {}


def test_the_story_in_a_text_is_known():
    found = one({"id": "x", "text": "Words: a\nStory: \n\nOnce. ", "story": " Once.", "n": 3, "x": {"deep": 1}})
    assert found == Document("Words: a\nStory: \n\nOnce.", "Once.", {"id": "x", "n": 3})
    assert one({"text": "Once.", "story": "Twice."}) == Document("Once.", "Once.", {"story": "Twice."})


@pytest.mark.parametrize(
    "record, fault",
    [
        ({"text": ""}, "empty"),
        ({"text": " \n"}, "empty"),
        ({"text": None}, "empty"),
        ({"text": SEPARATOR}, "empty"),
        ({"messages": []}, "malformed"),
        ({"messages": CHAT[:1]}, "malformed"),
        ({"messages": [*CHAT, {"role": "user", "content": None}]}, "malformed"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "malformed"),
        ({"text": "x"}, ""),
    ],
)
def test_faults(record, fault):
    assert one(record).fault == fault
    assert fault in ("", *FAULTS)
    assert one(record | {"a": "b"}, where=(("a", "b"),)).fault == fault
    assert one(record | {"a": "c"}, where=(("a", "b"),)).fault == "filtered"


def test_a_mark_in_a_text_makes_two_documents():
    found = list(documents_of({"text": f"a {SEPARATOR} b", "n": 1}, "", (), "x"))
    assert found == [Document("a", "a", {"n": 1}), Document("b", "b", {"n": 1})]


def test_where_compares_what_a_value_looks_like():
    record = {"text": "t", "n": 1, "b": True, "none": None, "a.b": "flat", "deep": {"er": {"est": 0.5}}}
    for field, value in ("n", "1"), ("b", "True"), ("none", "None"), ("a.b", "flat"), ("deep.er.est", "0.5"):
        check_where(record, ((field, value),), "x")
        assert not one(record, where=((field, value),)).fault
        assert one(record, where=((field, value + "x"),)).fault == "filtered"
    assert one(record, where=(("n", "1"), ("b", "False"))).fault == "filtered"
    for field in ("m", "deep.er.x", "n.x"):
        assert one(record, where=((field, "1"),)).fault == "filtered"
        with refused(f"--where {field}=1", "line 7 of a", "'deep'"):
            check_where(record, ((field, "1"),), "line 7 of a")


@pytest.mark.parametrize(
    "record, key, words",
    [
        (["text"], "", ["a list"]),
        ("text", "", ["a str"]),
        ({}, "", ["an empty object", "--text-key"]),
        ({"tale": "x"}, "", ["text, story, content, messages", "'tale'"]),
        ({"tale": "x", "n": 1}, "tail", ["'tail'", "'tale', 'n'"]),
        ({"text": 3}, "", ["a int", "'text'"]),
        ({"messages": [{"role": "user"}]}, "", ["a list", "'messages'"]),
        (json.loads('{"text": "\\ud800"}'), "", ["surrogate"]),
        (json.loads('{"messages": [{"role": "user", "content": "\\ud800"}]}'), "", ["surrogate"]),
    ],
)
def test_what_is_no_record_is_refused(record, key, words):
    with refused("line 7 of a", *words):
        list(documents_of(record, key, (), "line 7 of a"))


def test_messages_in_parts_are_their_text(tmp_path):
    said = [{"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "text", "text": "there"}]},
            {"role": "assistant", "content": "hello"}]  # fmt: skip
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"messages": said}) + "\n")
    assert [d.text for d in documents(path)] == ["[INST] hi there [/INST] hello"]
    said[1]["content"] = {"tool": "call"}
    path.write_text(json.dumps({"messages": said}) + "\n")
    with refused("line 1", "content is text", "dict"):
        list(documents(path))


@pytest.mark.parametrize("written", ["true", "True"])
def test_conditions_are_spelled_as_json_or_as_python(tmp_path, written):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "once", "ok": true}\n{"text": "twice", "ok": false}\n')
    found = list(documents(path, Reading(where=(("ok", written),))))
    assert [d.fault for d in found] == ["", "filtered"]
