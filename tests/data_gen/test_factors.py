"""Draws follow from (seed, index) alone, use a space up before they repeat, and keep to weights and shares."""

import random
import time
from collections import Counter
from itertools import product
from math import prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_gen.factors import Sampler
from data_gen.recipe import load
from tests.data_gen.recipes import factor, recipe

SIZES = st.lists(st.integers(1, 13), min_size=1, max_size=4).filter(lambda sizes: prod(sizes) <= 4000)


def chi_square(counts, expected):
    return sum((counts[key] - want) ** 2 / want for key, want in expected.items())


@settings(max_examples=150, deadline=None)
@given(SIZES, st.integers(0, 2**64), st.integers(0, 5))
def test_every_pass_through_the_space_has_every_combination_once(sizes, seed, epoch):
    """The shuffle is a permutation of spaces of all shapes, 1 and primes among them."""
    sampler = Sampler(recipe(*(factor(f"f{n}", size, unique=True) for n, size in enumerate(sizes))), seed)
    passed = [tuple(sampler.draw(epoch * sampler.space + i).values()) for i in range(sampler.space)]
    assert len(set(passed)) == sampler.space == prod(sizes)


def test_passes_and_seeds_have_orders_of_their_own():
    made = recipe(factor("a", 10, unique=True), factor("b", 11, unique=True))

    def one_pass(seed, epoch):
        return [tuple(Sampler(made, seed).draw(epoch * 110 + i).values()) for i in range(110)]

    orders = [one_pass(0, 0), one_pass(0, 1), one_pass(1, 0), sorted(one_pass(0, 0))]
    assert all(sum(x == y for x, y in zip(p, q, strict=True)) < 12 for n, p in enumerate(orders) for q in orders[:n])


def test_the_shuffle_looks_like_one():
    """Neighbours in the list are no neighbours in the space: each value comes as often in a stretch as by chance."""
    made = recipe(*(factor(name, 30, unique=True) for name in "abc"))
    sampler = Sampler(made, 5)
    drawn = [sampler.draw(i) for i in range(3000)]
    for name in "abc":
        counts = Counter(draw[name] for draw in drawn)
        assert chi_square(counts, {f"{name}{n}": 100 for n in range(30)}) < 58.3  # p = 0.001 at 29 degrees of freedom
    same = sum(drawn[i]["a"] == drawn[i + 1]["a"] for i in range(2999))
    assert 60 < same < 145  # 100 by chance


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 7), st.randoms(use_true_random=False))
def test_any_shard_in_any_order_draws_the_same(seed, shards, rng: random.Random):
    made = load("simple_stories")
    whole = {i: Sampler(made, seed).draw(i) for i in range(40)}
    for shard in range(shards):
        sampler = Sampler(made, seed)
        indices = list(range(shard, 40, shards))
        rng.shuffle(indices)
        assert all(sampler.draw(i) == whole[i] for i in indices)


def test_the_draws_of_a_seed_stay_what_they_are():
    """Raw answers do not hold their factors: they are drawn again. If this fails, old runs can no longer be read."""
    made = recipe(
        factor("a", 7, unique=True), factor("b", 5, unique=True), factor("c", 4, weights=(1.0, 2.0, 3.0, 4.0)),
        factor("d", 6, number=(0, 3)), factor("e", 3, present=0.5), factor("f", 3, number=(2, 3), weights=(1.0, 1.0, 9.0)),
    )  # fmt: skip
    sampler = Sampler(made, 42)
    assert [" ".join(_flat(sampler.draw(i))) for i in (0, 1, 34, 35, 10**12)] == GOLDEN


def _flat(draw):
    for value in draw.values():
        yield from [value] if isinstance(value, str) else [f"[{','.join(value)}]"]


GOLDEN = [
    "a6 b0 c1 [] [f1,f2]",
    "a4 b4 c2 [d1,d3,d4] [f2,f0]",
    "a2 b4 c1 [d1,d3] e0 [f2,f1,f0]",
    "a4 b4 c2 [d3,d2,d1] [f2,f0]",
    "a2 b1 c2 [] [f2,f1]",
]


