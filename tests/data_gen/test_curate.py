"""Curation is a function of the raw answers: their order, the workers and kills change nothing; validators change all."""

import dataclasses
import json
import random
from pathlib import Path

import pytest

from data_gen import report as reports
from data_gen.curate import curate
from data_gen.factors import Sampler
from data_gen.offline import write_story
from data_gen.recipe import Recipe
from data_gen.request import Request
from tests.data_gen.raw_run import REFUSAL, ask, bundled, content, documents, good, lines, sentence, story, write
from tests.expect import refused
from tsjax.atomic import sha256_json
from tsjax.corpus import chat, instruct
from tsjax.corpus.sources import sources
from tsjax.shards import open_shards
from tsjax.workers import Processes

STORIES, INSTRUCT, CHAT = "tinystories", "tinystories_instruct", "tinychat"
SEED = 7
ALONE = Processes(1)


def faulty(request: Request):
    """An answer that is no good now and then: a refusal, one cut off, a lost word, copies."""
    index, factors = request.index, request.factors
    if request.step:
        return REFUSAL if index % 20 == 13 else good(request)
    match index % 20:
        case 3:
            return REFUSAL
        case 5:
            return story(index, factors), "length"
        case 7:
            return f"{write_story(0, index)} {sentence(factors | {'noun': 'xylophones'})}"
        case 9 | 10 | 11 as place:  # 11 is 10 but for a word at the end; both hold the words of all three
            both = " ".join(sentence(SAMPLERS[index - place + other]) for other in (9, 10, 11))
            return f"{write_story(5, index // 20)} {both}" + (
                " After that they all went home and slept well." if place == 11 else ""
            )
    return good(request)


def draws(recipe: Recipe) -> dict:
    sampler = Sampler(recipe, SEED)
    return {index: sampler.draw(index) for index in range(400)}


SAMPLERS = draws(bundled(STORIES))


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    return ask(bundled(STORIES), SEED, range(200), faulty)


@pytest.fixture(scope="module")
def run(tmp_path_factory, rows) -> Path:
    folder = write(tmp_path_factory.mktemp("runs") / "run", rows)
    curate(folder, bundled(STORIES), seed=SEED, valid_fraction=0.1, workers=ALONE)
    return folder


def test_every_answer_is_a_document_or_a_reject_with_a_reason(run, rows):
    report = json.loads((run / "report.json").read_text())
    found, rejected = documents(run), lines(run / "rejected.jsonl.zst")
    reasons = {item["src"]["requests"]["story"]: item["reason"] for item in rejected}
    for row in rows:
        place, why = row["index"] % 20, reasons.get(row["id"], "")
        expected = {3: "refusal", 5: "length", 7: "missing_word:noun", 10: "exact_duplicate", 11: "near_duplicate"}
        assert why == expected.get(place, ""), row["index"]
    assert len(found) + len(rejected) == len(rows) == 200
    assert {d["src"]["requests"]["story"] for d in found} == {row["id"] for row in rows} - reasons.keys()
    story_step = report["acceptance"]["story"]
    assert story_step["answers"] == 200 and story_step["accepted"] == report["documents"]["accepted"] == 170
    assert story_step["rejected"] == {"length": 10, "missing_word:noun": 10, "refusal": 10}
    assert report["documents"]["exact_duplicate"] == report["documents"]["near_duplicate"] == 10
    assert report["documents"]["train"] + report["documents"]["valid"] == len(found) == 150
    assert report["answers"]["cost"] == {"picodollars": 200 * 1_500_000, "usd": 0.0003}
    assert report["answers"]["finish"] == {"stop": 190, "length": 10}
    assert report["coverage"]["combinations"]["used"] == 150


def test_the_lowest_index_of_copies_stays(run):
    found = {d["id"]: d for d in documents(run)}
    copies = [r for r in lines(run / "rejected.jsonl.zst") if "dup" in r]
    assert len(copies) == 20
    for copy in copies:
        index = int(copy["group_id"].rpartition("-")[2])
        original = found[copy["dup"].get("exact_of") or copy["dup"]["near_of"]]
        assert int(original["group_id"].rpartition("-")[2]) == index // 20 * 20 + 9
        assert (
            copy["dup"]["similarity"] == 1
            if copy["reason"] == "exact_duplicate"
            else 0.7 <= copy["dup"]["similarity"] < 1
        )


