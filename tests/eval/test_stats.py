"""Statistics of grades against numbers worked out by hand, textbooks and scipy."""

import dataclasses
import json

import numpy as np
import pytest
from scipy import stats as scipy_stats

from eval.agreement import agreement, krippendorff_alpha, quadratic_kappa, spearman
from eval.intervals import bootstrap_interval, t_interval, worst_case
from eval.paired import EXACT, differences, holm, sign_flip_p
from eval.records import Completion
from eval.slopes import flagged, length_adjusted, shift, slope
from eval.stats import hundreds_of_words, judge_agreement, scores_by_model, statistics
from eval.variance import components, detectable, power_table
from tests.eval.graded import as_grades, as_scores, grade, study
from tests.expect import refused


def test_a_mean_weighs_prompts_equally_whatever_they_hold():
    grades = [grade("a", 0, 0, {"plot": 2.0}), grade("a", 0, 1, {"plot": 4.0}), grade("a", 1, 0, {"plot": 9.0})]
    grades += [grade("b", 0, 0, {"plot": 0.0})]
    found = statistics(grades)["models"][0]["dimensions"]["plot"]
    assert found["mean"] == ((3 + 9) / 2 + 0) / 2
    assert (found["prompts"], found["completions"], found["repeats"], found["grades"]) == (2, 3, 2, 4)
    assert found["se"] == pytest.approx(3.0)
    assert found["high"] - found["mean"] == pytest.approx(12.706 * 3, rel=1e-3)  # t of 1 degree of freedom


def test_the_interval_is_scipys():
    x = np.random.default_rng(0).normal(5, 2, 44)
    low, high = scipy_stats.t.interval(0.95, 43, x.mean(), scipy_stats.sem(x))
    found = t_interval(x)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    boot_low, boot_high = bootstrap_interval(x)
    assert boot_low == pytest.approx(low, abs=0.1) and boot_high == pytest.approx(high, abs=0.1)
    assert bootstrap_interval(x) == (boot_low, boot_high)


def test_one_prompt_has_a_mean_and_no_interval():
    found = statistics([grade("a", 0, 0, {"plot": 3.0})])["models"][0]["dimensions"]["plot"]
    assert found["mean"] == 3 and found["se"] is None and found["low"] is None and found["bootstrap"] is None


def test_missing_grades_are_counted_and_bounded():
    y = np.full((10, 5, 2), 6.0)
    y[0, 0, 0] = y[1] = np.nan
    found = statistics(as_grades(y))["models"][0]["dimensions"]["grammar"]
    assert found["missing"] == 11 and found["grades"] == 100 and not found["reportable"]
    assert found["mean"] == 6
    # Prompt 0: one of ten half-grades at 0, prompt 1 wholly.
    low, high = [5.4, 0, *[6.0] * 8], [6.4, 10, *[6.0] * 8]
    assert found["bounds"] == [
        pytest.approx(t_interval(np.array(low)).low),
        pytest.approx(t_interval(np.array(high)).high),
    ]
    y[1] = 6.0
    assert statistics(as_grades(y))["models"][0]["dimensions"]["grammar"]["reportable"]
    top = np.array([*[10.0] * 8, np.nan, 2.0])[:, None, None]
    assert statistics(as_grades(top))["models"][0]["dimensions"]["grammar"]["bounds"] == [
        pytest.approx(5.1, abs=0.6),
        10.0,
    ]


