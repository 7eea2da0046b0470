"""A study of a small run: all its checkpoints, two kinds of sets, models of files beside them; what it refuses to mix."""

import json
import shutil
from collections import Counter
from dataclasses import replace

import pytest

from data_gen.prices import about_tokens
from eval import complete
from eval.complete import fingerprint
from eval.corpus import Corpus
from eval.docket import Docket
from eval.likelihood import Scorer, corpus_loss
from eval.models import models_of
from eval.prompts import PromptSet, load, of_texts
from eval.records import INSTRUCT, STORY, Completion, Prompt, read_lines
from eval.study import COMPLETIONS, STUDY, Study
from tests.expect import refused
from tsjax.tokenizer import WordList
from tsjax.trained import open_trained

TEXTS = ["Once upon a time", "The dog was so big that", "Tom said that he"]
STORIES = PromptSet("three", "", of_texts(TEXTS))
ASKED = "Words: hen, pig\nStory: "
INSTRUCTS = PromptSet("instruct", "", (Prompt("instruct-01-0", INSTRUCT, ASKED, asks={"words": ["hen", "pig"]}),))
FACTS = replace(load("knowledge"), prompts=load("knowledge").prompts[:2])
SETS = [STORIES, INSTRUCTS, FACTS]
HOW = {"mode": "sample", "temperature": 1.0, "max_new": 8, "seed": 0, "cut_at_repeat": False}
GIVEN = (SETS, 2, HOW)
NEWS = 2 * 4 + 2  # two texts of each story and instruct prompt, one of each fact


@pytest.fixture(scope="module")
def run(finished):
    return finished[0]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": f"{text} ran."}) + "\n" for text in TEXTS))
    return path


@pytest.fixture(scope="module")
def studied(run, corpus, tmp_path_factory):
    """(the folder, how many texts the newest checkpoint and then all of them wrote, the report); nobody may change it."""
    out = tmp_path_factory.mktemp("study") / "out"
    study = Study(out)
    made = [study.write([run], *GIVEN), study.write([run], *GIVEN, "all"), study.write([run], *GIVEN, "all")]
    study.measure([run], corpus=corpus)
    report = study.report()
    study.close()
    return out, made, report


@pytest.fixture
def study(studied, tmp_path):
    """A copy of it, to be changed."""
    shutil.copytree(studied[0], tmp_path / "out")
    copy = Study(tmp_path / "out")
    yield copy
    copy.close()


@pytest.fixture
def empty(tmp_path):
    study = Study(tmp_path / "empty")
    yield study
    study.close()


def foreign_file(path, model: str, text: str = "ran.", prompts=STORIES.prompts, **more):
    rows = [{"model": model, "prompt_id": prompt.id, "text": f" {text}", **more} for prompt in prompts]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_every_checkpoint_writes_under_its_name(run, studied):
    out, made, _ = studied
    assert made == [NEWS, NEWS, 0], "the newest, then the one before, then none"
    steps = {run.name: 12, f"{run.name}@6": 6}
    texts = list(read_lines(out / COMPLETIONS, Completion))
    assert Counter(one.model for one in texts) == dict.fromkeys(steps, NEWS)
    weights = {name: fingerprint(open_trained(run, step)) for name, step in steps.items()}
    assert {(one.model, one.step, one.checkpoint) for one in texts} == {(n, steps[n], weights[n]) for n in steps}
    assert json.loads((out / STUDY).read_bytes())["models"] == weights
    alone = {
        (one.prompt_id, one.k): one.text for one in complete.complete(run, STORIES, k=2, checkpoints=[6], max_new=8)
    }
    assert alone == {(one.prompt_id, one.k): one.text for one in texts
                     if one.model != run.name and one.prompts == STORIES.hash}  # fmt: skip


