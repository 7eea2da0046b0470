"""Tallies add up to the same whatever the batches, and what spoils a corpus is counted, shown and warned of."""

import json
import random
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_gen.offline import write_story
from tests.texts import CHARACTERS, stories
from tsjax.corpus import Document, tally
from tsjax.corpus.defects import count_words, defects, excerpt, is_cut, script, scripts
from tsjax.corpus.duplicates import normal_form
from tsjax.corpus.repairs import Repairs
from tsjax.corpus.report import report, warnings
from tsjax.corpus.scan import Scanner
from tsjax.corpus.tally import BINS, Common, Tally, Vocabulary

STORIES = [write_story(1, i) for i in range(600)]


def tallied(texts, batch: int = 1000, repairs: Repairs | None = None) -> Tally:
    whole, scan = Tally(), Scanner(repairs or Repairs(), 0)
    for start in range(0, len(texts), batch):
        whole.add(scan([Document(text, text) for text in texts[start : start + batch]]).tally)
    return whole


def kinds(story: str) -> set[str]:
    return {kind for kind, _ in defects(story, story.encode(), normal_form(story))}


def joined(texts: list[str], between: str, rng: random.Random) -> list[str]:
    found, start = [], 0
    while start < len(texts):
        count = rng.randint(5, 50)
        found.append(between.join(texts[start : start + count]))
        start += count
    return found


def curled(text: str) -> str:
    return text.replace(' "', " “").replace('"', "”").replace("'", "’")


def mojibake(text: str) -> str:
    return curled(text).encode().decode("cp1252", errors="ignore")


@given(
    texts=st.lists(st.one_of(st.text(CHARACTERS, max_size=30), st.sampled_from(stories(20))), max_size=20),
    batch=st.integers(1, 20),
    words=st.integers(1, 40),
    sample=st.integers(1, 10),
)
def test_batches_change_nothing(texts, batch, words, sample):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tally, "WORDS", words)
        patch.setattr(tally, "SAMPLE", sample)
        whole, parts = tallied(texts, 1000), tallied(texts, batch)
        assert whole == parts
        # Resumed in the middle, by way of JSON, gives the same.
        half = len(texts) // 2
        resumed = Tally.from_json(json.loads(json.dumps(tallied(texts[:half], batch).to_json())))
        assert resumed == tallied(texts[:half], batch)
        resumed.add(tallied(texts[half:], batch))
        assert resumed == whole


def test_sizes_against_counting():
    texts = [*STORIES[:100], "ünïcödé words\u3000here\u00a0too", "one"]
    found = report(tallied(texts, 7))
    words = [len(text.split()) for text in texts]
    assert found["documents"] == 102 and found["words"] == sum(words)
    assert found["characters"] == sum(map(len, texts))
    assert found["bytes"] == sum(len(text.encode()) for text in texts)
    lengths = found["words_per_document"]
    assert (lengths["min"], lengths["max"]) == (1, max(words))
    assert abs(lengths["median"] - sorted(words)[51]) <= 0.1 * sorted(words)[51]
    assert sum(count for *_, count in lengths["histogram"]) == 102
    for low, high, count in lengths["histogram"]:
        assert count == sum(low <= n <= high for n in words)
    counts = Counter(word for text in texts for word in normal_form(text).split())
    assert found["distinct_words"] == len(counts) and not found["distinct_words_estimated"]
    assert found["words_seen_once"] == sum(count == 1 for count in counts.values())


@given(st.text(st.one_of(st.characters(max_codepoint=127), CHARACTERS)))
def test_words_are_counted_as_split_does(text):
    assert count_words(text, text.encode()) == len(text.split())


def test_bins_are_fine_and_reach_the_longest_document():
    assert BINS[:9] == list(range(9)) and BINS[-1] >= 2**20
    assert all(b <= 1.25 * a + 1 for a, b in pairwise(BINS))


def test_too_many_words_are_estimated(monkeypatch):
    monkeypatch.setattr(tally, "WORDS", 2000)
    whole = Vocabulary()
    for start in range(0, 100_000, 1000):
        whole.add(Vocabulary(Counter(f"word{i // 2 if i % 4 else i}" for i in range(start, start + 1000))))
    truth = Counter(f"word{i // 2 if i % 4 else i}" for i in range(100_000))
    assert 1000 < len(whole.counts) <= 2000
    assert abs(len(whole.counts) * 2**whole.level / len(truth) - 1) < 0.1
    assert all(truth[word] == count for word, count in whole.counts.items())