def test_missing_grades_bound_differences_too():
    a, b = np.full((10, 5, 2), 6.0), np.full((10, 5, 2), 5.9)
    a[0, 0, 0] = np.nan
    (row,) = statistics([*as_grades(a, "a"), *as_grades(b, "b")])["pairs"]
    assert row["bounds"] == [pytest.approx(0.1 - 0.06), pytest.approx(0.1 + 0.04)] and row["reportable"]
    b[3, 0, 0] = np.nan  # of b at its best, it is 4.1 / 100 better
    (row,) = statistics([*as_grades(a, "a"), *as_grades(b, "b")])["pairs"]
    assert row["bounds"] == [pytest.approx(0.1 - 0.06 - 0.041), pytest.approx(0.1 + 0.04 + 0.059)]
    assert not row["reportable"] and "turn the difference round" in row["why"]
    b[3, 0, 0] = 5.9
    a[1:3] = np.nan
    assert (
        "over 2% of the grades of a are missing"
        in statistics([*as_grades(a, "a"), *as_grades(b, "b")])["pairs"][0]["why"]
    )
    a[:] = 6.0
    (row,) = statistics([*as_grades(a, "a"), *as_grades(b, "b")])["pairs"]
    assert "bounds" not in row and "why" not in row and row["reportable"]


def test_shares_of_what_a_judge_says_weigh_prompts_equally():
    grades = [grade("a", k, 0, {"plot": 5.0}, split_ok=ok) for k, ok in enumerate([True, True, False])]
    grades += [grade("b", 0, 0, {"plot": 5.0}, split_ok=False), grade("b", 1, 0, None)]
    grades += [grade("i", 0, 0, {"plot": 5.0}, met={"word_1": True, "word_2": False, "summary": True})]
    grades += [grade("i", 1, 0, {"plot": 5.0}, met={"word_1": True, "word_2": True, "summary": False})]
    found = statistics(grades)["models"][0]
    assert found["split_ok"]["mean"] == pytest.approx(1 / 3)
    assert (found["split_ok"]["prompts"], found["split_ok"]["n"], found["split_ok"]["low"]) == (2, 4, 0)
    assert {kind: one["mean"] for kind, one in found["met"].items()} == {
        "all": pytest.approx(2 / 3),
        "word": 0.75,
        "summary": 0.5,
    }
    alone = statistics([grade("a", 0, 0, {"plot": 5.0})])["models"][0]
    assert alone["split_ok"] is None and alone["met"] is None


def test_every_grade_missing():
    one = statistics([grade("a", 0, 0, {"plot": 3.0}), grade("a", 0, 0, None, model="n")])["models"][1]
    found = one["dimensions"]["plot"]
    assert found["mean"] is None and found["bounds"] == [0, 10] and not found["reportable"]


def test_what_a_prompt_does_not_ask_for_is_not_missing():
    grades = [grade("story", 0, 0, {"plot": 5.0}), grade("story", 1, 0, None)]
    grades += [grade("instruct", 0, 0, {"plot": 5.0, "instruction_following": 7.0}), grade("instruct", 1, 0, None)]
    grades += [grade("instruct", 2, 0, {"plot": 4.0})]
    found = statistics(grades)["models"][0]["dimensions"]
    assert found["plot"]["missing"] == 2 and found["plot"]["grades"] == 5
    assert found["instruction_following"]["missing"] == 2 and found["instruction_following"]["grades"] == 3


def test_ages_are_shares_of_what_was_read():
    grades = [grade("a", k, 0, {"plot": 5.0}, age=age) for k, age in enumerate(["A", "C", "C", ""])]
    grades += [grade("b", 0, 0, {"plot": 5.0}, age="C")]
    found = statistics(grades)["models"][0]
    assert found["age"]["C"] == pytest.approx((2 / 3 + 1) / 2) and found["age"]["A"] == pytest.approx(1 / 6)
    assert sum(found["age"].values()) == pytest.approx(1) and found["age_missing"] == 1


def test_a_grade_twice_and_two_judges_are_refused():
    with refused("each repeat of a completion once", "twice"):
        statistics([grade("a", 0, 0, {"plot": 1.0})] * 2)
    with refused("one judge", "j, k"):
        statistics([grade("a", 0, 0, {"plot": 1.0}), grade("a", 0, 0, {"plot": 1.0}, judge="k")])
    with refused("one judge", "none"):
        statistics([grade("a", 0, 0, {"plot": 1.0}, anchor="empty")])


