"""Chats in one line: what is written is read again, and what is no whole chat is not taken for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.texts import CHARACTERS
from tsjax.corpus import chat
from tsjax.corpus.chat import Turn, parse, prompt, render

SAID = st.text(CHARACTERS, min_size=1).map(lambda text: " ".join(text.split())).filter(bool)
CHATS = st.builds(
    lambda system, pairs: [
        *(Turn("system", text) for text in system),
        *(turn for user, assistant in pairs for turn in (Turn("user", user), Turn("assistant", assistant))),
    ],
    st.lists(SAID, max_size=1),
    st.lists(st.tuples(SAID, SAID), min_size=1, max_size=4),
)


@given(CHATS, st.sampled_from([str, str.lower]))
def test_what_is_rendered_is_parsed_again(turns, spell):
    line = render(turns)
    assert "\n" not in line and parse(line) == turns and render(parse(line)) == line
    for marker in chat.MARKERS.values():
        line = line.replace(marker, spell(marker))
    assert parse(line) == turns and chat.tidy(f" {line}  ") == render(turns)


@given(CHATS)
def test_a_prompt_is_the_chat_up_to_the_answer(turns):
    assert render(turns) == f"{prompt(turns[:-1])} {turns[-1].text}"
    with pytest.raises(ValueError):
        prompt(turns)


@given(st.text(CHARACTERS), st.text(CHARACTERS), st.text(CHARACTERS))
def test_any_white_space_counts_as_one_space(a, b, c):
    turns = [Turn("user", f"x{a}\n y"), Turn("assistant", f" {b}\t{c}z")]
    try:
        line = render(turns)
    except ValueError:
        return  # a marker within
    assert parse(line) == [Turn(role, " ".join(text.split())) for role, text in turns]


def test_the_form():
    turns = [Turn("system", "be kind"), Turn("user", "hi"), Turn("assistant", "hello, you")]
    assert render(turns) == "[SYS] be kind [INST] hi [/INST] hello, you"
    assert parse("  [inst]hi[/inst]\n hello,  you") == turns[1:]
    assert prompt([Turn("user", "hi")]) == "[INST] hi [/INST]"


@pytest.mark.parametrize(
    "line, why",
    [
        ("", "no user turn"),
        ("hello", "text before"),
        ("hello [INST] a [/INST] b", "text before"),
        ("[SYS] a", "no user turn"),
        ("[INST] a", "no answer"),
        ("[INST] a [/INST] b [INST] c", "no answer"),
        ("[INST] a [/INST] b [INST]", "turn 3 (user) is empty"),
        ("[INST] a [/INST]", "turn 2 (assistant) is empty"),
        ("[INST] [/INST] b", "turn 1 (user) is empty"),
        ("[INST] a [/INST] b [/INST] c", "two assistant turns in a row"),
        ("[INST] a [INST] b [/INST] c", "two user turns in a row"),
        ("[/INST] a [INST] b [/INST] c", "first turn is the assistant's"),
        ("[INST] a [SYS] b [/INST] c", "system turn inside"),
    ],
)
def test_what_is_no_whole_chat_is_refused(line, why):
    with pytest.raises(ValueError) as caught:
        parse(line)
    assert why in str(caught.value)


def test_what_cannot_be_one_line_is_refused():
    for text in ("a [inst] b", "", " \n"):
        with pytest.raises(ValueError):
            render([Turn("user", text), Turn("assistant", "b")])
    with pytest.raises(ValueError, match="role 'tool'"):
        render([Turn("tool", "a"), Turn("assistant", "b")])
