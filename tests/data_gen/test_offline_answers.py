"""The offline writer's answers pass the checks of the recipes that ask for them, and follow from the request alone."""

import asyncio
import json
import re
from collections import Counter
from dataclasses import replace

import pytest

from data_gen.answer import STOP, Answer, read_answer
from data_gen.examine import Examiner
from data_gen.factors import Sampler
from data_gen.offline import frames
from data_gen.offline.answers import write_answer
from data_gen.offline.backend import Offline
from data_gen.offline.calls import call
from data_gen.offline.talks import talk
from data_gen.offline.told import story, summary
from data_gen.offline.verbs import ALONE, FRIENDS, HAPPEN, NAUGHTY, THINGS, UNKIND
from data_gen.recipe import bundled, load
from data_gen.render import render
from data_gen.words import PARTS_OF_SPEECH, words


def requests(recipe, step, factors, earlier, index):
    return render(recipe, step, factors, earlier, index=index, sample=0, model="offline-writer", overrides={})


@pytest.mark.parametrize("name", bundled())
def test_answers_pass_the_recipes_own_checks(name):
    recipe = load(name)
    sampler, examiner, found = Sampler(recipe, 0), Examiner(recipe), Counter()
    for index in range(500):
        factors, earlier = sampler.draw(index), {}
        for number, step in enumerate(recipe.steps):
            request = requests(recipe, number, factors, earlier, index)
            finding = examiner.examine(number, factors, Answer(write_answer(recipe, request), STOP), earlier)
            found[step.name, finding.reason] += 1
            earlier[step.name] = finding.text
    good = sum(count for (_, reason), count in found.items() if not reason)
    assert good >= 0.97 * found.total(), found
    assert found.total() == 500 * len(recipe.steps)


def test_an_answer_follows_from_the_request_alone():
    recipe = load("tinystories")
    factors = Sampler(recipe, 0).draw(3)
    one, other = (requests(recipe, 0, factors, {}, index) for index in (3, 4))
    assert write_answer(recipe, one) == write_answer(recipe, requests(recipe, 0, dict(factors), {}, 3))
    assert write_answer(recipe, one) != write_answer(recipe, other)


def test_every_word_of_the_list_fits_a_sentence():
    lists = words()
    for pos in PARTS_OF_SPEECH:
        for word in lists[pos]:
            text = story(0, [(word, pos)])
            assert re.search(rf"\b{re.escape(word)}\b", text, re.I), (word, pos)
            assert not re.search(r"[{}\[\]]|  | \.|\bto [.,]", text), (word, pos, text)
            kind = frames.kind_of(word, pos)
            assert (kind == "verb") <= bool(frames.fields_of(word, pos, "her").get("verb", kind != "verb")), word


def test_every_verb_has_one_place():
    sets = [THINGS, FRIENDS, UNKIND, NAUGHTY, HAPPEN, ALONE]
    verbs = set(words()["verb"])
    assert not [word for word in set().union(*sets) if word not in verbs]
    assert max(Counter(word for one in sets for word in one).values()) == 1


def test_a_story_has_what_was_asked_for():
    text = story(
        1, [("bake", "verb")], ["BadEnding", "MoralValue", "Dialogue"], ["Amara", "Bo"], "Q", {"theme": "home"}, 3
    )
    assert text[0] == "Q" and text.count("\n\n") == 2
    assert "Amara" in text and "Bo" in text and "bake" in text and "home" in text and '"' in text
    for number in range(50):
        nobody = story(number, names=[])
        assert not re.search(r"(?<=[a-z,] )[A-Z][a-z]+", re.sub(r'"[^"]*"', "", nobody)), nobody
        assert re.search(
            r"\b[Tt]he (fox|bear|mouse|rabbit|puppy|mole|otter|kitten|panda|badger|beaver|raccoon|squirrel|hedgehog)\b",
            nobody,
        )


def test_a_summary_is_made_from_the_text():
    text = story(5)
    said = summary(text, 0)
    for sentence in re.findall(r"[^.!?]+[.!?]", said):
        assert sentence.strip() in text
    assert '"' not in said and 1 <= len(re.findall(r"[.!?]", said)) <= 2
    assert summary('"Hi," she said.', 0)  # even where everybody speaks


def test_chats_take_turns_and_keep_to_their_length():
    for number in range(100):
        for length in ("4", "6", "8", "10", "12"):
            turns = call(
                number, {"product": "toaster", "issue": "dead", "mood": "angry", "outcome": "person", "length": length}
            )
            assert [role for role, _ in turns] == ["user", "assistant"] * (int(length) // 2)
        turns = talk(number, [("milk", "noun"), ("melt", "verb"), ("afraid", "adjective")], {"feeling": "sad"}, 8)
        assert [role for role, _ in turns] == ["user", "assistant"] * (len(turns) // 2) and 4 <= len(turns) <= 8
        said = " ".join(text for _, text in turns)
        assert "milk" in said and "melt" in said and "afraid" in said
    no_marks = talk(0, [("milk", "noun")], {"marks": "NoQuestionMarks", "starting": "Question"})
    assert not any("?" in text for _, text in no_marks)
    assert not any(
        "a electric" in text for number in range(50) for _, text in call(number, {"product": "electric bike"})
    )


def test_the_form_follows_the_parser():
    recipe = load("tinystories")
    step = recipe.steps[0]
    request = requests(recipe, 0, Sampler(recipe, 0).draw(0), {}, 0)
    packed = replace(recipe, steps=(replace(step, parse="marker", checks={**step.checks, "items": 3}),))
    finding = Examiner(packed).examine(0, request.factors, Answer(write_answer(packed, request), STOP), {})
    assert len(finding.parts) == 3 and finding.reason == ""
    as_json = replace(recipe, steps=(replace(step, parse="json"),))
    assert json.loads(write_answer(as_json, request))["text"] == write_answer(recipe, request)
    plain = load("tinychat")
    plain = replace(plain, steps=(replace(plain.steps[0], parse="plain"),))
    request = requests(plain, 0, Sampler(plain, 0).draw(0), {}, 0)
    finding = Examiner(plain).examine(0, request.factors, Answer(write_answer(plain, request), STOP), {})
    assert finding.reason == "" and len(finding.messages) >= 4


def test_the_backend_answers_like_a_vendor():
    recipe = load("tinychat")
    request = requests(recipe, 0, Sampler(recipe, 0).draw(0), {}, 0)
    reply = asyncio.run(Offline(recipe).call(request))
    answer = read_answer(reply.body)
    assert reply.status == 200 and answer.finish == STOP and answer.model == "offline-writer"
    assert answer.text == write_answer(recipe, request)
    assert answer.usage.input > 50 and answer.usage.output > 50
