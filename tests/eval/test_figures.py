"""The figures of the paper from shards and endings: what is copied shows, the control is there, prompts are reproducible."""

import dataclasses
import json

import numpy as np
import pytest

from eval.diversity import diversity
from eval.figures import HELD_OUT, SHOWN, beginnings, ending_ids, figures
from eval.grams import corpus_of
from eval.records import STORY, Completion
from eval.rouge import rouge
from tests.eval.corpora import grams
from tests.expect import refused
from tests.texts import stories
from tsjax.shards import open_shards


@pytest.fixture(scope="module")
def shards(shard_folder):
    return open_shards(shard_folder)


def said(model, prompt, text, k=0):
    return Completion(
        model=model,
        prompts="p",
        prompt_id=prompt.id,
        kind=STORY,
        k=k,
        prompt=prompt.text,
        text=text,
        stop="eos",
        tokens=9,
    )


@pytest.fixture(scope="module")
def found(shards):
    """A parrot that learned the training set by heart, and one that writes of things nobody ever told."""
    prompts, endings = beginnings(shards, 20, seed=1)
    new = [" " + text for text in stories(20, seed=8)]
    completions = [said("parrot", prompt, endings[prompt.id]) for prompt in prompts]
    completions += [said("new", prompt, text) for prompt, text in zip(prompts, new, strict=True)]
    completions.append(said("new", prompts[0], "another try, which does not count", k=1))
    return prompts, endings, completions, figures(shards, endings, completions)


def test_prompts_are_the_first_40_percent_of_training_stories(shards):
    prompts, endings = beginnings(shards, 30, seed=1)
    texts = list(shards.texts("train"))
    assert len({prompt.id for prompt in prompts}) == 30 == len(endings)
    for prompt in prompts:
        whole = texts[int(prompt.id.removeprefix("train-"))]
        assert prompt.text + endings[prompt.id] == whole and prompt.kind == STORY
        assert len(prompt.text.split()) == round(0.4 * len(whole.split()))
        assert endings[prompt.id][0].isspace() and not prompt.text[-1].isspace()
    assert (prompts, endings) == beginnings(shards, 30, seed=1)
    assert prompts != beginnings(shards, 30, seed=2)[0]
    with refused("10000 stories", "train"):
        beginnings(shards, 10_000)


def test_an_ending_has_the_ids_that_it_has_in_its_story(shards):
    prompts, endings = beginnings(shards, 30, seed=3)
    train = corpus_of(shards)
    made = ending_ids(shards.tokenizer(), [p.text for p in prompts], [endings[p.id] for p in prompts])
    for prompt, ids in zip(prompts, made, strict=True):
        whole = train.document(int(prompt.id.removeprefix("train-"))).tolist()
        assert whole[len(whole) - len(ids) :] == ids
        # Before them is text of the prompt alone; the first of them reaches beyond it (".\n\n" is one token).
        begin, decode = len(whole) - len(ids), shards.tokenizer().decode
        assert prompt.text.startswith(decode(whole[:begin]))
        assert not prompt.text.startswith(decode(whole[: begin + 1]))


def test_what_was_copied_shows_everywhere(found, shards):
    prompts, endings, _, figs = found
    parrot = figs["fig14"]["parrot"]
    assert (
        parrot["n"]
        == 20
        == sum(parrot["counts"])
        == parrot["counts"][np.searchsorted(parrot["edges"], 1.0, "right") - 1]
    )
    for k in ("2", "3"):
        assert figs["fig17"]["parrot"][k]["counts"] == parrot["counts"]
        new = figs["fig17"]["new"][k]
        assert np.average(new["edges"][:-1], weights=new["counts"]) < 0.5
    assert set(figs["novelty"]["parrot"].values()) == {0.0}
    assert all(bars["never"] == 0 for bars in figs["fig16"]["parrot"].values())
    lengths = sorted(
        map(len, ending_ids(shards.tokenizer(), [p.text for p in prompts], [endings[p.id] for p in prompts]))
    )
    copied = figs["copied"]["parrot"]
    assert np.repeat(copied["edges"][:-1], copied["counts"]).tolist() == lengths


def test_what_is_new_shows_too_and_the_control_lies_between(found, shards):
    *_, figs = found
    curves = figs["novelty"]
    assert set(curves) == {"parrot", "new", HELD_OUT}
    assert list(curves["new"]) == [str(n) for n in range(1, 11)]
    assert 0 == curves["parrot"]["4"] < curves[HELD_OUT]["4"] < curves["new"]["4"]
    for model, shares in curves.items():
        assert model == "parrot" or shares["2"] < shares["4"] < shares["10"], model
    assert set(figs["fig16"]["new"]) == {"2", "3", "4", "5"}
    for name in ("fig14", "fig15", "copied"):
        assert set(figs[name]) == {"parrot", "new", HELD_OUT}
        assert all(len(bars["edges"]) == len(bars["counts"]) + 1 for bars in figs[name].values())
        sizes = {model: bars["n"] for model, bars in figs[name].items()}
        assert sizes == {"parrot": 20, "new": 20, HELD_OUT: min(20, len(shards.document_starts("valid")))}


def test_nearest_stories_are_shown_as_text(found, shards):
    _, _, completions, figs = found
    assert [pair["model"] for pair in figs["fig18"]] == ["parrot"] * SHOWN + ["new"] * SHOWN
    texts = list(shards.texts("train"))
    for pair in figs["fig18"]:
        assert pair["story"] == texts[pair["document"]]
        assert pair["precision_words"] == rouge(pair["completion"], pair["story"], 2).precision
        one = next(one for one in completions if one.id == pair["id"])
        assert one.text == pair["completion"] and one.model == pair["model"]
    assert all(pair["precision"] == 1.0 and pair["copied_tokens"] > 20 for pair in figs["fig18"][:SHOWN])
    # Those of the other model: the highest of all its endings, compared one by one.
    new = [one for one in completions if one.model == "new" and one.k == 0]
    pairs = [
        set(grams(ids, 2)) for ids in ending_ids(shards.tokenizer(), [o.prompt for o in new], [o.text for o in new])
    ]
    train = corpus_of(shards)
    told = [set(grams(train.document(i).tolist(), 2)) for i in range(len(train.starts))]
    best = sorted((max(len(mine & theirs) for theirs in told) / len(mine) for mine in pairs), reverse=True)
    assert [pair["precision"] for pair in figs["fig18"][SHOWN:]] == best[:SHOWN] != best[-SHOWN:]


def test_plain_json_and_independent_of_workers(found, shards):
    _, endings, completions, figs = found
    assert json.loads(json.dumps(figs)) == figs
    assert figures(shards, endings, completions, workers=1) == figs
    texts = [one.text for one in completions if one.model == "new" and one.k == 0]
    assert figs["diversity"]["new"] == {name: one["mean"] for name, one in diversity("new", texts)["metrics"].items()}


def test_completions_of_other_prompts_are_refused(found, shards):
    _, endings, completions, _ = found
    with refused("true endings", "elsewhere"):
        figures(shards, endings, [dataclasses.replace(completions[0], prompt_id="elsewhere")])
    with refused("k = 0"):
        figures(shards, endings, [dataclasses.replace(completions[0], k=3)])
