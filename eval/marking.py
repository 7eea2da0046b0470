"""Right, partly, wrong: the paper's three marks for knowledge, reasoning and context prompts, without a judge.

By probability: which of the prompt's continuations the model finds likelier, right ones or wrong ones. By text: which of
them stands in what the model wrote. The paper coloured greedy continuations by hand (Figs 9 to 11), so neither is quite
its measure: the first asks what a model can tell apart, the second what it says.
"""

import math
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from data_gen.draft import WORD
from eval.records import CONTEXT, KNOWLEDGE, REASONING, Prompt
from eval.sentences import Passage, split

if TYPE_CHECKING:
    from eval.likelihood import Scorer

RIGHT, PARTLY, WRONG, OPEN = "right", "partly", "wrong", "open"
FAMILIES = (KNOWLEDGE, REASONING, CONTEXT)

MARK_SEES = (
    "whether the model finds every accepted continuation likelier, per character, than every rejected one (right), "
    "or only the best accepted one (partly)"
)
MARK_BLIND = (
    "what it would write by itself: the listed continuations are few, and a listed wrong one may be an easy one"
)
TEXT_SEES = "whether an accepted or a rejected continuation stands in the text, the first sentence before the rest"
TEXT_BLIND = (
    "right answers in other words: they are 'open', to be looked at; an accepted word in a sentence that denies it"
)


def mark(accepted: Sequence[float], rejected: Sequence[float]) -> str:
    """RIGHT where every accepted log-probability beats all rejected ones, PARTLY where the best accepted one does, else
    WRONG. Normalised numbers; a tie beats nothing.

    Were the best one enough to be right, a random scorer would be right four times in ten (two accepted, three rejected).
    """
    worst = max(rejected)
    return RIGHT if min(accepted) > worst else PARTLY if max(accepted) > worst else WRONG


def chance(accepted: int, rejected: int) -> tuple[float, float, float]:
    """How often `mark` is RIGHT, PARTLY and WRONG where so many continuations are ordered at random, without ties."""
    right = 1 / math.comb(accepted + rejected, accepted)
    best = accepted / (accepted + rejected)
    return right, best - right, 1 - best


def wilson(right: int, n: int) -> tuple[float, float]:
    """95 % interval of a share of `n` independent prompts (Wilson 1927): unlike mean +- 2 se it stays within 0 and 1, and is
    no point where none or all are right."""
    z = 1.959964
    middle, half = right + z * z / 2, z * math.sqrt(right * (n - right) / n + z * z / 4)
    return max(0.0, (middle - half) / (n + z * z)), min(1.0, (middle + half) / (n + z * z))


def mark_prompts(scorer: "Scorer", prompts: Iterable[Prompt]) -> list[dict[str, Any]]:
    """Marks of the prompts that have accepted and rejected continuations:

    [{"prompt", "family", "mark", "chance"}]: `mark` goes by log-probability per character, which does not depend on the
    tokenizer; `chance` as the function. A continuation that the tokenizer can't spell is as unlikely as can be.
    """
    from eval.likelihood import after_prompts

    marked = [prompt for prompt in prompts if prompt.accepted and prompt.rejected]
    options = {
        prompt.id: [Passage(prompt.text, joined(prompt.text, text)) for text in (*prompt.accepted, *prompt.rejected)]
        for prompt in marked
    }
    scored = iter(after_prompts(scorer, [passage for prompt in marked for passage in options[prompt.id]]))
    rows = []
    for prompt in marked:
        values = []  # log-probability per character of each option
        for passage in options[prompt.id]:
            found = next(scored)
            values.append(-math.inf if found is None else -found[0] / len(passage.text))
        n = len(prompt.accepted)
        rows.append({
            "prompt": prompt.id,
            "family": prompt.kind,
            "mark": mark(values[:n], values[n:]),
            "chance": chance(n, len(prompt.rejected)),
        })  # fmt: skip
    return rows


def mark_text(prompt: Prompt, text: str) -> str:
    """RIGHT: an accepted continuation stands in the first sentence with no rejected one before it. PARTLY: one stands
    later, or behind a rejected one. WRONG: only rejected ones stand there. OPEN: none does.

    Whole words, capitals and punctuation aside.
    """
    first = next((one.text for one in split(text)), "")
    for part in (first, text):
        right, wrong = (_first_place(part, options) for options in (prompt.accepted, prompt.rejected))
        if right is not None:
            return RIGHT if part is first and (wrong is None or right <= wrong) else PARTLY
        if wrong is not None and part is text:
            return WRONG
    return OPEN


def totals(rows: Iterable[dict[str, Any]], model: str) -> list[dict[str, Any]]:
    """[{"model", "family", "prompts", "right", "partly", "wrong", "open", "low", "high"}] of marks, by family, and "chance"
    where the rows have it: shares [right, partly, wrong] of a scorer that orders continuations at random.

    low, high: `wilson` of the share right, as if each row were a prompt of its own.
    """
    rows = list(rows)
    families = sorted({row["family"] for row in rows}, key=lambda family: (*FAMILIES, family).index(family))
    found = []
    for family in families:
        of = [row for row in rows if row["family"] == family]
        marks, chances = [row["mark"] for row in of], [row["chance"] for row in of if "chance" in row]
        low, high = wilson(marks.count(RIGHT), len(marks))
        found.append(
            {"model": model, "family": family, "prompts": len(marks)}
            | {name: marks.count(name) for name in (RIGHT, PARTLY, WRONG, OPEN)}
            | {"low": low, "high": high}
            | ({"chance": [fmean(shares) for shares in zip(*chances, strict=True)]} if chances else {})
        )
    return found


def joined(prompt: str, text: str) -> str:
    """The continuation with the space that it needs after the prompt."""
    return text if not prompt or prompt[-1].isspace() or not text[:1].isalnum() else f" {text}"


def _first_place(text: str, options: Sequence[str]) -> int | None:
    """How many words of the text stand before the first of the options."""
    words = f" {' '.join(WORD.findall(text.lower()))} "
    places = [words.find(f" {' '.join(found)} ") for one in options if (found := WORD.findall(one.lower()))]
    return min((words[:place].count(" ") for place in places if place >= 0), default=None)