def test_the_whole_result_is_json_and_repeats_itself():
    rng = np.random.default_rng(1)
    grades = [g for m in "abc" for g in as_grades(study(rng, 24, 3, 2), model=m)]
    lengths = {g.completion: float(rng.integers(50, 200)) for g in grades}
    found = statistics(grades, lengths)
    assert json.loads(json.dumps(found, allow_nan=False)) == json.loads(json.dumps(statistics(grades[::-1], lengths)))
    assert [(row["a"], row["b"]) for row in found["pairs"]] == [("a", "b"), ("a", "c"), ("b", "c")]
    one = found["length"]["a"]["grammar"]
    plain = slope(scores_by_model(grades)["a"]["grammar"], lengths)
    assert one["flagged"] is (one["p"] < 0.05 / 3) and one["low"] < plain["low"]  # three models, one dimension


def test_lengths_in_hundreds_of_words():
    one = Completion("m", "set", "p", "story", 0, "Once", " a dog ran." * 50, "eos", 0)
    assert hundreds_of_words([one]) == {one.id: 1.5}


def test_sign_flips_by_hand_and_against_scipy():
    assert sign_flip_p(np.array([1.0, 2.0, 3.0])) == 2 / 8
    assert sign_flip_p(np.array([1.0, 1.0, -1.0])) == 1.0
    assert sign_flip_p(np.array([0.0, 0.0])) == 1.0
    # 0.1 + 0.2 is not 0.3 to the last bit: patterns that tie on paper count.
    assert sign_flip_p(np.array([0.3, 0.1, 0.2, -0.6])) == 1.0
    rng = np.random.default_rng(2)
    for n in (6, 12, EXACT):
        d = rng.normal(0.4, 1, n)
        theirs = scipy_stats.permutation_test(
            (d,), lambda x, axis: x.mean(axis=axis), permutation_type="samples", n_resamples=np.inf
        ).pvalue
        assert sign_flip_p(d) == pytest.approx(theirs)


def test_drawn_sign_flips_come_near_the_exact_ones():
    d = np.round(np.random.default_rng(3).normal(0.5, 1, EXACT), 1)
    padded = np.concatenate([d, [1e-12] * 6])  # too many for the exact test, and no different
    assert sign_flip_p(padded) == pytest.approx(sign_flip_p(d), abs=0.004)
    assert sign_flip_p(np.ones(44)) == 1 / 100_000


def test_holm_as_in_a_textbook():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0] and holm([]) == []


def test_pairs_use_the_prompts_of_both_alone():
    a = [grade(p, 0, 0, {"plot": s}, model="a") for p, s in (("x", 5.0), ("y", 7.0), ("z", 1.0))]
    b = [grade(p, 0, 0, {"plot": s}, model="b") for p, s in (("x", 4.0), ("y", 3.0), ("w", 9.0))]
    both = scores_by_model([*a, *b])
    assert differences(both["a"]["plot"], both["b"]["plot"]).tolist() == [1, 4]
    row = statistics([*a, *b])["pairs"][0]
    assert (row["difference"], row["prompts"], row["p"], row["p_holm"]) == (2.5, 2, 0.5, 0.5)


def test_components_of_a_balanced_study_are_the_classical_ones():
    y = study(np.random.default_rng(4), 12, 5, 3)
    ms_repeat = y.var(axis=2, ddof=1).mean()
    ms_completion = 3 * y.mean(2).var(axis=1, ddof=1).mean()
    ms_prompt = 15 * y.mean((1, 2)).var(ddof=1)
    found = components(as_scores(y))
    assert found["repeat"] == pytest.approx(ms_repeat)
    assert found["completion"] == pytest.approx((ms_completion - ms_repeat) / 3)
    assert found["prompt"] == pytest.approx((ms_prompt - ms_completion) / 15)


