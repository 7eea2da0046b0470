"""Each check refuses what it is for, with its reason, and passes what is near it."""

import pytest

from data_gen.checks import KEYS, compiled, validate
from data_gen.draft import Draft
from tests.data_gen.one_check import NAMES, STORY, chat, outcome, reason
from tests.data_gen.recipes_by_hand import recipe
from tests.expect import refused
from tsjax.corpus.chat import Turn


@pytest.mark.parametrize(
    "key, count, low, high",
    [
        ("words", 40, "too_short", "too_long"),
        ("characters", len(STORY), "too_few_characters", "too_many_characters"),
        ("sentences", 6, "too_few_sentences", "too_many_sentences"),
        ("paragraphs", 2, "too_few_paragraphs", "too_many_paragraphs"),
    ],
)
def test_ranges(key, count, low, high):
    assert outcome(key, [count, count], STORY) == ("", count)
    assert reason(key, [count + 1, count + 9], STORY) == low
    assert reason(key, [0, count - 1], STORY) == high


@pytest.mark.parametrize(
    "text, count",
    [
        ("", 0),
        ("No end", 1),
        ('"Hi!" said Tom. "Oh... a dog?" He ran.', 3),
        ("Mr. Fox and Mrs. Hen sat. They ate.", 2),
        ("He paid 2.50 for it. Fine!", 2),
        ("狗跑了。猫睡了！", 2),
    ],
)
def test_sentences(text, count):
    assert outcome("sentences", [0, 9], text)[1] == count


def test_lines_are_paragraphs_where_no_line_is_blank():
    assert outcome("paragraphs", [0, 9], "One.\nTwo.\nThree.")[1] == 3
    assert outcome("paragraphs", [0, 9], '"One?"\n"Two."\n\nThree.')[1] == 2


def test_turns():
    turns = (Turn("system", "Be kind to all of them."), *chat("Hi there!", "Hello.", "Bye!", "Good bye to you."))
    assert outcome("turns", [4, 4], "", turns=turns) == ("", 4)
    assert reason("turns", [5, 9], "", turns=turns) == "too_few_turns"
    assert reason("turns", [1, 3], "", turns=turns) == "too_many_turns"
    assert outcome("turn_words", [1, 4], "", turns=turns) == ("", [2, 1, 1, 4])
    assert reason("turn_words", [2, 4], "", turns=turns) == "turn_too_short"
    assert reason("turn_words", [1, 3], "", turns=turns) == "turn_too_long"


REQUIRED = ["noun", "verb", "adjective"]


@pytest.mark.parametrize(
    "text, factors",
    [
        ("The DOGS ran.", {"noun": "dog", "verb": "run"}),
        ("It was the dog's bone.", {"noun": "dog"}),
        ("Two mice sat.", {"noun": "mouse"}),
        ("He had teddy\nbears.", {"noun": "teddy bear"}),
        ("A teddy-bear’s nose.", {"noun": "teddy bear"}),
        ("She looked after it.", {"verb": "look after"}),
        ("It went to a bigger place.", {"verb": "go", "adjective": "big"}),
        ("Dogs and two mice.", {"noun": ["dog", "mouse"]}),
        ("Nothing was drawn.", {}),
        ("A dog sat happily.", {"noun": "dog", "adjective": "happy"}),
        ("Gently, he ran.", {"adjective": "gentle"}),
        ("He gave it up.", {"verb": "give up"}),
        ("She is giving her old toys away.", {"verb": "give away"}),
    ],
)
def test_required_words_in_any_form(text, factors):
    assert outcome("required", REQUIRED, text, factors) == ("", [])


@pytest.mark.parametrize(
    "text, factors, why, missing",
    [
        ("The dogged cat.", {"noun": "dog"}, "missing_word:noun", ["dog"]),
        ("The runner sat.", {"noun": "dog", "verb": "run"}, "missing_word:noun", ["dog", "run"]),
        ("A dog sat sadly.", {"noun": "dog", "adjective": "happy"}, "missing_word:adjective", ["happy"]),
        ("He worked hardly.", {"adjective": "hard"}, "missing_word:adjective", ["hard"]),
        ("He gave a, b, c, d up.", {"verb": "give up"}, "missing_word:verb", ["give up"]),
        ("He looked it after.", {"verb": "look after"}, "missing_word:verb", ["look after"]),
        ("Dogs ran.", {"noun": ["dog", "mouse"]}, "missing_word:noun", ["mouse"]),
        ("A bear named Teddy.", {"noun": "teddy bear"}, "missing_word:noun", ["teddy bear"]),
    ],
)
def test_required_words_that_are_missing(text, factors, why, missing):
    assert outcome("required", REQUIRED, text, factors) == (why, missing)


