"""Curation: raw answers -> documents, rejects and a report. It asks nobody, and can be done again at any time.

The same answers and settings give the same bytes, whatever the order of lines and files in raw/, the workers and the
interruptions. Memory: some 200 MB, and about 50 bytes a document, 130 where near copies are looked for.
"""

import json
import os
import shutil
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from data_gen.buckets import Buckets
from data_gen.card import card
from data_gen.copies import Copies, Marks, marks
from data_gen.curator import HABITS, Curator, answer_of, group_id, line_of
from data_gen.documents import CARD, Lines, group_hash, open_splits, publish, validation
from data_gen.exported import Exported
from data_gen.factors import Sampler
from data_gen.raw import read
from data_gen.recipe import Recipe
from data_gen.report import Kept, Spent
from tsjax import __version__
from tsjax.atomic import sha256_file, write_json
from tsjax.corpus.duplicates import check_seed
from tsjax.corpus.readers import documents
from tsjax.corpus.sources import Source, sources
from tsjax.errors import UserError
from tsjax.lock import LOCK, lock
from tsjax.workers import Processes, Workers

REJECTED, REPORT = "rejected.jsonl.zst", "report.json"
WORK = ".curate"  # in the run folder: what is not whole yet
CHUNK = 128  # indices for a worker at once
GIVEN = 512  # texts of other data sets for a worker at once

COPY_REASONS = ("exact_duplicate", "near_duplicate", "in_other_data", "near_other_data")

Progress = Callable[[str, int], None]  # stage ("read", "compare", "examine", "write"), and how many are done
T = TypeVar("T")