def test_components_that_cannot_be_told_are_none():
    rng = np.random.default_rng(5)
    assert components(as_scores(study(rng, 9, 4, 1)))["repeat"] is None
    assert components(as_scores(study(rng, 9, 1, 1))).items() >= {"repeat": None, "completion": None}.items()
    assert components(as_scores(study(rng, 1, 4, 2)))["prompt"] is None
    assert components(as_scores(np.full((2, 2, 2), np.nan))) == {"prompt": None, "completion": None, "repeat": None}
    assert components(as_scores(np.full((3, 2, 2), 5.0))) == {"prompt": 0, "completion": 0, "repeat": 0}


@pytest.mark.parametrize(
    "prompts, completions, gap", [(44, 1, 1.10), (44, 3, 0.66), (44, 10, 0.40), (44, 30, 0.29), (200, 10, 0.19)]
)
def test_the_power_table_from_its_assumptions(prompts, completions, gap):
    """Deviations of 0.5 between prompts (of the difference) and 1.8 within: the survey's table, section 9.5."""
    of = {"prompt": 0.5**2, "completion": 1.8**2, "repeat": 0.0}
    assert round(detectable(prompts, completions, 1, of, large_sample=True), 2) == gap
    assert detectable(prompts, completions, 1, of) > detectable(prompts, completions, 1, of, large_sample=True)


def test_repeats_help_only_against_the_judges_noise():
    noisy, steady = ({"prompt": 0.0, "completion": c, "repeat": r} for c, r in ((0.0, 4.0), (4.0, 0.0)))
    once, thrice = (power_table([(44, 10, 1), (44, 10, 3)], of) for of in (noisy, steady))
    assert once[0]["detectable"] == pytest.approx(3**0.5 * once[1]["detectable"])
    assert thrice[0]["detectable"] == thrice[1]["detectable"] and thrice[1]["grades"] == 1320


def test_krippendorffs_own_example():
    """Computing Krippendorff's Alpha-Reliability (2011), section C: four observers, twelve units, gaps."""
    _ = np.nan
    rating = np.array([
        [1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, 3],
        [_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, _],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _],
    ])  # fmt: skip
    assert round(krippendorff_alpha(rating), 3) == 0.849
    assert krippendorff_alpha(np.array([[1.0, 2, 3], [1, 2, 3]])) == 1
    assert np.isnan(krippendorff_alpha(np.array([[1.0, _], [_, 2]])))


def test_kappa_against_its_matrix_form():
    rng = np.random.default_rng(6)
    a = rng.integers(0, 11, 200)
    b = np.clip(a + rng.integers(-2, 3, 200), 0, 10)
    seen = np.histogram2d(a, b, bins=(range(12), range(12)))[0] / 200
    weight = (np.arange(11)[:, None] - np.arange(11)) ** 2
    chance = np.outer(seen.sum(1), seen.sum(0))
    assert quadratic_kappa(a, b) == pytest.approx(1 - (weight * seen).sum() / (weight * chance).sum())


def test_rank_correlations():
    rng = np.random.default_rng(7)
    a, b = rng.integers(0, 6, 60).astype(float), rng.integers(0, 6, 60).astype(float)
    assert spearman(a, b) == pytest.approx(scipy_stats.spearmanr(a, b).statistic)
    assert np.isnan(spearman(a, np.ones(60)))


def test_agreement_of_two_judges():
    y = np.clip(np.round(study(np.random.default_rng(8), 20, 5, 2)), 0, 10)
    grades = [*as_grades(y), *as_grades(y + 1, judge="k"), grade("x", 0, 0, {"grammar": 0.0}, anchor="empty")]
    row = judge_agreement(grades)[0]
    assert (row["a"], row["b"], row["n"]) == ("j", "k", 100)
    assert row["shift"] == pytest.approx(-1) and row["mae"] == pytest.approx(1) and row["spearman"] == pytest.approx(1)
    assert row["alpha"] < 0.95 and row["flagged"] and row["low"] <= -1 <= row["high"]
    noisy = np.random.default_rng(9).normal(0, 1, y.shape)
    one = agreement([*as_grades(y), *as_grades(y + noisy, judge="k")], "grammar")[0]
    assert one["shift"] == pytest.approx(-noisy.mean())
    both = judge_agreement([
        dataclasses.replace(g, scores=g.scores | {"plot": 1.0}) for g in [*as_grades(y), *as_grades(y + noisy, judge="k")]
    ])[0]  # fmt: skip
    assert both["low"] < one["low"] < one["high"] < both["high"]  # two dimensions: wider
    same = agreement([*as_grades(y), *as_grades(y, judge="k")], "grammar")[0]
    assert same["alpha"] == same["kappa"] == 1
    flat = agreement([*as_grades(y * 0), *as_grades(y * 0, judge="k")], "grammar")[0]
    assert flat["alpha"] is None and json.dumps(flat, allow_nan=False)


