"""`tsjax prepare` and `instruct` as a user meets them: any corpus in, counts and warnings out."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from data_gen.offline import write_story
from tests.launch.conftest import one_line
from tsjax import prepare as stage
from tsjax.atomic import sha256_json
from tsjax.corpus import SEPARATOR
from tsjax.shards import open_shards

STORIES = [write_story(3, index) for index in range(400)]


@pytest.fixture
def text_file(tmp_path):
    return write(tmp_path / "stories.txt", STORIES)


def write(path, stories, between=f"\n{SEPARATOR}\n"):
    path.write_text(between.join(stories), encoding="utf-8")
    return path


def records(count: int) -> list[dict]:
    """In the form of TinyStories' all-data archive."""
    draw = random.Random(0)
    return [
        {
            "story": f"\n\n{story}",
            "instruction": {
                "prompt:": "Write a short story.",
                "words": draw.sample(sorted(set(story.split())), 3),
                "features": draw.sample(["Dialogue", "Twist", "BadEnding"], draw.randrange(3)),
            },
            "summary": f"It is about {story.split()[3]}.",
            "source": "GPT-4" if number % 3 else "GPT-3.5",
        }
        for number, story in enumerate(STORIES[:count])
    ]


def chats(count: int) -> list[str]:
    draw = random.Random(1)
    things = ["cat", "dog", "tree", "boat", "cake", "song", "river", "book"]
    lines = []
    for _ in range(count):
        named = draw.choices(things, k=4)
        lines.append(f"[INST] do you like the {named[0]} or the {named[1]}? [/INST] i like the {named[0]}. "
                     f"[INST] and the {named[2]} with the {named[3]}? [/INST] yes, the {named[3]} too.")  # fmt: skip
    return lines


def test_the_report_is_printed_and_kept(tsjax, text_file, tmp_path):
    out = tmp_path / "out"
    code, printed, _ = tsjax("prepare", text_file, "--vocab-size", 512, "--report", "--out", out)
    assert code == 0 and "warning" not in printed.split("warnings")[0]
    report = json.loads((out / "report.json").read_text())
    assert report["documents"] == 400 and f"{report['words']:,}" in printed
    assert report["words"] == sum(len(story.split()) for story in STORIES)
    assert report["openings"][0][0] in printed and report["names"][0][0] in printed
    tokens = {name: split["tokens"] for name, split in report["splits"].items()}
    assert tokens == {name: open_shards(out).tokens_count(name) for name in ("train", "valid")}
    # Asked again, of the folder alone.
    code, again, _ = tsjax("prepare", "--report", "--out", out)
    assert code == 0 and again.strip() in printed