def test_too_many_openings_keep_the_common_ones(monkeypatch):
    monkeypatch.setattr(tally, "COMMON", 100)
    rng = random.Random(0)
    texts = [rng.choice(["once", f"rare{i}", f"rare{-i}"]) for i in range(20_000)]
    whole = Common()
    for start in range(0, 20_000, 50):
        whole.add(Common(Counter(texts[start : start + 50])))
    truth = Counter(texts)
    assert len(whole.counts) <= 150 and 0 < whole.missed < 1000
    assert all(0 <= truth[text] - count <= whole.missed for text, count in whole.counts.items())
    assert truth["once"] - whole.counts["once"] <= whole.missed < truth["once"] / 5


def test_openings_and_names():
    texts = ["Once upon a time, Tim met Sue. I ran to Tim, and Tim hid."] * 3 + ["one day Ben said. Then Ann sat."]
    found = report(tallied(texts))
    assert found["openings"] == [("once upon a time", 0.75), ("one day ben said", 0.25)]
    assert found["names"] == [("Sue", 0.75), ("Tim", 0.75), ("Ann", 0.25), ("Ben", 0.25)]
    assert dict(report(tallied(["Жил-был кот, и Миша его любил."]))["names"]) == {"Миша": 1.0}


def test_instructions_count_as_size_and_not_as_story():
    whole = Scanner(Repairs(), 0)([Document("Words: a <br> Zed\n\nA cat sat.", "A cat sat.")]).tally
    assert (whole.words, whole.bytes, whole.defects) == (7, 29, Counter())
    assert set(whole.vocabulary.counts) == {"a", "cat", "sat"}


SOUND = [
    "He ran. ❤️",
    'And they all said, "Yes!"',
    "They slept.\n\nThe End",
    "“C’est fini…” (he said.)",
    "Tom & Jerry got 3 < 5 [really].",
    "In the end, they won. The end.\nMoral: be kind.",
    "कहानी खत्म हुई।",
    "おしまい。",
    "It was the end of the day. They slept -- well.",
    "سلام دنیا؟",
    "“I am 5 feet,” she said – and smiled.",
]

BROKEN = {
    "She said â€œhelloâ€ to me.": {"mojibake"},
    "A lost \ufffd letter.": {"replacement"},
    "A \x07bell.": {"control"},
    "A zero\u200bwidth.": {"control"},
    "A line\u2028end.": {"control"},
    "Salt &amp; pepper.": {"markup"},
    "A<br/>break.": {"markup"},
    "One.</s> Two.": {"end_mark"},
    "One.\n<|endoftext|\nTwo.": {"end_mark"},
    "One. [EOS] Two.": {"end_mark"},
    "One.\n-----\nTwo.": {"end_mark"},
    "One. <|end_of_text|> Two.": {"end_mark"},
    "They slept. The end.\n\nOnce a cat ran.": {"joined"},
    "Once upon a time A. Once upon a time B. Once upon a time C.": {"joined"},
    "She stopped because the": {"cut"},
    "She said:": {"cut"},
    'He said, "I will go': {"cut"},
    "and then he left. He slept.": {"begins_inside"},
    "the cat sat.": {"lower_case"},
}


@pytest.mark.parametrize("story", SOUND)
def test_sound_stories_have_no_defect(story):
    assert kinds(story) == set()


@pytest.mark.parametrize("story", BROKEN)
def test_defects_are_named(story):
    assert kinds(story) == BROKEN[story]
    found = report(tallied(["A cat sat.", story]))["defects"]
    for kind in BROKEN[story]:
        ((number, text),) = found[kind]["examples"]
        assert number == 1 and found[kind]["documents"] == 1 and found[kind]["share"] == 0.5
        assert len(text) <= 80 and text.isprintable()


@given(st.text(CHARACTERS))
def test_any_text_has_an_account(text):
    for kind, place in defects(text, text.encode(), normal_form(text)):
        assert 0 <= place <= len(text) and kind
        assert len(excerpt(text, place)) <= 80
    assert is_cut(text) == ("cut" in kinds(text))
    assert set(scripts(text)) == {script(c) for c in text} - {""}


