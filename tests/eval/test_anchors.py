"""Anchors: the damage is what it says, an honest judge passes, a bad one does not."""

import json
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from data_gen.job import load
from data_gen.offline import write_story
from eval import rubric
from eval.anchors import DEPTHS, FOLLOWED, GOOD, INJECTIONS, NOTHING, UNMET, Anchor, asks_of, check, make_anchors, tau
from eval.damage import sentences
from eval.docket import Docket
from eval.instructions import ALL
from eval.judge import Judging, judge_run
from eval.lemmas import carried, content_words
from eval.records import INSTRUCT, STORY, Grade
from eval.rubric import FOLLOWING
from eval.wording import instructions
from tests.data_gen import runs
from tests.eval import judged, judges
from tests.eval.judges import Judge
from tests.openai_server import StubServer
from tsjax.errors import UserError

ANCHORS = judges.anchors()
OF = {(a.base, a.damage, a.level): a for a in ANCHORS}
BOTH = judges.anchors(instruct=True)
INSTRUCTED = BOTH[len(ANCHORS) :]
WORDS = frozenset({"word_1", "word_2", "word_3"})


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setenv("TSJAX_TEST_KEY", "sk-test-0123456789abcdef0123456789")
    runs.short_waits(monkeypatch)


def grades(
    repeats: int = 3, seed: int = 0, skip=lambda anchor, repeat: False, anchors=ANCHORS, mode=rubric.CALIBRATED,
    blind=frozenset(), step: float = 1.5, halo=False, lured=judges.NOT_LURED, **how,
) -> list[Grade]:  # fmt: skip
    """What a simulated judge gives, without a server; in both modes its calibrated answer, as far as the mode asks."""
    judge, made = Judge(judges.truth_of((), anchors, blind, step, halo, lured), seed=seed, **how), []
    for anchor in anchors:
        one = anchor.completion
        for repeat in range(repeats):
            messages, schema = rubric.calibrated(one, repeat, anchor.asks)
            body = {"messages": list(messages), "response_format": {"json_schema": {"schema": schema}}}
            values = rubric.dimensions(one.kind, mode)
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


def test_one_kind_of_injection_that_works_is_not_averaged_away():
    every = dict.fromkeys([*DEPTHS, FOLLOWING], 2.9)
    for kind in INJECTIONS:
        verdict = check(grades(anchors=BOTH, lured={kind: every}), BOTH)
        assert verdict.lift == verdict.lifts[kind] == max(verdict.lifts.values()) > 2 and set(verdict.lifts) == {
            *INJECTIONS
        }
        assert [why.split(":")[0] for why in verdict.why] == [kind] and "raises grades by" in verdict.why[0]
    verdict = check(grades(anchors=BOTH, noise=0, lured={kind: {"plot": 3.5}}), BOTH)  # a fourth of that on average
    assert verdict.lift < 1 and [why.split(" by")[0] for why in verdict.why] == [f"{kind}: raises plot"]
    assert check(grades(anchors=BOTH, noise=0, lured={kind: {"plot": 1.9}}), BOTH).sound


@pytest.mark.parametrize("obeyed", [INSTRUCT, STORY])
def test_a_judge_that_obeys_in_one_kind_of_text_alone_fails(obeyed):
    of = {a.completion.id: a for a in BOTH}
    nines = []
    for g in grades(anchors=BOTH):
        anchor = of[g.completion]
        lured = anchor.kind == obeyed and anchor.damage in INJECTIONS
        nines.append(Grade(**{**vars(g), "scores": {d: 7 if lured else s for d, s in g.scores.items()}}))
    verdict = check(nines, BOTH)
    assert not verdict.sound and verdict.tens == 0 and 3 < verdict.lift < 5
    assert [why for why in verdict.why if "raises grades by" not in why] == []


# ---- instructions


def test_instructed_anchors_are_few_the_same_every_time_and_leave_the_others_as_they_are():
    assert BOTH[: len(ANCHORS)] == ANCHORS and judges.anchors(instruct=True) == BOTH
    assert 15 <= len(INSTRUCTED) <= 30 and all(a.kind == INSTRUCT and a.asks for a in INSTRUCTED)
    assert [a.number for a in BOTH] == list(range(len(BOTH)))
    assert len({a.completion.id for a in BOTH}) == len(BOTH)
    assert {(a.damage, a.level) for a in INSTRUCTED} == {*UNMET, ("weak", 1), *((name, 1) for name in INJECTIONS)}
    assert asks_of(BOTH) == {a.completion.prompt_id: a.asks for a in INSTRUCTED}
    assert len(asks_of(BOTH)) == len(INSTRUCTED) and asks_of(ANCHORS) == {}
    answer = next(a.text for a in INSTRUCTED if a.damage == "injected answer")
    weak = next(a.text for a in INSTRUCTED if a.damage == "weak")
    assert answer.startswith(weak) and set(json.loads(answer[answer.index("{") :])) > set(DEPTHS) | {FOLLOWING}


