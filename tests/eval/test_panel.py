"""The judges of a study: what each is given, and what becomes of the grades."""

import json
from dataclasses import replace

import pytest

from data_gen.offline import write_story
from eval.anchors import COPIED, asks_of
from eval.docket import ASKS, FROZEN, frozen
from eval.judge import Judging, judge_run
from eval.panel import Panel
from eval.records import INSTRUCT, STORY, Prompt, write_lines
from eval.study import COMPLETIONS, PROMPTS, Study
from tests.eval import judges
from tests.eval.judges import Judge
from tests.expect import refused
from tests.openai_server import Script, StubServer
from tsjax.atomic import write_json

MODEL, OTHER, MODE, DOLLAR = "gpt-6-luna", "gpt-6-sol", "calibrated", 10**12
ASKED = {"words": ["dog", "run"], "summary": "A dog runs."}

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def study(tmp_path):
    made = Study(tmp_path / "study")
    yield made
    made.close()


def stories(prompts=12, models=tuple(judges.QUALITY), each=2):
    return judges.completions(models, prompts, each)


def instructed(prompts=3):
    return [replace(one, prompt_id=f"i{one.prompt_id}", prompts="instruct") for one in
            judges.completions(prompts=prompts, each=1, kind=INSTRUCT)]  # fmt: skip


def hold(study, texts):
    """As `Study.write` and `add` leave it."""
    write_lines(study.out / COMPLETIONS, texts)
    prompts = {one.prompt_id: Prompt(one.prompt_id, one.kind, one.prompt, asks=ASKED if one.kind == INSTRUCT else {})
               for one in texts}  # fmt: skip
    write_lines(study.out / PROMPTS, prompts.values())
    write_json(study.out / "study.json", {"models": {}})


def judged(part, texts, model=MODEL, mode=MODE, repeats=1, order=None, noise=0.4, **how):
    """The grades of a part by a simulated judge."""
    folder, docket = part
    script = Script(models=(MODEL, OTHER, "local"))
    with StubServer(script, answer=Judge(judges.truth_of(texts, docket.anchors), noise, **how)) as server:
        fields = {
            "docket": docket, "model": model, "mode": mode, "repeats": repeats, "anchor_repeats": 1, "cap": DOLLAR,
            "base_url": server.url, "key_env": "TSJAX_TEST_KEY", "concurrency": 8, "timeout": 0.5,
        }  # fmt: skip
        return judge_run(folder, Judging(**fields | (order or {})))


def read(study, name):
    return json.loads((study.out / f"{name}.json").read_bytes())


def test_a_docket_holds_asks_and_copies_and_never_changes_once_begun(study):
    texts = [*stories(3), *instructed()]
    hold(study, texts)
    training = [write_story(0, n) for n in (1, 2)]
    folder, docket = Panel(study, training).docket(MODEL, MODE)
    of_anchors = asks_of(docket.anchors)
    assert of_anchors and dict(docket.asks) == {f"ip{n}": ASKED for n in range(3)} | of_anchors
    assert len(docket.completions) == len(texts)
    assert sum(anchor.damage == COPIED for anchor in docket.anchors) == 2
    assert not any(anchor.damage == COPIED for anchor in Panel(study).docket(MODEL, MODE)[1].anchors)
    judged((folder, docket), texts, order={"cap": 10**8})
    more = [*texts, *(replace(one, model="later") for one in texts[:4])]
    hold(study, more)
    again, same = Panel(study).docket(MODEL, MODE)  # without the training stories: it was begun with them
    assert (again, same.identity()) == (folder, docket.identity())
    judged((again, same), texts)
    second, rest = Panel(study, training).docket(MODEL, MODE)
    assert second.name == folder.name.replace("-1", "-2") and {one.model for one in rest.completions} == {"later"}
    assert not rest.asks and all(anchor.kind == STORY for anchor in rest.anchors)  # no instructions, none to check


def test_a_folder_killed_before_its_docket_was_whole_is_begun_anew(study):
    hold(study, stories(3))
    folder, docket = Panel(study).docket(MODEL, MODE)
    folder.mkdir()
    docket.save(folder)
    (folder / ASKS).unlink()
    assert Panel(study).docket(MODEL, MODE)[0] == folder


