"""Documents -> token ids, as worker processes do it: a pure function of a batch."""

import dataclasses
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from tsjax.corpus import Document
from tsjax.corpus.repairs import Repairs
from tsjax.errors import UserError
from tsjax.tokenizer import UNKNOWN, Tokenizer, begin


class Batch(NamedTuple):
    """Documents with the split each goes to (a place in `SPLITS`)."""

    documents: Sequence[Document]
    labels: Sequence[int]


class Encoded(NamedTuple):
    """A batch as ids. A document that the vocabulary can't spell has no tokens."""

    labels: np.ndarray  # int8 [n]
    ids: np.ndarray  # dtype of the shards [sum of tokens]: BOS + pieces + EOS of each document
    tokens: np.ndarray  # int32 [n]
    bytes: np.ndarray  # int32 [n], UTF-8 bytes of the text that the ids spell
    words: np.ndarray  # int32 [n], of that text, between whitespace
    unknown: np.ndarray  # int32 [n], tokens that are unk

    @property
    def per_document(self) -> tuple[np.ndarray, ...]:
        """labels, tokens, bytes, words, unknown."""
        return self.labels, self.tokens, self.bytes, self.words, self.unknown


@dataclasses.dataclass(frozen=True)
class Encoder:
    """`Encoder(tokenizer, repairs)(batch)`: the repairs that were asked for, then the ids."""

    tokenizer: Tokenizer
    repairs: Repairs

    def __call__(self, batch: Batch) -> Encoded:
        """UserError when a text turns into the id that ends documents."""
        tokenizer = self.tokenizer
        texts = [self.repairs.apply(document)[0].text for document in batch.documents]
        rows: list[list[int]] = []
        unknown = []
        for ids in tokenizer.encode(texts):
            if UNKNOWN in ids:
                rows.append([])
            else:
                rows.append([*begin(tokenizer, ids), tokenizer.eos])
                # A chat's EOS may be the marker that gives the turn to the user: that stands inside it as well.
                if tokenizer.eos in ids and tokenizer.eos not in tokenizer.markers.values():
                    raise UserError(
                        expected=f"id {tokenizer.eos} (eos) only at the end of documents",
                        found="text that the tokenizer turns into it",
                        todo="give another tokenizer",
                    )
            unknown.append(ids.count(tokenizer.unk) if tokenizer.unk >= 0 and rows[-1] else 0)
        if not tokenizer.lossless:  # bits are counted against the bytes that they spell, not against lost ones
            texts = [tokenizer.decode(i for i in row if i != tokenizer.unk) for row in rows]
        tokens = np.array([len(row) for row in rows], np.int32)
        return Encoded(
            np.array(batch.labels, np.int8),
            np.fromiter(
                chain.from_iterable(rows), dtype_of(tokenizer), tokens.sum()
            ),  # OverflowError if they do not fit
            tokens,
            np.array([len(text.encode()) for text in texts], np.int32),
            np.array([len(text.split()) for text in texts], np.int32),
            np.array(unknown, np.int32),
        )


def dtype_of(tokenizer: Tokenizer) -> np.dtype:
    """The little-endian integer that holds every id: two bytes where they do."""
    return np.dtype("<u2" if tokenizer.vocab_size <= 2**16 else "<u4")
