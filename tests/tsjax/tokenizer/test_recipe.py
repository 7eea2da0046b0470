"""A recipe makes the tokenizer that it describes, refuses contradictions, and says what decides the result."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.expect import refused
from tests.texts import chats, stories
from tsjax.tokenizer import HuggingFace, Recipe, Restricted, SentencePiece, WordList, evenly, load, versions

TEXTS = [*stories(200), *chats(50)]


@pytest.mark.parametrize("recipe, kind", [
    (Recipe("bpe", 400), SentencePiece),
    (Recipe("unigram", 400, chat=True), SentencePiece),
    (Recipe("byte-bpe", 400), HuggingFace),
    (Recipe("byte-bpe", 400, top=300, rare="split"), Restricted),
    (Recipe("words", 400, rare="drop"), WordList),
    (Recipe("words", 400, rare="unk", chat=True), WordList),
])  # fmt: skip
def test_a_recipe_decides(recipe, kind):
    made = recipe.make(iter(TEXTS))
    assert type(made) is kind and made.fingerprint == recipe.make(TEXTS).fingerprint
    assert made.vocab_size == (recipe.top or (recipe.vocab_size if kind is not WordList else 384))
    assert bool(made.markers) == recipe.chat
    assert json.loads(json.dumps(recipe.settings())) == recipe.settings()
    assert (made.unk >= 0) == (recipe.rare == "unk" or kind is SentencePiece)


@pytest.mark.parametrize("changes, words", [
    ({"kind": "bytes"}, "bytes"),
    ({"vocab_size": 0}, "1 or more"),
    ({"sample_bytes": 0}, "1 or more"),
    ({"top": -1}, "-1"),
    ({"top": 100}, "beside top"),
    ({"top": 5000, "rare": "unk"}, "5000"),
    ({"rare": "unk"}, "with top, or words"),
    ({"rare": "keep", "top": 100}, "keep"),
    ({"kind": "words", "top": 100, "rare": "unk"}, "no top for words"),
    ({"kind": "words", "rare": "split"}, "split"),
])  # fmt: skip
def test_contradictions_are_refused(changes, words):
    recipe = dataclasses.replace(Recipe(), **changes)
    with refused(words):
        recipe.check()
    with refused(words):
        recipe.make(TEXTS)
    Recipe().check()


def test_a_given_tokenizer_is_taken_as_it_is_or_cut(tmp_path):
    base = Recipe("byte-bpe", 400).make(TEXTS)
    path = tmp_path / "tokenizer.json"
    base.save(path)
    assert Recipe(path=path).make([]).fingerprint == base.fingerprint
    assert Recipe(path=path, chat=True).make([]).vocab_size == 403
    cut = Recipe(path=path, top=300, rare="unk", chat=True).make(TEXTS)
    assert cut.vocab_size == 300 and cut.markers.keys() == {"system", "user", "assistant"}
    with refused("HuggingFace"):
        Recipe(path=path, rare="unk").make([])
    model = Recipe(vocab_size=400).make(TEXTS)
    model.save(tmp_path / "tokenizer.model")
    assert Recipe(path=tmp_path / "tokenizer.model", chat=True).make([]).markers["user"] == 401


def test_a_given_word_list_takes_a_rule(tmp_path):
    path = tmp_path / "tokens.txt"
    WordList(["a", " "]).save(path)
    assert Recipe(path=path, rare="drop").make([]).unk == Recipe(path=path).make([]).unk == -1
    unk = Recipe(path=path, rare="unk").make([])
    assert unk.unk == 2 and unk.encode(["ab"]) == [[1, 0, 2]]
    with refused("drop or unk"):
        Recipe(path=path, rare="split").make([])
    with refused("[INST]"):
        Recipe(path=path, chat=True).make([])
    with refused("WordList"):
        Recipe(path=path, top=2, rare="drop").make([])
    unk.save(path)
    with refused("without <unk>"):
        Recipe(path=path, rare="drop").make([])


def test_settings_are_what_decides(tmp_path):
    seen = set()
    default = Recipe()
    for changes in ({}, {"kind": "unigram"}, {"vocab_size": 5}, {"top": 5, "rare": "unk"}, {"rare": "unk"}, {"chat": True},
                    {"sample_bytes": 7}):  # fmt: skip
        seen.add(json.dumps(dataclasses.replace(default, **changes).settings(), sort_keys=True))
    assert len(seen) == 7
    made = Recipe(vocab_size=400).make(TEXTS)
    for name in ("a.model", "b.model"):
        made.save(tmp_path / name)
    a, b = (Recipe(path=tmp_path / name).settings() for name in ("a.model", "b.model"))
    assert a == b and a["fingerprint"] == load(tmp_path / "a.model").fingerprint
    assert Recipe(path=tmp_path / "a.model", vocab_size=7, sample_bytes=3).settings() == a  # without meaning there
    assert str(tmp_path) not in json.dumps(a)


def test_versions_name_the_libraries():
    assert versions().keys() == {"sentencepiece", "tokenizers"} and versions()["sentencepiece"]


@given(lengths=st.lists(st.integers(1, 50), min_size=1, max_size=200), wanted=st.integers(1, 3000))
def test_the_sample_is_even(lengths, wanted):
    texts = ["x" * n for n in lengths]
    total = sum(lengths)
    sample = list(evenly(texts, total, wanted))
    taken = sum(map(len, sample))
    assert min(wanted, total) <= taken < min(wanted, total) + 50
    head = sum(map(len, evenly(texts[: len(texts) // 2], total, wanted)))
    share = sum(lengths[: len(texts) // 2]) * min(wanted, total) / total
    assert share <= head < share + 50
    assert [n for n, _ in evenly(enumerate(texts), total, wanted, text=lambda pair: pair[1])] == [
        n for n, _ in evenly(enumerate(texts), total, wanted, text=lambda pair: "y" * len(pair[1]))
    ]