def test_stories_and_instructions_never_share_a_mean(study):
    texts = [*stories(), *instructed()]
    hold(study, texts)
    panel = Panel(study)
    judged(panel.docket(MODEL, MODE), texts, repeats=2, noise=0.3)
    panel.graded()
    for one in read(study, "statistics")["models"]:
        prompts = {name: found["prompts"] for name, found in one["dimensions"].items()}
        assert prompts == {"consistency": 12, "creativity": 12, "grammar": 12, "instruction_following": 3, "plot": 12}
    assert all(of["prompts"] == 3 for one in read(study, "instructed")["models"] for of in one["dimensions"].values())
    assert read(study, "anchors")["sound"] and panel.docket(MODEL, MODE) is None
    power = read(study, "power")
    assert not power["assumed"] and power["of"]["repeat"] > 0
    assert power["tests"] == 3 * 5  # pairs of models, dimensions
    assert (12, 2, 2) in {(row["prompts"], row["completions"], row["repeats"]) for row in power["rows"]}


def test_checkpoints_of_a_run_have_means_and_no_pairs(study):
    texts = [*stories(4), *(replace(one, model="tsjax-8m@100") for one in stories(4, ("tsjax-8m",)))]
    hold(study, texts)
    write_json(study.out / "models.json", [
        {"model": "tsjax-8m", "run": "tsjax-8m", "step": 200}, {"model": "tsjax-8m@100", "run": "tsjax-8m", "step": 100},
    ])  # fmt: skip
    judged(Panel(study).docket(MODEL, MODE), stories(4))
    Panel(study).graded()
    found = read(study, "statistics")
    assert "tsjax-8m@100" in {one["model"] for one in found["models"]}
    assert {name for row in found["pairs"] for name in (row["a"], row["b"])} == set(judges.QUALITY)


@pytest.mark.parametrize("mode", ["calibrated", "paper"])
def test_a_judge_of_whom_nothing_can_be_read_is_in_the_table(study, mode):
    texts = stories(2, each=1)
    hold(study, texts)
    judged(Panel(study).docket(MODEL, mode), texts, mode=mode, wrong=1.0)
    Panel(study).graded()
    for one in read(study, "statistics")["models"]:
        assert set(one["dimensions"]) == {"grammar", "creativity", "consistency", "plot"}
        for found in one["dimensions"].values():
            assert (found["mean"], found["missing"], found["grades"], found["bounds"]) == (None, 2, 2, [0, 10])
    (row,) = read(study, "judges").values()
    assert not row["sound"] and row["why"] and row["models"] == read(study, "statistics")["models"]


def test_a_judge_who_was_never_answered_has_no_statistics_but_its_cost(study):
    texts = stories(2, each=1)
    hold(study, texts)
    judged(Panel(study).docket(MODEL, MODE), texts, order={"cap": 1})  # less than one call
    Panel(study).graded()
    assert not (study.out / "statistics.json").exists()
    (row,) = read(study, "judges").values()
    assert row["models"] == [] and not row["sound"] and "has not finished: the cap is reached" in row["why"][0]
    assert read(study, "cost")["usd"] == 0 and read(study, "power")["assumed"]


