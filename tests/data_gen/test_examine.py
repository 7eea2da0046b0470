"""Every known failure of generated stories is caught with its reason; good ones pass; nothing makes it raise."""

import json
import pickle
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_gen.answer import Answer, read_answer
from data_gen.examine import Examiner
from data_gen.offline import write_story
from tests.data_gen.recipes_by_hand import PROMPT, recipe
from tests.expect import refused
from tsjax.corpus import chat

TABLE = {
    "words": [40, 300],
    "sentences": [5, 60],
    "paragraphs": [1, 12],
    "required": ["noun", "verb", "adjective"],
    "names": "names",
    "vocabulary": 0.8,
    "script": "latin",
    "ending": True,
    "meta": True,
    "refusals": True,
    "repeats": 3,
    "suitable": True,
}
STORY = """One day, Tom saw a dog in the park. The dog was big and happy. "Can you run?" asked Tom. The dog ran to him.

Tom gave the dog a bone. They played all day, and then they went home. Mom was glad to see them."""
FACTORS = {"noun": "dog", "verb": "run", "adjective": "happy", "names": ["Tom"]}
CHAT = [
    {"role": "user", "content": "Hi! My  dog ran."},
    {"role": "assistant", "content": "Oh no!\nWhere did it run?"},
]


def examine(text, table=TABLE, factors=FACTORS, finish="stop", **kwargs):
    return Examiner(recipe(table, **kwargs)).examine(0, factors, Answer(text, finish), {})


def test_a_good_story():
    found = examine(STORY)
    assert (found.text, found.reason, found.reasons, found.edits, found.messages) == (STORY, "", (), {}, None)
    assert found.documents == (found,)
    assert set(TABLE) | {"sound"} == set(found.checks)
    assert found.checks["words"] == 46 and found.checks["vocabulary"] == 1.0
    assert found.stats == {
        "characters": len(STORY),
        "words": 46,
        "sentences": 7,
        "paragraphs": 2,
        "opening": "one day tom saw",
        "names": ["Tom"],
    }
    json.dumps([found.checks, found.edits, found.stats])


CATALOGUE = {
    "mojibake that nothing mends": (STORY.replace("dog in", "d\ufffdg in"), "bad_character"),
    "private characters": (STORY.replace("big", "big\ue000"), "bad_character"),
    "foreign script": (STORY.replace("Tom gave", "\u72d7\u8dd1\u4e86\u3002 Tom gave"), "foreign_script"),
    "a look-alike": (STORY.replace("park", "p\u0430rk"), "foreign_script"),
    "empty": ("", "empty"),
    "white space only": (" \n\t \n", "empty"),
    "cut": (STORY[:-20], "cut_off"),
    "too short": ("The happy dog ran to Tom.", "too_short"),
    "one long paragraph of loops": (STORY + " They went home again." * 9, "repeats"),
    "white space without end": (STORY + " \n\t " * 1000, "flood"),
    "words beyond the vocabulary": (STORY.replace("big", "perpendicular and obfuscated " * 9), "vocabulary"),
    "graphic content": (STORY.replace("saw a dog", "tortured a dog"), "unsuitable"),
    "echo": (f"{PROMPT.splitlines()[0]} {STORY}", "meta:echo"),
    "title": (f"The Happy Dog\n\n{STORY}", "meta:title"),
    "bold title": (f"**The Happy Dog**\n\n{STORY}", "meta:title"),
    "here is your story": (f"Here is your story:\n\n{STORY}", "meta:preamble"),
    "word count": (f"{STORY}\n\n(46 words)", "meta:note"),
    "refusal": ("I'm sorry, but I can't help with that.", "refusal"),
    "required word missing": (STORY.replace("happy", "glad"), "missing_word:adjective"),
    "name missing": (STORY.replace("Tom", "Ben"), "missing_name:names"),
}


@pytest.mark.parametrize("failure", CATALOGUE)
def test_the_failure_catalogue(failure):
    text, reason = CATALOGUE[failure]
    found = examine(text)
    assert found.reason == reason and found.reasons[0] == reason and not found.documents