def curate(
    folder: Path,
    recipe: Recipe,
    *,
    seed: int,
    target: int | None = None,
    valid_fraction: float = 0.01,
    against: Sequence[Path | str] = (),
    licence: str | None = None,
    terms: str | None = None,
    about: Mapping[str, Any] | None = None,
    workers: Workers | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Makes `documents/`, rejected.jsonl.zst and report.json of the answers in `folder`/raw; returns the report.

    recipe, seed:   those that the answers were asked with; checks, parsers and cleaning may have changed since.
    target:         how many documents at most: the first in index order that are no copies of earlier ones.
    valid_fraction: share of the requests that validate, by the hash of the request: what one gave stays together.
    against:        corpora whose documents, and copies of them, are left out.
    licence, terms: of the data set, as the user words them; the card says so where there is none.
    about:          more that the card shall tell, by label, such as where the model was served.
    workers:        default: a process a core.

    A killed call leaves the documents that were there before, or none that pass for whole; the next call does it all
    again. Fewer than two documents can't be split: then there are none, and the report says why answers were rejected.
    Raises UserError where there are no answers, or another curation is at work.
    """
    folder, workers = Path(folder), workers or Processes()
    check_seed(seed)
    if target is not None and target < 1:
        raise UserError(expected="a target of 1 document or more", found=str(target), todo="raise it")
    work = folder / WORK
    with lock(work, todo="wait for it"):
        _clear(work)  # of a killed call
        try:
            settings = {"seed": seed, "target": target, "valid_fraction": valid_fraction}
            told = {"licence": licence, "terms": terms, "about": dict(about or {})}
            run = _Curation(folder, work, recipe, settings, told, workers, progress or (lambda stage, done: None))
            return run.curate([source for place in against for source in sources(place)])
        finally:
            shutil.rmtree(work)


@dataclass(frozen=True)
class Signer:
    """Marks of the texts of other data sets; goes to worker processes."""

    seed: int
    near: bool

    def __call__(self, texts: Sequence[str]) -> Marks:
        return marks(texts, self.seed, self.near)


class _Curation:
    def __init__(
        self, folder: Path, work: Path, recipe: Recipe, settings: Mapping[str, Any], told: Mapping[str, Any],
        workers: Workers, tell: Progress,
    ):  # fmt: skip
        self.folder, self.work, self.recipe, self.settings, self.told = folder, work, recipe, settings, told
        self.workers, self.tell = workers, tell
        self.seed, self.target = settings["seed"], settings["target"]
        self.spent, self.kept, self.exported = Spent(), Kept(), Exported(recipe)
        self.copies = Copies(work / "signatures", recipe.shape.near)
        # Of each accepted document: its request (16 bytes), its number in the answer, its index.
        self.requests, self.numbers, self.indices = bytearray(), array("i"), array("q")

    def curate(self, given: Sequence[Source]) -> dict[str, Any]:
        answers = self._read()
        ends = self._add_given(given)
        first = self.copies.count
        with ExitStack() as stack:
            rejected = stack.enter_context(Lines(self.work / REJECTED))
            with Lines(self.work / "accepted", level=1) as accepted:
                self._examine(answers, accepted, rejected)
            exact, almost = self.copies.find(first)
            copies = {"exact": exact[first:], "near": almost[first:]}
            survivors = np.flatnonzero((copies["exact"] < 0) & (copies["near"] < 0))[: self.target]
            groups = np.fromiter(map(self._group, survivors), np.uint64, len(survivors))
            enough = len(np.unique(groups)) > 1  # one for each split
            exported, validates = np.zeros(accepted.count, bool), np.zeros(accepted.count, bool)
            if enough:
                exported[survivors] = True
                validates[survivors] = validation(groups, self.settings["valid_fraction"])
            whose = self._whose(copies, first, given, ends)
            counts: Counter[str] = Counter()
            splits = open_splits(self.work, stack)
            for number, item in enumerate(accepted.read()):
                habits = item.pop(HABITS)
                if number in whose:
                    why, dup = whose[number]
                    counts[why] += 1
                    line = item | {"verdict": "rejected", "reason": why, "reasons": [why], "dup": dup}
                    rejected.write(json.dumps(line).encode())
                elif exported[number]:
                    split = "valid" if validates[number] else "train"
                    ahead = {key: item.pop(key) for key in ("id", "group_id")}
                    splits[split].write(json.dumps({**ahead, "split": split, **item}).encode())
                    counts[split] += 1
                    self.exported.add(item, habits)
                else:
                    counts["beyond_target" if enough else "alone"] += 1
                self.tell("write", number + 1)
        report = self._report(counts, accepted.count)
        write_json(self.work / REPORT, report)
        manifest, inside = None, []
        if enough:
            manifest = self._manifest(report, splits, rejected, given)
            (self.work / CARD).write_text(card(manifest), encoding="utf-8")
            inside = [CARD, *(lines.path.name for lines in splits.values())]
        publish(self.work, self.folder, beside=[REJECTED, REPORT], inside=inside, manifest=manifest)
        return report

    def _read(self) -> Buckets:
        """Raw lines by index, and their sums."""
        buckets = Buckets(self.work / "answers")
        for row in read(self.folder):
            answer = answer_of(row)
            self.spent.add(row, answer)
            buckets.add(row["index"], line_of(row, answer))
            self.tell("read", self.spent.lines)
        if not self.spent.lines:
            raise UserError(expected=f"answers in {self.folder / 'raw'}", found="none", todo="generate some first")
        return buckets

    def _add_given(self, given: Sequence[Source]) -> list[int]:
        """Adds the documents of other data sets to the copies; returns how many there are up to the end of each source."""
        ends: list[int] = []

        def texts() -> Iterator[str]:
            count = 0
            for source in given:
                for document in documents(source.path):
                    if not document.fault:
                        yield document.story
                        count += 1
                ends.append(count)

        for found in self.workers.map(Signer(self.seed, bool(self.recipe.shape.near)), _chunks(texts(), GIVEN)):
            self.copies.add(found)
            self.tell("compare", self.copies.count)
        return ends

    def _examine(self, answers: Buckets, accepted: Lines, rejected: Lines) -> None:
        curator = Curator(self.recipe, self.seed, bool(self.recipe.shape.near))
        for judged in self.workers.map(curator, _chunks(answers, CHUNK)):
            self.kept.add(judged)
            assert judged.marks is not None
            self.copies.add(judged.marks)
            for line in judged.rejected:
                rejected.write(line)
            for candidate in judged.accepted:
                accepted.write(candidate.item)
                self.requests += bytes.fromhex(candidate.request)
                self.numbers.append(candidate.number)
                self.indices.append(candidate.place)
            self.tell("examine", self.kept.sums.indices)

    def _group(self, number: int) -> int:
        return group_hash(group_id(self.recipe, self.seed, self.indices[number]), self.seed)

    def _whose(
        self, copies: Mapping[str, np.ndarray], first: int, given: Sequence[Source], ends: Sequence[int]
    ) -> dict[int, tuple[str, dict[str, Any]]]:
        """For each document that is a copy: the reason, and what it is a copy of."""
        whose = {}
        for way, of in copies.items():
            late = np.flatnonzero(of >= 0)
            alike = self.copies.similarity(late + first, of[late]) if way == "near" else np.ones(len(late))
            for number, other, share in zip(late.tolist(), of[late].tolist(), alike.tolist(), strict=True):
                if other >= first:
                    original = self._id(other - first)
                else:
                    source = int(np.searchsorted(ends, other, side="right"))
                    original = f"{given[source].name}#{other - (ends[source - 1] if source else 0)}"  # from 0
                why = COPY_REASONS[(way == "near") + 2 * (other < first)]
                whose[number] = (why, {f"{way}_of": original, "similarity": share})
        return whose

    def _id(self, number: int) -> str:
        return f"{self.requests[16 * number : 16 * number + 16].hex()}-{self.numbers[number]}"

    def _report(self, counts: Counter[str], accepted: int) -> dict[str, Any]:
        exported = counts["train"] + counts["valid"]
        notes, edits = self.kept.sums.notes, self.exported.edits
        return {
            "recipe": {
                "name": self.recipe.name,
                "seed": self.seed,
                "request_hash": self.recipe.request_hash,
                "curation_hash": self.recipe.curation_hash,
            },
            "answers": {
                **self.spent.to_json(),
                "indices": self.kept.sums.indices,
                **{note: notes[note] for note in ("unfinished", "unused", "repeated", "recleaned")},
            },
            "acceptance": self.kept.acceptance(self.recipe),
            "documents": {
                "accepted": accepted,
                **{reason: counts[reason] for reason in (*COPY_REASONS, "beyond_target", "alone", "train", "valid")},
                "near_from": self.recipe.shape.near,
                "target": self.target,
                "missing": max(0, (self.target or 0) - exported),
            },
            "coverage": self.exported.coverage(Sampler(self.recipe, self.seed).space),
            "diversity": self.exported.diversity.summary(),
            "edits": dict(sorted(edits.items(), key=lambda item: (-item[1], item[0]))),
        }

    def _manifest(
        self, report: Mapping[str, Any], splits: Mapping[str, Lines], rejected: Lines, given: Sequence[Source]
    ) -> dict[str, Any]:
        recipe = self.recipe
        return {
            "kind": "documents",
            "writer": "generate",
            "recipe": {"name": recipe.name, "about": recipe.about, "language": recipe.language, "text": recipe.text},
            **self.settings,
            "against": [{"name": source.name, "sha256": sha256_file(source.path)} for source in given],
            **self.told,
            "files": {split: lines.described() for split, lines in splits.items()},
            "rejected": rejected.described(),
            "report": dict(report),
            "report_sha256": sha256_file(self.work / REPORT),
            "tsjax": __version__,
        }


def _chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    items = iter(items)
    while chunk := list(islice(items, size)):
        yield chunk


def _clear(work: Path) -> None:
    for path in work.iterdir():
        if path.name == LOCK:
            continue
        shutil.rmtree(path) if path.is_dir() else os.unlink(path)
