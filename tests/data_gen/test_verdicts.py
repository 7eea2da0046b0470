"""What a reader would take passes, and what he would leave does not, each for its reason."""

import json
from dataclasses import replace

import pytest

from data_gen.answer import REFUSAL, Answer
from data_gen.examine import Examiner
from tests.data_gen.recipes_by_hand import recipe
from tests.data_gen.verdicts import CHATS, STORIES, STORY
from tests.expect import refused

COMMON = {"script": "latin", "ending": True, "meta": True, "refusals": True, "repeats": 4, "suitable": True}
STORIES_EXAMINER = Examiner(recipe(COMMON))
CHATS_EXAMINER = Examiner(recipe(COMMON, parse="json", kind="chat"))


@pytest.mark.parametrize("text, reason", STORIES)
def test_stories(text, reason):
    assert STORIES_EXAMINER.examine(0, {}, Answer(text, "stop"), {}).reason == reason


@pytest.mark.parametrize("said, reason", CHATS)
def test_chats(said, reason):
    messages = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(said)]
    found = CHATS_EXAMINER.examine(0, {}, Answer(json.dumps({"messages": messages}), "stop"), {})
    assert found.reason == reason


def test_a_system_turn_that_nobody_asked_for():
    messages = [{"role": role, "content": "Hi there."} for role in ("system", "user", "assistant")]
    answer = Answer(json.dumps({"messages": messages}), "stop")
    assert CHATS_EXAMINER.examine(0, {}, answer, {}).reason == "system_turn"
    asked = recipe(COMMON, parse="json", kind="chat")
    asked = replace(asked, steps=(replace(asked.steps[0], prompt="Write a chat with a system message."),))
    assert Examiner(asked).examine(0, {}, answer, {}).reason == ""


def test_emoji_are_taken_away_and_counted():
    found = STORIES_EXAMINER.examine(
        0, {}, Answer(STORY.replace("dog in", "dog \U0001f600 in") + " \u2764\ufe0f", "stop"), {}
    )
    assert (found.text, found.edits) == (STORY, {"emoji": 2})
    kept = Examiner(recipe({"meta": True})).examine(0, {}, Answer(f"{STORY} \u2764\ufe0f", "stop"), {})
    assert kept.text == f"{STORY} \u2764\ufe0f" and not kept.edits


def test_the_words_of_a_refusal_are_kept():
    found = STORIES_EXAMINER.examine(0, {}, Answer("", REFUSAL, refusal="I will not  tell that."), {})
    assert (found.text, found.reason, found.documents) == ("I will not tell that.", "refusal", ())


def test_labels_are_looked_for_as_cleaning_leaves_them():
    curly, apart = "D\u2019Artagnan", "Cafe\u0301"
    examiner = Examiner(recipe({"names": "names", "opening": "letter", "required": ["mood"], "deny": ["l\u2019eau"]}))
    factors = {"names": [curly, "Zoe\u0308"], "letter": curly, "mood": apart}
    text = f"{curly} met Zo\u00eb at the caf\u00e9."
    for written in (text, text.replace("\u2019", "'")):
        assert examiner.examine(0, factors, Answer(written, "stop"), {}).reason == ""
    assert examiner.examine(0, factors, Answer(f"{text} De l'eau.", "stop"), {}).reason.startswith("deny:")
    french = Examiner(recipe({"names": "names", "required": ["names"]}, language="fr"))
    assert french.examine(0, {"names": [curly]}, Answer("D'Artagnan.", "stop"), {}).reason == ""
    assert french.examine(0, {"names": ["D'Artagnan"]}, Answer(f"{curly}.", "stop"), {}).reason == ""


def test_without_spaces_words_are_found_inside():
    thai = Examiner(recipe({"required": ["mood"], "names": "names"}, language="th"))
    found = thai.examine(0, {"mood": "หนังสือ", "names": ["มะลิ"]}, Answer("เด็กชื่อมะลิอ่านหนังสือทุกวัน", "stop"), {})
    assert not found.reason
    assert thai.examine(0, {"mood": "หนังสือ"}, Answer("เด็กวิ่ง", "stop"), {}).reason == "missing_word:mood"


def test_words_with_marks_are_whole():
    hindi = Examiner(recipe({"required": ["mood"], "deny": ["कि"]}, language="hi"))
    assert hindi.examine(0, {"mood": "किताब"}, Answer("यह किताब है।", "stop"), {}).reason == ""
    assert hindi.examine(0, {"mood": "किताब"}, Answer("यह किताबें है।", "stop"), {}).reason == "missing_word:mood"


def test_deny_takes_what_is_no_word_as_it_stands():
    examiner = Examiner(recipe({"deny": ["C++", "example.com", "sword"]}))
    for text, reason in (
        ("He likes c++ a lot.", "deny:C++"),
        ("See example.com.", "deny:example.com"),
        ("A good example. Com is no word.", ""),
        ("Vitamin C is good. A c, too.", ""),
        ("A Sword.", "deny:sword"),
    ):
        assert examiner.examine(0, {}, Answer(text, "stop"), {}).reason == reason


def test_the_english_list_is_for_english():
    with refused("vocabulary", "'de'"):
        Examiner(replace(recipe({"vocabulary": 0.5}, language="de"), factors=()))
    own = Examiner(recipe({"vocabulary": 0.9}, language="de"))
    assert own.examine(0, {}, Answer("the mother sat.", "stop"), {}).reason == "vocabulary"
    assert own.examine(0, {}, Answer("dog mouse run.", "stop"), {}).reason == ""