def test_another_factor_leaves_the_others_as_they_were():
    first = (factor("a", 9, unique=True), factor("b", 50), factor("c", 20, number=(0, 4)), factor("d", present=0.5))
    one = Sampler(recipe(*first), 1)
    two = Sampler(recipe(factor("new", present=0.3), *reversed(first), factor("other", 7, number=(1, 2))), 1)
    for i in range(300):
        drawn = two.draw(i)
        assert one.draw(i) == {name: value for name, value in drawn.items() if name not in ("new", "other")}


def test_weights_shares_and_numbers_are_kept():
    made = recipe(
        factor("even", 10), factor("w", 4, weights=(1.0, 2.0, 3.0, 4.0)), factor("p", 2, present=0.35),
        factor("n", 6, number=(0, 3)), factor("gone", present=0.0),
    )  # fmt: skip
    sampler, draws = Sampler(made, 11), 10_000
    drawn = [sampler.draw(i) for i in range(draws)]
    assert (
        chi_square(Counter(d["even"] for d in drawn), {f"even{n}": draws / 10 for n in range(10)}) < 27.9
    )  # p = 0.001
    assert chi_square(Counter(d["w"] for d in drawn), {f"w{n}": draws * (n + 1) / 10 for n in range(4)}) < 16.3
    assert abs(sum("p" in d for d in drawn) / draws - 0.35) < 0.016
    assert chi_square(Counter(len(d["n"]) for d in drawn), dict.fromkeys(range(4), draws / 4)) < 16.3
    assert chi_square(Counter(label for d in drawn for label in d["n"]), {f"n{n}": draws / 4 for n in range(6)}) < 20.5
    assert all(len(set(d["n"])) == len(d["n"]) for d in drawn) and not any("gone" in d for d in drawn)
    # Two factors know nothing of each other.
    both = Counter((d["even"], d["w"]) for d in drawn)
    expected = {(f"even{a}", f"w{b}"): draws * (b + 1) / 100 for a in range(10) for b in range(4)}
    assert chi_square(both, expected) < 72.1


def test_a_heavy_value_is_drawn_once_and_first():
    made = recipe(factor("a", 5, number=(5, 5), weights=(1e-9, 1e-9, 1.0, 1e-9, 1e-9)))
    for i in range(200):
        drawn = Sampler(made, 0).draw(i)["a"]
        assert sorted(drawn) == [f"a{n}" for n in range(5)] and drawn[0] == "a2"


def test_a_recipe_without_unique_factors_has_a_space_of_one():
    sampler = Sampler(recipe(factor("a", 5)), 0)
    assert sampler.space == 1 and len({sampler.draw(i)["a"] for i in range(100)}) == 5
    with pytest.raises(ValueError, match="below 0"):
        sampler.draw(-1)


def test_no_combination_is_lost_as_it_is_where_indices_are_joined():
    """One generator of stories knows its triples by indices joined without a separator, so 1-23 and 12-3 are one: with
    lists of its size about 16 % of all triples can never be drawn, 9 % with these."""
    sizes = (40, 30, 20)
    joined = {"".join(map(str, triple)) for triple in product(*map(range, sizes))}
    space = 40 * 30 * 20
    assert len(joined) == 21_760 < 0.91 * space
    sampler = Sampler(recipe(*(factor(f"f{n}", size, unique=True) for n, size in enumerate(sizes))), 0)
    assert len({tuple(sampler.draw(i).values()) for i in range(space)}) == space


def test_the_word_triples_of_tinystories_are_near_a_thousand_million():
    sampler = Sampler(load("tinystories"), 0)
    drawn = {tuple(sampler.draw(i)[name] for name in ("noun", "verb", "adjective")) for i in range(5000)}
    assert sampler.space > 900_000_000 and len(drawn) == 5000


def test_drawing_is_quick():
    sampler = Sampler(load("tinystories"), 0)
    start = time.perf_counter()
    for i in range(5000):
        sampler.draw(i)
    assert 5000 / (time.perf_counter() - start) > 5000  # 120,000 a second measured; a loaded machine is no failure