@pytest.mark.parametrize("finish", ["length", "content_filter", "refusal", "empty", "tool_calls"])
def test_an_answer_that_did_not_stop_by_itself(finish):
    found = examine(STORY, finish=finish)
    assert found.reason == finish and found.text == STORY and found.checks["words"] == 46


def test_all_checks_run_and_the_first_reason_counts():
    found = examine("The dog sat", finish="length")
    assert found.reasons == (
        "length",
        "too_short",
        "too_few_sentences",
        "cut_off",
        "missing_word:verb",
        "missing_name:names",
    )


def test_cleaning_comes_before_checking():
    text = "```\n" + STORY.replace("dog in", "**dog**  in").replace('"Can you run?"', "“Can you run?”") + "\n```"
    found = examine(text)
    assert found.text == STORY and not found.reason
    assert found.edits == {"fence": 1, "emphasis": 1, "quotes": 2, "spaces": 1}


def test_the_separator_of_corpora_is_refused():
    assert examine(STORY + "<|endoftext|>" + STORY, {}).reason == "separator"


def test_500_offline_stories_pass():
    table = {key: value for key, value in TABLE.items() if key not in ("required", "names")}
    examiner = Examiner(recipe(table | {"vocabulary": 0.9}))
    for index in range(500):
        found = examiner.examine(0, {}, Answer(write_story(3, index), "stop"), {})
        assert not found.reasons and not found.edits, (found.reasons, found.text)


def test_chats():
    found = examine(json.dumps({"messages": CHAT}), {"turns": [2, 4], "script": "latin"}, parse="json", kind="chat")
    assert found.text == "[INST] Hi! My dog ran. [/INST] Oh no! Where did it run?" and not found.reason
    assert found.messages == [{"role": "user", "content": "Hi! My dog ran."}, CHAT[1]] and found.edits == {"spaces": 1}
    assert chat.parse(found.text)


@pytest.mark.parametrize(
    "messages",
    [CHAT[:1], CHAT[1:], [*CHAT, CHAT[0]], [CHAT[0], {"role": "assistant", "content": " "}],
     [CHAT[0], {"role": "assistant", "content": "[INST] Hi"}], [*CHAT, {"role": "system", "content": "Hi"}]],
)  # fmt: skip
def test_chats_out_of_turn(messages):
    found = examine(json.dumps({"messages": messages}), {}, parse="json", kind="chat")
    assert found.reason == "wrong_turns" and not found.documents


def test_a_chat_where_a_story_was_asked():
    assert examine(json.dumps({"messages": CHAT}), {}, parse="json").reason == "wrong_shape"
    assert examine(json.dumps({"text": STORY}), parse="json").text == STORY


def test_chats_that_are_written_with_their_marks():
    found = examine("[INST] Hi! [/INST] Hello. [inst] Bye! [/inst] Bye.", {"turns": [4, 4]}, kind="chat")
    assert not found.reason and [turn["role"] for turn in found.messages] == ["user", "assistant"] * 2
    assert examine("[INST] Hi! [INST] Hello.", {}, kind="chat").reason == "wrong_turns"
    assert examine("Hi!", {}, kind="chat").reason == "wrong_turns"


def test_packed_answers():
    bad = STORY.replace("happy", "glad")
    table = TABLE | {"items": 3}
    found = examine("\n---\n".join([STORY, bad, STORY + " Bye."]), table, parse="marker")
    assert not found.reason and [part.reason for part in found.parts] == ["", "missing_word:adjective", ""]
    assert [one.text for one in found.documents] == [STORY, STORY + " Bye."]
    short = examine(f"{STORY}\n---\n{STORY}", table, parse="marker")
    assert short.reason == "wrong_number" and not short.documents
    assert examine(STORY, table, parse="marker").reason == "wrong_number"
    assert examine(f"{bad}\n---\n{bad}", TABLE | {"items": 2}, parse="marker").reason == "missing_word:adjective"


