"""Grades of simulated studies."""

import functools

import numpy as np

from eval.records import Grade
from eval.scores import Scores


def grade(prompt: str, k: int, repeat: int, scores, model="m", judge="j", **rest) -> Grade:
    return Grade(f"{model}/{prompt}/{k}", model, prompt, k, repeat, judge, scores, **rest)


def study(rng, prompts, completions, repeats, *, mean=6.0, sd=(1.0, 1.5, 0.8), prompt_P=None) -> np.ndarray:
    """Scores [P, C, R] of a judge with known components."""
    a = rng.normal(0, sd[0], prompts) if prompt_P is None else prompt_P
    b = rng.normal(0, sd[1], (prompts, completions, 1))
    return mean + a[:, None, None] + b + rng.normal(0, sd[2], (prompts, completions, repeats))


@functools.cache
def _layout(P: int, C: int, R: int) -> tuple[tuple[str, ...], tuple[str, ...], np.ndarray, np.ndarray]:
    """All of a study's `Scores` but the scores; thousands of studies have the same."""
    prompts = tuple(f"p{p:03}" for p in range(P))
    completions = tuple(f"{p}c{c:03}" for p in prompts for c in range(C))
    return prompts, completions, np.repeat(np.arange(P), C), np.repeat(np.arange(P * C), R)


def as_scores(y_PxCxR: np.ndarray) -> Scores:
    return Scores(*_layout(*y_PxCxR.shape), y_PxCxR.ravel())


def as_grades(y_PxCxR: np.ndarray, model="m", judge="j", dimension="grammar") -> list[Grade]:
    """One grade per finite number; NaN = a grade that could not be read."""
    return [
        grade(f"p{p:03}", c, r, None if np.isnan(y) else {dimension: float(y)}, model, judge)
        for (p, c, r), y in np.ndenumerate(y_PxCxR)
    ]
