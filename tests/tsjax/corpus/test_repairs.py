"""Repairs mend what is broken, leave what is sound, and name what they leave out."""

import json

import ftfy
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tests.texts import CHARACTERS, stories
from tsjax.corpus import SEPARATOR, Document
from tsjax.corpus.repairs import _FIXES, Repairs
from tsjax.errors import UserError

FIX = Repairs(fix_encoding=True)


def mended(text: str) -> str:
    document, touched = FIX.apply(Document(text, text))
    assert document.text == document.story
    assert touched == (("fix_encoding",) if document.text != text else ())
    return document.text


@given(st.text(CHARACTERS), st.text(CHARACTERS))
def test_off_by_default(text, story):
    assert Repairs().apply(Document(text, story)) == (Document(text, story), ())


@pytest.mark.parametrize("name", ["cp1252", "latin-1"])
def test_mojibake_is_undone(name):
    text = "He said, “I don’t know…”\n\nThen — as if by magic — a café."
    assert mended(text.encode().decode("latin-1" if name == "latin-1" else "sloppy-windows-1252")) == text


@pytest.mark.parametrize(
    "text",
    [
        "“Hello,” she said. ‘It’s — fine…’\n\nThe end.",
        "naïve café, señor ¡Hola!",
        "«Привет», сказал он.",
        "一天，小猫说：“你好！”ＡＢＣ",
        "एक समय की बात है। 👩‍👧 ❤️",
        "Tabs\tand\n\n\nlines stay. 5 < 6 & 7.",
        *stories(5),
    ],
)
def test_sound_text_stays_as_it_is(text):
    assert mended(text) == text


def test_the_rest():
    assert mended("Tom &amp; Jerry\r\nran\x00 \u200baway.\ufeff") == "Tom & Jerry\nran away."
    assert mended("cafe\u0301") == "café"
    assert mended("one\x0ctwo\u2028three") == "one two\nthree"


@example("&lt;|endoftext|&gt; and &lt;|endof\x00text|>")
@example("<|endof\u200btext|>")
@example("&nbsp;a&nbsp;")
@given(
    st.lists(st.sampled_from(["<|", "endof", "text", "|>", "\0", "\u200b", "&lt;", "&gt;", " ", "â€œ", "a"])).map(
        "".join
    )
)
def test_no_separator_and_no_space_comes_in(text):
    assume(SEPARATOR not in text)
    document, _ = FIX.apply(Document(text, text))
    assert SEPARATOR not in document.text
    assert document.text == document.text.strip()
    assert document.fault == ("empty" if text and not document.text else "")


@given(st.text(st.one_of(st.sampled_from("&;amplt<'\"\n\t \x1b\r"), st.characters(max_codepoint=127))))
def test_the_short_cut_for_ascii_changes_nothing(text):
    if SEPARATOR in (fixed := ftfy.fix_text(text, _FIXES)) or any(ord(c) < 32 and c not in "\n\t" for c in fixed):
        return
    assert FIX.apply(Document(text, text))[0].text == fixed.strip()


def test_instructions_and_story_are_mended_together():
    story = "â€œHi,â€\x9d said Tom &amp; Ann."
    document, touched = FIX.apply(Document(f"Words: caf&eacute;\nStory:\n\n{story}", story, {"words": "x"}))
    assert document == Document("Words: café\nStory:\n\n“Hi,” said Tom & Ann.", "“Hi,” said Tom & Ann.", {"words": "x"})
    assert touched == ("fix_encoding",)


def test_what_is_left_out_and_why():
    repairs = Repairs(min_characters=10, final_punctuation=True)
    long_head = "Words: a, b, c.\nStory:\n\n"
    assert repairs.apply(Document(long_head + "A cat.", "A cat."))[0].fault == "too short"
    assert repairs.apply(Document("A cat sat on", "A cat sat on")) == (
        Document("A cat sat on", "A cat sat on", fault="cut"),
        ("final_punctuation",),
    )
    assert repairs.apply(Document("A cat sat down.", "A cat sat down.")) == (Document(*["A cat sat down."] * 2), ())
    assert repairs.apply(Document("", "", fault="malformed")) == (Document("", "", fault="malformed"), ())
    both = Repairs(fix_encoding=True, min_characters=7)
    assert both.apply(Document("a &amp; b", "a &amp; b")) == (
        Document("a & b", "a & b", fault="too short"),
        ("fix_encoding", "min_characters"),
    )


def test_settings_are_json_and_name_the_version_that_decides():
    assert json.loads(json.dumps(Repairs().settings())) == {
        "fix_encoding": False,
        "min_characters": 0,
        "final_punctuation": False,
    }
    assert FIX.settings()["ftfy"] == ftfy.__version__
    with pytest.raises(UserError, match="min_characters"):
        Repairs(min_characters=-1)
