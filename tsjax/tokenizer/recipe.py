"""How a corpus gets its tokenizer."""

import importlib.metadata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tsjax.errors import UserError
from tsjax.tokenizer import hugging_face, sentence_piece
from tsjax.tokenizer.hugging_face import HuggingFace
from tsjax.tokenizer.interface import MARKERS, Tokenizer
from tsjax.tokenizer.loading import load
from tsjax.tokenizer.restricted import RARE, restrict
from tsjax.tokenizer.sentence_piece import SentencePiece
from tsjax.tokenizer.word_list import WordList
from tsjax.tokenizer.word_list_trainer import train_word_list

KINDS = ("bpe", "unigram", "byte-bpe", "words")
Item = TypeVar("Item")


@dataclass(frozen=True)
class Recipe:
    """How the tokenizer of a corpus comes to be: trained on it or loaded, and then perhaps cut to what it uses."""

    kind: str = "bpe"  # trained: bpe, unigram (SentencePiece), byte-bpe (as GPT-2), words (as TinyChat, CraftGPT)
    vocab_size: int = 4096  # of the trained one; words may stay below it
    path: Path | None = None  # load this one; kind and vocab_size have no meaning then
    top: int = 0  # > 0: keep only so many ids, those that the corpus uses most
    rare: str = ""  # tokens below the top: drop (the document), unk, split; characters that no word fits: drop, unk
    chat: bool = False  # the chat markers are single tokens
    sample_bytes: int = 20_000_000  # of the corpus to train on and to count tokens in

    def check(self) -> None:
        """UserError for an unknown kind, a size that cannot be, or settings that contradict each other."""
        words = self.kind == "words" and self.path is None
        for wrong, expected, found in (
            (self.path is None and self.kind not in KINDS, f"a kind of {', '.join(KINDS)}", self.kind),
            (self.rare not in ("", *RARE), f"rare to be one of {', '.join(RARE)}", self.rare),
            (min(self.vocab_size, self.sample_bytes) < 1, "a vocab_size and sample_bytes of 1 or more", "less"),
            (self.top < 0, "a top of 0 or more", str(self.top)),
            (words and self.top, "no top for words (vocab_size says how many there are)", f"top = {self.top}"),
            (words and self.rare == "split", "rare to be drop or unk for words", "split"),
            (self.top and not self.rare, f"rare = {', '.join(RARE)} beside top", "none"),
            (self.top and self.path is None and self.top > self.vocab_size,
             f"a top within the vocabulary of {self.vocab_size}", str(self.top)),
            (self.rare and not self.top and not words and self.path is None,
             "rare only where something can be rare: with top, or words", f"rare = {self.rare}"),
        ):  # fmt: skip
            if wrong:
                raise UserError(expected=expected, found=found, todo="change the settings of the tokenizer")

    def make(self, sample: Iterable[str]) -> Tokenizer:
        """The tokenizer, the same for the same `sample`: `evenly` drawn training documents, `sample_bytes` of them.

        On the sample it is trained, and in the sample are the tokens counted that `top` ranks.
        """
        self.check()
        sample = list(sample) if self.path is None or self.top else []
        made: Any
        if self.path is not None:
            made = load(self.path)
        elif self.kind == "words":
            made = train_word_list(sample, self.vocab_size, chat=self.chat, unk=self.rare == "unk")
        elif self.kind == "byte-bpe":
            made = hugging_face.train(sample, self.vocab_size, chat=self.chat)
        else:
            made = sentence_piece.train(sample, self.vocab_size, kind=self.kind, chat=self.chat)
        if self.chat:
            made = _with_markers(made)
        if self.top:
            made = restrict(made, self.top, self.rare, sample)
        elif self.path is not None and self.rare:
            made = _with_rare(made, self.rare)
        return made

    def settings(self) -> dict[str, Any]:
        """What decides the result besides the sample, as JSON; of a loaded tokenizer its fingerprint, not its name."""
        source = (
            {"kind": self.kind, "vocab_size": self.vocab_size}
            if self.path is None
            else {"fingerprint": load(self.path).fingerprint}
        )
        sampled = {"sample_bytes": self.sample_bytes} if self.path is None or self.top else {}
        return source | sampled | {"top": self.top, "rare": self.rare, "chat": self.chat}


def _with_markers(made: Any) -> Tokenizer:
    if isinstance(made, HuggingFace | SentencePiece):
        return made.with_markers()
    if not {"user", "assistant"} <= made.markers.keys():
        raise UserError(
            expected=f"a tokenizer with the markers {MARKERS['user']} and {MARKERS['assistant']} as tokens",
            found=f"a {type(made).__name__} without",
            todo="give another tokenizer, or leave chat out",
        )
    return made


def _with_rare(made: Any, rare: str) -> Tokenizer:
    """A loaded tokenizer under a rule for what it cannot spell; only a word list needs one."""
    if not isinstance(made, WordList) or rare == "split" or (rare == "drop" and made.unk >= 0):
        raise UserError(
            expected="rare = drop or unk only for a word list without <unk>, or beside top",
            found=f"rare = {rare} for a {type(made).__name__}",
            todo="leave rare out, or set top",
        )
    return made.with_unk() if rare == "unk" else made


def evenly(
    items: Iterable[Item], total_bytes: int, wanted_bytes: int, text: Callable[[Item], str] = str
) -> Iterator[Item]:
    """About `wanted_bytes` of whole items, spread evenly over items of `total_bytes` (UTF-8 of `text`) together."""
    seen = taken = 0
    for item in items:
        size = len(text(item).encode())
        seen += size
        # Behind its even share, the sample takes this item whole.
        if taken * total_bytes < seen * min(wanted_bytes, total_bytes):
            taken += size
            yield item


def versions() -> dict[str, str]:
    """The libraries that decide what a tokenizer's training and ids come out as; "" for one that is not there."""
    found = {}
    for name in ("sentencepiece", "tokenizers"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = ""
    return found
