"""What is wrong with one story: broken characters, left-over marks, missing halves, several stories in one.

All of it is quick on plain ASCII, which is nearly all of an English corpus.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import pairwise

from ftfy.badness import BADNESS_RE

from tsjax.corpus.duplicates import normal_words

# Characters that no story means: C0 but tab and newline, C1, zero-width space, word joiner, a byte order mark inside,
# line and paragraph separators. Zero-width (non-)joiners are spelling in Hindi and Persian, and glue in emoji.
STRAY = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u2060\ufeff\u2028\u2029]")
MARKUP = re.compile(
    r"&(?:[a-z]{2,8}|#\d{1,6}|#x[0-9a-f]{1,6});"
    r"|</?(?:a|b|body|br|div|em|font|h[1-6]|html|i|img|li|ol|p|script|span|strong|table|td|tr|u|ul)\b[^<>\n]{0,200}>",
    re.I,
)
END_MARK = re.compile(
    r"</s>|<\|?\s*/?(?:end|eos|eot)[a-z_ ]{0,20}(?:\|?>)?|endoftext|\[(?:end|eos|eot|sep)\]|-{5,}|={5,}|\*{5,}", re.I
)
# "The end" as a sentence of its own, and then more than the moral of the story.
_THE_END = re.compile(r"(?:^|[.!?\"”\n])\s*the end[.!]*[\"”]?\s+(?!\W*(?:the )?moral)(?=\w|\W{1,3}\w)", re.I)
_ONCE = "once upon a time"
_TOLD = 3  # a story may well tell another, but not two

_PLAIN = bytes(sorted({9, 10, *range(32, 127), *range(128, 256)} - set(b"&<[")))  # nothing to look into
_SPACED = bytes(32 if chr(code).isspace() else 120 for code in range(128)) + bytes(128)
_RULES = ("-----", "=====", "*****", "endoftext")
_FINAL = frozenset(".!?…‽⁇⁈⁉。．！？｡।॥؟۔։።᙮៖။")
_CLOSING = " \n\t\"'”’“»›)]}*_~`」』）】＂＇\ufe0f\u200d"
_FIRST = re.compile(r"[\W\d_]*(\w)")
_LETTER = re.compile("[A-Za-z]")
_SCRIPT = re.compile(
    r"(?:FULLWIDTH |HALFWIDTH )?([A-Z]+) (?:.* )?(?:LETTER |CHARACTER |SYLLABLE|SYLLABICS|UNIFIED|COMPATIBILITY)"
)
_FAMILIES = {"HIRAGANA": "CJK", "KATAKANA": "CJK"}  # written in one sentence
LATIN = "LATIN"


def defects(story: str, utf8: bytes, form: str) -> Iterator[tuple[str, int]]:
    """(kind, place of the first) for each kind of defect of a story. `form`: its normal form."""
    ascii_only = len(utf8) == len(story)
    if not ascii_only:
        if match := BADNESS_RE.search(story):
            yield "mojibake", match.start()
        if (place := story.find("\ufffd")) >= 0:
            yield "replacement", place
    if not ascii_only or utf8.translate(None, _PLAIN) or any(rule in story for rule in _RULES):
        for kind, pattern in (("control", STRAY), ("markup", MARKUP), ("end_mark", END_MARK)):
            if match := pattern.search(story):
                yield kind, match.start()
    if form.count(_ONCE) >= _TOLD:
        yield "joined", max(0, story.lower().rfind("once upon"))
    elif "the end" in form and (match := _THE_END.search(story)):
        yield "joined", match.start()
    if is_cut(story):
        yield "cut", len(story)
    if story.islower():
        yield "lower_case", 0
    elif (first := _FIRST.match(story)) and first[1].islower():
        yield "begins_inside", 0


def is_cut(story: str) -> bool:
    """Whether the story stops in mid-sentence: no final mark, with or without closing quotes after it.

    An emoji or another symbol ends a story too, and so do the words "The end".
    """
    last = story.rstrip(_CLOSING)
    if not last or last[-1] in _FINAL or last[-7:].lower() == "the end":
        return False
    return unicodedata.category(last[-1]) not in ("So", "Sk")


def count_words(text: str, utf8: bytes) -> int:
    """`len(text.split())`, without making the words where all is ASCII. `utf8`: the text's bytes."""
    if len(utf8) != len(text):
        return len(text.split())
    marked = b" " + utf8.translate(_SPACED)
    return marked.count(b" x")


def opening(line: str) -> str:
    """The first four words of the normal form: enough to tell a story's beginning from a paragraph's."""
    return " ".join(normal_words(line[:80])[:4])


def later_openings(story: str) -> list[str]:
    """`opening` of each line but the first that begins a sentence of narration."""
    lines = [line.strip() for line in story.split("\n")]
    full = [line for line in lines if line]
    return [opening(line) for before, line in pairwise(full) if line[0].isalnum() and not is_cut(before)]


def scripts(story: str) -> list[str]:
    """The scripts of its letters by Unicode's names, the most used first; kana count as CJK."""
    if story.isascii():
        return [LATIN] if _LETTER.search(story) else []
    counts: Counter[str] = Counter()
    for character, count in Counter(story).items():
        if name := script(character):
            counts[name] += count
    return [name for name, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]


@cache
def script(character: str) -> str:
    """The script of a letter, or "" for what is in none or in many."""
    if unicodedata.category(character) not in ("Lu", "Ll", "Lt", "Lo"):
        return ""
    match = _SCRIPT.match(unicodedata.name(character, ""))
    return _FAMILIES.get(match[1], match[1]) if match else ""


def excerpt(story: str, place: int, width: int = 80) -> str:
    """About `width` characters around `place`, on one line and without characters that a terminal would obey."""
    start = max(0, min(place - width // 2, len(story) - width))
    return STRAY.sub("\ufffd", story[start : start + width].replace("\n", " ").replace("\t", " "))
