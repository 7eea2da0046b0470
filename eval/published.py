"""The numbers of the TinyStories paper (arXiv 2305.07759 v2), with the page of each, to be put beside our own.

They were graded in 2023 by a GPT-4 that no longer answers, so a difference to them is one of models and of judges both.
"""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from tsjax.errors import UserError


@dataclass(frozen=True)
class Row:
    """One row of Fig 4 (p. 7).

    name:       "768x4" (hidden size x layers), or what the paper calls a model that is not of its grid.
    loss:       validation loss in nats per token of the paper's tokenizer; None where it has none.
    scores:     dimension -> 0..10; without the dimensions that the row leaves empty.
    normalised: dimension -> as printed, rounded to 0.01.
    """

    name: str
    hidden: int | None
    layers: int | None
    loss: float | None
    scores: Mapping[str, float]
    normalised: Mapping[str, float]


@cache
def facts() -> dict[str, Any]:
    """The whole data file: `fig3`, `fig4`, `examples` (Figs 6, 7, 8, 12), `marking` (Figs 9 to 11), `diversity`
    (Figs 14 to 18), `fig24`, `rulers`, `slips`. Every part has its page(s) and whether it was read off a plot."""
    return tomllib.loads(resources.files("eval").joinpath("data/published.toml").read_text("utf-8"))


def beginnings() -> str:
    """Hash of the prompt set of the 44 released beginnings (`PromptSet.hash`)."""
    return str(facts()["rulers"]["prompts"])


@cache
def table() -> tuple[Row, ...]:
    """Fig 4, in the paper's order."""
    dimensions = facts()["dimensions"]
    rows = []
    for row in facts()["fig4"]["rows"]:
        pairs = {name: pair for name, pair in zip(dimensions, row["scores"], strict=True) if pair}
        rows.append(
            Row(
                name=row.get("name") or f"{row['hidden']}x{row['layers']}",
                hidden=row.get("hidden"),
                layers=row.get("layers"),
                loss=row.get("loss"),
                scores={name: pair[0] for name, pair in pairs.items()},
                normalised={name: pair[1] for name, pair in pairs.items()},
            )
        )
    return tuple(rows)


def matching(width: int | None, layers: int | None) -> Row | None:
    """The row of Fig 4 of the same hidden size and number of layers, or None."""
    if width is None or layers is None:
        return None
    return next((row for row in table() if (row.hidden, row.layers) == (width, layers)), None)


def nearest(width: int, layers: int) -> tuple[str, ...]:
    """The rows of Fig 4 that are nearest to a shape, by the ratios of hidden size and layers; several where alike."""
    far = {
        one.name: abs(math.log(one.hidden / width)) + abs(math.log(one.layers / layers))
        for one in table()
        if one.hidden and one.layers
    }
    return tuple(name for name, distance in far.items() if distance < min(far.values()) + 1e-9)


def row_of(name: str) -> Row:
    """The row of Fig 4 of that name, as "768x4". UserError where there is none."""
    for one in table():
        if one.name == name:
            return one
    known = ", ".join(one.name for one in table())
    raise UserError(expected=f"a row of the paper's Fig 4: {known}", found=name, todo="name one of these")


def ruler(model: str, own: Mapping[str, str] | None = None) -> tuple[str, str] | None:
    """(row of Fig 4, "story" or "instruct") of a released checkpoint by its name on the Hub; None for other models.

    own: further rulers of a user, model -> row; one with "instruct" in its name was trained on TinyStories-Instruct.
    """
    if own and model in own:
        return own[model], "instruct" if "instruct" in model.casefold() else "story"
    for kind in ("story", "instruct"):
        if found := facts()["rulers"][kind]["models"].get(model.rpartition("/")[2]):
            return found, kind
    return None


def ruled(kind: str) -> tuple[str, ...]:
    """The dimensions in which rulers of a kind have scores in Fig 4 that are their own."""
    return tuple(facts()["rulers"][kind]["dimensions"])


def ends(column: str) -> tuple[float, float] | None:
    """The paper's lowest (64x2) and highest (GPT-4) score of a dimension; None for a dimension it does not have."""
    low, high = (next(row for row in table() if row.name == name).scores.get(column) for name in ("64x2", "GPT-4"))
    return None if low is None or high is None else (low, high)


def normalised(score: float, column: str) -> float | None:
    """(score - lowest) / (highest - lowest) on the paper's own ends: 0 is its 64x2, 1 its GPT-4; below 0 and above 1 are
    possible. None for a dimension that the paper does not have."""
    between = ends(column)
    return None if between is None else (score - between[0]) / (between[1] - between[0])


def marking(width: int | None, layers: int | None) -> Mapping[str, list[int]] | None:
    """{"knowledge", "reasoning", "context"} -> [right, partly, wrong] of the model of that shape (Figs 9 to 11), or None."""
    rows = facts()["marking"]["rows"]
    return next((row for row in rows if width and (row.get("hidden"), row.get("layers")) == (width, layers)), None)


def learning_curve_end(width: int | None, layers: int | None) -> Mapping[str, float] | None:
    """Where the paper's learning curve of that shape ends (Fig 3, read off the plot), or None."""
    rows = facts()["fig3"]["rows"]
    return next((row for row in rows if (row["hidden"], row["layers"]) == (width, layers)), None)
