"""Learning curves: loss and grades of a run's checkpoints over its steps, and where the paper's curve ends (Fig 3)."""

from collections.abc import Mapping, Sequence
from typing import Any

from eval import published

LOSSES = {"loss": "nats per token", "bits_per_byte": "bits per byte"}
POINTS = "points of 10"


def learning_curves(models: Sequence[Mapping[str, Any]], compare: str = "") -> dict[str, dict[str, Any]] | None:
    """{run: {name: {"x": steps, "y", "low", "high", "what", "paper_end"}}} of runs with at least two checkpoints; None
    without any. name: "loss", "bits_per_byte" or a dimension.

    models:    rows of `eval.model_rows`.
    paper_end: with `compare` = "paper", where the paper's curve of the run's shape ends, read off its plot; else None.
    """
    made: dict[str, dict[str, Any]] = {}
    for run in dict.fromkeys(model["run"] for model in models if model.get("run")):
        points = sorted(
            (one for one in models if one.get("run") == run and one.get("step") is not None),
            key=lambda one: one["step"],
        )
        if len(points) < 2:
            continue
        last = points[-1]
        end = published.learning_curve_end(last.get("hidden"), last.get("layers")) if compare == "paper" else None
        for name in (*LOSSES, *dict.fromkeys(dimension for one in points for dimension in one["grades"])):
            there = [
                (one["step"], one if name in LOSSES else one["grades"][name])
                for one in points
                if (one.get(name) is not None if name in LOSSES else name in one["grades"])
            ]
            value = name if name in LOSSES else "mean"
            if there:
                made.setdefault(run, {})[name] = {
                    "x": [step for step, _ in there],
                    "y": [found.get(value) for _, found in there],
                    "low": [found.get("low") for _, found in there],
                    "high": [found.get("high") for _, found in there],
                    "what": LOSSES.get(name, POINTS),
                    "paper_end": end.get(name) if end else None,
                }
    return made or None