@pytest.mark.parametrize("table, parse, words", [({}, "marker", ["no items"]), ({"items": 2}, "plain", ["items"])])
def test_packing_is_asked_for_in_both_places(table, parse, words):
    with refused(*words):
        Examiner(recipe(table, parse=parse))


def test_wrong_tables_and_parsers():
    with refused("the checks of step 'story'", "'wrods'"):
        Examiner(recipe({"wrods": [1, 2]}))
    with refused("'xml'"):
        Examiner(recipe(parse="xml"))


def sees(text, factors):
    return f"saw {factors['summary']} and {factors['noun']}"


def test_functions_see_the_factors_and_the_earlier_texts():
    examiner = Examiner(recipe({"functions": [f"{__name__}:sees"]}))
    assert examiner.examine(0, {"noun": "dog"}, Answer("Hi.", "stop"), {"summary": "all"}).reason == "saw all and dog"
    assert examiner.examine(0, {}, Answer("Hi.", "stop"), {}).reason == "function_error:sees"


def test_it_travels_to_other_processes():
    examiner = pickle.loads(pickle.dumps(Examiner(recipe(TABLE))))  # noqa: S301
    assert examiner.examine(0, FACTORS, Answer(STORY, "stop"), {}) == examine(STORY)


SURROGATES = st.text(st.characters())  # all code points, halves of pairs too
EXAMINERS = [
    Examiner(recipe(TABLE | ({"items": 2} if parse == "marker" else {})
                    | ({"turns": [1, 4], "turn_words": [1, 9]} if kind == "chat" else {}), parse=parse, kind=kind))
    for parse in ("plain", "json", "marker") for kind in ("story", "chat")
]  # fmt: skip
VALUES = st.recursive(
    st.none()
    | st.integers()
    | st.text(max_size=9)
    | st.sampled_from(["user", "assistant", "system", "stop", "message"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["messages", "role", "content", "text", "choices", "message", "finish_reason", "output"]),
            inner,
        )
    ),
    max_leaves=12,
)
MESSAGES = st.lists(st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": SURROGATES}))


@settings(max_examples=300, deadline=None)
@given(SURROGATES | VALUES.map(json.dumps) | MESSAGES.map(lambda found: json.dumps({"messages": found})), st.text())
def test_never_raises(text, finish):
    for examiner in EXAMINERS:
        found = examiner.examine(0, FACTORS, Answer(text, finish), {})
        assert found.reason == (found.reasons[0] if found.reasons else "")
        found.text.encode()  # what is kept can be written
        json.dumps([found.messages, found.checks, found.stats], ensure_ascii=False).encode()


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["choices", "output"]), VALUES, min_size=1))
def test_never_raises_on_what_the_reader_lets_through(body):
    try:
        answer = read_answer(body)
    except ValueError:
        return
    assert EXAMINERS[0].examine(0, FACTORS, answer, {}).reason


def test_quick():
    """About 0.4 ms for 220 words; five times that is no noise any more."""
    examiner = Examiner(recipe(TABLE))
    stories = [Answer(f"{write_story(3, i)}\n\n{write_story(4, i)}", "stop") for i in range(100)]
    took = []
    for _ in range(5):
        start = time.process_time()
        for answer in stories:
            examiner.examine(0, FACTORS, answer, {})
        took.append((time.process_time() - start) / len(stories))
    assert min(took) < 2e-3


@pytest.mark.parametrize("piece", [" ", "\n", "*", "**a", "_a", "#", "-", "&amp;", "“", "{", "[", "sorry ", "a.", '"', "'s",
                                   "here is a story ", "12 words ", "\t", "`", "\u00a0", "â€"])  # fmt: skip
def test_floods_take_no_longer_than_stories_of_that_length(piece):
    """Patterns that look ahead must not do so from every place: 20,000 characters in well under a second."""
    start = time.process_time()
    examine("A dog. " + piece * (20_000 // len(piece)))
    examine("A dog. " + piece * (20_000 // len(piece)) + "x")
    assert time.process_time() - start < 2
