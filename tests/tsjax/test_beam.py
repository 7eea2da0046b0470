"""Beam search: the best of all texts where the beam holds them all, and a plain beam in Python otherwise."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.expect import refused
from tsjax import beam, decode, families, model
from tsjax.config import ModelConfig

EOS = 3
PROMPTS = [[1, 2], [1, 2, 4, 4, 2], [1, 0, 4]]


def make(vocab: int, seed: int, context: int = 64) -> tuple[ModelConfig, dict]:
    config = ModelConfig(**families.llama(vocab_size=vocab, context=context, width=16, layers=2, heads=2, mlp_width=24))
    params = model.init(config, jax.random.key(seed))
    return config, {n: p * 50 if p.ndim > 1 else p for n, p in params.items()}  # far from uniform


class Next:
    """log p of the next token, by whole forward passes without a cache."""

    def __init__(self, config: ModelConfig, params: dict):
        self.longest, self.seen = 24, {}
        forward = jax.jit(lambda ids: jax.nn.log_softmax((d := model.bind(config, params)).logits(d(ids[None])))[0])
        self.forward = forward

    def __call__(self, ids: tuple[int, ...]) -> np.ndarray:
        if ids not in self.seen:
            padded = jnp.asarray([*ids, *[0] * (self.longest - len(ids))])
            self.seen[ids] = np.asarray(self.forward(padded)[len(ids) - 1], np.float64)
        return self.seen[ids]


def log_p(after: Next, prompt: list[int], new: tuple[int, ...]) -> float:
    return sum(after((*prompt, *new[:n]))[token] for n, token in enumerate(new))


def exhaustive(after: Next, prompt: list[int], vocab: int, limit: int, penalty: float) -> tuple[tuple[int, ...], float]:
    """The best of all texts: those that stop within the limit, and those of the limit's length."""
    best, best_score = (), -math.inf
    for length in range(1, limit + 1):
        for new in itertools.product(range(vocab), repeat=length):
            if EOS in new[:-1] or (new[-1] != EOS and length < limit):
                continue
            score = log_p(after, prompt, new) / length**penalty
            if score > best_score:
                best, best_score = new, score
    return best, best_score


def plain_beam(after: Next, prompt: list[int], vocab: int, width: int, limit: int, stops: set[int], penalty: float):
    """The rules of Hugging Face's beam search, one row, lists and sorting."""
    living: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    finished: list[tuple[float, tuple[int, ...]]] = []
    for length in range(1, limit + 1):
        options = [(s + after((*prompt, *new))[t], (*new, t)) for s, new in living for t in range(vocab)]
        options = sorted(options, key=lambda pair: -pair[0])[: (1 + len(stops)) * width]
        finished += [(s / length**penalty, new) for s, new in options[:width] if new[-1] in stops]
        living = [(s, new) for s, new in options if new[-1] not in stops][:width]
        if length == limit:
            finished += [(s / length**penalty, new) for s, new in living]
        finished = sorted(finished, key=lambda pair: -pair[0])[:width]
        if len(finished) == width and finished[-1][0] >= living[0][0] / length**penalty:
            break
    return finished[0][1], finished[0][0]


def assert_found(found: beam.Found, new: tuple[int, ...], score: float, stops: set[int]) -> None:
    ended = new[-1] in stops
    assert (found.ids, found.ended) == (list(new[:-1] if ended else new), ended)
    assert found.score == pytest.approx(score, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("penalty", [1.0, 0.0])
@pytest.mark.parametrize(("width", "limit"), [(5, 2), (25, 3)])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_beam_that_holds_all_texts_finds_the_best(width, limit, penalty, seed):
    """With 5 tokens, 4 texts of one token live on, and 16 of two."""
    config, params = make(5, seed)
    after = Next(config, params)
    done = beam.search(config, params, PROMPTS, max_new=limit, stops=(EOS,), beam=width, length_penalty=penalty)
    for prompt, found in zip(PROMPTS, done, strict=True):
        assert_found(found, *exhaustive(after, prompt, 5, limit, penalty), {EOS})


@pytest.mark.parametrize(("width", "stops", "penalty"), [(3, (EOS,), 1.0), (4, (EOS, 7), 1.0), (2, (EOS,), 0.0)])
def test_equals_a_plain_beam(width, stops, penalty):
    ends = []
    for seed in range(4):
        config, params = make(12, seed)
        after = Next(config, params)
        done = beam.search(config, params, PROMPTS, max_new=10, stops=stops, beam=width, length_penalty=penalty)
        for prompt, found in zip(PROMPTS, done, strict=True):
            assert_found(found, *plain_beam(after, prompt, 12, width, 10, set(stops), penalty), set(stops))
        ends += [found.ended for found in done]
    assert len(set(ends)) == 2, "both kinds of end are compared"


def test_a_beam_of_one_is_greedy():
    config, params = make(12, 3)
    done = beam.search(config, params, PROMPTS, max_new=10, stops=(EOS,), beam=1)
    greedy = decode.complete(config, params, PROMPTS, max_new=10, stops=(EOS,), sampler=decode.Sampler(0))
    assert [(found.ids, found.ended) for found in done] == [(row.ids, row.ended) for row in greedy]


def test_a_row_is_the_same_in_any_batch_and_shape():
    config, params = make(12, 0)
    how = dict(max_new=10, stops=(EOS,), beam=3)
    together = beam.search(config, params, PROMPTS, shape=(48, 12), **how)
    for prompt, found in zip(PROMPTS, together, strict=True):
        (alone,) = beam.search(config, params, [prompt], **how)
        assert (alone.ids, alone.ended) == (found.ids, found.ended)


def test_texts_are_cut_to_the_context():
    config, params = make(12, 1, context=20)
    (found,) = beam.search(config, params, [[1] * 17], max_new=10, stops=(-1,), beam=3)
    assert len(found.ids) == 3 and not found.ended


def test_no_beam_is_refused():
    config, params = make(12, 0)
    with refused("beam of at least 1"):
        beam.search(config, params, PROMPTS, max_new=3, stops=(EOS,), beam=0)
