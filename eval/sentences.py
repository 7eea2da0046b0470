"""A completion's sentences, where they stand in prompt + completion."""

import re
from dataclasses import dataclass
from functools import cached_property

# Marks and closing quotation marks, before white space and not before a small letter: '"Stop!" she said.' is one
# sentence. Titles end none; a line break ends any.
_END = re.compile(r"""\n+|(?<!\bMr)(?<!\bMs)(?<!\bDr)(?<!\bSt)(?<!\bMrs)[.!?…]+["'”’)\]]*(?=\s|$)(?!\s+[a-z])""")
ENDED = re.compile(r"""[.!?…]["'”’)\]*]*$""")


@dataclass(frozen=True)
class Sentence:
    text: str
    start: int  # in the whole text
    ended: bool  # by a mark, not by a line break or the end of the text
    last_of_line: bool


@dataclass(frozen=True)
class Passage:
    """What was given and what a model added."""

    prompt: str
    text: str

    @cached_property
    def whole(self) -> str:
        return self.prompt + self.text

    @cached_property
    def sentences(self) -> list[Sentence]:
        """The sentences that the text holds or finishes: the first may begin in the prompt."""
        return [one for one in split(self.whole) if one.start + len(one.text) > len(self.prompt)]


def split(text: str) -> list[Sentence]:
    """The sentences of a text, in order; what holds no letter or digit is none."""
    found, start = [], 0
    for end in [*(match.end() for match in _END.finditer(text)), len(text)]:
        raw = text[start:end]
        sentence = raw.strip()
        if any(c.isalnum() for c in sentence):
            at = start + len(raw) - len(raw.lstrip())
            last = raw.endswith("\n") or not text[end:].strip() or text[end:].lstrip(" \t").startswith("\n")
            found.append(Sentence(sentence, at, bool(ENDED.search(sentence)), last))
        start = end
    return found
