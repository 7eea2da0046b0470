"""The cut before the first repeated 4-gram, and completions of other models."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.foreign import foreign
from eval.prompts import load
from eval.repeat import end_of_news
from tests.expect import refused


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (" the cat sat on the mat.", None),
        (" He ran to the park. Then he ran to the park again.", " He ran to the park. Then"),
        (" I am so glad. I am SO glad, she said.", " I am so glad."),
        (" no no no no no no no", " no no no no"),
        (" a b c a b c a b c", " a b c a"),
        ("", None),
    ],
)
def test_where_a_text_repeats_itself(text, kept):
    end = end_of_news(text)
    assert (None if end is None else text[:end]) == kept


@given(st.text("ab .", max_size=60))
def test_what_is_kept_has_no_repeated_4_gram_but_an_overlapping_one(text):
    end = end_of_news(text)
    said = (text if end is None else text[:end]).split(".")
    words = " ".join(said).split()
    grams = [tuple(words[i : i + 4]) for i in range(len(words) - 3)]
    again = [i for i, gram in enumerate(grams) if gram in grams[:i]]
    assert all(i - grams.index(grams[i]) < 4 for i in again)
    if end is None:
        assert not again
    elif end:
        assert text[:end] == text[:end].rstrip()


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


@pytest.mark.parametrize(
    ("row", "why"),
    [({"model": "m", "text": "x"}, "prompt"), ({"model": "m", "prompt": "Unheard of", "text": "x"}, "Unheard of"),
     ({"prompt": "x", "text": "y"}, "model"), ({"model": 3, "prompt": "x", "text": "y"}, "strings")],
)  # fmt: skip
def test_lines_that_are_no_completion_are_refused(tmp_path, row, why):
    with refused("line 1", why):
        list(foreign(write(tmp_path / "bad.jsonl", row), load("stories")))
