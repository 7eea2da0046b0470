"""`tsjax judge` on a study that was begun: it goes on from what is there, and says what is missing or damaged."""

import json
import re

import pytest

from eval.records import Completion, read_lines
from tests.eval.judges import Judge, completions, truth_of
from tests.launch.conftest import one_line
from tests.launch.test_judge import begun, docket_of, others, prompts  # noqa: F401
from tests.openai_server import StubServer


def test_a_study_goes_on_from_what_it_holds(tsjax, tmp_path, others):  # noqa: F811
    """With --out and the judge alone: prompts, k, seed, decoding and repeats are those that it was begun with."""
    out, asked = tmp_path / "study", prompts(others)
    how = ("--k", "2", "--seed", "5", "--max-new", "9", "--temperature", "0.5", "--cut-at-repeat")
    assert tsjax("judge", "--completions", others, "--prompts", asked, *how, "--out", out)[0] == 0
    kept, texts = ((out / name).read_bytes() for name in ("study.json", "completions.jsonl"))
    asked.unlink()
    others.unlink()
    truth = truth_of(read_lines(out / "completions.jsonl", Completion), docket_of(out).anchors)
    with StubServer(answer=Judge(truth)) as server:
        judge = ["judge", "--out", out, "--model", "gpt-6-luna", "--key-env", "JUDGE_KEY", "--base-url", server.url]
        code, text, err = tsjax(*judge, "--repeats", "2", "--estimate")
        assert code == 0 and "already" not in text, err
        code, text, err = tsjax(*judge, "--repeats", "2", "--cap", "0.005")
        one_line(code, err, "the cap is reached")
        code, text, err = tsjax(*judge, "--estimate")
        paid, least = re.search(
            r"paid +\$([\d.]+) already, .*; --cap of at least \$([\d.]+) finishes it", text
        ).groups()
        assert code == 0 and 0 < float(paid) <= 0.005 < float(least), err
        one_line(*tsjax(*judge, "--cap", "1", "--repeats", "5")[::2], "found --repeats 5", "give --repeats 2")
        code, text, err = tsjax(*judge, "--cap", least)
        assert code == 0, err
    manifest = json.loads((out / "judge-gpt_6_luna-calibrated-1" / "manifest.json").read_bytes())
    assert (manifest["repeats"], manifest["seed"], manifest["stopped"]) == (2, 5, "done")
    assert (out / "completions.jsonl").read_bytes() == texts
    assert json.loads(kept).items() <= json.loads((out / "study.json").read_bytes()).items()


@pytest.mark.parametrize(
    ("named", "words"),
    [
        (["--k", "3"], ["found --k 3", "give --k 10, or leave it out"]),
        (["--decoding", "greedy"], ["give --decoding sample, or leave it out"]),
        (["--cut-at-repeat"], ["no --cut-at-repeat", "; leave it out"]),
        (["--prompts", "stories"], ["begun: prompts", "found stories", "leave --prompts"]),
        (["--prompts", "OTHER"], ["other prompts by the name of prompts"]),
    ],
)
def test_what_is_named_and_differs_is_refused(tsjax, tmp_path, others, named, words):  # noqa: F811
    out, other = tmp_path / "study", tmp_path / "other" / "prompts.txt"
    other.parent.mkdir()
    other.write_text("A hen saw a")
    assert tsjax("judge", "--completions", others, "--prompts", prompts(others), "--out", out)[0] == 0
    before = {path: path.read_bytes() for path in out.iterdir()}
    for more in ([], ["--model", "gpt-6-luna", "--estimate"]):
        one_line(*tsjax("judge", "--out", out, *(other if n == "OTHER" else n for n in named), *more)[::2], *words)
    assert {path: path.read_bytes() for path in out.iterdir()} == before
    assert tsjax("judge", "--out", out, "--k", "10", "--prompts", prompts(others))[0] == 0


@pytest.mark.parametrize("name", ["study.json", "models.json", "metrics.json", "marking.json"])
def test_what_is_damaged_in_a_study_is_named(tsjax, tmp_path, others, name):  # noqa: F811
    out = tmp_path / "study"
    assert tsjax("judge", "--completions", others, "--prompts", prompts(others), "--out", out)[0] == 0
    path = out / name
    for damaged in (path.read_bytes()[:1], b"3"):
        path.write_bytes(damaged)
        if name != "metrics.json":  # made anew without being read
            one_line(*tsjax("judge", "--out", out)[::2], name, "put a copy" if name == "study.json" else "remove it")
        if damaged != b"3":
            one_line(*tsjax("report", out)[::2], name)


def test_a_study_that_lost_its_texts_says_so(tsjax, tmp_path, others):  # noqa: F811
    out = tmp_path / "study"
    assert tsjax("judge", "--completions", others, "--prompts", prompts(others), "--out", out)[0] == 0
    judge = Judge(truth_of(completions(prompts=6, each=2), docket_of(out).anchors))
    with StubServer(answer=judge) as server:
        assert tsjax(*begun(out, others, server))[0] == 0
    (out / "completions.jsonl").unlink()
    for command in (["judge", "--out", out], ["report", out]):
        one_line(*tsjax(*command)[::2], str(out / "completions.jsonl"), "judge-*/completions.jsonl")
