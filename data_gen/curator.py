"""The answers to some indices -> documents and rejects. A function of them, the recipe and the seed alone, so any
process may do any part.

At an index the samples are tried in order, and the first whose steps are all accepted is the document. Of several
answers to one step of one sample the one counts that was received first (then: lowest attempt), which is the one that
later steps were asked about. An answer of a later step whose prompt names another text of the earlier one (a cleaner
has changed since) still belongs to it: it is about the same answer. Where there is also one with the very prompt that
would be asked today, that one counts.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from data_gen.answer import Answer, read_answer
from data_gen.copies import Marks, marks
from data_gen.examine import Examiner, Finding
from data_gen.factors import Sampler
from data_gen.item import body, judged_text
from data_gen.monitor import Monitor
from data_gen.recipe import Recipe
from data_gen.render import render

HABITS = "habits"  # of an accepted item until it is written: opening, names, stock words
UNREADABLE = "unreadable"  # neither choices nor output in the body
UNFINISHED, UNUSED, REPEATED, RECLEANED = "unfinished", "unused", "repeated", "recleaned"

Group = tuple[int, list[bytes]]  # an index and its lines
Link = tuple[dict[str, Any], Finding, str]  # of a sample: the line of a step, the finding on it, the reason or ""
_ANSWER = ("text", "finish", "refusal", "model", "fingerprint", "tier")


def group_id(recipe: Recipe, seed: int, index: int) -> str:
    """Names all that was made for one index: siblings, which belong in one split."""
    return f"{recipe.request_hash[:16]}-{seed}-{index}"


def answer_of(row: Mapping[str, Any]) -> Answer:
    """The answer of a raw line, with the finish UNREADABLE where there is none."""
    try:
        return read_answer(row["body"], row["params"])
    except (ValueError, TypeError):
        return Answer("", UNREADABLE)


def line_of(row: Mapping[str, Any], answer: Answer) -> bytes:
    """What a Curator needs of a raw line. Messages follow from the recipe, but for the earlier texts in later steps."""
    line = {key: row[key] for key in ("received", "attempt", "id", "run", "step", "sample")}
    line |= {name: getattr(answer, name) for name in _ANSWER}
    return json.dumps(line | ({"messages": row["messages"]} if row["step"] else {})).encode()


class Candidate(NamedTuple):
    """An accepted document, before copies are looked for."""

    request: str
    number: int  # of the document in its answer
    place: int  # the index
    item: bytes  # JSON


@dataclass
class Judged:
    """What some indices came to. Counts are of answers: `steps` by (step, reason or ""), `notes` by one of the words
    above, in indices for UNFINISHED."""

    accepted: list[Candidate] = field(default_factory=list)
    rejected: list[bytes] = field(default_factory=list)
    marks: Marks | None = None
    indices: int = 0
    steps: Counter[tuple[str, str]] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Curator:
    """Call it with groups of lines that `line_of` made; it goes to worker processes as (recipe, seed, near)."""

    recipe: Recipe
    seed: int
    near: bool  # whether near copies will be looked for

    @cached_property
    def _examiner(self) -> Examiner:
        return Examiner(self.recipe)

    @cached_property
    def _sampler(self) -> Sampler:
        return Sampler(self.recipe, self.seed)

    @cached_property
    def _monitor(self) -> Monitor:
        return Monitor(self.recipe)

    def __reduce__(self) -> tuple[Any, ...]:
        return Curator, (self.recipe, self.seed, self.near)

    def __call__(self, groups: Sequence[Group]) -> Judged:
        judged = Judged(indices=len(groups))
        texts: list[str] = []
        for index, lines in groups:
            _Index(self, index, lines, judged, texts).judge()
        judged.marks = marks(texts, self.seed, self.near)
        return judged


class _Index:
    """The answers to one index, on their way into `judged`, and accepted texts into `texts`."""

    def __init__(self, curator: Curator, index: int, lines: list[bytes], judged: Judged, texts: list[str]):
        self.recipe, self.seed, self.index = curator.recipe, curator.seed, index
        self.examiner, self.monitor, self.judged, self.texts = curator._examiner, curator._monitor, judged, texts
        self.factors = curator._sampler.draw(index)
        self.rows: dict[tuple[int, int], list[dict[str, Any]]] = {}
        # Equal times and attempts don't come from one ledger; the lines' own bytes decide even then.
        rows = [(json.loads(line), line) for line in lines]
        seen: set[str] = set()
        for row, _ in sorted(rows, key=lambda one: (one[0]["received"], one[0]["attempt"], one[1])):
            if row["id"] in seen:
                judged.notes[REPEATED] += 1
                continue
            seen.add(row["id"])
            self.rows.setdefault((row["sample"], row["step"]), []).append(row)
        self.answers = len(seen)

    def judge(self) -> None:
        samples = sorted({sample for sample, _ in self.rows})
        used = 0
        for sample in samples:
            chain, whole = self._chain(sample)
            used += len(chain)
            if whole and self._documents(chain):
                break
        else:
            # No document, and the last sample was not refused: its next step has no answer yet.
            if not whole and not any(reason for *_, reason in chain):
                self.judged.notes[UNFINISHED] += 1
        self.judged.notes[UNUSED] += self.answers - used

    def _chain(self, sample: int) -> tuple[list[Link], bool]:
        """(line, finding, reason) of a sample's steps up to the first that is refused or missing; whether all are good."""
        chain: list[Link] = []
        earlier: dict[str, str] = {}
        for number, step in enumerate(self.recipe.steps):
            rows = self.rows.get((sample, number))
            if not rows:
                self._count(chain, -1, "")
                return chain, False
            row = self._choose(rows, number, sample, earlier)
            answer = Answer(**{name: row[name] for name in _ANSWER})
            finding = self.examiner.examine(number, self.factors, answer, earlier)
            reason = UNREADABLE if answer.finish == UNREADABLE else finding.reason
            chain.append((row, finding, reason))
            if reason:
                self._reject(chain, reason, finding)
                self._count(chain, number, reason)
                return chain, False
            earlier[step.name] = finding.text
        return chain, True

    def _choose(self, rows: list[dict[str, Any]], step: int, sample: int, earlier: Mapping[str, str]) -> dict[str, Any]:
        if not step:
            return rows[0]
        asked = render(
            self.recipe, step, self.factors, earlier, index=self.index, sample=sample, model="", overrides={}
        )
        messages = [dict(message) for message in asked.messages]
        for row in rows:
            if row["messages"] == messages:
                return row
        self.judged.notes[RECLEANED] += 1
        return rows[0]

    def _documents(self, chain: Sequence[Link]) -> bool:
        """Takes the documents of a good sample; False where none can be one after all."""
        names = [step.name for step in self.recipe.steps]
        texts = {name: finding.text for name, (_, finding, _) in zip(names, chain, strict=True)}
        place = names.index(self.recipe.shape.text)
        whole = chain[place][1]
        taken, refused = False, ""
        for number, finding in enumerate(whole.parts or (whole,)):
            reason = finding.reason
            if not reason:
                try:
                    made = body(self.recipe, self.seed, self.factors, finding, texts)
                except ValueError as e:
                    reason = str(e)
            if reason:
                self._reject(chain[: place + 1], reason, finding, number)
                refused = refused or reason
                continue
            item = self._item(chain, place, number, finding, made) | {"verdict": "accepted"}
            opening, names, words = self.monitor.habits(finding.text, self.factors, finding)
            item[HABITS] = (opening, names, sorted(words))
            self.judged.accepted.append(Candidate(chain[place][0]["id"], number, self.index, json.dumps(item).encode()))
            self.texts.append(judged_text(made))
            taken = True
        self._count(chain, place, "" if taken else refused)
        return taken

    def _count(self, chain: Sequence[Link], place: int, reason: str) -> None:
        """Counts the answers of a chain as accepted, but for the one at `place`, if there is a `reason`."""
        for i in range(len(chain)):
            self.judged.steps[self.recipe.steps[i].name, reason if i == place else ""] += 1

    def _reject(self, chain: Sequence[Link], reason: str, finding: Finding, number: int = 0) -> None:
        place = len(chain) - 1
        text = finding.text or chain[-1][0]["text"]
        item = self._item(chain, place, number, finding, {"text": text})
        item |= {"verdict": "rejected", "step": self.recipe.steps[place].name, "reason": reason}
        item["reasons"] = [reason, *(other for other in finding.reasons if other != reason)]
        self.judged.rejected.append(json.dumps(item).encode())

    def _item(
        self, chain: Sequence[Link], place: int, number: int, finding: Finding,
        made: Mapping[str, Any],
    ) -> dict[str, Any]:  # fmt: skip
        """The record; `place`: of the step that is the text, which is document `number` of its answer."""
        row = chain[place][0]
        found = [finding if i == place else other for i, (_, other, _) in enumerate(chain)]
        names = [step.name for step in self.recipe.steps]
        edits: Counter[str] = Counter()
        for one in found:
            edits.update(one.edits)
        return {
            "id": f"{row['id']}-{number}",
            "group_id": group_id(self.recipe, self.seed, self.index),
            "lang": self.recipe.language,
            "kind": self.recipe.shape.kind,
            **made,
            "factors": self.factors,
            "checks": {name: dict(one.checks) for name, one in zip(names, found, strict=False)},
            "edits": dict(sorted(edits.items())),
            "stats": dict(finding.stats),
            "src": {
                "run": row["run"],
                "recipe_hash": self.recipe.request_hash[:16],
                "model_served": row["model"],
                "requests": {name: line["id"] for name, (line, _, _) in zip(names, chain, strict=False)},
                "attempts": {name: line["attempt"] for name, (line, _, _) in zip(names, chain, strict=False)},
            },
        }