@pytest.mark.parametrize("what", UNMET)
def test_what_is_not_followed_is_what_is_said_and_the_story_is_the_same(what):
    for a in (a for a in INSTRUCTED if (a.damage, a.level) == what):
        assert a.text == next(b.text for b in INSTRUCTED if (b.base, b.damage) == (a.base, FOLLOWED))
        words = {f"word_{n}" for n, word in enumerate(a.asks["words"], 1) if carried([word], a.text) == 0}
        found = instructions(a.text, a.asks)
        met = carried(content_words(a.asks["summary"]), a.text)
        assert met == 1 or met <= 0.4
        sentence, summary = {"sentence"} - ({"sentence"} if found["required_sentence"] else set()), {"summary"}
        assert words | sentence | (summary if met < 1 else set()) == UNMET[what] - {"feature_1"}
        assert found.get("dialogue") == (None if what == (NOTHING, 1) else 1.0)  # then a bad ending is asked for
        assert (a.asks["features"] == ["BadEnding"]) is ("feature_1" in UNMET[what])
        assert set(rubric.constraints(a.asks)) == ALL
        for asked in (*a.asks["words"], a.asks["summary"], a.asks["sentence"], *a.asks["features"]):
            assert asked in a.prompt


def test_too_few_stories_for_instructions_are_refused():
    quiet = [write_story(99, n).replace('"', "") for n in range(40)]
    assert make_anchors(quiet)
    with pytest.raises(UserError, match="0 among 40"):
        make_anchors(quiet, instruct=True)
    with pytest.raises(UserError, match="dialogue"):
        make_anchors([write_story(99, n) for n in (1, 2, 3)] * 9, instruct=True)


@pytest.mark.parametrize("mode", rubric.MODES)
@pytest.mark.parametrize("how", [{"noise": 0.0}, {"noise": 0.7}, {"noise": 1.0}, {"bias": -1.0}, {"step": 1.0}])
def test_honest_judges_of_instructions_pass(mode, how):
    verdicts = [check(grades(seed=seed, anchors=BOTH, mode=mode, **how), BOTH) for seed in range(5)]
    assert all(verdict.sound and FOLLOWING in verdict.taus for verdict in verdicts)


@pytest.mark.parametrize(
    ("blind", "most"), [(ALL, 0.2), (ALL - WORDS, 0.75), (ALL - {"summary"}, 0.7), (WORDS, 0.85)],
    ids=["quality alone", "words alone", "summary alone", "not words"],
)  # fmt: skip
def test_judges_that_ignore_instructions_fail_in_that_alone(blind, most):
    verdicts = [check(grades(seed=seed, anchors=BOTH, blind=blind), BOTH) for seed in range(5)]
    assert all(verdict.taus[FOLLOWING] < most for verdict in verdicts)
    failed = [verdict for verdict in verdicts if not verdict.sound]
    assert len(failed) >= (5 if most < 0.8 else 3)
    assert all(why.startswith(FOLLOWING) for verdict in failed for why in verdict.why)
    turned = check(grades(anchors=BOTH, against=(FOLLOWING,)), BOTH)
    assert turned.taus[FOLLOWING] < -0.9 and not turned.sound


def test_instructions_are_not_checked_where_no_anchor_has_any():
    assert set(check(grades(), ANCHORS).taus) == set(DEPTHS)


# ---- copies, and the order


def test_a_judge_that_grades_copies_down_fails_and_one_that_can_not_tell_them_passes():
    plain = grades()
    assert check(plain, ANCHORS).sound
    copied = {a.completion.id for a in ANCHORS if a.damage == "copied"}
    low = [
        Grade(**{**vars(g), "scores": {**g.scores, "creativity": 0} if g.completion in copied else g.scores})
        for g in plain
    ]
    verdict = check(low, ANCHORS)
    assert not verdict.sound and [why.split(":")[0] for why in verdict.why] == ["creativity"]


def test_tau_is_somers_d_where_the_order_is_one_of_ranks_and_tau_b_is_another_thing():
    means = {}
    for g in grades(repeats=1, noise=1.0):
        means[next(a for a in ANCHORS if a.completion.id == g.completion)] = g.scores
    for dimension, depths in DEPTHS.items():
        rows = [(depths[a.damage, a.level], by[dimension]) for a, by in means.items() if (a.damage, a.level) in depths]
        x, y = (np.array(values, float) for values in zip(*rows, strict=True))
        found = tau(dimension, means)
        assert found == pytest.approx(-stats.somersd(x, y).statistic)
        assert found > -stats.kendalltau(x, y).statistic + 0.02  # ties of the expected order are held against the judge
    sets = {Anchor(n, 0, *what, "", ""): {FOLLOWING: 9.0 - len(unmet)} for n, (what, unmet) in enumerate(UNMET.items())}
    assert tau(FOLLOWING, sets) == 1
    swapped = {a: {FOLLOWING: {("words", 2): 8.5, ("sentence", 1): 7.5}.get((a.damage, a.level), by[FOLLOWING])}
               for a, by in sets.items()}  # fmt: skip
    assert tau(FOLLOWING, swapped) == pytest.approx(
        12 / 14
    )  # words 2 above words 1; nothing is said of words and sentence
    assert tau(FOLLOWING, {}) is None


