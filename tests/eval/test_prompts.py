"""The project's own prompt sets are what they claim, and files of every form give the same prompts."""

import json
import re
from dataclasses import replace

import pytest

from data_gen.words import vocabulary, words
from eval import prompts
from eval.prompts import NAMES, PromptSet, load, of_texts, parted
from eval.records import Prompt, write_lines
from tests.expect import refused

FAMILIES = NAMES[1:]
# A change of a text must come with a new VERSION: grades of one version are compared with each other.
HASHES = {
    "stories": "7e9b1130c5ea97d8",
    "knowledge": "c9fb9562c0019157",
    "reasoning": "869b7a2acf2158a6",
    "context": "4c4fb093eb442960",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_version_stands_for_its_texts(name):
    assert load(name).version == prompts.VERSION == "1"
    assert load(name).hash[:16] == HASHES[name]


def test_counts_and_ids():
    sets = {name: load(name) for name in NAMES}
    assert len(sets["stories"].prompts) == 60
    assert all(len(sets[name].prompts) >= 25 for name in FAMILIES)
    assert all(p.kind == ("story" if name == "stories" else name) for name in NAMES for p in sets[name].prompts)
    every = [p for s in sets.values() for p in s.prompts]
    assert len({p.id for p in every}) == len(every)
    assert len({p.text for p in every}) == len(every)


@pytest.mark.parametrize("name", NAMES)
def test_prompts_are_cut_in_mid_sentence(name):
    for prompt in load(name).prompts:
        assert re.search(r"[a-z\d]$", prompt.text), f"ends within a sentence, at a word: {prompt.text}"
        assert prompt.text[0].isupper() or prompt.text[0] == '"'
        assert "  " not in prompt.text and prompt.text.isascii()


def sentences(text: str) -> int:
    return len(re.findall(r"[.!?]\"?(?= [A-Z\"])", text)) + 1


def test_beginnings_have_a_few_sentences_and_differ():
    texts = [prompt.text for prompt in load("stories").prompts]
    assert all(2 <= sentences(text) <= 4 for text in texts), [t for t in texts if not 2 <= sentences(t) <= 4]
    assert len({tuple(text.lower().split()[:4]) for text in texts}) == 60, "no two begin alike"
    names = [set(re.findall(r"(?<=[a-z,] )[A-Z][a-z]+|^[A-Z][a-z]+", text)) for text in texts]
    assert len(set.union(*names)) > 60
    last = [text.split()[-1] for text in texts]
    assert max(map(last.count, last)) <= 4, "cut at many kinds of places"


def test_no_set_shares_a_run_of_words_with_another():
    def runs(name):
        return {
            tuple(said[i : i + 7])
            for prompt in load(name).prompts
            for said in [re.findall("[a-z']+", prompt.text.lower())]
            for i in range(len(said) - 6)
        }

    sets = [runs(name) for name in NAMES]
    assert all(not a & b for i, a in enumerate(sets) for b in sets[:i])


@pytest.mark.parametrize("name", NAMES)
def test_words_are_those_of_a_child(name):
    known = vocabulary(words())
    said = [word for prompt in load(name).prompts for word in re.findall("[a-z]+", _plain(prompt.text))]
    assert sum(word in known for word in said) / len(said) > 0.98
    ends = [e for p in load(name).prompts for c in (*p.accepted, *p.rejected) for e in re.findall("[a-z]+", _plain(c))]
    assert not ends or sum(word in known for word in ends) / len(ends) > 0.95


def _plain(text: str) -> str:
    """Without names and -'s."""
    return re.sub(r"\b[A-Z]\w*|'\w+", "", text)


@pytest.mark.parametrize("name", FAMILIES)
def test_continuations_can_be_compared(name):
    for prompt in load(name).prompts:
        assert len(prompt.accepted) >= 2 and len(prompt.rejected) >= 3, prompt.id
        both = (*prompt.accepted, *prompt.rejected)
        assert len({text.lower() for text in both}) == len(both), prompt.id
        for text in both:
            assert re.fullmatch(r" \S+( \S+){0,6}", text) and text[-1].isalnum(), (prompt.id, text)
        longest, shortest = (f(len(t.split()) for t in prompt.rejected) for f in (max, min))
        assert all(shortest - 1 <= len(t.split()) <= longest + 2 for t in prompt.accepted), prompt.id


def test_no_answer_is_given_away_by_position_or_length():
    """A marker that always took the shortest, or the longest, continuation would do badly."""
    every = [p for name in FAMILIES for p in load(name).prompts]
    for choose in (min, max):
        hits = sum(choose((*p.rejected, *p.accepted), key=len) in p.accepted for p in every)
        assert hits / len(every) < 0.65


def test_all_forms_give_the_same_prompts(tmp_path):
    texts = ["The cat was so big that", 'Tom said, "I', "Once: there was a # hen"]
    (tmp_path / "a.json").write_text(json.dumps(texts))
    (tmp_path / "a.txt").write_text("\n\n".join(texts) + "\n")
    (tmp_path / "a.yaml").write_text("---\n" + "".join(f"- |-\n  {text}\n" for text in texts))
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"prompt": text}) + "\n" for text in texts))
    sets = [load(tmp_path / f"a.{form}") for form in ("json", "txt", "yaml", "jsonl")]
    assert {s.hash for s in sets} == {PromptSet("a", "", of_texts(texts)).hash}
    assert [p.text for p in sets[0].prompts] == texts and sets[0].name == "a"