def test_checkpoints_make_a_curve_and_the_newest_a_row(run, studied):
    out, _, report = studied
    rows = {row["model"]: row for row in json.loads((out / "models.json").read_bytes())}
    valid = {row["step"]: row for row in map(json.loads, (run / "metrics.jsonl").open()) if row["kind"] == "valid"}
    assert {(name, row["run"], row["step"]) for name, row in rows.items()} == {
        (run.name, run.name, 12), (f"{run.name}@6", run.name, 6)
    }  # fmt: skip
    for row in rows.values():
        assert [row[name] for name in ("loss", "bits_per_byte")] == [
            valid[row["step"]][name] for name in ("loss", "bits_per_byte")
        ]
    assert report["curves"][run.name]["loss"]["x"] == [6, 12]
    assert {model["model"] for model in report["models"] if model["in_table"]} == {run.name}
    marked = [(row["model"], row["how"]) for row in json.loads((out / "marking.json").read_bytes())]
    assert sorted(marked) == sorted((name, how) for name in rows for how in ("by probability", "of texts"))
    assert {row["model"] for row in json.loads((out / "metrics.json").read_bytes())} == set(rows)


def test_a_step_without_validation_has_no_loss(run, study, tmp_path):
    copy = tmp_path / run.name
    shutil.copytree(run, copy)
    lines = (copy / "metrics.jsonl").read_text().splitlines(keepends=True)
    kept = [line for line in lines if json.loads(line)["kind"] == "train"]
    (copy / "metrics.jsonl").write_text("".join(kept) + lines[0][:20])  # torn: the run may be at work
    study.measure([copy])
    losses = {row["step"]: row["loss"] for row in study.read("models.json", [])}
    assert losses == {6: None, 12: json.loads((run / "result.json").read_bytes())["loss"]}


def test_a_file_of_weights_has_just_one_checkpoint(run, tmp_path):
    (tmp_path / "big.bin").write_bytes(b"")
    found = models_of([tmp_path / "big.bin", run], "all")
    assert [model.name for model in found] == ["big", run.name, f"{run.name}@6"]
    with refused("checkpoints", "'last'"):
        models_of([run], "last")


def test_a_damaged_checkpoint_is_left_out(run, empty, tmp_path, capsys):
    copy = tmp_path / run.name
    shutil.copytree(run, copy)
    sealed = max((copy / "checkpoints" / "00000006").rglob("*"), key=lambda path: path.stat().st_size * path.is_file())
    sealed.write_bytes(b"x" + sealed.read_bytes()[1:])
    assert empty.write([copy], *GIVEN, "all") == NEWS and f"{run.name}@6 is left out" in capsys.readouterr().out
    empty.measure([copy])
    assert [row["model"] for row in empty.read("models.json", [])] == [run.name]


def test_the_loss_on_one_corpus_is_that_of_each_checkpoint(run, studied, corpus):
    rows = {row["step"]: row for row in json.loads((studied[0] / "models.json").read_bytes())}
    for step in (6, 12):
        found = corpus_loss(Scorer(open_trained(run, step)), [f"{text} ran." for text in TEXTS])
        assert rows[step]["corpus_loss"] == pytest.approx(found.loss, rel=1e-6)
        assert rows[step]["corpus_bits_per_byte"] == pytest.approx(found.bits_per_byte, rel=1e-6)
    assert {row["corpus_name"] for row in rows.values()} == {"texts.jsonl"}
    assert {row["corpus_sha256"] for row in rows.values()} == {Corpus(corpus).sha256}


def test_a_study_has_one_corpus_whatever_file_it_is_in(run, study, corpus, tmp_path):
    same, other = tmp_path / "same.txt", tmp_path / "other.txt"
    same.write_text("<|endoftext|>".join(f"{text} ran." for text in TEXTS))
    other.write_text("<|endoftext|>".join(f"{text} ran away." for text in TEXTS))
    assert Corpus(same).sha256 == Corpus(corpus).sha256
    with refused("corpus", "choose another --out"):
        study.measure([run], corpus=other)
    study.measure([run])
    assert all(row["corpus_loss"] for row in study.read("models.json", [])), "what was measured stays"


