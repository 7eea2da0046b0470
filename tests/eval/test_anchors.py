"""Anchors: the damage is what it says, an honest judge passes, a bad one does not."""

import json
from collections import Counter

import pytest

from data_gen.job import load
from data_gen.offline import write_story
from eval import rubric
from eval.anchors import DEPTHS, GOOD, INJECTIONS, check, make_anchors, sentences
from eval.docket import Docket
from eval.judge import Judging, judge_run
from eval.records import Grade
from tests.data_gen import runs
from tests.eval import judged, judges
from tests.eval.judges import Judge
from tests.openai_server import StubServer
from tsjax.errors import UserError

ANCHORS = judges.anchors()
OF = {(a.base, a.damage, a.level): a for a in ANCHORS}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setenv("TSJAX_TEST_KEY", "sk-test-0123456789abcdef0123456789")
    runs.short_waits(monkeypatch)


def grades(repeats: int = 3, seed: int = 0, skip=lambda anchor, repeat: False, **how) -> list[Grade]:
    """What a simulated judge gives, without a server."""
    judge, made = Judge(judges.truth_of(anchors=ANCHORS), seed=seed, **how), []
    for anchor in ANCHORS:
        one = anchor.completion
        for repeat in range(repeats):
            messages, schema = rubric.calibrated(one, repeat, {})
            body = {"messages": list(messages), "response_format": {"json_schema": {"schema": schema}}}
            values = rubric.dimensions(one.kind, rubric.CALIBRATED)
            said = {k: v for k, v in json.loads(judge(body)).items() if k in values}
            given = None if skip(anchor, repeat) else said
            made.append(Grade(one.id, one.model, one.prompt_id, one.k, repeat, "judge", given, anchor=anchor.damage))
    return made


def test_there_are_about_60_and_they_are_the_same_every_time():
    assert 55 <= len(ANCHORS) <= 65 and judges.anchors() == ANCHORS
    assert len({anchor.completion.id for anchor in ANCHORS}) == len(ANCHORS)
    kinds = Counter(anchor.damage for anchor in ANCHORS)
    assert kinds == {"good": 5, "grammar": 15, "shuffled": 10, "swapped": 5, "foreign": 5, "loop": 5, "cut": 5,
                     "empty": 2, "weak": 2, **dict.fromkeys(INJECTIONS, 2), "copied": 2}  # fmt: skip
    for depths in DEPTHS.values():
        assert all(any((a.damage, a.level) == place for a in ANCHORS) for place in depths)


@pytest.mark.parametrize("base", range(5))
def test_each_damage_is_what_it_says(base):
    good = OF[base, GOOD, 0].text
    words = good.split()
    wrong = [
        sum(a != b for a, b in zip(words, OF[base, "grammar", level].text.split(), strict=False)) for level in (1, 2, 3)
    ]
    assert all(OF[base, "grammar", level].text != good for level in (1, 2, 3)) and wrong[0] >= 1
    slips = [differing(good, OF[base, "grammar", level].text) for level in (1, 2, 3)]
    assert 0 < slips[0] < slips[1] < slips[2]
    few, many = (sentences(OF[base, "shuffled", level].text) for level in (1, 2))
    plain = sentences(good)
    assert sorted(few) == sorted(many) == sorted(plain) and few[0] == many[0] == plain[0]
    assert (
        sum(a != b for a, b in zip(few, plain, strict=True))
        == 2
        < sum(a != b for a, b in zip(many, plain, strict=True))
    )
    swapped = OF[base, "swapped", 1].text
    changed = {(a, b) for a, b in zip(words, swapped.split(), strict=True) if a != b}
    assert changed and len({b.strip("\".,!?'s") for _, b in changed}) >= 2
    assert len({a.strip('".,!?').removesuffix("'s") for a, _ in changed}) == 1
    loop = sentences(OF[base, "loop", 1].text)
    assert len(set(loop)) == 2 and len(loop) >= 5
    assert good.strip().startswith(OF[base, "cut", 1].text.strip()) and len(OF[base, "cut", 1].text) < len(good) / 2


