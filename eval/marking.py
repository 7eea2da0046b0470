"""Right, partly, wrong: the paper's three marks for knowledge, reasoning and context prompts, without a judge.

By probability: which of the prompt's continuations the model finds likelier, right ones or wrong ones. By text: which of
them stands in what the model wrote. The paper coloured greedy continuations by hand (Figs 9 to 11), so neither is quite
its measure: the first asks what a model can tell apart, the second what it says.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from data_gen.draft import WORD
from eval.records import CONTEXT, KNOWLEDGE, REASONING, Prompt
from eval.sentences import Passage, split

if TYPE_CHECKING:
    from eval.likelihood import Scorer

RIGHT, PARTLY, WRONG, OPEN = "right", "partly", "wrong", "open"
FAMILIES = (KNOWLEDGE, REASONING, CONTEXT)

MARK_SEES = "whether the model finds an accepted continuation likelier, per character, than every rejected one"
MARK_BLIND = (
    "what it would write by itself: the listed continuations are few, and a listed wrong one may be an easy one"
)
TEXT_SEES = "whether an accepted or a rejected continuation stands in the text, the first sentence before the rest"
TEXT_BLIND = (
    "right answers in other words: they are 'open', to be looked at; an accepted word in a sentence that denies it"
)


def mark(accepted: Sequence[float], rejected: Sequence[float]) -> str:
    """RIGHT where the best accepted log-probability beats all rejected ones, PARTLY where it beats at least half of them,
    else WRONG. Normalised numbers; a tie beats nothing."""
    beaten = sum(max(accepted) > one for one in rejected)
    return RIGHT if beaten == len(rejected) else PARTLY if beaten and 2 * beaten >= len(rejected) else WRONG


def mark_prompts(scorer: "Scorer", prompts: Iterable[Prompt]) -> list[dict[str, Any]]:
    """Marks of the prompts that have accepted and rejected continuations:

    [{"prompt", "family", "mark", "mark_per_token", "margin", "accepted", "rejected"}]: `mark` goes by log-probability per
    character, which does not depend on the tokenizer; margin = best accepted - best rejected, nats per character;
    accepted and rejected: the best of each. A continuation that the tokenizer can't spell is as unlikely as can be.
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
        values = []  # nats per token and per character of each option
        for passage in options[prompt.id]:
            found = next(scored)
            size = len(passage.text)
            values.append((-np.inf, -np.inf) if found is None else (-found[0] / found[1], -found[0] / size))
        right, wrong = values[: len(prompt.accepted)], values[len(prompt.accepted) :]
        best, worst = max(v[1] for v in right), max(v[1] for v in wrong)
        rows.append({
            "prompt": prompt.id,
            "family": prompt.kind,
            "mark": mark([v[1] for v in right], [v[1] for v in wrong]),
            "mark_per_token": mark([v[0] for v in right], [v[0] for v in wrong]),
            "margin": float(best - worst) if np.isfinite(best - worst) else None,
            "accepted": prompt.accepted[int(np.argmax([v[1] for v in right]))],
            "rejected": prompt.rejected[int(np.argmax([v[1] for v in wrong]))],
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


def totals(rows: Iterable[dict[str, Any]], model: str, key: str = "mark") -> list[dict[str, Any]]:
    """[{"model", "family", "prompts", "right", "partly", "wrong", "open"}] of marks, by family."""
    rows = list(rows)
    families = sorted({row["family"] for row in rows}, key=lambda family: (*FAMILIES, family).index(family))
    found = []
    for family in families:
        marks = [row[key] for row in rows if row["family"] == family]
        found.append(
            {"model": model, "family": family, "prompts": len(marks)}
            | {name: marks.count(name) for name in (RIGHT, PARTLY, WRONG, OPEN)}
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