def test_what_the_reference_told_stays_and_a_study_has_one_reference(run, study, tmp_path):
    names = "reference_bits_per_byte", "prompt_gain"

    def likelihoods() -> list[dict]:
        return [{name: one["metrics"].get(name) for name in names} for one in study.read("metrics.json", [])]

    study.measure([run], reference=run)
    told = likelihoods()
    assert len(told) == 2 and all(one["mean"] for metrics in told for one in metrics.values())
    study.measure([run])
    assert likelihoods() == told
    older = tmp_path / "older"
    shutil.copytree(run, older)
    shutil.rmtree(older / "checkpoints" / "00000012")
    with refused("reference", "choose another --out"):
        study.measure([run], reference=older)
    assert likelihoods() == told


def test_a_corpus_that_a_model_can_not_spell_has_no_loss_but_a_reason(run, corpus, tmp_path):
    trained = replace(open_trained(run), tokenizer=WordList([" a", "b", "c"]))
    found = Corpus(corpus).loss(Scorer(trained))
    assert found["corpus_loss"] is found["corpus_bits_per_byte"] is None and "spell" in found["corpus_why"]
    with refused("nowhere"):
        Corpus(tmp_path / "nowhere")


def test_instructions_stand_beside_beginnings(run, studied):
    out, _, report = studied
    study = Study(out)
    asks, texts = {prompt.id: prompt.asks for prompt in study.prompts if prompt.asks}, study.completions
    study.close()
    assert asks == {INSTRUCTS.prompts[0].id: {"words": ["hen", "pig"]}}
    docket = Docket([one for one in texts if one.kind in (STORY, INSTRUCT)], asks=asks)
    assert Counter(one.kind for one in docket.completions) == {STORY: 12, INSTRUCT: 4}
    assert "required_words" in {name for row in report["metrics"] for name in row["metrics"]}


@pytest.mark.parametrize(
    ("sets", "why"),
    [
        ([STORIES, replace(STORIES, name="others", prompts=of_texts(["A hen"]))], "one set of beginnings"),
        ([INSTRUCTS, replace(INSTRUCTS, name="more")], "one set of instructions"),
        ([STORIES, FACTS, replace(FACTS, prompts=FACTS.prompts[:1])], "each set once"),
        ([STORIES, FACTS, replace(FACTS, name="twice")], "each prompt id once"),
        ([replace(STORIES, prompts=(*STORIES.prompts, *FACTS.prompts))], "one kind"),
    ],
)
def test_sets_that_a_study_can_not_hold_are_refused(run, empty, sets, why):
    for begin in (empty.write, empty.planned):
        with refused(why):
            begin([run], sets, 2, HOW)
    assert not (empty.out / STUDY).exists()


def test_a_plan_is_as_much_as_will_be_written_and_touches_nothing(run, study, empty, monkeypatch):
    def no(*args):
        raise AssertionError("weights were opened")

    monkeypatch.setattr(complete, "open_trained", no)
    plan = empty.planned([run], *GIVEN, "all")
    assert {(one.model, one.prompt_id, one.k) for one in plan} == {
        (name, prompt.id, k)
        for name in (run.name, f"{run.name}@6") for prompt in (*STORIES.prompts, *INSTRUCTS.prompts) for k in (0, 1)
    }  # fmt: skip
    assert len(Docket(plan).completions) == len(plan) == 16, "a judge can be asked what they cost"
    assert [path.name for path in empty.out.iterdir()] == [".lock"]
    assert study.planned([run], *GIVEN, "all") == []
    kept = (study.out / COMPLETIONS).read_bytes().splitlines(keepends=True)
    (study.out / COMPLETIONS).write_bytes(b"".join(kept[:3]))
    assert len(study.planned([run], *GIVEN)) == 8 - 3
    with refused("decoding", "choose another --out"):
        study.planned([run], SETS, 2, HOW | {"seed": 1})