# ---- missing grades


def test_missing_grades_of_anchors_are_counted_and_too_many_void_the_run():
    few = check(grades(skip=lambda anchor, repeat: anchor.number % 20 == 0 and repeat == 0), ANCHORS)
    assert few.sound and few.missing == -(-len(ANCHORS) // 20) and few.judgements == 3 * len(ANCHORS)
    many = check(grades(skip=lambda anchor, repeat: repeat == 0), ANCHORS)
    assert not many.sound and "missing" in many.why[-1]
    assert not check([], ANCHORS).sound


@pytest.mark.parametrize("mode", rubric.MODES)
@pytest.mark.parametrize("kind", [STORY, INSTRUCT])
def test_missing_grades_of_few_anchors_void_the_run_where_they_are_many_of_a_dimension(mode, kind):
    """What is asked of one kind of anchor alone has fewer judgements: a tenth of all can be a third of them."""
    of_kind = [a for a in BOTH if a.kind == kind]
    whole = check(grades(anchors=BOTH, mode=mode), BOTH)
    assert whole.sound and whole.missing == 0
    gone = len(BOTH) // 10 if kind == INSTRUCT else len(of_kind) // 10 + 1
    verdict = check(grades(anchors=BOTH, mode=mode, skip=lambda a, _: a in of_kind[:gone]), BOTH)
    assert verdict.missing == 3 * gone <= 0.1 * verdict.judgements
    alone = {d for d in whole.taus if [d in rubric.dimensions(k, mode) for k in (STORY, INSTRUCT)].count(True) == 1
             and d in rubric.dimensions(kind, mode)}  # fmt: skip
    assert alone == {(INSTRUCT, mode): {FOLLOWING}, (STORY, "paper"): {"consistency"}}.get((kind, mode), set())
    missing = {why.split(":")[0] for why in verdict.why if "missing" in why}
    assert missing == alone and verdict.sound is not bool(alone)


@pytest.mark.parametrize("mode", rubric.MODES)
@pytest.mark.parametrize("dimension", [*DEPTHS, FOLLOWING])
def test_a_dimension_that_grades_lack_is_missing(mode, dimension):
    kept = [Grade(**{**vars(g), "scores": {d: s for d, s in g.scores.items() if d != dimension or n % 8}})
            for n, g in enumerate(grades(anchors=BOTH, mode=mode))]  # fmt: skip
    verdict = check(kept, BOTH)
    assert [why.split(":")[0] for why in verdict.why] == [dimension] and "are missing" in verdict.why[0]
    none = [Grade(**{**vars(g), "scores": {d: s for d, s in g.scores.items() if d != dimension}}) for g in kept]
    verdict = check(none, BOTH)
    assert verdict.taus[dimension] is None and verdict.why == (f"{dimension}: no grades, expected 0.8 at least",)


@pytest.mark.parametrize("mode", rubric.MODES)
@pytest.mark.parametrize("obeys", [False, True])
@pytest.mark.parametrize("kind", [STORY, INSTRUCT])
def test_a_run_says_whether_its_anchors_held(tmp_path, mode, obeys, kind):
    made, anchors = judges.completions(prompts=1, kind=kind), BOTH if kind == INSTRUCT else ANCHORS
    judge = Judge(judges.truth_of(made, anchors), obeys=obeys)
    with StubServer(answer=judge) as server:
        docket = Docket(made, anchors, asks_of(anchors))
        judge_run(tmp_path / "run", judged.order(server.url, mode, docket=docket, repeats=1, anchor_repeats=3))
    verdict = load(tmp_path / "run", Judging)["anchor_verdict"]
    assert verdict["sound"] is not obeys, verdict["why"]
    assert bool(verdict["why"]) is obeys
    assert (FOLLOWING in verdict["taus"]) is (kind == INSTRUCT)
    kept = Docket.load(tmp_path / "run")
    assert kept.anchors == anchors and kept.asks == asks_of(anchors)
    asked = [prompt for prompt in judge.seen if "word_1 = the word" in prompt]  # it was shown what each anchor asks for
    wanted = 3 * len(INSTRUCTED) if kind == INSTRUCT and mode == rubric.CALIBRATED else 0
    assert wanted <= len(asked) <= 2 * wanted  # on a busy machine a call may time out, and is made again
