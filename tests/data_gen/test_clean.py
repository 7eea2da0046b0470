"""Cleaning mends what is broken, counts it, and leaves the rest alone."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from data_gen.clean import clean
from data_gen.offline import write_story


def test_good_text_is_left_alone():
    for index in range(300):
        story = write_story(5, index)
        assert clean(story) == (story, {})


@pytest.mark.parametrize(
    "text",
    ["2 * 3 * 4 = 24, and 2*3*4 too.", "The snake_case_name stays.", "Zoë ate crème brûlée — twice…", "A & B; 1 < 2."],
)
def test_what_only_looks_broken_stays(text):
    assert clean(text) == (text, {})


@pytest.mark.parametrize(
    "text, mended, edits",
    [
        ("A dog.\r\nA cat.\rA cow.", "A dog.\nA cat.\nA cow.", {"line_ends": 2}),
        ("donâ€™t", "don't", {"encoding": 1, "quotes": 1}),
        ("A &amp;amp; B", "A & B", {"encoding": 1}),
        ("A\x00 dog.", "A dog.", {"encoding": 1}),
        ("Zoe\u0308", "Zo\u00eb", {"encoding": 1}),
        ("A **happy** dog was _very_ ***big***.", "A happy dog was very big.", {"emphasis": 3}),
        ("“Hi,” said Tom’s dog.", '"Hi," said Tom\'s dog.', {"quotes": 3}),
        ("A  dog.   A cat. \n B", "A dog. A cat.\nB", {"spaces": 4}),
        ("A.\n\n\n\nB.\n", "A.\n\nB.", {"spaces": 2}),
        ("A\u00a0dog\tran.", "A dog ran.", {"spaces": 2}),
    ],
)
def test_mends_are_counted(text, mended, edits):
    assert clean(text) == (mended, edits)


def test_quotes_of_other_languages_stay():
    assert clean("„Hallo“, sagte er.", "de") == ("„Hallo“, sagte er.", {})
    assert clean("“Hi”", "en-GB") == ('"Hi"', {"quotes": 2})


def test_a_lone_surrogate_becomes_what_the_checks_refuse():
    text, edits = clean("A \ud800 dog.")
    assert text == "A \ufffd dog." and edits == {"encoding": 1}


BROKEN = st.text(st.sampled_from("aZé.“’*_ \t\n\r\x0b\x85\u2028\u00a0&;ampltâ€™œ\x80\x9d\ufeffe\u0308<>|"), max_size=60)


@given(st.text() | BROKEN)
@example("&amp;" + "amp;" * 10)
@example("**_**a**_**")
@example("&#13;&#10;&#13;")
@example(" * *a* *")
def test_idempotent(text):
    once, edits = clean(text)
    assert clean(once) == (once, {})
    assert bool(edits) == (once != text)