def test_a_factor_without_part_of_speech_is_looked_for_as_it_is():
    assert reason("required", ["mood"], "He was Calm.", {"mood": "calm"}) == ""
    assert reason("required", ["mood"], "He was calmer.", {"mood": "calm"}) == "missing_word:mood"


def test_names():
    assert reason("names", "names", "Ada and Tom's dog.", {"names": ["Ada", "Tom"]}) == ""
    assert outcome("names", "names", "ada met Tommy.", {"names": ["Ada", "Tom"]}) == (
        "missing_name:names",
        ["Ada", "Tom"],
    )
    assert reason("names", "names", "No one.") == ""


def test_opening():
    assert reason("opening", "letter", '"Once," he said.', {"letter": "o"}) == ""
    assert reason("opening", "letter", "Ten dogs.", {"letter": "O"}) == "wrong_opening"
    assert reason("opening", "letter", "Once more.", {"letter": "Once"}) == ""
    assert reason("opening", "letter", "Onces more.", {"letter": "Once"}) == "wrong_opening"
    assert reason("opening", "letter", "Ten dogs.") == ""


def test_vocabulary():
    assert outcome("vocabulary", 0.9, STORY) == ("", 1.0)
    text = "The quantum dog obfuscated a perpendicular bone."
    assert outcome("vocabulary", 0.6, text) == ("vocabulary", round(4 / 7, 4))
    assert outcome("vocabulary", 0.5, text) == ("", round(4 / 7, 4))
    assert outcome("vocabulary", 0.6, text, {"mood": "perpendicular"})[1] == round(5 / 7, 4)


def test_vocabulary_knows_names_numbers_and_possessives():
    assert outcome("vocabulary", 1.0, "One day Zorbina sat. Zorbina's dog had 12 of Mom's bones.") == ("", 1.0)
    assert outcome("vocabulary", 1.0, "Zorbina sat.")[0] == "vocabulary"  # a capital that any first word has


@pytest.mark.parametrize("text", [STORY, "“Zoë,” said François — “naïve…”", "It cost 5 € or £4.", "ﬁne ½"])
def test_latin_script(text):
    assert reason("script", "latin", text) == ""


@pytest.mark.parametrize(
    "text, why, shown",
    [
        ("The dоg ran.", "foreign_script", "U+043E"),  # a Cyrillic o
        ("Αnna ran.", "foreign_script", "U+0391"),  # a Greek A
        ("The dog 跑了.", "foreign_script", "U+4E86 U+8DD1"),
        ("The dog ran. 😀", "odd_character", "U+1F600"),
        ("A\x07 dog.", "odd_character", "U+0007"),
        ("١٢ dogs.", "odd_character", "U+0661 U+0662"),
    ],
)
def test_other_characters(text, why, shown):
    assert outcome("script", "latin", text) == (why, shown)


def test_other_scripts():
    assert reason("script", "cyrillic", "Собака бежала — «быстро», 12 раз.") == ""
    assert reason("script", "cyrillic", "Собака бежалa.") == "foreign_script"  # a Latin a
    assert reason("script", "devanagari", "कुत्ता भागा। वह खुश था।") == ""


@pytest.mark.parametrize("character", ["\ufffd", "\ue000", "\U000f0001", "\ud800", "\uffff", "\u0378"])
def test_characters_that_are_always_refused(character):
    made = recipe()
    (check,) = compiled(made.steps[0], made)
    assert check.run(Draft(f"A dog{character}.", None, {}, ""))[0] == "bad_character"


@pytest.mark.parametrize("text", ["He ran.", 'He said, "Run!"', "Did he run?’”", "The end", "He ran! 😀", "वह भागा।"])
def test_ends(text):
    assert reason("ending", True, text) == ""


@pytest.mark.parametrize("text", ["He ran to", 'He said, "Run', "And then,", "It was:"])
def test_cut_off(text):
    assert reason("ending", True, text) == "cut_off"


