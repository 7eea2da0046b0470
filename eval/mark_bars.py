"""Bars of right, partly, wrong and open marks for the page, each model's with its interval, chance, and the paper's."""

from collections.abc import Mapping, Sequence
from typing import Any

from eval import published
from eval.cells import share
from eval.marking import MARK_BLIND, MARK_SEES, TEXT_BLIND, TEXT_SEES

MARKS = ("right", "partly", "wrong", "open")
PROBABILITY = "by probability"
WRITTEN = 40  # marked continuations of each model and family on the page


def mark_bars(
    marking: Sequence[Mapping[str, Any]], table: Sequence[Mapping[str, Any]], with_paper: bool
) -> list[dict[str, Any]]:
    """[{"heading", "by_probability", "sees", "blind", "bars": [{"model", "shares" of `MARKS`, "note", "written",
    "papers"}]}] of the table's models.

    A bar "by chance" comes last where the rows have it. The paper marked texts, so its rows stand beside marks of texts
    alone.
    """
    models = {model["model"]: model for model in table}
    rows = [row for row in marking if row["model"] in models]
    made = []
    for family, how in dict.fromkeys((row["family"], row.get("how") or "") for row in rows):
        by_probability = how == PROBABILITY
        own = [row for row in rows if (row["family"], row.get("how") or "") == (family, how)]
        bars = []
        for row in own:
            bars.append(_bar(row["model"], [row.get(mark) or 0 for mark in MARKS], row))
            if with_paper and not by_probability:
                bars += _papers(models[row["model"]], family)
        if chance := next((row["chance"] for row in own if row.get("chance")), None):
            said = f"a scorer that orders the continuations at random: {share(chance[0])} right"
            bars.append({"model": "by chance", "shares": [*chance, 0.0], "note": said, "written": [], "papers": False})
        made.append({
            "heading": f"{family}, {how}" if how else family,
            "by_probability": by_probability,
            "sees": MARK_SEES if by_probability else TEXT_SEES,
            "blind": MARK_BLIND if by_probability else TEXT_BLIND,
            "bars": [bar for bar in bars if bar["shares"]],
        })  # fmt: skip
    return made


def _bar(model: str, counts: Sequence[int], row: Mapping[str, Any]) -> dict[str, Any]:
    total = sum(counts)
    note = " / ".join(map(str, counts if counts[3] else counts[:3]))
    if row.get("low") is not None and row.get("high") is not None and total:
        note += f"; right {share(counts[0] / total)} ({share(row['low'])} to {share(row['high'])})"
    shares = [count / total for count in counts] if total else []
    return {
        "model": model,
        "shares": shares,
        "note": note,
        "written": (row.get("items") or [])[:WRITTEN],
        "papers": not row,
    }


def _papers(model: Mapping[str, Any], family: str) -> list[dict[str, Any]]:
    found = published.marking(model.get("hidden"), model.get("layers"))
    if not found or not found.get(family):
        return []
    return [_bar(f"paper's {model['hidden']}x{model['layers']}, other prompts", [*found[family], 0], {})]
