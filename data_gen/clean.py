"""Small mends of a text that change no word of it, each counted: broken encoding, emphasis, quotes, white space."""

import re
import unicodedata

from tsjax.corpus import Document
from tsjax.corpus.repairs import Repairs

_ENCODING = Repairs(fix_encoding=True)
_LINE_END = re.compile("\r\n?|[\v\f\x1c-\x1e\x85\u2028\u2029]")
# `**word**` as models write it around words that they were asked to use; 2 * 3 * 4 and 2*3*4 stay.
_EMPHASIS = re.compile(r"(?<![\w*])(\*{1,3})(?=[^\s*])([^*\n]{0,300}[^\s*])\1(?![\w*])")
_UNDERLINED = re.compile(r"(?<![\w_])(_{1,3})(?=[^\W_])([^_\n]{0,300}[^\s_])\1(?![\w_])")
QUOTES = str.maketrans("“”„‟‘’‚‛", "\"\"\"\"''''")
_CURLY = re.compile("[“”„‟‘’‚‛]")
# All but ASCII and the marks of print: broken encoding has a letter in it too, so without one there is nothing to mend.
_UNSOUND = re.compile("[^\t\n -%'-~“”„‟‘’‚‛–—…]")
_OTHER_SPACE = re.compile(r"[^\S\n ]")
_RUN = re.compile("  +| +(?=\n)|(?<=\n) +")
_BLANK_LINES = re.compile("\n{3,}")
_PICTURE = "[\U0001f000-\U0001faff\u2600-\u27bf\u2b50\u2b55\u231a\u231b\u23e9-\u23fa]"
_EMOJI = re.compile(rf"[ \t]*(?:{_PICTURE}[\ufe0f\u200d\u20e3]*)+(?:[ \t]*(?:{_PICTURE}[\ufe0f\u200d\u20e3]*)+)*")
_ROUNDS = 20  # each takes away one layer, such as of &amp;amp;; nothing that a model means has more


def clean(text: str, language: str = "en") -> tuple[str, dict[str, int]]:
    """The mended text, and how many changes of each kind were made; none for a text in good order.

    line_ends:   \\r\\n and its kind became \\n
    encoding:    1 where broken encoding, entities or stray control characters were mended (ftfy), or letters composed
    emphasis:    `**word**`, `_word_` -> word
    quotes:      curly ones became straight ones, in English only: elsewhere they may be the language's own
    spaces:      runs, other kinds of space, those at the ends of lines, and more than one blank line
    A text that was cleaned is left as it is.
    """
    edits: dict[str, int] = {}
    for _ in range(_ROUNDS):
        before = text
        text = _round(text, language.lower().split("-")[0] == "en", edits)
        if text == before:
            break
    return text, edits


def without_emoji(text: str) -> tuple[str, int]:
    """The text without its emoji, and how many runs of them there were. One that stood for an end mark becomes one."""
    return (text, 0) if text.isascii() else _EMOJI.subn(_end_mark, text)


def _end_mark(run: re.Match[str]) -> str:
    before, after = run.string[: run.start()].rstrip(), run.string[run.end() :].lstrip(" \t\"'”’)")
    return "." if before[-1:].isalnum() and (not after or after[0] == "\n") else ""


def _round(text: str, english: bool, edits: dict[str, int]) -> str:
    def count(kind: str, changes: int) -> None:
        if changes:
            edits[kind] = edits.get(kind, 0) + changes

    if not text.isprintable():
        text, n = _LINE_END.subn("\n", text)
        count("line_ends", n)
    stripped = text.strip()
    count("spaces", text != stripped)
    text = stripped
    if _UNSOUND.search(text):
        mended = _mended(text)
        count("encoding", mended != text)
        text = mended
    if "*" in text:
        text, n = _EMPHASIS.subn(r"\2", text)
        count("emphasis", n)
    if "_" in text:
        text, n = _UNDERLINED.subn(r"\2", text)
        count("emphasis", n)
    if english and not text.isascii():
        count("quotes", len(_CURLY.findall(text)))
        text = text.translate(QUOTES)
    if not text.isascii() or "\t" in text:
        text, n = _OTHER_SPACE.subn(" ", text)
        count("spaces", n)
    if "  " in text or " \n" in text or "\n " in text:
        text, n = _RUN.subn(_shorter, text)
        count("spaces", n)
    if "\n\n\n" in text:
        text, n = _BLANK_LINES.subn("\n\n", text)
        count("spaces", n)
    return text


def _mended(text: str) -> str:
    text = unicodedata.normalize("NFC", text)
    document, _ = _ENCODING.apply(Document(text, text))
    return document.text


def _shorter(run: re.Match[str]) -> str:
    """One space, or none beside a line end."""
    beside = run.string[run.start() - 1 : run.start()] == "\n" or run.string[run.end() : run.end() + 1] == "\n"
    return "" if beside else " "