SPOILED = {
    "mojibake": (lambda s: f"{s} “Good!”".encode().decode("cp1252", errors="replace"), "mojibake"),
    "lower case": (str.lower, "capital"),
    "cut": (lambda s: s[: len(s) // 2].rstrip(".!?\"' "), "mid-sentence"),
}


@pytest.mark.parametrize("name", SPOILED)
def test_a_spoiled_corpus_is_not_trained_on_in_silence(tsjax, tmp_path, name):
    spoil, word = SPOILED[name]
    path = write(tmp_path / "spoiled.txt", map(spoil, STORIES))
    code, out, _ = tsjax("prepare", path, "--vocab-size", 512, "--out", tmp_path / "out")
    assert code == 0 and any(word in line for line in out.splitlines() if line.startswith("warning"))
    # Training says it again; the prompts don't fit this context, so it goes no further.
    code, out, _ = tsjax("train", "--config=configs/quickstart.py", f"--config.data.path={tmp_path / 'out'}",
                         "--run", tmp_path / "run",
                         "--config.model.vocab_size=0", "--config.model.context=4",
                         "--config.sample.prompts=One day the dog")  # fmt: skip
    assert code == 65 and word in out


def test_lost_separators_are_told(tsjax, tmp_path):
    groups = ["\n".join(STORIES[start : start + 20]) for start in range(0, 400, 20)]
    path = write(tmp_path / "joined.txt", groups)
    code, out, _ = tsjax("prepare", path, "--vocab-size", 512, "--valid-fraction", 0.1, "--out", tmp_path / "out")
    assert code == 0 and "separator" in out


def test_repairs_are_counted_and_in_the_fingerprint(tsjax, tmp_path):
    stories = [*STORIES[:200], "Too short.", *(story.rstrip(".!?\"'") for story in STORIES[200:220]), *STORIES[:30]]
    path = write(tmp_path / "stories.txt", stories)
    how = ["--vocab-size", 400, "--near", 1, "--valid-fraction", 0.05]
    assert tsjax("prepare", path, *how, "--out", tmp_path / "as-is")[0] == 0
    repairs = ["--min-characters", 50, "--final-punctuation", "--drop-duplicates"]
    assert tsjax("prepare", path, *how, *repairs, "--out", tmp_path / "repaired")[0] == 0
    as_is, repaired = (open_shards(tmp_path / name) for name in ("as-is", "repaired"))
    assert as_is.fingerprint != repaired.fingerprint
    report = repaired.report()
    assert report["faults"] == {"too short": 1, "cut": 20}
    left = {story for story in stories if story in STORIES}
    found = [*repaired.texts("train"), *repaired.texts("valid")]
    assert set(found) == left and len(list(repaired.texts("train"))) == len(set(repaired.texts("train")))
    assert report["split"]["train_duplicates"] + report["split"]["valid_duplicates"] == 30
    # Repairs that find nothing to do are another fingerprint too: what was asked for is part of the data's identity.
    clean = write(tmp_path / "clean.txt", STORIES)
    assert tsjax("prepare", clean, *how, "--out", tmp_path / "c1")[0] == 0
    assert tsjax("prepare", clean, *how, "--min-characters", 2, "--out", tmp_path / "c2")[0] == 0
    assert open_shards(tmp_path / "c1").fingerprint != open_shards(tmp_path / "c2").fingerprint


def test_near_copies_of_validation_stay_out_of_training(tsjax, tmp_path):
    near = [story.replace("little", "small", 1) + " The end." for story in STORIES]
    path, valid = write(tmp_path / "a.txt", [*near[:40], *STORIES[40:]]), write(tmp_path / "b.txt", STORIES[:40])
    code, _, _ = tsjax("prepare", path, "--valid", valid, "--vocab-size", 400, "--out", tmp_path / "out")
    opened = open_shards(tmp_path / "out")
    assert code == 0 and opened.manifest["counts"]["train_near_valid"] == 40
    assert list(opened.texts("train")) == STORIES[40:]


def test_instruct_documents_out_of_sight(tsjax, tmp_path):
    """The OOD variant, from the archive's records to shards: never both in training, always both in validation."""
    (tmp_path / "data00.json").write_text(json.dumps(records(300)))
    made = tmp_path / "ood"
    code, out, _ = tsjax("instruct", tmp_path / "data00.json", "--where", "source=GPT-4", "--ood",
                         "--valid-fraction", 0.1, "--out", made)  # fmt: skip
    assert code == 0 and "left out: 100 filtered" in out
    code, _, _ = tsjax("prepare", made, "--vocab-size", 512, "--out", tmp_path / "out")
    opened = open_shards(tmp_path / "out")
    assert code == 0 and opened.documents_count("train") + opened.documents_count("valid") == 200
    for split, both in (("train", False), ("valid", True)):
        for text in opened.texts(split):
            instructions = text.split("Story:")[0]
            assert ("Summary:" in instructions and "Words:" in instructions) == both


@pytest.mark.parametrize("kind, size", [("words", 192), ("bpe", 320)])
def test_a_chat_from_lines_to_an_answer(tsjax, tmp_path, kind, size):
    path = write(tmp_path / "chats.txt", chats(300), between="\n")
    data, run = tmp_path / "data", tmp_path / "run"
    code, out, _ = tsjax("prepare", path, "--chat", "--kind", kind, "--vocab-size", size, "--near", 1, "--out", data)
    assert code == 0, out
    opened = open_shards(data)
    assert set(opened.manifest["tokenizer"]["markers"]) >= {"user", "assistant"}
    assert sorted(map(str.lower, [*opened.texts("train"), *opened.texts("valid")])) == sorted(
        map(str.lower, chats(300))
    )
    code, out, _ = tsjax(
        "train", "--config=configs/quickstart.py", f"--config.data.path={data}", "--run", run, "--config.model.width=32",
        "--config.model.vocab_size=0", "--config.model.layers=1", "--config.model.heads=2", "--config.model.mlp_width=32",
        "--config.model.context=64", "--config.train.duration=3 steps", "--config.data.loss=assistant",
        "--config.data.packing=documents", "--config.sample.prompts=",
    )  # fmt: skip
    assert code == 0, out
    assert json.loads((run / "result.json").read_text())["bits_per_byte"] is None
    code, out, _ = tsjax(
        "sample", run, "--chat", "--prompt", "do you like the cat?", "--max-new", 40, "--temperature", 0
    )
    # An untrained model says anything, but never the mark with which the user would go on.
    assert code == 0 and out.lower().count("[inst]") == 1


def test_show_parts_tokens_and_segments(tsjax, text_file, tmp_path):
    out = tmp_path / "out"
    code, printed, _ = tsjax("prepare", text_file, "--vocab-size", 512, "--out", out, "--show", 2, "--context", 32)
    assert code == 0
    opened = open_shards(out)
    tokenizer = opened.tokenizer()
    for ids, _ in zip(opened.documents("train"), range(2), strict=False):
        assert "|".join(tokenizer.pieces(ids.tolist())) in printed
    rows = printed.split("packing documents")[1]
    assert rows.count("⟦") == rows.count("⟧") >= 2


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--where", "source"], ["FIELD=VALUE", "source"]),
        (["--where", "source=GPT-4"], ["--where"]),
        (["--format", "jsonll"], ["jsonl", "jsonll"]),
        (["--tokenizer", "nowhere.json"], ["nowhere.json"]),
        (["--tokenizer", "FILE", "--vocab-size", "500"], ["--tokenizer", "both"]),
        (["--kind", "wordpiece"], ["bpe", "wordpiece"]),
        (["--top", "300"], ["rare"]),
        (["--rare", "unk"], ["rare"]),
        (["--near", "1.5"], ["--near", "1.5"]),
        (["--workers", "0"], ["--workers", "0"]),
        (["--min-characters", "-1"], ["0"]),
        (["--seed", "-1"], ["seed", "-1"]),
        (["--show", "-1"], ["--show", "-1"]),
    ],
)
def test_wrong_settings_are_one_line_and_leave_nothing(tsjax, text_file, tmp_path, arguments, words):
    arguments = [str(text_file) if a == "FILE" else a for a in arguments]
    code, _, err = tsjax("prepare", text_file, "--out", tmp_path / "out", *arguments)
    one_line(code, err, *words)
    assert not (tmp_path / "out").exists()


