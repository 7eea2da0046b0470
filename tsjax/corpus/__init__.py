"""The corpus: files, archives and hubs -> documents; what is wrong with them, and which split each goes to.

`readers` turns files into documents, `repairs` mends them when asked, `tally` counts them and their defects,
`duplicates` finds copies, and `split` parts training from validation. Everything streams: memory does not grow
with the text.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

SEPARATOR = "<|endoftext|>"
SPLITS = ("train", "valid")
TRAIN, VALID, DROPPED = range(3)  # labels of documents; the first two are places in SPLITS


class Document(NamedTuple):
    """One document of a corpus.

    `text` is what a model is trained on, without surrounding whitespace and without `SEPARATOR`. `story` is the part
    that is judged for defects and copies: the text itself, or the story below the instructions. `fields` are what the
    record says beside it (words, features, summary, source, prompt; empty for plain text). A document with a `fault`
    ("empty", "malformed", or "filtered" by what the user asked for) is counted under it and goes no further.
    """

    text: str
    story: str
    fields: Mapping[str, Any] = {}
    fault: str = ""