@pytest.mark.parametrize(
    ("letters", "name"),
    [
        ("aßéÅ", "LATIN"),
        ("Жё", "CYRILLIC"),
        ("кот", "CYRILLIC"),
        ("क", "DEVANAGARI"),
        ("猫ねコ", "CJK"),
        ("ａ", "LATIN"),
        ("고", "HANGUL"),
        ("ש", "HEBREW"),
        ("α", "GREEK"),
        ("ไ", "THAI"),
        ("1!ªµ°–❤", ""),
    ],
)
def test_scripts(letters, name):
    assert {script(letter) for letter in letters} == {name}


@pytest.mark.parametrize(
    ("home", "guest"),
    [("A cat sat.", "Кот."), ("A cat sat.", "एक।"), ("Жил-был кот.", "एक।"), ("एक बिल्ली थी।", "Кот.")],
)
def test_a_script_is_foreign_only_where_another_is_at_home(home, guest):
    # Latin words are at home everywhere, but not whole documents.
    latin = "The cat sat down on the mat."
    found = report(tallied([home] * 300 + [f"{home} {guest}", f"{home} TV.", guest, latin]))
    wanted = [300, 302] + [303] * (not home.isascii())
    foreign = found["defects"]["foreign_script"]
    assert foreign["documents"] == len(wanted)
    assert [number for number, _ in foreign["examples"]] == wanted
    assert all(guest[0] in text or text == latin for _, text in foreign["examples"])
    (line,) = warnings(found)
    assert "foreign" in line and found["script"].title() in line
    alone = report(tallied([home] * 5))
    assert "foreign_script" not in alone["defects"] and not warnings(alone)


def test_good_stories_give_no_warning():
    assert warnings(report(tallied(STORIES))) == []
    assert warnings(report(tallied([curled(text) for text in STORIES]))) == []
    for count in (1, 3, 10, 30, 100):
        assert warnings(report(tallied(STORIES[-count:]))) == []
    assert warnings(report(Tally())) == []


def test_mojibake_is_warned_of_however_mild():
    rng = random.Random(0)
    for share in (1, 0.01):
        texts = [mojibake(text) if rng.random() < share else text for text in STORIES]
        (line,) = warnings(report(tallied(texts)))
        touched = sum(text != story for text, story in zip(texts, STORIES, strict=True))
        assert "mojibake" in line and line.startswith(f"{touched / 600:.2%}") and touched >= 2
        # The repair that the warning names is one.
        mended = tallied(texts, repairs=Repairs(fix_encoding=True))
        assert mended.repairs["fix_encoding"] == touched and mended.defects["mojibake"] == 0
        for text, story in zip(texts, STORIES, strict=True):
            assert Repairs(fix_encoding=True).apply(Document(text, text))[0].text in (story, curled(story))


def test_a_lower_cased_corpus_is_warned_of():
    (line,) = warnings(report(tallied([text.lower() for text in STORIES])))
    assert line.startswith("100.00%") and "capital" in line


@pytest.mark.parametrize("between", ["\n", "\n\n"])
def test_stories_without_separators_are_warned_of(between):
    for seed, count in [(0, 600), (1, 600), (2, 200)]:
        texts = joined(STORIES[:count], between, random.Random(seed))
        lines = warnings(report(tallied(texts)))
        assert lines and all("separator" in line for line in lines)
        assert any("story openings inside" in line for line in lines)


def test_a_few_giants_are_warned_of():
    texts = [*STORIES[:300], " ".join(STORIES[300:450]), " ".join(STORIES[450:])]
    lines = warnings(report(tallied(texts)))
    assert any("2 documents 20 times as long" in line for line in lines)


def test_cut_stories_and_copies_are_warned_of():
    texts = [text[:-20] if i % 10 == 0 else text for i, text in enumerate(STORIES)]
    (line,) = warnings(report(tallied(texts)))
    assert "mid-sentence" in line and 0.08 < float(line.split("%")[0]) / 100 <= 0.1
    split = {"documents": 600, "train_duplicates": 20, "train_near_duplicates": 10}
    (line,) = warnings(report(tallied(STORIES), split))
    assert line.startswith("5.00%") and "copies" in line
    assert warnings(report(tallied(STORIES), split | {"train_duplicates": 10})) == []


def test_the_report_is_json():
    found = report(tallied([*STORIES[:50], *BROKEN]), {"documents": 60})
    assert json.loads(json.dumps(found, allow_nan=False))["documents"] == 50 + len(BROKEN)
