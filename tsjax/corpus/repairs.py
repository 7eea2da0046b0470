"""Repairs of a corpus that are asked for by name: mending what is broken, leaving out what cannot be mended.

Nothing here is on unless asked for, and whatever is on is part of a data set's fingerprint.
"""

import dataclasses
import re
from dataclasses import dataclass
from typing import Any

import ftfy

from tsjax.corpus import SEPARATOR, Document
from tsjax.corpus.defects import STRAY, is_cut
from tsjax.errors import UserError

# What is broken, not what is a matter of taste: quotation marks stay as curly as they are, and wide letters as wide.
_FIXES = ftfy.TextFixerConfig(uncurl_quotes=False, fix_latin_ligatures=False, fix_character_width=False, explain=False)
_SOUND = bytes({9, 10, *range(32, 127)} - set(b"&"))  # no fix applies to a text of these alone
# ” whose last byte was dropped, as Windows-1252 has no such character. ftfy would make it † and eat a space.
_LOST_QUOTE = re.compile("â€(?=[\0-\x7f]|$)")


@dataclass(frozen=True)
class Repairs:
    """Which repairs are made. The default makes none."""

    fix_encoding: bool = False  # mojibake, HTML entities, stray control characters, one form for each letter (NFC)
    min_characters: int = 0  # documents whose story is shorter are left out
    final_punctuation: bool = False  # documents whose story stops in mid-sentence are left out

    def __post_init__(self) -> None:
        if self.min_characters < 0:
            raise UserError(
                expected="min_characters of 0 or more", found=str(self.min_characters), todo="set it to 0 for no limit"
            )

    def apply(self, document: Document) -> tuple[Document, tuple[str, ...]]:
        """The mended document, and the names of the repairs that touched it.

        A document to be left out gets a `fault`: "too short", "cut", or "empty" where mending left nothing. One
        that has a fault already comes back as it is. `fields` are not mended.
        """
        touched: list[str] = []
        if document.fault:
            return document, ()
        if self.fix_encoding and (mended := _mend_both(document)) != document:
            document = mended
            touched.append("fix_encoding")
            if not document.story:
                return document._replace(fault="empty"), tuple(touched)
        if len(document.story) < self.min_characters:
            return document._replace(fault="too short"), (*touched, "min_characters")
        if self.final_punctuation and is_cut(document.story):
            return document._replace(fault="cut"), (*touched, "final_punctuation")
        return document, tuple(touched)

    def settings(self) -> dict[str, Any]:
        """What decides the outcome, for JSON; with ftfy's version where it matters."""
        return dataclasses.asdict(self) | ({"ftfy": ftfy.__version__} if self.fix_encoding else {})


def _mend_both(document: Document) -> Document:
    """Story and text mended; the story stays the end of the text, if it was."""
    text, story = document.text, document.story
    mended = _mend(story)
    if text == story:
        return document._replace(text=mended, story=mended)
    if not text.endswith(story):
        return document._replace(text=_mend(text), story=mended)
    head = text[: len(text) - len(story)]
    gap = head[len(head.rstrip()) :]
    whole = _mend(head) + gap + mended
    return document._replace(text=whole.replace(SEPARATOR, "\n").strip(), story=mended)


def _mend(text: str) -> str:
    """`text` without broken encoding, stripped; without the separator that entities or stray characters may hide."""
    if text.isascii() and not text.encode().translate(None, _SOUND):
        return text.strip()
    fixed = ftfy.fix_text(_LOST_QUOTE.sub("â€\x9d", text), _FIXES)
    fixed = STRAY.sub(lambda stray: " " if stray[0].isspace() else "", fixed)
    return fixed.replace(SEPARATOR, "\n").strip()
