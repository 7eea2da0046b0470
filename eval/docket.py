"""What a judge has to grade: completions of all models and anchors, as one shuffled list without names."""

import dataclasses
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from eval.anchors import Anchor
from eval.records import Completion, read_lines, write_lines
from eval.rubric import KINDS
from tsjax.atomic import sha256_json, write_json
from tsjax.errors import UserError

COMPLETIONS, ANCHORS, ASKS = "completions.jsonl", "anchors.json", "asks.json"
FROZEN = 50, 100  # texts that are graded once more, at least and at most


@dataclass(frozen=True)
class Item:
    """One judgement to be made: a completion, and which of its judgements. `anchor`: its kind, "" for a model's text."""

    completion: Completion
    repeat: int
    anchor: str = ""


@dataclass(frozen=True)
class Docket:
    """`asks`: prompt id -> what the prompt asks for (`Prompt.asks`), of instructed stories, as far as it is known."""

    completions: Sequence[Completion]
    anchors: Sequence[Anchor] = ()
    asks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for one in [*self.completions, *(anchor.completion for anchor in self.anchors)]:
            if one.kind not in KINDS:
                raise UserError(
                    expected=f"completions of kind {' or '.join(KINDS)} to judge",
                    found=f"{one.kind} (prompt {one.prompt_id})",
                    todo="leave these out: they are marked without a judge",
                )
            if one.id in seen:
                raise UserError(
                    expected="each completion once",
                    found=f"twice: {one.model}, prompt {one.prompt_id}, k = {one.k}",
                    todo="give each file once",
                )
            seen.add(one.id)

    def identity(self) -> dict[str, Any]:
        """Hashes: of the prompt sets, and of all texts."""
        return {
            "prompts": sorted({one.prompts for one in self.completions}),
            "completions": sha256_json(sorted(one.id for one in self.completions)),
            "anchors": sha256_json(sorted(one.completion.id for one in self.anchors)),
            "asks": sha256_json({id: dict(asks) for id, asks in self.asks.items()}),
        }

    def items(self, seed: int, repeats: int, anchor_repeats: int) -> list[Item]:
        """All judgements, in an order that `seed` and the texts alone decide: what a judge sees next tells nothing of its
        model, and a judge that drifts during the run does so for all models alike."""
        made = [Item(one, repeat) for one in self.completions for repeat in range(repeats)]
        made += [
            Item(one.completion, repeat, f"{one.damage} {one.level}")
            for one in self.anchors
            for repeat in range(anchor_repeats)
        ]
        made.sort(key=lambda item: (item.completion.id, item.repeat))
        Random(f"docket {seed}").shuffle(made)
        return made

    def save(self, folder: Path) -> None:
        write_lines(folder / COMPLETIONS, self.completions)
        write_json(folder / ANCHORS, [dataclasses.asdict(one) for one in self.anchors])
        write_json(folder / ASKS, {id: dict(asks) for id, asks in self.asks.items()})

    @staticmethod
    def saved(folder: Path) -> bool:
        """Whether the folder has a docket, whole: a killed process may have left less, and then nobody was asked yet."""
        return (folder / ASKS).exists()  # written last

    @classmethod
    def load(cls, folder: Path) -> "Docket":
        """The docket of the judging in `folder`."""
        try:
            completions = list(read_lines(folder / COMPLETIONS, Completion))
            anchors = [Anchor(**one) for one in json.loads((folder / ANCHORS).read_bytes())]
            asks = json.loads((folder / ASKS).read_bytes())
        except (OSError, ValueError, TypeError, UserError) as e:
            found = f"not {e.expected}: {e.found}" if isinstance(e, UserError) else str(e)
            raise UserError(
                expected=f"{COMPLETIONS}, {ANCHORS} and {ASKS} of the judging in {folder}", found=found,
                todo=f"bring it back from a copy; or move {folder} out of the study, which forgets its grades and what they "
                "cost, and run the same command again",
            ) from e  # fmt: skip
        return cls(completions, anchors, asks)


def frozen(completions: Iterable[Completion], seed: int = 0) -> list[Completion]:
    """The texts that a judge grades once more: one for each prompt and model, `FROZEN` of them at least and at most.

    Drawn by `seed` alone. No prompt has two more than another that has any left, and no model's second text comes before
    another's first of the same prompt.
    """
    random, of_prompt = Random(f"frozen {seed}"), defaultdict[str, list[Completion]](list)
    for one in sorted(completions, key=lambda one: one.id):
        of_prompt[one.prompt_id].append(one)
    pairs, queues = 0, []
    for _, texts in sorted(of_prompt.items()):
        random.shuffle(texts)
        first = list({one.model: one for one in texts}.values())
        pairs += len(first)
        queues.append(first + [one for one in texts if one not in first])
    random.shuffle(queues)
    turns = sorted((turn, place) for place, queue in enumerate(queues) for turn in range(len(queue)))
    least, most = FROZEN
    return [queues[place][turn] for turn, place in turns[: min(most, max(least, pairs))]]
