"""Each kind of monotony trips its alarm, what the recipe asks for trips none, and the window bounds the memory."""

import random
import time
import tracemalloc

import pytest

from data_gen.answer import Answer
from data_gen.examine import Examiner, Finding
from data_gen.monitor import DEFAULTS, Monitor, validate
from data_gen.offline import write_story
from data_gen.words import words
from tests.data_gen.recipes_by_hand import recipe
from tests.expect import refused

EXAMINER = Examiner(recipe())


def story(index):
    return write_story(0, index)


def watch(texts, monitor=None, factors=lambda index: {}):
    monitor = monitor or Monitor(recipe())
    for index, text in enumerate(texts):
        finding = EXAMINER.examine(0, factors(index), Answer(text, "stop"), {})
        monitor.add(finding.text, factors(index), finding)
    return monitor


def only(monitor, *says):
    """The one alarm there is, holding `says`."""
    (alarm,) = monitor.alarms()
    assert all(part in alarm for part in says), alarm


def test_diverse_stories_trip_none():
    monitor = watch(map(story, range(1500)))
    summary = monitor.summary()
    assert monitor.alarms() == [] and summary["documents"] == 1000 and summary["accepted"] == 1.0
    assert summary["opening_bits"] > 7 and summary["near_duplicates"] < 0.01
    assert all(len(summary[kind]) == 10 for kind in ("openings", "names", "stock_words"))


def test_one_opening():
    texts = [f"In a small town, there lived a cat. {story(i)}" if i % 3 == 0 else story(i) for i in range(300)]
    monitor = watch(texts)
    assert "33.3% of the last 300 documents begin with 'in a small town', more than 25.0%" in monitor.alarms()
    assert monitor.summary()["openings"]["in a small town"] == 0.3333


def test_one_name():
    monitor = watch(f"{story(i)} Then they met Elara." if i % 5 == 0 else story(i) for i in range(300))
    only(monitor, "20.0%", "300", "the name 'Elara'", "10.0%")


def test_one_stock_word():
    monitor = watch(f"{story(i)} They saw the lighthouse." if i % 2 else story(i) for i in range(300))
    only(monitor, "50.0%", "the word 'lighthouse'", "30.0%")


def test_near_copies():
    texts = [story(i) for i in range(270)]
    texts += [f"{text} They slept well." for text in texts[:30]]
    only(watch(texts), "10.0%", "near copies", "5.0%")


def test_few_are_accepted():
    monitor = Monitor(recipe())
    for index in range(200):
        monitor.add("", {}, Finding("", reason="refusal" if index % 5 else ""))
    only(monitor, "20.0% of the last 200 answers were accepted", "50.0%")
    assert monitor.summary()["documents"] == 0


def test_what_was_asked_for_is_no_habit():
    """A word drawn for a document, or in the template of all, is not the model's own; the same word elsewhere is."""
    texts = [f"{story(i)} Then Ada saw two dogs and thought of what a mouse uses." for i in range(200)]
    drawn = watch(texts, factors=lambda index: {"noun": ["dog", "mouse"], "names": ["Ada"]})
    assert drawn.alarms() == []
    assert "Ada" not in drawn.summary()["names"] and "dogs" not in drawn.summary()["stock_words"]
    assert len(watch(texts).alarms()) == 2


def test_sampled_words_are_rare():
    rng = random.Random(0)
    nouns = words()["noun"]
    assert watch(f"{story(i)} There was also a {rng.choice(nouns)}." for i in range(300)).alarms() == []


def test_no_alarms_before_there_are_enough():
    monitor = watch([story(0)] * 99)
    assert monitor.alarms() == []
    watch([story(0)], monitor)
    assert len(monitor.alarms()) == 4


def test_thresholds_of_the_recipe():
    monitor = Monitor(recipe(alarms={"name": 0.3, "stock_word": 1.0}))
    assert watch(
        (f"{story(i)} Then Elara saw the lighthouse." if i % 5 == 0 else story(i) for i in range(200)), monitor
    )
    assert monitor.alarms() == []


def test_the_window_forgets():
    monitor = Monitor(recipe(), window=100)
    watch([story(0)] * 100, monitor)
    assert monitor.summary()["near_duplicates"] == 0.99
    watch(map(story, range(1, 101)), monitor)
    assert monitor.alarms() == []
    fresh = watch(map(story, range(1, 101)), Monitor(recipe(), window=100))
    assert monitor.summary() == fresh.summary()


def test_memory_is_bounded_by_the_window():
    monitor = Monitor(recipe(), window=50)
    findings = [EXAMINER.examine(0, {}, Answer(story(i), "stop"), {}) for i in range(300)]
    for finding in findings:
        monitor.add(finding.text, {}, finding)
    tracemalloc.start()
    try:
        for _ in range(3):
            for finding in findings:
                monitor.add(finding.text, {}, finding)
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown < 1_000_000  # 50 entries of a few kilobytes; 900 would be four times as much and more


def test_chats_count_by_what_is_said():
    messages = [{"role": "user", "content": "Hi there!"}, {"role": "assistant", "content": "The lighthouse is open."}]
    monitor = Monitor(recipe())
    monitor.add("[INST] Hi there! [/INST] The lighthouse is open.", {}, Finding("x", messages))
    assert "inst" not in monitor.summary()["stock_words"] and "lighthouse" in monitor.summary()["stock_words"]


def test_unknown_alarms_and_thresholds():
    validate(DEFAULTS)
    with refused("'names'", "did you mean 'name'"):
        validate({"names": 0.1})
    for wrong in (10, -0.1, True, "much"):
        with refused("alarm opening", repr(wrong)):
            Monitor(recipe(alarms={"opening": wrong}))


@pytest.mark.parametrize("same", [False, True])
def test_quick(same):
    """About 0.3 ms a document, also where all are alike and every bucket is full."""
    findings = [EXAMINER.examine(0, {}, Answer(story(0 if same else i), "stop"), {}) for i in range(1000)]
    monitor = Monitor(recipe(), window=500)
    start = time.process_time()
    for finding in findings:
        monitor.add(finding.text, {}, finding)
    assert (time.process_time() - start) / len(findings) < 3e-3