def test_repeats():
    line = "The dog ran to the park. "
    assert outcome("repeats", 3, line * 2 + "He sat.") == ("", 2)
    assert outcome("repeats", 3, line * 3) == ("repeats", 3)
    assert reason("repeats", 3, "Knock, knock! " * 3 + "Who is it?") == ""
    assert reason("repeats", 3, "and the dog ran to the cat " * 9) == "repeats"
    assert reason("repeats", 3, STORY, raw=STORY + " \n\t " * 1000) == "flood"
    assert reason("repeats", 3, "He ran" + "." * 40) == "flood"


def test_deny_and_suitable():
    assert reason("deny", ["sword", "ice cream"], "Two swords, a SWORD.") == "deny:sword"
    assert outcome("deny", ["sword", "ice cream"], "An ice-cream.") == ("deny:ice cream", ["ice cream"])
    assert reason("deny", ["sword"], "Swordfish and password.") == ""
    assert outcome("suitable", True, "He was murdered.") == ("unsuitable", ["murdered"])
    assert reason("suitable", True, "The old king died of a sword. The witch was dead.") == ""


def test_switches_that_are_off_check_nothing():
    off = {key: False for key, takes in KEYS.items() if takes == "switch"}
    made = recipe(off)
    assert [check.name for check in compiled(made.steps[0], made)] == ["sound"]


def no_rain(text, factors):
    """A user's function."""
    return "rain" if "rain" in text or factors.get("mood") == "wet" else ""


def raises(text, factors):
    raise ZeroDivisionError("oh")


def forgets(text, factors):
    return None


LETTERS = "abc"


def test_functions_of_the_user():
    here = f"{__name__}:"
    assert reason("functions", [here + "no_rain"], "It rained.") == "rain"
    assert reason("functions", [here + "no_rain"], "Sun.", {"mood": "wet"}) == "rain"
    assert outcome("functions", [here + "no_rain"], "Sun.") == ("", "passed")
    assert outcome("functions", [here + "raises"], "Sun.") == ("function_error:raises", "ZeroDivisionError: oh")
    assert reason("functions", [here + "forgets"], "Sun.") == "function_error:forgets"


@pytest.mark.parametrize("path", ["no_such_module:run", "json", "json:no_such", ":run", f"{__name__}:LETTERS", "json:"])
def test_functions_that_cannot_be_had(path):
    made = recipe({"functions": [path]})
    with refused(path, "module:function"):
        compiled(made.steps[0], made)


@pytest.mark.parametrize(
    "checks, words",
    [
        ({"wrods": [1, 2]}, ["'wrods'", "did you mean 'words'"]),
        ({"words": 5}, ["words in checks", "[least, most]"]),
        ({"words": [5, 1]}, ["[5, 1]"]),
        ({"words": [1.5, 2]}, ["[1.5, 2]"]),
        ({"words": [True, 2]}, ["[True, 2]"]),
        ({"ending": 1}, ["true or false"]),
        ({"vocabulary": 90}, ["share from 0 to 1"]),
        ({"vocabulary": True}, ["share from 0 to 1"]),
        ({"repeats": 1}, ["from 2 up"]),
        ({"items": 0}, ["from 1 up"]),
        ({"script": "latine"}, ["latin", "'latine'"]),
        ({"script": ["latin"]}, ["['latin']"]),
        ({"required": "noun"}, ["names of factors"]),
        ({"required": ["noum"]}, ["'noum'", "did you mean 'noun'"]),
        ({"opening": "lettre"}, ["did you mean 'letter'"]),
        ({"deny": [""]}, ["a list of words"]),
        ({"functions": [3]}, ["module:function"]),
    ],
)
def test_tables_that_are_wrong(checks, words):
    with refused(*words):
        validate(checks, NAMES)


def test_where_is_in_the_message():
    with refused("the checks of step 'story'"):
        validate({"ending": 1}, [], "the checks of step 'story'")
    with refused("declare the factor"):
        validate({"names": "who"}, [])


def test_no_key_is_taken_and_then_forgotten():
    """All but `items`, which the parser reads, become a check."""
    some = {"range": [1, 2], "switch": True, "share": 0.5, "count": 2, "repeat": 3, "factor": "names"}
    some |= {"factors": ["noun"], "words": ["sword"], "functions": [f"{__name__}:no_rain"], "script": "latin"}
    made = recipe({key: some[takes] for key, takes in KEYS.items()})
    names = {check.name for check in compiled(made.steps[0], made)}
    assert names == set(KEYS) - {"items", "functions"} | {"sound", f"{__name__}:no_rain"}
