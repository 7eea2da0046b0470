"""Parts of a judge: asked in one way or not at all, and compared by the anchors that all of them hold."""

import json
from dataclasses import replace
from random import Random

import pytest

from eval.anchors import asks_of
from eval.docket import Docket
from eval.judge import Judging, judge_run
from eval.panel import Panel
from eval.records import INSTRUCT, Grade, Prompt, write_lines
from eval.slopes import order_slopes
from eval.study import COMPLETIONS, PROMPTS, Study
from tests.eval import judges
from tests.eval.graded import grade
from tests.eval.judges import Judge
from tests.expect import refused
from tests.openai_server import Script, StubServer
from tsjax.atomic import write_json

MODEL, MODE = "gpt-6-luna", "calibrated"
NAME = f"{MODEL} {MODE} 1"
FIRST, LATER = ("tsjax-1m", "tsjax-8m"), ("tsjax-33m",)

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def study(tmp_path):
    made = Study(tmp_path / "study")
    write_json(made.out / "study.json", {"models": {}})
    yield made
    made.close()


def hold(study, texts):
    write_lines(study.out / COMPLETIONS, texts)
    write_lines(
        study.out / PROMPTS, {one.prompt_id: Prompt(one.prompt_id, one.kind, one.prompt) for one in texts}.values()
    )


def order(docket, url="http://localhost:1", **changed):
    fields = {"docket": docket, "model": MODEL, "mode": MODE, "repeats": 1, "anchor_repeats": 1, "cap": 10**12,
              "base_url": url, "key_env": "TSJAX_TEST_KEY", "concurrency": 8, "timeout": 0.5}  # fmt: skip
    return Judging(**fields | changed)


def judged(part, texts, bias=0.0, **changed):
    folder, docket = part
    answer = Judge(judges.truth_of(texts, docket.anchors), 0.4, bias=bias, seed=int(folder.name[-1]))
    with StubServer(Script(models=(MODEL,)), answer=answer) as server:
        return judge_run(folder, order(docket, server.url, **changed))


def read(study, name):
    return json.loads((study.out / f"{name}.json").read_bytes())


def begun(study):
    """A study of two models that were graded, and of one that came later: all texts, and the part that is to come."""
    panel, first = Panel(study), judges.completions(FIRST, 8, 1)
    hold(study, first)
    judged(panel.docket(MODEL, MODE), first)
    texts = first + judges.completions(LATER, 8, 1)
    hold(study, texts)
    return panel, texts, panel.docket(MODEL, MODE)


def test_a_part_that_is_asked_otherwise_is_refused_and_another_server_is_said(study, capsys, monkeypatch):
    panel, _, (folder, docket) = begun(study)
    panel.agreed(folder, order(docket))
    assert "is asked at localhost:1" in capsys.readouterr().out
    with refused("repeats 1, seed 0", "repeats 3, seed 7", "another study"):
        panel.agreed(folder, order(docket, repeats=3, seed=7))
    with refused("overrides {}", "temperature"):
        panel.agreed(folder, order(docket, overrides={"temperature": 0.2}))
    again, frozen = panel.again(MODEL, MODE)
    panel.agreed(again, order(frozen, repeats=3))
    monkeypatch.setattr("eval.rubric.VERSION", "2")
    for at, held in ((folder, docket), (again, frozen)):
        with refused("rubric_hash"):
            panel.agreed(at, order(held))


@pytest.mark.parametrize("bias", [0.0, -1.5])
def test_models_of_different_parts_compare_where_the_judge_graded_the_anchors_alike(study, bias):
    panel, texts, part = begun(study)
    judged(part, texts, bias)
    panel.graded()
    found = read(study, "judges")[NAME]
    assert [one["models"] for one in found["parts"]] == [sorted(FIRST), sorted(LATER)]
    assert found["parts"][0]["host"] != found["parts"][1]["host"] and all(one["date"] for one in found["parts"])
    shifts = found["between_parts"]
    assert set(shifts) == {"grammar", "creativity", "consistency", "plot"}
    assert all(one["shift"] == pytest.approx(bias, abs=0.4) and one["part"] == part[0].name for one in shifts.values())
    assert found["sound"] and all(one["slope"] is not None for one in read(study, "statistics")["order"].values())
    for row in read(study, "statistics")["pairs"]:
        across = LATER[0] in (row["a"], row["b"])
        assert row["reportable"] is not (across and bias < 0), row
        assert ("different parts" in row.get("why", "")) is (across and bias < 0)


def test_parts_that_were_asked_otherwise_all_the_same_are_void(study):
    panel, texts, part = begun(study)
    judged(part, texts, repeats=2)
    panel.graded()
    found = read(study, "judges")[NAME]
    assert not found["sound"] and found["why"] == [
        f"{part[0].name} was graded with another repeats than {part[0].name[:-1]}1"
    ]


def test_what_a_judge_says_of_cut_sentences_and_of_constraints_is_kept(tmp_path):
    stories = judges.completions(FIRST, 2, 1)
    asked = [replace(one, prompt_id=f"i{one.prompt_id}") for one in judges.completions(FIRST, 2, 1, INSTRUCT)]
    texts, made = [*stories, *asked], judges.anchors(instruct=True)
    asks = {one.prompt_id: {"words": ["dog", "run"], "summary": "A dog runs."} for one in asked} | asks_of(made)
    grades = judged((tmp_path / "judge-1", Docket(texts, made, asks)), texts)
    mine = [one for one in grades if not one.anchor]
    assert {one.split_ok for one in mine if one.prompt_id[0] == "p"} == {True}
    assert {one.split_ok for one in mine if one.prompt_id[0] == "i"} == {None}
    assert all(
        one.met == dict.fromkeys(("word_1", "word_2", "summary"), True) for one in mine if one.prompt_id[0] == "i"
    )


def sat(rng: Random, drift: float, prompts: int = 12) -> tuple[list[Grade], dict]:
    """Three models, 5 apart, graded in a drawn order by a judge that moves by `drift` from the first to the last."""
    ones = [(m, p, k, r) for m in range(3) for p in range(prompts) for k in range(2) for r in range(2)]
    rng.shuffle(ones)
    grades, place = [], {}
    for n, (m, p, k, r) in enumerate(ones):
        at = n / (len(ones) - 1)
        scores = {
            name: 2.0 + 2.5 * m + rng.gauss(0, 1) + (drift * at if name == "plot" else 0)
            for name in ("grammar", "plot")
        }
        grades.append(grade(f"p{p}", k, r, scores, model=f"m{m}"))
        place[grades[-1].completion, r] = "part", at
    return grades, place


def test_a_judge_that_moves_while_it_grades_is_flagged_where_it_does():
    runs_of = [order_slopes(*sat(Random(n), -1.0)) for n in range(20)]
    assert sum(one["plot"]["flagged"] for one in runs_of) >= 14
    assert sum(one["plot"]["slope"] for one in runs_of) / 20 == pytest.approx(-1, abs=0.25)
    assert sum(one["grammar"]["flagged"] for one in runs_of) <= 3


def test_one_that_does_not_is_flagged_no_more_often_than_promised():
    alarms = sum(any(one["flagged"] for one in order_slopes(*sat(Random(n), 0.0)).values()) for n in range(100, 400))
    assert 2 <= alarms <= 300 * 0.05 + 3 * (300 * 0.05 * 0.95) ** 0.5
