"""Completions of a small trained run: all recorded, the same in any batch, resumed, greedy where asked."""

import dataclasses
import json
from collections import Counter

import jax
import jax.numpy as jnp
import pytest

from eval.complete import complete, complete_to, fingerprint, fitting, key
from eval.prompts import PromptSet, of_texts
from eval.records import Completion, read_lines
from eval.repeat import end_of_news
from tests.expect import refused
from tsjax import beam, families, model, samples
from tsjax.config import ModelConfig
from tsjax.tokenizer import WordList
from tsjax.trained import Trained, open_trained, steps_kept

TEXTS = ["Once upon a time", "The dog was so big that", "A hen", "Tom said that he"]
PROMPTS = PromptSet("four", "", of_texts(TEXTS))
SMALL = dict(k=3, max_new=12)


@pytest.fixture(scope="module")
def run(finished):
    return finished[0]


@pytest.fixture(scope="module")
def made(run) -> list[Completion]:
    return list(complete(run, PROMPTS, **SMALL))


def by_key(rows) -> dict:
    return {key(row): row for row in rows}


def test_every_prompt_has_k_with_all_that_made_them(run, made):
    trained = open_trained(run)
    assert Counter(row.prompt_id for row in made) == {prompt.id: 3 for prompt in PROMPTS.prompts}
    assert {row.k for row in made} == {0, 1, 2} and len({row.id for row in made}) == 12
    one = made[0]
    assert (one.model, one.step, one.prompts) == (run.name, 12, PROMPTS.hash)
    assert one.tokenizer == trained.tokenizer.fingerprint and one.checkpoint == fingerprint(trained)
    assert one.parameters == sum(p.size for p in trained.params.values())
    assert one.decoding == {"mode": "sample", "temperature": 1.0, "top_k": 0, "top_p": 1.0, "beam": None, "max_new": 12,
                            "seed": 0, "cut_at_repeat": False}  # fmt: skip
    assert all(row.stop in ("eos", "length") and (row.stop == "eos" or row.tokens == 12) for row in made)
    assert len({row.text for row in made if row.prompt == TEXTS[0]}) == 3, "each k draws apart"


@pytest.mark.parametrize("batch", [1, 5, 64])
def test_texts_do_not_depend_on_the_batch_or_the_other_prompts(run, made, batch):
    assert {k: row.text for k, row in by_key(complete(run, PROMPTS, batch=batch, **SMALL)).items()} == {
        k: row.text for k, row in by_key(made).items()
    }
    fewer = PromptSet("two", "", PROMPTS.prompts[2:])
    again = {(row.prompt, row.k): row.text for row in complete(run, fewer, batch=batch, **SMALL)}
    assert again.items() <= {(row.prompt, row.k): row.text for row in made}.items() and len(again) == 6


def test_another_seed_tells_other_stories(run, made):
    other = complete(run, PROMPTS, seed=1, **SMALL)
    assert sum(a.text == b.text for a, b in zip(made, other, strict=True)) < 3


def test_greedy_takes_the_likeliest_token_each_time_and_says_how_likely(run):
    trained = open_trained(run)
    decoder = jax.jit(lambda ids: (d := model.bind(trained.config.model, trained.params)).logits(d(ids[None]))[0])
    stops = {trained.tokenizer.eos, trained.tokenizer.bos}
    rows = list(complete(run, PROMPTS, mode="greedy", max_new=8))
    assert len(rows) == len(TEXTS) and rows[0].decoding["temperature"] is None
    for row in rows:
        (prompt,) = samples.prompt_ids(trained.tokenizer, [row.prompt])
        ids, logp = list(prompt), 0.0
        while len(ids) < len(prompt) + 8:
            logits = decoder(jnp.asarray(ids + [0] * (64 - len(ids))))[len(ids) - 1]
            token = int(jnp.argmax(logits))
            if token in stops:
                break
            ids.append(token)
            logp += float(jax.nn.log_softmax(logits)[token])
        assert row.logprob == pytest.approx(logp, abs=1e-3) and row.tokens == len(ids) - len(prompt)
        assert row.text == samples.story_text(trained.tokenizer, prompt, ids[len(prompt) :])


def test_beam_is_that_of_the_search(run):
    trained = open_trained(run)
    rows = {row.prompt: row for row in complete(run, PROMPTS, mode="beam", beam=3, max_new=8)}
    (prompt,) = samples.prompt_ids(trained.tokenizer, TEXTS[:1])
    (found,) = beam.search(trained.config.model, trained.params, [prompt], max_new=8, beam=3,
                           stops=(trained.tokenizer.eos, trained.tokenizer.bos))  # fmt: skip
    assert rows[TEXTS[0]].text == samples.story_text(trained.tokenizer, prompt, found.ids)
    assert rows[TEXTS[0]].decoding["beam"] == 3 and len(rows) == 4


