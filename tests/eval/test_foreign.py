"""Completions of other models, from files: whatever they hold, a completion or one line that says what is wrong."""

import json

import pytest

from eval.foreign import foreign
from eval.prompts import PromptSet, load, of_texts
from eval.records import INSTRUCT, Prompt
from tests.expect import refused


def write(path, *given_rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in given_rows))
    return path


def test_completions_of_another_model(tmp_path):
    prompts = load("knowledge")
    first, second = prompts.prompts[:2]
    path = write(
        tmp_path / "other.jsonl",
        {"model": "big", "prompt_id": first.id, "text": " water."},
        {"model": "big", "prompt": first.text, "text": first.text + " milk."},
        {"model": "big", "prompt": second.text, "text": " I am so glad. I am so glad.", "stop": "length"},
        {"model": "small", "prompt_id": first.id, "text": " a", "k": 7, "step": 3},
    )
    made = list(foreign(path, prompts))
    assert [(one.prompt_id, one.k, one.text) for one in made[:2]] == [(first.id, 0, " water."), (first.id, 1, " milk.")]
    assert {one.prompts for one in made} == {prompts.hash} and made[0].kind == "knowledge"
    assert made[2].stop == "length" and (made[3].k, made[3].step, made[3].model) == (7, 3, "small")
    cut = list(foreign(path, prompts, cut_at_repeat=True))
    assert (cut[2].text, cut[2].stop, cut[0].text) == (" I am so glad.", "repeat", " water.")
    assert [
        one.prompt for one in foreign(write(tmp_path / "x.jsonl", {"model": "m", "prompt": "A hen", "text": " ran"}))
    ] == ["A hen"]


GOOD = {"model": "m", "prompt": "A hen", "text": " ran"}


@pytest.mark.parametrize(
    ("row", "why"),
    [({"model": "m", "text": "x"}, "prompt"), ({"model": "m", "prompt": "Unheard of", "text": "x"}, "Unheard of"),
     ({"model": "m", "prompt_id": "nowhere", "text": "x"}, "nowhere"), ({"prompt": "x", "text": "y"}, "model"),
     ([GOOD], "object"), ("a text", "object"), (None, "object")]
    + [({**GOOD, name: value}, f"{name} {value!r:.60}") for name, value in (
        ("model", 3), ("model", None), ("text", 3), ("text", None), ("text", ["a"]), ("prompt", 3), ("prompt_id", ["a"]),
        ("k", "1"), ("k", 1.5), ("k", True), ("k", -1), ("k", None), ("decoding", "greedy"), ("decoding", [1]),
        ("decoding", None), ("tokens", "9"), ("step", "9"), ("parameters", 1.5), ("logprob", "-3"),
        ("logprob", float("nan")), ("stop", 1), ("checkpoint", 1), ("tokenizer", []))],
)  # fmt: skip
def test_lines_that_are_no_completion_are_refused(tmp_path, row, why):
    prompts = PromptSet("hen", "", of_texts(["A hen"]))
    with refused("line 2", why):
        list(foreign(write(tmp_path / "bad.jsonl", GOOD, row), prompts))


def test_a_prompt_is_known_by_its_text_whatever_space_is_around_it(tmp_path):
    asked = Prompt("i", INSTRUCT, "Words: hen\nStory: ", asks={"words": ["hen"]})
    given_prompts = [asked.text, asked.text.strip(), f" {asked.text}"]
    path = write(
        tmp_path / "asked.jsonl", *({"model": "m", "prompt": text, "text": "A hen."} for text in given_prompts)
    )
    made = list(foreign(path, PromptSet("asked", "", (asked,))))
    assert {(one.prompt_id, one.kind, one.prompt) for one in made} == {("i", INSTRUCT, asked.text)}
    assert [one.k for one in made] == [0, 1, 2]


@pytest.mark.parametrize(
    ("row", "why"),
    [({**GOOD, "model": name}, "model") for name in ("a\nb", "a\tb", "a\u202eb", "a\u200bb", "a\x1b[1m", "m" * 81)]
    + [({**GOOD, "k": 10**30}, "below 10,000"), ({**GOOD, "k": 10_000}, "k 10000"), ({**GOOD, "tokens": 10**400}, "tokens")]
    + [({**GOOD, **odd}, "\\ud800") for odd in ({"text": "a \ud800"}, {"prompt_id": "\ud800"}, {"model": "\ud800"},
                                              {"decoding": {"mode": ["\ud800"]}}, {"decoding": {"\ud800": 1}})],
)  # fmt: skip
def test_names_and_numbers_that_break_a_page_are_refused(tmp_path, row, why):
    with refused("line 2", why):
        list(foreign(write(tmp_path / "bad.jsonl", GOOD, row)))
    good = {**GOOD, "model": "m" * 80, "text": "\U0001f600", "k": 9_999}
    assert [one.k for one in foreign(write(tmp_path / "good.jsonl", good))] == [9_999]


@pytest.mark.parametrize("row", [{**GOOD, "model": " "}, {**GOOD, "kind": "poem"}])
def test_a_completion_of_nobody_and_of_no_kind_is_refused(tmp_path, row):
    with refused("line 1"):
        list(foreign(write(tmp_path / "bad.jsonl", row)))


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_refused(tmp_path, content):
    (tmp_path / "empty.jsonl").write_bytes(content)
    with refused("empty.jsonl", "empty file"):
        list(foreign(tmp_path / "empty.jsonl"))


@pytest.mark.parametrize("content", [b"{", b"\xff\n", b'{"model": "m"', b"[" * 100_000])
def test_what_is_not_json_is_refused(tmp_path, content):
    (tmp_path / "bad.jsonl").write_bytes(content)
    with refused("bad.jsonl"):
        list(foreign(tmp_path / "bad.jsonl"))


def test_all_that_a_completion_has_is_kept(tmp_path):
    row = GOOD | {"logprob": -3.5, "decoding": {"mode": "greedy"}, "checkpoint": "c", "step": None, "parameters": 5,
                  "tokenizer": "t", "k": 2, "stop": "length", "tokens": 4, "unheard": ["of"]}  # fmt: skip
    (one,) = foreign(write(tmp_path / "one.jsonl", row))
    assert {name: getattr(one, name) for name in row if name != "unheard"} == {
        n: v for n, v in row.items() if n != "unheard"
    }