def test_own_records_come_back(tmp_path):
    mine = [Prompt("x", "knowledge", "Cows give", (" milk",), (" tea",)), Prompt("y", "story", "A hen")]
    write_lines(tmp_path / "mine.jsonl", mine)
    assert load(tmp_path / "mine.jsonl").prompts == tuple(mine)


def test_sets_are_found_again_in_the_list_of_all_their_prompts():
    facts = load("knowledge")
    two = [replace(facts, name=str(n), version="", prompts=half) for n, half in
           enumerate((facts.prompts[:9], facts.prompts[9:]))]  # fmt: skip
    sets = [load("stories"), *two, load("context")]
    every = [prompt for one in sets for prompt in one.prompts]
    assert parted(every, {one.name: one.hash for one in sets}) == sets
    for wrong in (every[1:], every[:-1], every[60:], every[:60], []):
        with refused("stories", "--prompts"):
            parted(wrong, {one.name: one.hash for one in sets})


def test_the_hash_is_that_of_the_prompts():
    one = load("knowledge")
    assert replace(one, name="other", version="9").hash == one.hash
    changed = (replace(one.prompts[0], rejected=(" soup",)), *one.prompts[1:])
    assert replace(one, prompts=changed).hash != one.hash
    assert replace(one, prompts=one.prompts[::-1]).hash != one.hash


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [("a.json", '{"a": 1}', "not a list"), ("a.json", "[", "Expecting"), ("a.yaml", "- [", "parsing"),
     ("a.txt", "\n", "none"), ("a.jsonl", '{"id": 1}\n', "no text in entry 1"), ("a.json", '["x", " "]', "entry 2"),
     ("a.json", '["x", "\\ud800"]', "entry 2"), ("a.jsonl", '{"text": "x"}\n{"text": "\\ud800"}\n', "line 2"),
     ("a.jsonl", '{"id": "\\ud800", "kind": "story", "text": "x"}\n', "line 1: half a surrogate")],
)  # fmt: skip
def test_files_that_hold_no_prompts_are_refused(tmp_path, name, content, why):
    (tmp_path / name).write_text(content)
    with refused(why, "a"):
        load(tmp_path / name)


def test_an_unknown_name_is_refused():
    with refused("knowledge", "no storys"):
        load("storys")