def test_nothing_to_do_is_told(tsjax, tmp_path):
    code, _, err = tsjax("prepare", "--out", tmp_path / "out")
    one_line(code, err, "inputs")


# ---- Found by a hostile review ----


def test_a_data_set_by_name_without_a_network_is_one_line(tmp_path):
    """In a process of its own: what a test has imported before must not help."""
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "launch.cli", "prepare", "hf://nobody/nothing", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=Path(__file__).parents[2])
    one_line(done.returncode, done.stderr, "nobody/nothing")
    assert not (tmp_path / "out").exists()


def test_what_is_left_out_is_said(tsjax, tmp_path):
    good = chats(200)
    path = write(tmp_path / "chats.txt", [*good, *("[INST] no answer" for _ in range(50))], between="\n")
    code, out, _ = tsjax("prepare", path, "--chat", "--kind", "words", "--vocab-size", 192, "--near", 1,
                         "--out", tmp_path / "out")  # fmt: skip
    assert code == 0 and "50 malformed" in out and "--format" in out
    (tmp_path / "records.json").write_text(json.dumps(records(50)))
    code, _, err = tsjax("prepare", tmp_path / "records.json", "--where", "source=GPT-5", "--out", tmp_path / "none")
    one_line(code, err, "50 filtered", "--where")


def test_an_input_that_was_another_in_between_is_not_believed(tsjax, text_file, tmp_path, monkeypatch):
    """Swapped after the survey, found out, put back: nothing that was made of the other text may stay."""
    how = ["--vocab-size", 400, "--near", 1]
    assert tsjax("prepare", text_file, *how, "--out", tmp_path / "clean")[0] == 0
    kept = text_file.with_name("kept.txt")
    real = stage.Encoder

    def swap(*arguments):
        text_file.rename(kept)
        write(text_file, [story.replace("a", "o") for story in STORIES])
        return real(*arguments)

    monkeypatch.setattr(stage, "Encoder", swap)
    code, _, err = tsjax("prepare", text_file, *how, "--out", tmp_path / "out")
    one_line(code, err, "changed", "run prepare again")
    monkeypatch.undo()
    monkeypatch.setenv("TSJAX_ALLOCATOR", "off")
    kept.rename(text_file)
    assert tsjax("prepare", text_file, *how, "--out", tmp_path / "out")[0] == 0
    assert open_shards(tmp_path / "out").fingerprint == open_shards(tmp_path / "clean").fingerprint


def test_a_tokenizer_of_an_earlier_attempt_does_not_stay(tsjax, text_file, tmp_path):
    out = tmp_path / "out"
    first = ["--kind", "byte-bpe", "--vocab-size", 400, "--top", 5, "--rare", "drop"]
    code, _, err = tsjax("prepare", text_file, *first, "--out", out)
    one_line(code, err, "--rare")
    assert tsjax("prepare", text_file, "--kind", "words", "--vocab-size", 512, "--rare", "unk", "--out", out)[0] == 0
    assert [path.name for path in out.glob("tokenizer*")] == ["tokenizer.txt"]


def test_shards_without_an_answer_teach_no_assistant(tsjax, text_file, tmp_path):
    data = tmp_path / "data"
    assert tsjax("prepare", text_file, "--chat", "--vocab-size", 400, "--out", data)[0] == 0
    code, _, err = tsjax("train", "--config=configs/quickstart.py", f"--config.data.path={data}", "--run", tmp_path / "run",
                         "--config.model.vocab_size=0", "--config.data.loss=assistant")  # fmt: skip
    one_line(code, err, "config.data.loss")


def test_shards_of_an_older_form_are_refused(tsjax, text_file, tmp_path):
    out = tmp_path / "out"
    assert tsjax("prepare", text_file, "--vocab-size", 400, "--out", out)[0] == 0
    manifest = json.loads((out / "manifest.json").read_text())
    del manifest["format"], manifest["checksum"]
    (out / "manifest.json").write_text(json.dumps(manifest | {"checksum": sha256_json(manifest)}))
    code, _, err = tsjax("prepare", "--show", 1, "--out", out)
    one_line(code, err, "format 2", "format 1")