@pytest.mark.parametrize("max_new", [8, 256, 600])
def test_a_planned_text_is_about_as_long_as_texts_get(run, empty, max_new):
    sizes = [about_tokens(one.text) for one in empty.planned([run], [STORIES], None, HOW | {"max_new": max_new})]
    assert len(sizes) == 30 and all(max_new <= size < max_new + 6 for size in sizes)


def test_a_model_that_reads_fewer_prompts_is_compared_on_those(run, empty, tmp_path, capsys):
    long = PromptSet("long", "", of_texts([*TEXTS, "very " * 80 + "big"]))
    assert empty.write([run], [long], 1, HOW) == 3 and "1 of 4 prompts left out" in capsys.readouterr().out
    empty.add([foreign_file(tmp_path / "a.jsonl", "other", prompts=long.prompts)], [long], False)
    blocks = {block["text"]: {one["model"] for one in block["completions"]} for block in empty.report()["prompts"]}
    assert blocks == {
        prompt.text: {"other"} | ({run.name} if prompt.text in TEXTS else set()) for prompt in long.prompts
    }


def test_texts_are_taken_in_once(study, tmp_path):
    mine, later = foreign_file(tmp_path / "a.jsonl", "big"), foreign_file(tmp_path / "b.jsonl", "big", "sat.", k=1)
    before = study.completions
    study.add([mine, mine], SETS, False)
    assert study.completions[: len(before)] == before and len(study.completions) == len(before) + 3
    kept = (study.out / COMPLETIONS).read_bytes()
    study.add([mine], SETS, False)
    assert (study.out / COMPLETIONS).read_bytes() == kept
    study.add([later], SETS, False)  # other numbers of the same prompts
    assert len(study.completions) == len(before) + 6
    study.add([study.out / COMPLETIONS], SETS, False)  # its own texts, as another study might bring them
    assert len(study.completions) == len(before) + 6


def test_two_models_never_mix_under_one_name(run, study, tmp_path):
    study.add([foreign_file(tmp_path / "a.jsonl", "big")], SETS, False)
    kept = (study.out / COMPLETIONS).read_bytes()
    for model, text, k in (
        ("big", "sat.", 0),
        (run.name, "ran.", 0),
        (run.name, "ran.", 5),
        (f"{run.name}@6", "ran.", 9),
    ):
        with refused(model, "another name"):
            study.add([foreign_file(tmp_path / "b.jsonl", model, text, k=k)], SETS, False)
    assert (study.out / COMPLETIONS).read_bytes() == kept


def test_a_run_does_not_take_the_name_or_the_weights_of_another_model(run, study, empty, tmp_path):
    empty.add([foreign_file(tmp_path / "a.jsonl", run.name)], SETS, False)
    with refused(run.name, "rename the run"):
        empty.write([run], *GIVEN)
    shutil.copytree(run, tmp_path / "copy")
    with refused(run.name, "copy", "the same"):
        study.write([tmp_path / "copy"], *GIVEN)
    older = tmp_path / "older" / run.name
    shutil.copytree(run, older)
    shutil.rmtree(older / "checkpoints" / "00000012")
    with refused(f"the weights of {run.name}"):
        study.write([older], *GIVEN)
    with refused("twice"):
        study.write([run, older], *GIVEN)
    with refused("nowhere"):
        study.write([tmp_path / "nowhere"], *GIVEN)


@pytest.mark.parametrize("cut", [1, 40])
def test_a_line_that_a_killed_process_left_does_not_stop_the_report(run, study, cut):
    """Without its line's end alone it is whole, and kept; a piece is taken away, and made again."""
    out, path = study.out, study.out / COMPLETIONS
    texts = study.completions
    path.write_bytes(path.read_bytes()[:-cut])
    (out / "endings.jsonl").write_text('{"model": "')
    study.close()
    study = Study(out)
    assert study.completions == (texts if cut == 1 else texts[:-1])
    assert len(study.report()["prompts"]) == 6 and (out / "endings.jsonl").read_bytes() == b""
    assert study.write([run], *GIVEN, "all") == len(texts) - len(texts if cut == 1 else texts[:-1])
    assert study.completions == texts
