"""The cut before the first repeated 4-gram."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.repeat import end_of_news


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