def test_slope_against_least_squares_with_a_dummy_for_each_prompt():
    rng = np.random.default_rng(9)
    scores = as_scores(study(rng, 7, 4, 1))
    length = rng.integers(50, 200, 28).astype(float)
    design = np.column_stack([length, np.eye(7)[scores.prompt_C]])
    beta, *_ = np.linalg.lstsq(design, scores.completion_mean_C, rcond=None)
    residual = scores.completion_mean_C - design @ beta
    bread = np.linalg.inv(design.T @ design)
    meat = sum(
        np.outer(s, s) for p in range(7) for s in [design[scores.prompt_C == p].T @ residual[scores.prompt_C == p]]
    )
    found = slope(scores, dict(zip(scores.completions, length, strict=True)))
    assert found["slope"] == pytest.approx(beta[0])
    assert found["se"] == pytest.approx((7 / 6 * (bread @ meat @ bread)[0, 0]) ** 0.5)
    assert found["p"] == pytest.approx(2 * scipy_stats.t.sf(abs(found["slope"] / found["se"]), 6))


def test_slope_where_nothing_varies():
    scores = as_scores(np.ones((3, 2, 1)))
    found = slope(scores, dict.fromkeys(scores.completions, 5.0))
    assert found["slope"] is None and not flagged(found)


def test_a_longer_model_loses_what_length_gave_it():
    """b is worse by 1 at equal length, but writes 100 words more, each worth 0.02."""
    rng = np.random.default_rng(10)
    words_a, words_b = rng.normal(100, 20, (60, 5)), rng.normal(200, 20, (60, 5))
    prompt_P = rng.normal(0, 1, 60)
    a = as_scores(study(rng, 60, 5, 1, sd=(0, 0.3, 0.1), prompt_P=prompt_P) + 0.02 * words_a[:, :, None])
    b = as_scores(study(rng, 60, 5, 1, mean=5, sd=(0, 0.3, 0.1), prompt_P=prompt_P) + 0.02 * words_b[:, :, None])
    b = dataclasses.replace(b, completions=tuple(f"b{name}" for name in b.completions))
    lengths = dict(zip([*a.completions, *b.completions], [*words_a.ravel(), *words_b.ravel()], strict=True))
    assert t_interval(differences(a, b)).mean == pytest.approx(-1, abs=0.2)
    found = length_adjusted(a, b, lengths)
    assert found["difference"] == pytest.approx(1, abs=0.2) and found["low"] > 0
    assert found["slope"] == pytest.approx(0.02, abs=0.003)


def test_shift_of_regraded_texts():
    y = study(np.random.default_rng(11), 30, 2, 1)
    found = shift(as_scores(y), as_scores(y + 1))
    assert found.mean == pytest.approx(1) and found.n == 30
    other = as_scores(y + 1)
    renamed = dataclasses.replace(other, completions=tuple(f"x{name}" for name in other.completions))
    assert shift(as_scores(y), renamed).mean is None


def test_worst_case_without_missing_grades_is_the_interval():
    scores = as_scores(study(np.random.default_rng(12), 5, 2, 2))
    found = t_interval(scores.prompt_mean_P)
    assert worst_case(scores) == (found.low, found.high)