def test_records_say_where_they_come_from(run, rows):
    by_id = {row["id"]: row for row in rows}
    for d in documents(run):
        row = by_id[d["src"]["requests"]["story"]]
        factors = SAMPLERS[row["index"]]
        assert d["id"] == f"{row['id']}-0" and d["factors"] == factors and d["verdict"] == "accepted"
        assert d["words"] == [factors["verb"], factors["noun"], factors["adjective"]]
        assert d.get("features", []) == factors.get("features", [])
        assert d["lang"] == "en" and d["kind"] == "story" and d["stats"]["words"] == len(d["text"].split())
        assert d["src"]["run"] == "run-1" and d["src"]["model_served"] == "gpt-test-2026-11-01"
        assert d["src"]["attempts"] == {"story": row["attempt"]}
        assert d["split"] in ("train", "valid") and d["checks"]["story"] and "edits" in d


def test_the_order_of_raw_lines_changes_nothing(run, rows, tmp_path):
    """I5, with second answers to some requests too."""
    twice = [*rows, *(r | {"attempt": 900 + i, "received": r["received"] + 900} for i, r in enumerate(rows[::9]))]
    recipe, made = bundled(STORIES), []
    for name, order in (("a", twice), ("b", random.Random(1).sample(twice, len(twice))), ("c", twice[::-1])):
        folder = write(tmp_path / name, order, frame=7 if name == "b" else 60)
        curate(folder, recipe, seed=SEED, valid_fraction=0.1, workers=ALONE)
        made.append(content(folder))
    assert made[0] == made[1] == made[2]
    # The first answer counts, so the second ones change no document.
    for split in ("train", "valid"):
        assert made[0][f"documents/{split}.jsonl.zst"] == content(run)[f"documents/{split}.jsonl.zst"]
    assert json.loads(made[0]["report.json"])["answers"]["repeated"] == len(rows[::9])


def test_workers_and_bounds_change_nothing(run, rows, tmp_path, monkeypatch):
    from data_gen import buckets, copies
    from data_gen import curate as stage

    monkeypatch.setattr(buckets, "RANGE", 16)
    monkeypatch.setattr(buckets, "HELD", 5000)
    monkeypatch.setattr(copies, "PART", 20)
    monkeypatch.setattr(stage, "CHUNK", 11)
    folder = write(tmp_path / "run", rows)
    curate(folder, bundled(STORIES), seed=SEED, valid_fraction=0.1, workers=Processes(2))
    assert content(folder) == content(run)
    assert not (folder / ".curate").exists()


def test_a_changed_validator_gives_other_documents_of_the_same_answers(run, tmp_path):
    """I8: nothing is asked, and the raw answers stay as they are."""
    recipe = bundled(STORIES)
    before, raw = content(run), {p.name: p.read_bytes() for p in (run / "raw").iterdir()}
    checks = {**recipe.steps[0].checks, "words": [110, 450]}
    stricter = dataclasses.replace(
        recipe, steps=(dataclasses.replace(recipe.steps[0], checks=checks),), curation_hash=sha256_json(checks)
    )
    report = curate(run, stricter, seed=SEED, valid_fraction=0.1, workers=ALONE)
    assert report["acceptance"]["story"]["rejected"]["too_short"] > 10
    assert 0 < len(documents(run)) < 140 and content(run) != before
    assert {p.name: p.read_bytes() for p in (run / "raw").iterdir()} == raw
    curate(run, recipe, seed=SEED, valid_fraction=0.1, workers=ALONE)
    assert content(run) == before


def test_the_target_takes_the_first_that_are_no_copies(run, tmp_path, rows):
    folder = write(tmp_path / "run", rows)
    report = curate(folder, bundled(STORIES), seed=SEED, target=40, valid_fraction=0.1, workers=ALONE)
    kept = sorted(int(d["group_id"].rpartition("-")[2]) for d in documents(folder))
    every = sorted(int(d["group_id"].rpartition("-")[2]) for d in documents(run))
    assert kept == every[:40] and report["documents"]["beyond_target"] == 110 and report["documents"]["missing"] == 0
    # More answers and a higher target move no document to the other split.
    sides = {d["id"]: d["split"] for d in documents(run)}
    assert all(sides[d["id"]] == d["split"] for d in documents(folder))
    report = curate(folder, bundled(STORIES), seed=SEED, target=1000, valid_fraction=0.1, workers=ALONE)
    assert report["documents"]["missing"] == 850
    assert documents(folder) == documents(run)


