"""`tsjax judge` and `tsjax eval --texts` on a trained run: checkpoints, instructions, texts, an estimate, the cap."""

import json
from pathlib import Path

import pytest

from eval.records import INSTRUCT, STORY, Completion, read_lines
from eval.study import Study
from tests.eval.judges import Judge
from tests.openai_server import StubServer
from tests.tsjax.conftest import finished  # noqa: F401
from tsjax.corpus import instruct

KEY = "sk-judge-0123456789abcdef"
BEGINNINGS = ["One day, a girl saw a", "The dog ran to the", "Tom had a big red", "Mia was sad when"]


class Even(Judge):
    """Grades every text of a model alike; anchors by how they are damaged."""

    def score(self, dimension, text, random):
        return super().score(dimension, text, random) if text in self.truth else 5


@pytest.fixture
def run(finished) -> Path:  # noqa: F811
    return finished[0]


@pytest.fixture
def given(tmp_path, monkeypatch, run) -> list[str]:
    """What each command of a small study needs."""
    monkeypatch.setenv("JUDGE_KEY", KEY)
    path = tmp_path / "beginnings.txt"
    path.write_text("\n".join(BEGINNINGS))
    return ["judge", run, "--prompts", path, "--k", "2", "--max-new", "8", "--out", tmp_path / "study"]


@pytest.fixture
def instructions(tmp_path) -> Path:
    rows = [instruct.compose([("Summary", f"A tale of {n} dogs.")], "A dog ran. It sat.").render() for n in range(60)]
    path = tmp_path / "instruct.txt"
    path.write_text("<|endoftext|>".join(rows))
    return path


def models(out: Path) -> dict[str, dict]:
    return {row["model"]: row for row in json.loads((out / "models.json").read_bytes())}


def test_loss_of_any_texts_is_that_of_the_study(tsjax, given, tmp_path, run):
    texts = tmp_path / "texts.txt"
    texts.write_text("A dog ran.\n<|endoftext|>\nA girl saw the dog. She was sad.")
    code, out, err = tsjax("eval", run, "--texts", texts)
    assert code == 0, err
    found = json.loads(out)
    assert found["documents"] == 2 and found["bytes"] == len("A dog ran.A girl saw the dog. She was sad.")
    nats = found["loss"] * found["tokens"]
    assert found["bits_per_byte"] == pytest.approx(nats / 0.6931471805599453 / found["bytes"])
    code, _, err = tsjax(*given, "--corpus", texts)
    assert code == 0, err
    assert models(tmp_path / "study")[run.name]["corpus_loss"] == pytest.approx(found["loss"])


def test_an_estimate_leaves_nothing_behind_and_knows_checkpoints_and_instructions(tsjax, given, tmp_path, instructions):
    more = ["--model", "gpt-6-luna", "--repeats", "1", "--checkpoints", "all", "--instruct", instructions]
    code, text, err = tsjax(*given, *more, "--estimate")
    assert code == 0, err
    assert not (tmp_path / "study").exists() and "assumed" in text and "worst case" in text
    asked = int(text.split("judgements")[1].split(" in ")[0].replace(",", ""))
    code, _, err = tsjax(*given, "--checkpoints", "all", "--instruct", instructions)
    assert code == 0, err
    written = list(read_lines(tmp_path / "study" / "completions.jsonl", Completion))
    kinds = {kind: sum(one.kind == kind for one in written) for kind in (STORY, INSTRUCT)}
    steps = len(models(tmp_path / "study"))
    assert steps > 1 and kinds[STORY] == 4 * 2 * steps and kinds[INSTRUCT] <= 50 * 2 * steps
    code, text, err = tsjax(*given, *more, "--estimate")
    assert code == 0, err
    judgements = int(text.split("judgements")[1].split(" in ")[0].replace(",", ""))
    assert len(written) < judgements <= asked <= (4 + 50) * 2 * steps + 3 * 90
    instructions.unlink()
    (tmp_path / "beginnings.txt").unlink()
    before = (tmp_path / "study" / "completions.jsonl").read_bytes()
    alone = ["judge", "--out", tmp_path / "study"]
    code, same, err = tsjax(*alone, "--model", "gpt-6-luna", "--repeats", "1", "--estimate")
    assert code == 0 and same == text, err  # what the study holds is enough
    code, text, err = tsjax(*alone)
    assert code == 0 and text.startswith("0 texts written"), err
    assert (tmp_path / "study" / "completions.jsonl").read_bytes() == before


def judged(study: Path, server: StubServer) -> list[str]:
    return ["--model", "gpt-6-luna", "--key-env", "JUDGE_KEY", "--base-url", server.url, "--repeats", "1"]


def test_the_cap_is_that_of_the_whole_study(tsjax, given, tmp_path):
    from eval.panel import Panel
    from tests.eval.judges import truth_of

    out = tmp_path / "study"
    assert tsjax(*given)[0] == 0
    study = Study(out)
    _, docket = Panel(study).docket("gpt-6-luna", "calibrated")
    study.close()
    with StubServer(answer=Even(truth_of((), docket.anchors), noise=0)) as server:
        code, text, err = tsjax(*given, *judged(out, server), "--cap", "1")
        assert code == 0, err
        assert "8 texts and" in text and "judgements graded, 0 not" in text
        spent = json.loads((out / "cost.json").read_bytes())["usd"]
        calls = server.calls
        assert tsjax(*given, *judged(out, server), "--cap", f"{spent:.12f}")[0] == 0 and server.calls == calls
        code, _, err = tsjax(*given, *judged(out, server), "--cap", f"{spent:.12f}", "--again")
        assert code == 65 and "the cap is reached" in err and server.calls == calls
        code, text, err = tsjax(*given, *judged(out, server), "--cap", "1", "--again", "--estimate")
        assert code == 0 and "nothing is left" not in text and server.calls == calls, err
        code, text, err = tsjax(*given, *judged(out, server), "--cap", "1", "--again")
        assert code == 0 and "again-gpt_6_luna-calibrated-1: 8 texts" in text and server.calls > calls, err
