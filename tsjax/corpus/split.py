"""The split: which documents train, which validate, and which are dropped because they would spoil either.

A validation loss means something only if no training document is a copy of a validation document, exact or near,
so those are dropped from training whatever else is asked for.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tsjax.corpus import DROPPED, SEPARATOR, SPLITS, TRAIN, VALID
from tsjax.corpus.duplicates import THRESHOLD
from tsjax.errors import UserError


@dataclass(frozen=True)
class Splitting:
    """What is asked of the split."""

    valid_fraction: float = 0.01  # of the documents, where no validation inputs are given
    near: float = THRESHOLD  # Jaccard similarity of 5-word runs from which documents are near copies; 1 = none are
    drop_duplicates: bool = False  # from the training split
    drop_near_duplicates: bool = False

    def check(self) -> None:
        """UserError for a similarity that cannot be."""
        if not 0 < self.near <= 1:
            raise UserError(expected="a --near above 0 and up to 1", found=str(self.near), todo="0.7 is usual")
        if self.near == 1 and self.drop_near_duplicates:
            raise UserError(expected="--near below 1 with --drop-near-duplicates", found="1", todo="0.7 is usual")

    def settings(self, drawn: bool) -> dict[str, Any]:
        """All of it, as JSON; the fraction only where it is used."""
        return asdict(self) | ({} if drawn else {"valid_fraction": None})


Near = Callable[[np.ndarray, int], np.ndarray]  # `duplicates.near`, given signatures and a threshold


def split(
    hashes: np.ndarray,
    live: np.ndarray,
    valid_from: int,
    *,
    drawn: bool,
    fraction: float,
    drop_duplicates: bool = False,
    drop_near_duplicates: bool = False,
    near: Near | None = None,
) -> tuple[np.ndarray, dict[str, int]]:
    """Which split each document goes to: (labels int8 [N], counts).

    `hashes`: uint64 [N] of normal forms. `live`: bool [N]; the others are DROPPED and not counted. Documents from
    `valid_from` on come from validation inputs; where there are none, `drawn` says to draw about `fraction` of the
    hashes: the smallest, at least one and never all. So equal hashes stay together, and documents that are added
    later move no others from split to split.

    `near(rank int64 [N], first int) -> int64 [N]` is asked once about the distinct live documents, validation
    before training and otherwise in order, with `first` the number of validation documents; None: no search.

    Counts, in documents: `documents` (live ones); `train_in_valid` and `train_near_valid`: training documents
    dropped as exact or near copies of validation documents (with all their exact copies); then of what is left
    in each split, `{split}_duplicates`: exact copies of an earlier document, and `{split}_near_duplicates`:
    distinct documents near an earlier one that is not itself such a copy. With `drop_duplicates` and
    `drop_near_duplicates` these are dropped from training, the latter with all their exact copies. Near counts are
    absent without `near`. Raises UserError where a split would be empty.
    """
    labels = np.where(live, TRAIN, DROPPED).astype(np.int8)
    if drawn:
        labels[live & (hashes < _edge(hashes[live], fraction))] = VALID
    else:
        labels[valid_from:][live[valid_from:]] = VALID
        if not (labels == VALID).any():
            raise UserError(
                expected="validation documents",
                found=f"none of use in the validation inputs, of {len(labels) - valid_from:,}",
                todo="give other validation inputs, or none and a valid_fraction",
            )
    counts = {"documents": int(live.sum())}
    in_valid = (labels == TRAIN) & np.isin(hashes, hashes[labels == VALID])
    labels[in_valid] = DROPPED
    counts["train_in_valid"] = int(in_valid.sum())

    where = _distinct(hashes, labels)
    near_copies = np.zeros(0, np.uint64)
    if near is not None:
        near_copies = _drop_near(hashes, labels, where, near, counts)
    for label, name in enumerate(SPLITS):
        members = labels == label
        repeats = members.copy()
        repeats[where[label]] = False
        counts[f"{name}_duplicates"] = int(repeats.sum())
        if label == TRAIN and drop_duplicates:
            labels[repeats] = DROPPED
    if drop_near_duplicates:
        labels[(labels == TRAIN) & np.isin(hashes, near_copies)] = DROPPED
    if not (labels == TRAIN).any():
        raise UserError(
            expected="training documents that are not in the validation files",
            found="none",
            todo="give other inputs or other validation files",
        )
    return labels, counts


def _edge(hashes: np.ndarray, fraction: float) -> np.uint64:
    """The hash below which documents validate."""
    if not 0 < fraction < 1:
        raise UserError(
            expected="a valid_fraction above 0 and below 1",
            found=f"{fraction}: {'training' if fraction >= 1 else 'validation'} split empty",
            todo="set valid_fraction, for example to 0.01, or give a validation file",
        )
    distinct = np.unique(hashes)
    if len(distinct) < 2:
        raise UserError(
            expected="two different documents or more, one of them for validation",
            found=f"{len(hashes)} documents, {len(distinct)} different: validation split empty",
            todo=f"put {SEPARATOR} between documents, or give a validation file",
        )
    below = np.searchsorted(distinct, np.uint64(fraction * 2**64))
    return distinct[np.clip(below, 1, len(distinct) - 1)]


def _distinct(hashes: np.ndarray, labels: np.ndarray) -> list[np.ndarray]:
    """For each split the places of the first document of each hash, in order."""
    places = [np.flatnonzero(labels == label) for label in range(len(SPLITS))]
    return [np.sort(place[np.unique(hashes[place], return_index=True)[1]]) for place in places]


def _drop_near(
    hashes: np.ndarray, labels: np.ndarray, where: list[np.ndarray], near: Near, counts: dict[str, int]
) -> np.ndarray:
    """Drops training documents near validation ones, counts the rest, returns the hashes of near copies in train.

    A document is such a copy only if what it is near stays: of a row of stories, each near the one before, every
    other one goes, so that no story is lost without one like it left.
    """
    order = np.concatenate([where[VALID], where[TRAIN]])
    rank = np.full(len(labels), -1, np.int64)
    rank[order] = np.arange(len(order))
    partner = near(rank, len(where[VALID]))
    near_valid = where[TRAIN][(partner[where[TRAIN]] >= 0) & (labels[partner[where[TRAIN]]] == VALID)]
    leaked = (labels == TRAIN) & np.isin(hashes, hashes[near_valid])
    labels[leaked] = DROPPED
    counts["train_near_valid"] = int(leaked.sum())

    gone = labels == DROPPED
    copies = order[partner[order] >= 0]
    for place, other in zip(copies.tolist(), partner[copies].tolist(), strict=True):
        if not gone[other]:
            gone[place] = True
    gone &= labels != DROPPED
    for label, name in enumerate(SPLITS):
        counts[f"{name}_near_duplicates"] = int((gone & (labels == label)).sum())
    return hashes[gone & (labels == TRAIN)]
