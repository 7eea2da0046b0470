"""Tokenizers: text <-> ids, with a fingerprint that every later stage checks.

`Tokenizer` is the small protocol that the rest of tsjax relies on. Behind it: `SentencePiece` (trained here by
default), `HuggingFace` (tokenizer.json, GPT-2's two files), `WordList` (TinyChat, CraftGPT), and `Restricted`, which
keeps the most frequent tokens of another. `load` reads any of them, `Recipe` says how a corpus gets its own.
"""

from tsjax.tokenizer.hugging_face import HuggingFace
from tsjax.tokenizer.interface import MARKERS, UNKNOWN, Tokenizer, begin, check_special_ids
from tsjax.tokenizer.loading import load
from tsjax.tokenizer.recipe import Recipe, evenly, versions
from tsjax.tokenizer.restricted import Restricted
from tsjax.tokenizer.sentence_piece import SentencePiece
from tsjax.tokenizer.word_list import WordList

__all__ = [
    "MARKERS",
    "UNKNOWN",
    "HuggingFace",
    "Recipe",
    "Restricted",
    "SentencePiece",
    "Tokenizer",
    "WordList",
    "begin",
    "check_special_ids",
    "evenly",
    "load",
    "versions",
]
