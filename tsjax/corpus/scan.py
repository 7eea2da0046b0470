"""The scan of a batch of documents: all that workers find out about it. A pure function of the batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tsjax.corpus import Document
from tsjax.corpus.duplicates import BANDS, form_hash, normal_words, signatures_of, word_hashes
from tsjax.corpus.repairs import Repairs
from tsjax.corpus.tally import SAMPLE, Tally


class Scanned(NamedTuple):
    """What the split and the report need of n documents. Hash and signature are of the mended story."""

    hashes: np.ndarray  # uint64 [n]
    live: np.ndarray  # bool [n]: neither faulty nor left out by a repair
    signatures: np.ndarray  # uint64 [duplicates.BANDS, n]; of documents that are not live: zeros, as their hashes
    tally: Tally  # of live documents; the others by their faults


@dataclass(frozen=True)
class Scanner:
    """Mends, hashes, signs and counts a batch of documents; each document's result depends on it alone."""

    repairs: Repairs
    seed: int  # of the hashes, 0 to 2**64 - 1

    def __call__(self, batch: Sequence[Document]) -> Scanned:
        tally = Tally()
        live = np.zeros(len(batch), bool)
        hashes = np.zeros(len(batch), np.uint64)
        stories: dict[int, str] = {}
        hashed = []
        for place, document in enumerate(batch):
            document, repairs = self.repairs.apply(document)
            if repairs:
                tally.repairs.update(repairs)
            if document.fault:
                tally.leave_out(document.fault)
                continue
            # All that is needed of a document's words is taken while they are in the processor's cache.
            words = normal_words(document.story)
            form = " ".join(words)
            live[place], hashes[place] = True, form_hash(form, self.seed)
            hashed.append(word_hashes(words))
            tally.count(document, words, form)
            stories[place] = document.story
        signatures = np.zeros((BANDS, len(batch)), np.uint64)
        signatures[:, live] = signatures_of(hashed)
        for place in [place for place in np.argsort(hashes, kind="stable").tolist() if live[place]][:SAMPLE]:
            tally.look_into(place, stories[place], int(hashes[place]))
        return Scanned(hashes, live, signatures, tally)