def test_copies_of_other_data_sets_are_left_out(run, tmp_path, rows):
    folder = write(tmp_path / "run", rows)
    known = documents(run)[:20]
    texts = [d["text"].upper() for d in known[:10]] + [d["text"] + " And so it was." for d in known[10:]]
    others = tmp_path / "others"
    others.mkdir()
    (others / "a.txt").write_text("\n<|endoftext|>\n".join(texts[:5]))
    (others / "b.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in ["Another one.", *texts[5:]]))
    report = curate(folder, bundled(STORIES), seed=SEED, against=[others], valid_fraction=0.1, workers=ALONE)
    assert report["documents"]["in_other_data"] >= 10 and report["documents"]["near_other_data"] >= 10
    gone = {r["id"]: r for r in lines(folder / "rejected.jsonl.zst") if r["reason"].endswith("other_data")}
    assert {d["id"] for d in known} <= gone.keys()
    places = [gone[d["id"]]["dup"] for d in known]
    assert [p["exact_of"] for p in places[:10]] == [f"a.txt#{i}" for i in range(5)] + [
        f"b.jsonl#{i}" for i in range(1, 6)
    ]
    assert [p["near_of"] for p in places[10:]] == [f"b.jsonl#{i}" for i in range(6, 16)]
    manifest = json.loads((folder / "documents" / "manifest.json").read_text())
    assert [other["name"] for other in manifest["against"]] == ["a.txt", "b.jsonl"]


def test_second_samples_and_steps(tmp_path):
    """Redraws: the first sample whose steps are all accepted; later steps stay with the answer they were asked about."""
    recipe = dataclasses.replace(bundled(INSTRUCT), redraws=1)

    def answers(request: Request):
        bad_story = request.index % 5 == 1 and not request.sample and not request.step
        bad_summary = request.index % 5 == 2 and request.step and not request.sample
        hopeless = request.index % 5 == 3 and not request.step
        return REFUSAL if bad_story or bad_summary or hopeless else good(request)

    rows = ask(recipe, SEED, range(60), answers)
    late = [row for row in rows if row["index"] == 4 and row["step"]]  # its summary is still on its way
    folder = write(tmp_path / "run", [row for row in rows if row not in late])
    report = curate(folder, recipe, seed=SEED, valid_fraction=0.1, workers=ALONE)
    found = {int(d["group_id"].rpartition("-")[2]): d for d in documents(folder)}
    assert sorted(found) == [i for i in range(60) if i % 5 != 3 and i != 4]
    by_id = {row["id"]: row for row in rows}
    for index, d in found.items():
        chain = [by_id[request] for request in d["src"]["requests"].values()]
        assert [row["sample"] for row in chain] == [int(index % 5 in (1, 2))] * 2
        assert d["story"] in chain[1]["messages"][-1]["content"] and d["summary"] in json.dumps(chain[1]["body"])
    steps = report["acceptance"]
    assert steps["story"]["rejected"] == {"refusal": 12 + 24} and steps["summary"]["rejected"] == {"refusal": 12}
    assert report["answers"]["unfinished"] == 1 and report["answers"]["unused"] == 0
    # A cleaner that changes what the summary was asked about: the summary still belongs to its story.
    told = [row | {"messages": [{"role": "user", "content": "an older text"}]} if row["step"] else row for row in rows]
    again = write(tmp_path / "again", told)
    report = curate(again, recipe, seed=SEED, valid_fraction=0.1, workers=ALONE)
    assert report["answers"]["recleaned"] == sum(row["step"] for row in rows) and len(documents(again)) == 48


def test_packed_answers_give_several_documents_in_one_split(tmp_path):
    recipe = bundled(STORIES)
    step = dataclasses.replace(recipe.steps[0], parse="marker", checks={"items": 3, "words": [40, 300]})
    recipe = dataclasses.replace(recipe, steps=(step,))

    def packed(request: Request):
        texts = [write_story(20 + i, request.index) for i in range(3)]
        return "\n---\n".join([texts[0], "Too short.", texts[2]] if request.index % 4 == 1 else texts)

    folder = write(tmp_path / "run", ask(recipe, SEED, range(40), packed))
    report = curate(folder, recipe, seed=SEED, valid_fraction=0.3, workers=ALONE)
    found, rejected = documents(folder), lines(folder / "rejected.jsonl.zst")
    assert len(found) == 30 * 3 + 10 * 2 and len(rejected) == 10 and report["documents"]["accepted"] == 110
    assert {r["reason"] for r in rejected} == {"too_short"} and {r["id"][-2:] for r in rejected} == {"-1"}
    assert report["acceptance"]["story"]["accepted"] == 40 and len({d["id"] for d in found}) == 110
    sides: dict[str, set[str]] = {}
    for d in found:
        sides.setdefault(d["group_id"], set()).add(d["split"])
    assert len(sides) == 40 and all(len(splits) == 1 for splits in sides.values())
    assert {split for splits in sides.values() for split in splits} == {"train", "valid"}


def test_what_is_no_answer_is_a_reject(tmp_path):
    rows = ask(bundled(STORIES), SEED, range(20))
    rows[4]["body"], rows[5]["body"] = {"error": "odd"}, {"choices": []}
    rows[6]["body"]["choices"][0]["message"]["content"] += " \ud800"
    folder = write(tmp_path / "run", rows)
    report = curate(folder, bundled(STORIES), seed=SEED, workers=ALONE)
    assert report["acceptance"]["story"]["rejected"]["unreadable"] == 1
    assert report["acceptance"]["story"]["answers"] == 20 and len(documents(folder)) in (17, 18)
    assert len(sources(folder / "documents")) == 2


def test_without_answers_nothing_and_with_one_document_a_report_alone(tmp_path):
    with refused("answers in", "none"):
        curate(tmp_path / "none", bundled(STORIES), seed=SEED)
    folder = write(tmp_path / "run", ask(bundled(STORIES), SEED, range(20)))
    assert curate(folder, bundled(STORIES), seed=SEED)["documents"]["train"] and (folder / "documents").exists()
    step = dataclasses.replace(bundled(STORIES).steps[0], checks={"words": [5000, 6000]})
    report = curate(folder, dataclasses.replace(bundled(STORIES), steps=(step,)), seed=SEED)
    assert report["acceptance"]["story"]["rejected"] == {"too_short": 20}
    assert json.loads((folder / "report.json").read_bytes()) == report and not (folder / "documents").exists()
    single = write(tmp_path / "single", ask(bundled(STORIES), SEED, range(1)))
    assert curate(single, bundled(STORIES), seed=SEED)["documents"]["alone"] == 1
    with refused("target"):
        curate(folder, bundled(STORIES), seed=SEED, target=0)
    assert not (folder / "documents").exists() and not (folder / ".curate").exists()


@pytest.mark.parametrize("name", [STORIES, INSTRUCT, CHAT])
def test_prepare_reads_the_documents_with_no_options(tsjax, tmp_path, name):
    recipe = bundled(name)
    folder = write(tmp_path / "run", ask(recipe, SEED, range(150)))
    report = curate(folder, recipe, seed=SEED, valid_fraction=0.1, workers=ALONE)
    assert report["acceptance"][recipe.shape.text]["accepted"] > 130
    code, _, err = tsjax("prepare", folder / "documents", "--vocab-size", 400, "--out", tmp_path / "shards")
    assert code == 0, err
    shards = open_shards(tmp_path / "shards")
    by_split = {split: {d["text"] for d in documents(folder) if d["split"] == split} for split in ("train", "valid")}
    for split, texts in by_split.items():
        assert texts and set(shards.texts(split)) == texts
    if name == CHAT:
        for d in documents(folder):
            assert (
                chat.render(chat.Turn(m["role"], m["content"]) for m in d["messages"])
                == d["text"]
                == chat.tidy(d["text"])
            )
    if name == INSTRUCT:
        for d in documents(folder):
            block = instruct.parse(d["text"])
            assert block.story == d["story"] and block.kinds == d["instructions"]
            assert all(getattr(block, key) in ([], "", d[key]) for key in ("words", "summary", "sentence"))


def test_instruct_draws_again_from_the_documents(tsjax, tmp_path):
    recipe = bundled(INSTRUCT)
    folder = write(tmp_path / "run", ask(recipe, SEED, range(120)))
    curate(folder, recipe, seed=SEED, workers=ALONE)
    code, _, err = tsjax("instruct", folder / "documents", "--ood", "--valid-fraction", 0.2, "--out", tmp_path / "ood")
    assert code == 0, err
    drawn = [d for split in ("train", "valid") for d in lines(tmp_path / "ood" / f"{split}.jsonl.zst")]
    assert {d["story"] for d in drawn} == {d["story"] for d in documents(folder)}
    both = {"Words", "Summary"}
    assert not [d for d in lines(tmp_path / "ood" / "train.jsonl.zst") if both <= set(d["instructions"])]
    assert all(both <= set(d["instructions"]) for d in lines(tmp_path / "ood" / "valid.jsonl.zst"))
    # The same draw as curation's, from the same seed.
    code, _, err = tsjax("instruct", folder / "documents", "--seed", SEED, "--out", tmp_path / "same")
    assert code == 0, err
    same = {d["text"] for split in ("train", "valid") for d in lines(tmp_path / "same" / f"{split}.jsonl.zst")}
    assert same == {d["text"] for d in documents(folder)}


def test_the_report_can_be_read(run):
    report = json.loads((run / "report.json").read_text())
    told = reports.text(report)
    for said in (
        "170 of 200 accepted (85.0%)",
        "10  refusal",
        "10  near_duplicate",
        "gpt-test-2026-11-01 (200)",
        "0.0003 USD",
    ):
        assert said in told, told
    assert all(len(line) < 400 for line in told.splitlines())
