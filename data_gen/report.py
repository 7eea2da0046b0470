"""The report of a run: what was answered and paid, what was accepted and why not, how varied the documents are."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from data_gen.answer import Answer
from data_gen.curator import Judged
from data_gen.recipe import Recipe

PICODOLLARS = 10**12  # in a dollar

_TOKENS = ("input", "output", "cached", "cache_write", "reasoning")


class Spent:
    """Sums over all raw lines, those of no use included: they were paid for."""

    def __init__(self) -> None:
        self.lines = self.cost = self.doubt = 0
        self.tokens: Counter[str] = Counter()
        self.first, self.last = float("inf"), float("-inf")
        self.by: dict[str, Counter[str]] = {
            key: Counter()
            for key in ("runs", "models_asked", "models_served", "finish", "backends", "prices", "params")
        }

    def add(self, row: Mapping[str, Any], answer: Answer) -> None:
        self.lines += 1
        self.cost += row["cost"]
        self.doubt += row["doubt"]
        if answer.usage is None:
            self.tokens["lines_without_usage"] += 1
        else:
            for name in _TOKENS:
                self.tokens[name] += getattr(answer.usage, name)
        self.first = min(self.first, row["sent"] or row["received"])
        self.last = max(self.last, row["received"])
        params = json.dumps(row["params"], sort_keys=True)
        told = (
            row["run"],
            row["model"],
            answer.model or "not told",
            answer.finish,
            row["backend"],
            row["price"],
            params,
        )
        for counts, value in zip(self.by.values(), told, strict=True):
            counts[value] += 1

    def to_json(self) -> dict[str, Any]:
        return {
            "lines": self.lines,
            "first_sent": _date(self.first),
            "last_received": _date(self.last),
            "tokens": {name: self.tokens[name] for name in (*_TOKENS, "lines_without_usage")},
            "cost": {"picodollars": self.cost, "usd": round(self.cost / PICODOLLARS, 6)},
            "possibly_billed": {"picodollars": self.doubt, "usd": round(self.doubt / PICODOLLARS, 6)},
            **{name: _by_count(counts) for name, counts in self.by.items()},
        }


class Kept:
    """Sums over what workers made of the answers."""

    def __init__(self) -> None:
        self.sums = Judged()

    def add(self, judged: Judged) -> None:
        self.sums.indices += judged.indices
        for name in ("steps", "notes"):
            getattr(self.sums, name).update(getattr(judged, name))

    def acceptance(self, recipe: Recipe) -> dict[str, Any]:
        """By step: answers, accepted, share, and the rejected by reason."""
        steps = {}
        for step in recipe.steps:
            counts = Counter({reason: n for (name, reason), n in self.sums.steps.items() if name == step.name})
            accepted, answers = counts.pop("", 0), counts.total() + self.sums.steps[step.name, ""]
            share = round(accepted / answers, 4) if answers else None
            steps[step.name] = {"answers": answers, "accepted": accepted, "share": share, "rejected": _by_count(counts)}
        return steps


def text(report: Mapping[str, Any]) -> str:
    """The report for the terminal."""
    return "\n".join(_lines(report)) + "\n"


def _lines(r: Mapping[str, Any]) -> Iterator[str]:
    answers, documents = r["answers"], r["documents"]
    yield f"recipe        {r['recipe']['name']}, seed {r['recipe']['seed']}"
    yield (f"answers       {answers['lines']:,} for {answers['indices']:,} indices, "
           f"{answers['first_sent']} to {answers['last_received']}")  # fmt: skip
    for note in ("unfinished", "unused", "repeated", "recleaned"):
        if answers[note]:
            yield f"  {note:<12}{answers[note]:>9,}  {_NOTES[note]}"
    for name, step in r["acceptance"].items():
        share = "" if step["share"] is None else f" ({step['share']:.1%})"
        yield f"step {name}: {step['accepted']:,} of {step['answers']:,} accepted{share}"
        yield from (f"  {n:>9,}  {reason}" for reason, n in step["rejected"].items())
    yield f"documents     {documents['train']:,} for training, {documents['valid']:,} for validation"
    for reason in ("exact_duplicate", "near_duplicate", "in_other_data", "near_other_data", "beyond_target", "alone"):
        if documents[reason]:
            yield f"  {documents[reason]:>9,}  {reason}"
    if documents["missing"]:
        yield f"  {documents['missing']:>9,}  missing to the target of {documents['target']:,}"
    combinations = r["coverage"]["combinations"]
    yield f"combinations  {combinations['used']:,} of {combinations['space']:,} unique ones"
    for name, factor in r["coverage"]["factors"].items():
        most = ", ".join(f"{label} {n:,}" for label, n in factor["most"][:3])
        yield f"  {name:<12}{factor['seen']:>6,} of {factor['possible']:,} values seen; most: {most}"
    yield "diversity"
    yield from (f"  {line}" for line in _told(r["diversity"]))
    if r["edits"]:
        yield "edits         " + ", ".join(f"{n:,} {kind}" for kind, n in r["edits"].items())
    tokens = answers["tokens"]
    yield (f"tokens        {tokens['input']:,} in ({tokens['cached']:,} cached), {tokens['output']:,} out "
           f"({tokens['reasoning']:,} reasoning)")  # fmt: skip
    untold = f"; at most {answers['possibly_billed']['usd']:.4f} more for answers that did not tell their usage"
    yield f"cost          {answers['cost']['usd']:.4f} USD{untold if answers['possibly_billed']['picodollars'] else ''}"
    yield "models        " + ", ".join(f"{model} ({n:,})" for model, n in answers["models_served"].items())
    yield "finish        " + ", ".join(f"{finish} ({n:,})" for finish, n in answers["finish"].items())


_NOTES = {
    "unfinished": "indices whose next step has no answer yet",
    "unused": "answers that no document needs, such as second tries",
    "repeated": "further answers to the same request",
    "recleaned": "later steps that were asked about a text that is cleaned differently now",
}


def _told(values: Mapping[str, Any]) -> Iterator[str]:
    """A line for each measure: shares as percentages, other numbers as they are."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            value = ", ".join(f"{key} {share:.1%}" for key, share in value.items()) or "none"
        elif isinstance(value, int):
            value = f"{value:,}"
        yield f"{name.replace('_', ' '):<19}{value}"


def _by_count(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d") if abs(seconds) != float("inf") else ""