def test_every_judge_is_told_of_and_paid_from_one_cap(study):
    texts = stories(6, each=1)
    hold(study, texts)
    panel = Panel(study)
    assert panel.left(None) is None and panel.left(DOLLAR) == DOLLAR
    first = panel.docket(MODEL, MODE)
    judged(first, texts)
    judged(panel.docket(OTHER, MODE), texts, model=OTHER, bias=-1.0)
    judged(panel.docket("local", MODE), texts, model="local", obeys=True, order={"free": True})
    panel.graded()
    found, cost = read(study, "judges"), read(study, "cost")
    names = [f"{model} calibrated 1" for model in (MODEL, OTHER, "local")]
    assert set(found) == set(names) == set(cost["judges"])
    assert [found[name]["sound"] for name in names] == [True, True, False]
    # Each stub server is another host, so only what is known of the models tells.
    assert [found[name].get("same_vendor") for name in names] == [[names[1]], [names[0]], None]
    means = [found[name]["models"][0]["dimensions"]["grammar"]["mean"] for name in names[:2]]
    assert means[0] - means[1] == pytest.approx(1, abs=0.6)
    assert {(row["a"], row["b"]) for row in read(study, "agreement")} == {(names[0], names[1])}
    assert cost["usd"] == pytest.approx(sum(cost["judges"].values())) and cost["judges"][names[2]] == 0
    spent = round((cost["usd"] + cost["usd_in_doubt"]) * 1e12)
    assert panel.left(DOLLAR) == pytest.approx(DOLLAR - spent, abs=10) and panel.left(spent // 2) == 0
    own = round(cost["judges"][names[0]] * 1e12)
    assert panel.left(DOLLAR, first[0]) == pytest.approx(DOLLAR - spent + own, abs=10)


def test_released_checkpoints_link_the_table(study, monkeypatch):
    rulers = {"TinyStories-1M": 2.0, "TinyStories-8M": 5.0, "own-33m": 8.0}
    monkeypatch.setattr(judges, "QUALITY", rulers | judges.QUALITY)
    texts = stories(4, (*rulers, "tsjax-8m"), each=1)
    hold(study, texts)
    judged(Panel(study).docket(MODEL, MODE), texts, noise=0.2)
    Panel(study).graded()
    assert "found 2" in read(study, "link")["why"]["grammar"]
    with refused("Fig 4", "33M"):
        Panel(study, rulers={"own-33m": "33M"})
    Panel(study, rulers={"own-33m": "768x4"}).graded()
    Panel(study).graded()  # the study keeps them
    found = read(study, "link")
    assert found["rulers"] == {"TinyStories-1M": "64x8", "TinyStories-8M": "256x8", "own-33m": "768x4"}
    assert 7 < found["models"]["tsjax-8m"]["grammar"] < 8.5 and "plot" in found["why"]
    assert found["prompts_are_the_papers"] is False


def test_frozen_texts_are_graded_again_for_drift_alone(study):
    texts = stories()
    hold(study, texts)
    panel = Panel(study)
    assert panel.again(MODEL, MODE) is None
    judged(panel.docket(MODEL, MODE), texts, repeats=2)
    panel.graded()
    before = {name: read(study, name) for name in ("statistics", "anchors", "power")}
    folder, docket = panel.again(MODEL, MODE)
    assert len(docket.completions) == FROZEN[0] and docket.anchors and folder.name == "again-gpt_6_luna-calibrated-1"
    judged((folder, docket), texts, order={"cap": 10**8})
    assert panel.again(MODEL, MODE)[0] == folder  # not finished
    panel.graded()
    assert not (study.out / "drift.json").exists()
    judged((folder, docket), texts, bias=-1.5)
    panel.graded()
    shifts = read(study, "drift")
    assert set(shifts) == {"grammar", "creativity", "consistency", "plot"}
    alike = 12 + len(docket.anchors)  # each anchor is a prompt of its own
    assert all(-2 < one["shift"] < -1 and one["high"] < 0 and one["prompts"] == alike for one in shifts.values())
    assert {name: read(study, name) for name in before} == before
    assert read(study, "judges")[f"{MODEL} calibrated 1"]["again"]["drift"] == shifts
    second, same = panel.again(MODEL, MODE)
    assert second.name.endswith("-2") and same.identity() == docket.identity()
    assert read(study, "cost")["calls"] > len(texts) * 2 + len(docket.anchors) + len(docket.completions)


@pytest.mark.parametrize(
    "prompts, models, each, count", [(44, 3, 2, 100), (60, 1, 1, 60), (20, 2, 3, 50), (4, 2, 2, 16)]
)
def test_frozen_texts_cover_prompts_and_models_evenly(prompts, models, each, count):
    texts = [replace(one, model=f"m{m}") for m in range(models) for one in stories(prompts, ("tsjax-8m",), each)]
    chosen = frozen(texts)
    assert len(chosen) == count == len({one.id for one in chosen}) and chosen == frozen(texts[::-1])
    per = [sum(one.prompt_id == f"p{p}" for one in chosen) for p in range(prompts)]
    assert max(per) - min(per) <= 1
    for p in range(prompts):  # a model comes again only where every model came
        mine = [one.model for one in chosen if one.prompt_id == f"p{p}"]
        assert len(set(mine)) == min(len(mine), models)
    by_model = [sum(one.model == f"m{m}" for one in chosen) for m in range(models)]
    assert max(by_model) < 1.5 * min(by_model)
    assert frozen(texts, 1) != chosen or count == len(texts)


def test_a_text_that_was_replaced_since_counts_no_more(study):
    texts = stories(4, each=1)
    hold(study, texts)
    judged(Panel(study).docket(MODEL, MODE), texts)
    newer = [replace(texts[0], text=texts[0].text + " The end."), *texts[1:]]
    hold(study, newer)
    Panel(study).graded()
    first = read(study, "statistics")["models"][0]["dimensions"]["grammar"]
    assert first["grades"] == 3 and len(Panel(study).docket(MODEL, MODE)[1].completions) == 1
