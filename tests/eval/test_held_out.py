"""Instruct prompts: out of held-out rows, none with a combination that the training split has, the same in any order."""

import json
import random

import pytest

from eval.held_out import instruct_sets
from tests.expect import refused
from tsjax.corpus import instruct
from tsjax.corpus.split import Splitting
from tsjax.prepare import prepare
from tsjax.tokenizer import Recipe

NOUNS = ["cat", "dog", "hen", "cow", "pig", "fox", "owl", "bee", "ant", "frog"]
VERBS = ["run", "hop", "sit", "eat", "nap", "hum", "dig", "fly"]


def rows(count: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    made = []
    for n in range(count):
        noun, verb, other = draw.choice(NOUNS), draw.choice(VERBS), draw.choice(NOUNS)
        asked = [("Words", f"{noun}, {verb}, {other}"), ("Summary", f"The {noun} of number {seed} {n} can {verb}.")]
        asked = [asked, asked[:1], [*asked, ("Features", "Dialogue")]][n % 3]
        made.append(
            instruct.compose(asked, f"Once a {noun} saw {other} number {n}. It could {verb}. The end.").render()
        )
    return made


def write(path, texts):
    path.write_text("<|endoftext|>".join(texts))
    return path


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("instruct")
    train, valid = write(folder / "train.txt", rows(300, 1)), write(folder / "valid.txt", rows(120, 2))
    prepare(
        [train], folder / "shards", valid_inputs=[valid], recipe=Recipe(vocab_size=400), splitting=Splitting(near=1)
    )
    return folder / "shards"


def words(text: str) -> frozenset[str]:
    return frozenset(instruct.parse(text).words)


def test_no_combination_is_in_the_training_split(shards):
    made = instruct_sets(shards, 20, seed=3)
    trained, held_out = ({words(text) for text in rows(n, seed)} for n, seed in ((300, 1), (120, 2)))
    asked = [frozenset(prompt.asks["words"]) for prompt in made.prompts]
    assert len(held_out & trained) > 10, "or there would be nothing to avoid"
    assert len(set(asked)) == len(asked) == 20
    assert not set(asked) & trained and set(asked) <= held_out
    assert made.note == "" and {prompt.kind for prompt in made.prompts} == {"instruct"}


def test_a_prompt_is_the_row_up_to_its_story(shards):
    texts = rows(120, 2)
    for prompt in instruct_sets(shards, 20).prompts:
        (row,) = [text for text in texts if text.startswith(prompt.text)]
        assert row[len(prompt.text) :] == instruct.parse(row).story
        assert prompt.asks == instruct.parse(row).document().fields


def test_the_order_of_rows_does_not_matter_but_the_seed_does(tmp_path):
    texts = rows(100, 5)
    one = instruct_sets(write(tmp_path / "one.txt", texts), 10)
    other = instruct_sets(write(tmp_path / "other.txt", texts[::-1]), 10)
    assert one.hash == other.hash != instruct_sets(tmp_path / "one.txt", 10, seed=1).hash
    assert "not checked" in one.note


def test_too_few_are_refused(tmp_path):
    with refused("50 held-out", "found"):
        instruct_sets(write(tmp_path / "few.txt", rows(9, 1)), 50)
    (tmp_path / "plain.jsonl").write_text(json.dumps({"text": "A hen sat down."}) + "\n")
    with refused("held-out", "0 of 0"):
        instruct_sets(tmp_path / "plain.jsonl", 1)
