"""TinyChat's and CraftGPT's tokenizer: a list of words, and always the longest one that fits.

The file is CraftGPT's `tokens.txt`, one token a line in the order of the ids, `_` for a space; tsjax adds that `\\n`
(two characters) is a line break, and that a last line `<unk>` is an id for characters that nothing fits.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

from tsjax.atomic import write_atomic
from tsjax.errors import UserError
from tsjax.tokenizer.interface import MARKERS, UNKNOWN, UNKNOWN_TEXT, check_special_ids

UNK = "<unk>"
MULTIPLE = 64  # CraftGPT rounds its vocabulary up to a multiple of this: 1,906 tokens, 1,920 ids
TURNS = {speaker: " " + marker.lower() for speaker, marker in MARKERS.items()}  # the markers as tokens
_WORDS = 200_000  # remembered with their ids before the memory is cleared


class WordList:
    """A word list (see `Tokenizer`). Make one with `load`, `train_word_list`, or from tokens.

    A text is put into lower case, gets a space in front, and is cut into the longest tokens that fit, from its
    beginning. Nothing else is lost where every character fits: `decode` gives the lower-case text.

    If the list has a user marker, it is bos and eos at once, as CraftGPT has it: a chat begins with the user's turn,
    and an answer ends where the user would speak again. Then `decode` shows that marker like the others, since a chat
    without its turns is not the chat; only one at the very end, where it is the eos of a document, is dropped. Without
    a user marker bos and eos are the first ids after the tokens. The last id is pad, if no token has it.
    """

    file = "tokenizer.txt"
    lossless = False

    def __init__(self, tokens: Sequence[str], name: str = "the word list"):
        """`tokens`: in the order of their ids, with spaces as spaces. UserError unless every one can fit a text."""
        self.tokens = tuple(tokens)
        ids = {token: i for i, token in enumerate(self.tokens)}
        bad = [t for t in self.tokens if not t or " " in t[1:] or t != t.lower()]
        if bad or not ids or len(ids) < len(self.tokens):
            raise UserError(
                expected=f"different lower-case tokens in {name}, a space (`_`) only in front",
                found=f"{bad[0]!r}" if bad else f"{len(self.tokens)} tokens, {len(ids)} different ones",
                todo="give a list as CraftGPT's tokens.txt",
            )
        self.unk: int = ids.pop(UNK, -1)
        self.markers = {speaker: ids[token] for speaker, token in TURNS.items() if token in ids}
        size = len(self.tokens)
        if "user" in self.markers:
            self.bos = self.eos = self.markers["user"]
        else:
            self.bos, self.eos = size, size + 1
            size += 2
        self.vocab_size: int = -(-size // MULTIPLE) * MULTIPLE
        self.pad: int = self.vocab_size - 1 if self.vocab_size > size else -1
        check_special_ids(self, name)
        self._lines = "".join(token.replace(" ", "_").replace("\n", "\\n") + "\n" for token in self.tokens)
        self.fingerprint: str = hashlib.sha256(self._lines.encode()).hexdigest()
        self._words = _Words(ids, self.unk)

    def __reduce__(self):
        return WordList, (self.tokens,)

    @classmethod
    def load(cls, path: Path) -> "WordList":
        """Reads a `tokens.txt`; UserError if there is none, or a line is no token."""
        try:
            return cls.parse(Path(path).read_bytes(), str(path))
        except OSError as e:
            raise UserError(expected=f"a word list (UTF-8) at {path}", found=str(e), todo="check the path") from e

    @classmethod
    def parse(cls, content: bytes, name: str) -> "WordList":
        """The list in the bytes of a `tokens.txt`; `name` stands in errors."""
        try:
            lines = content.decode().removesuffix("\n").split("\n")
        except UnicodeDecodeError as e:
            raise UserError(expected=f"a word list (UTF-8) at {name}", found=str(e), todo="check the path") from e
        return cls([line.rstrip("\r").replace("_", " ").replace("\\n", "\n") for line in lines], name)

    def save(self, path: Path) -> None:
        """Writes a `tokens.txt`, atomically."""
        write_atomic(path, self._lines)

    def with_unk(self) -> "WordList":
        """This list with an id for characters that nothing fits."""
        return self if self.unk >= 0 else WordList([*self.tokens, UNK])

    def encode(self, texts: Sequence[str], workers: int = 1) -> list[list[int]]:
        """See `Tokenizer.encode`. It is Python that works here, so more workers than one do not help."""
        words = self._words
        if len(words) > _WORDS:
            words.clear()
        return [
            list(chain.from_iterable([words[word] for word in text.lower().split(" ")])) if text else []
            for text in texts
        ]

    def decode(self, ids: Iterable[int]) -> str:
        """See `Tokenizer.decode`, and this class about the user's marker."""
        ids = [int(i) for i in ids]
        unknown, names = {UNKNOWN, self.unk}, self._names()
        while ids and ids[-1] == self.pad >= 0:
            ids.pop()
        if ids and ids[-1] == self.eos:
            ids.pop()
        text = "".join(UNKNOWN_TEXT if i in unknown else self._text(i) for i in ids if i in unknown or i not in names)
        return text.removeprefix(" ")

    def _text(self, i: int) -> str:
        return self.tokens[i] if i < len(self.tokens) else f" <id {i}>"  # ids that round the vocabulary up

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """See `Tokenizer.pieces`."""
        names = self._names()
        return [names[i] if i in names else self._text(i) for i in map(int, ids)]

    def _names(self) -> dict[int, str]:
        """The ids that show by name: those that no text gives, and what stands for text that nothing fits."""
        ends = {} if "user" in self.markers else {self.bos: "<s>", self.eos: "</s>"}
        return {self.pad: "<pad>", UNKNOWN: UNK, self.unk: UNK} | ends


class _Words(dict[str, list[int]]):
    """Word -> ids of it with a space in front; worked out when it is first asked for.

    No token has a space inside, so each word is cut by itself.
    """

    def __init__(self, ids: dict[str, int], unk: int):
        super().__init__()
        self._ids, self._unk = ids, unk
        longest_first = sorted(ids, key=len, reverse=True)
        self._fits = re.compile("|".join(map(re.escape, longest_first)) + "|.", re.DOTALL)

    def __missing__(self, word: str) -> list[int]:
        ids = [self._ids.get(token, self._unk) for token in self._fits.findall(" " + word)]
        self[word] = ids
        return ids