def differing(a: str, b: str) -> int:
    """How many words are in one of the two alone."""
    return sum(((Counter(a.split()) - Counter(b.split())) + (Counter(b.split()) - Counter(a.split()))).values())


def test_copies_and_injections_are_in():
    copied = next(a for a in ANCHORS if a.damage == "copied")
    assert (copied.prompt + copied.text) == write_story(0, 1).strip()
    for name in INJECTIONS:
        injected = OF[0, name, 1].text
        assert injected.startswith(OF[0, "weak", 1].text) and "10" in injected
        assert (
            "{" not in rubric.neutral(injected)
            and "[[" not in rubric.neutral(injected)
            and "***" not in rubric.neutral(injected)
        )


def test_too_few_or_too_short_stories_are_refused():
    with pytest.raises(UserError, match="held-out"):
        make_anchors([write_story(0, 0)] * 3)
    with pytest.raises(UserError, match="0 among 9"):
        make_anchors(["Too short. It ends."] * 9)


@pytest.mark.parametrize(
    "how", [{"noise": 0.0}, {"noise": 0.7}, {"noise": 1.0}, {"bias": 1.0}, {"bias": -1.0}, {"per_word": 0.01}]
)
def test_honest_judges_pass_noisy_biased_or_fond_of_length(how):
    """A constant bias is not for the anchors to find: it is the same for all models, and linking takes it out."""
    passed = [check(grades(seed=seed, **how), ANCHORS).sound for seed in range(20)]
    assert sum(passed) >= 19, (how, passed)


@pytest.mark.parametrize("dimension", DEPTHS)
def test_a_judge_that_has_one_dimension_the_wrong_way_round_fails(dimension):
    verdict = check(grades(against=(dimension,)), ANCHORS)
    assert not verdict.sound and verdict.taus[dimension] < 0
    assert [one for one in verdict.taus if one != dimension and verdict.taus[one] < 0.8] == []
    assert any(why.startswith(dimension) for why in verdict.why)


def test_a_judge_that_does_not_read_fails_in_all_dimensions():
    flat = [Grade(a.completion.id, "anchor", "p", 0, 0, "judge", dict.fromkeys(DEPTHS, 7.0)) for a in ANCHORS]
    verdict = check(flat, ANCHORS)
    assert not verdict.sound and set(verdict.taus.values()) == {0.0}
    assert not check(grades(noise=20), ANCHORS).sound


def test_a_judge_that_obeys_what_it_reads_fails():
    verdict = check(grades(obeys=True), ANCHORS)
    assert verdict.tens >= 6 and verdict.lift > 1 and not verdict.sound
    assert any("injection" in why for why in verdict.why)
    lifted = []
    for g in grades(obeys=True):  # it obeys by giving nines
        lifted.append(Grade(**{**vars(g), "scores": {d: min(s, 9) for d, s in g.scores.items()}}))
    verdict = check(lifted, ANCHORS)
    assert verdict.tens == 0 and verdict.lift > 1 and not verdict.sound


def test_missing_grades_of_anchors_are_counted_and_too_many_void_the_run():
    few = check(grades(skip=lambda anchor, repeat: anchor.number % 20 == 0 and repeat == 0), ANCHORS)
    assert few.sound and few.missing == -(-len(ANCHORS) // 20) and few.judgements == 3 * len(ANCHORS)
    many = check(grades(skip=lambda anchor, repeat: repeat == 0), ANCHORS)
    assert not many.sound and "missing" in many.why[-1]
    assert not check([], ANCHORS).sound


@pytest.mark.parametrize("mode", rubric.MODES)
@pytest.mark.parametrize("obeys", [False, True])
def test_a_run_says_whether_its_anchors_held(tmp_path, mode, obeys):
    made = judges.completions(prompts=1)
    judge = Judge(judges.truth_of(made, ANCHORS), obeys=obeys)
    with StubServer(answer=judge) as server:
        order = judged.order(server.url, mode, docket=Docket(made, ANCHORS), repeats=1, anchor_repeats=3)
        judge_run(tmp_path / "run", order)
    verdict = load(tmp_path / "run", Judging)["anchor_verdict"]
    assert verdict["sound"] is not obeys, verdict["why"]
    assert bool(verdict["why"]) is obeys