def test_what_is_in_the_file_is_not_made_again(run, made, tmp_path):
    out = tmp_path / "completions.jsonl"
    assert complete_to(out, run, PROMPTS, **SMALL, batch=4) == 12
    whole = out.read_bytes()
    assert by_key(read_lines(out, Completion)) == by_key(complete(run, PROMPTS, batch=4, **SMALL))
    assert complete_to(out, run, PROMPTS, **SMALL, batch=4) == 0 and out.read_bytes() == whole

    lines = whole.splitlines(keepends=True)
    out.write_bytes(b"".join(lines[:5]) + lines[5][:40])  # killed while it wrote
    assert complete_to(out, run, PROMPTS, **SMALL, batch=4) == 7
    kept = [json.loads(line) for line in out.read_bytes().splitlines()]
    assert sorted(row["text"] for row in kept) == sorted(json.loads(line)["text"] for line in lines)
    assert complete_to(out, run, PROMPTS, k=4, max_new=12, batch=4) == 4, "one more of each prompt"


def test_every_checkpoint_that_was_kept(run):
    assert steps_kept(run) == [6, 12]
    rows = list(complete(run, PROMPTS, k=1, max_new=4, checkpoints="all"))
    assert [row.step for row in rows] == [6] * 4 + [12] * 4
    assert len({row.checkpoint for row in rows}) == 2 and rows[-1].checkpoint == fingerprint(open_trained(run))
    assert {row.step for row in complete(run, PROMPTS, k=1, max_new=4, checkpoints=[6])} == {6}
    with refused("step 7", "6, 12"):
        next(complete(run, PROMPTS, checkpoints=[7]))


def test_cut_at_the_first_repeat(run):
    """A model of 60 words that draws one of two each time soon says something twice."""
    words = WordList([f" {a}{b}" for a in "abcdef" for b in "klmnopqrst"])
    config = families.llama(vocab_size=words.vocab_size, context=64, width=16, layers=1, heads=2, mlp_width=24)
    whole = dataclasses.replace(open_trained(run).config, model=ModelConfig(**config))
    params = {n: p * 20 if p.ndim > 1 else p for n, p in model.init(whole.model, jax.random.key(0)).items()}
    trained = Trained(whole, params, words, None)
    prompts, how = PromptSet("words", "", of_texts(["ak bl", "cm dn eo"])), dict(k=8, max_new=50, top_k=2)
    texts = {(row.prompt, row.k): row for row in complete(trained, prompts, **how)}
    repeats = 0
    for row in complete(trained, prompts, cut_at_repeat=True, **how):
        full = texts[row.prompt, row.k]
        end = end_of_news(full.text)
        if end is None:
            assert (row.text, row.stop, row.tokens) == (full.text, full.stop, full.tokens)
            continue
        repeats += 1
        assert (row.text, row.stop) == (full.text[:end], "repeat")
        assert row.tokens == len(row.text.split()) < full.tokens and row.logprob > full.logprob
    assert repeats


def test_prompts_that_do_not_fit(run):
    both = PromptSet("both", "", of_texts([*TEXTS, "very " * 80 + "big"]))
    with refused("context is 64"):
        next(complete(run, both))
    left = fitting(both, run)
    assert [prompt.text for prompt in left.prompts] == TEXTS and "1 of 5" in left.note
    assert left.hash == both.hash == fitting(left, run).hash, "texts of one set, whatever part of it a model can read"


@pytest.mark.parametrize(
    ("how", "why"),
    [(dict(mode="best"), "greedy"), (dict(temperature=0), "temperature"), (dict(mode="greedy", k=2), "k of 1"),
     (dict(k=0), "k of"), (dict(batch=0), "batch"), (dict(mode="beam", top_p=0.9), "no temperature"),
     (dict(warmth=1), "warmth"), (dict(checkpoints="last"), "'last'"),
     (dict(max_new=0), "max_new"), (dict(mode="beam", beam=0), "beam")],
)  # fmt: skip
def test_settings_that_can_not_be_are_refused(run, how, why):
    with refused(why):
        next(complete(run, PROMPTS, **how))


def test_equal_weights_have_equal_fingerprints(run):
    trained = open_trained(run)
    assert fingerprint(trained) == fingerprint(dataclasses.replace(trained, step=99))
    name = next(iter(trained.params))
    other = dataclasses.replace(trained, params=trained.params | {name: trained.params[name] + 1e-3})
    assert fingerprint(other) != fingerprint(trained)
