"""`tsjax judge` and `tsjax report`, from runs and completions to the page, with a simulated judge behind the stub."""

import json
from pathlib import Path

import pytest

from eval.records import Completion, Grade, read_lines
from eval.study import Study
from tests.eval.judges import Judge, completions, truth_of
from tests.launch.conftest import one_line
from tests.openai_server import Rule, Script, StubServer

KEY = "sk-judge-0123456789abcdef"


@pytest.fixture
def others(tmp_path, monkeypatch) -> Path:
    """Completions of three models, as a user brings them."""
    monkeypatch.setenv("JUDGE_KEY", KEY)
    path = tmp_path / "others.jsonl"
    rows = [{"model": c.model, "prompt_id": c.prompt_id, "prompt": c.prompt, "kind": c.kind, "k": c.k, "text": c.text}
            for c in completions(prompts=6, each=2)]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def prompts(others: Path) -> Path:
    path = others.with_name("prompts.jsonl")
    texts = {json.loads(line)["prompt_id"]: json.loads(line)["prompt"] for line in others.read_text().splitlines()}
    path.write_text("".join(json.dumps({"id": i, "text": text, "kind": "story"}) + "\n" for i, text in texts.items()))
    return path


def test_without_a_key_there_is_a_page_that_says_what_is_missing(tsjax, tmp_path, others):
    out = tmp_path / "study"
    code, text, err = tsjax("judge", "--completions", others, "--prompts", prompts(others), "--out", out)
    assert code == 0, err
    report = json.loads((out / "report.json").read_bytes())
    assert {model["model"] for model in report["models"]} == {"tsjax-1m", "tsjax-8m", "tsjax-33m"}
    assert any("grade" in one["what"].lower() for one in report["not_measured"]) and "not graded" in text
    assert "<html" in (out / "report.html").read_text()


def test_a_judge_ranks_models_at_its_price_and_goes_on_after_the_cap(tsjax, tmp_path, others):
    out, made = tmp_path / "study", completions(prompts=6, each=2)
    command = ["judge", "--completions", others, "--prompts", prompts(others), "--out", out, "--model", "gpt-6-luna",
               "--repeats", "2", "--key-env", "JUDGE_KEY"]  # fmt: skip
    assert tsjax(*command[:7])[0] == 0  # takes the completions in, so that the anchors' truth can be known
    study = Study(out)
    docket = study.docket()
    study.close()
    judge = Judge(truth_of(made, docket.anchors))
    with StubServer(Script(rules=(Rule("error_500", 0.1), Rule("length", 0.05, None))), answer=judge) as server:
        command += ["--base-url", server.url]
        code, text, _ = tsjax(*command, "--estimate")
        assert code == 0 and server.calls == 0 and "worst case" in text
        code, _, err = tsjax(*command, "--cap", "0.005")
        one_line(code, err, "the cap is reached")
        code, text, err = tsjax(*command, "--cap", "1")
        assert code == 0, err
    grades = list(read_lines(out / "grades.jsonl", Grade))
    assert len({(g.completion, g.repeat) for g in grades}) == len(grades)  # none twice
    graded = [g for g in grades if not g.anchor]
    assert len(graded) == 36 * 2 and {g.completion for g in graded} == {
        c.id for c in read_lines(out / "completions.jsonl", Completion)
    }
    report = json.loads((out / "report.json").read_bytes())
    means = {m["model"]: m["grades"]["grammar"]["mean"] for m in report["models"]}
    assert means["tsjax-1m"] < means["tsjax-8m"] < means["tsjax-33m"] and not report["void"]
    assert report["cost"]["usd"] > 0 and KEY not in (out / "report.html").read_text()
    page = (out / "report.html").read_bytes()
    assert tsjax("report", out)[0] == 0 and (out / "report.html").read_bytes() == page


def test_a_judge_that_obeys_its_texts_voids_the_study(tsjax, tmp_path, others):
    out = tmp_path / "study"
    assert tsjax("judge", "--completions", others, "--prompts", prompts(others), "--out", out)[0] == 0
    study = Study(out)
    docket = study.docket()
    study.close()
    with StubServer(answer=Judge(truth_of(completions(prompts=6, each=2), docket.anchors), obeys=True)) as server:
        code, text, err = tsjax("judge", "--out", out, "--prompts", prompts(others), "--model", "gpt-6-luna", "--cap", "1",
                                "--key-env", "JUDGE_KEY", "--base-url", server.url, "--repeats", "1")  # fmt: skip
    assert code == 0, err
    assert json.loads((out / "report.json").read_bytes())["void"] and "warning" in text


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], ["neither"]),
        (["NOWHERE"], ["NOWHERE"]),
        (["--prompts", "story"], ["stories"]),
        (["--completions", "NOWHERE"], ["NOWHERE"]),
    ],
)
def test_mistakes_are_one_line(tsjax, tmp_path, given, words):
    code, _, err = tsjax("judge", *given, "--out", tmp_path / "study")
    one_line(code, err, *words)
