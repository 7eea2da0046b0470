"""A tokenizer.json of Hugging Face's `tokenizers`: GPT-2's byte-level BPE, WordPiece, and whatever else it holds.

The library is optional (`pip install 'tsjax[hf]'`) and imported where it is needed.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tsjax.atomic import write_atomic
from tsjax.errors import UserError
from tsjax.tokenizer.interface import MARKERS, UNKNOWN_TEXT, check_special_ids, printable

END_OF_TEXT = "<|endoftext|>"
# What tokenizers call the ids that begin and end a document: of the first pair whose end is there, bos is the beginning
# or else the end as well.
PAIRS = (
    ("<s>", "</s>"),
    ("[BOS]", "[EOS]"),
    ("<bos>", "<eos>"),
    ("<|startoftext|>", END_OF_TEXT),
    ("<|begin_of_text|>", "<|end_of_text|>"),
    ("<|im_start|>", "<|im_end|>"),
    ("[CLS]", "[SEP]"),
)
NOTE = "tsjax"  # of ours in a file: {"bos": token, "eos": token}, where they are called otherwise or can't be told
UNKNOWNS, PADS = ("<unk>", "[UNK]", "<|unk|>"), ("<pad>", "[PAD]", "<|pad|>")
# One letter for each byte: those that print stand for themselves, the others are U+0100 and on, in order.
_PRINTABLE = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
LETTERS = {b: chr(b) for b in _PRINTABLE} | {
    b: chr(256 + i) for i, b in enumerate(b for b in range(256) if b not in _PRINTABLE)
}
BYTES = {letter: byte for byte, letter in LETTERS.items()}
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}


class HuggingFace:
    """A tokenizer.json (see `Tokenizer`). Make one with `load`, `from_gpt2`, `train`, or from the file's text.

    Of the file only what turns a text into ids and back is used: truncation and padding would change documents, a
    post-processor would add special ids. No special token is read out of text, but the chat markers are.
    """

    file = "tokenizer.json"

    def __init__(self, text: str, name: str = "the tokenizer"):
        """`text`: a whole tokenizer.json; `name` stands in errors. UserError if unusable."""
        library = _library()
        try:
            data, note = _settled(json.loads(text))
            self._tokenizer = library.Tokenizer.from_str(_text(data))
            self.json: str = _text(data | ({NOTE: note} if note else {}))
        except Exception as e:  # the library raises Exception itself
            raise UserError(
                expected=f"a whole tokenizer.json in {name}",
                found=" ".join(str(e).split())[:200] or type(e).__name__,
                todo="copy it again, or save it with a current `tokenizers`",
            ) from e
        if data["model"].get("dropout"):
            raise UserError(
                expected=f"a tokenizer that always gives the same ids in {name}",
                found=f"BPE dropout {data['model']['dropout']}",
                todo='set "dropout" to null in the file',
            )
        self._tokenizer.encode_special_tokens = True
        ids: dict[str, int] = self._tokenizer.get_vocab(with_added_tokens=True)
        self.vocab_size: int = max(ids.values(), default=-1) + 1
        added = {token["content"]: token["id"] for token in data["added_tokens"]}
        self._names = {i: content for content, i in added.items()}
        unknowns = [data["model"].get("unk_token") or UNKNOWNS[0], *UNKNOWNS]
        usual = {token for names in (*PAIRS, unknowns, PADS) for token in names if token in ids}
        # What can be written in a text is no special token, whatever it is called.
        special: dict[str, int] = added | {
            token: ids[token] for token in usual - added.keys() if self._ids(token) != [ids[token]]
        }
        special |= {token: ids[token] for token in note.values() if token in ids}
        found = (pair for tokens in (added, special) for pair in PAIRS if pair[1] in tokens)
        bos, eos = (note.get("bos", ""), note["eos"]) if note else next(found, ("", ""))
        self.eos: int = special.get(eos, -1)
        self.bos: int = special.get(bos, self.eos)
        if self.eos < 0:
            raise UserError(
                expected=f"a token that ends documents in {name}: " + ", ".join(e for _, e in PAIRS),
                found="none of them",
                todo="add one to the file's added_tokens",
            )
        # Some files name the end of a document for these too.
        free = {token: i for token, i in special.items() if i not in (self.bos, self.eos)}
        self.unk: int = next((free[u] for u in unknowns if u in free), -1)
        self.pad: int = next((free[p] for p in PADS if p in free), -1)
        if self.unk < 0 and not ids.keys() >= BYTES.keys():
            raise UserError(
                expected=f"an unknown token, or a token for every byte, in {name}",
                found="neither, so that characters would be lost without a word",
                todo="give another tokenizer",
            )
        check_special_ids(self, name)
        self._unshown = {self.bos, self.eos, self.pad}
        self.markers = {
            speaker: ids[marker]
            for speaker, marker in MARKERS.items()
            if ids.get(marker, -1) in self._ids(f"a {marker} b")
        }
        self.byte_level: bool = (data.get("decoder") or {}).get("type") == "ByteLevel"
        self.lossless: bool = self.byte_level and _keeps_all(data, ids)
        self.fingerprint: str = hashlib.sha256(self.json.encode()).hexdigest()

    def __reduce__(self):
        return HuggingFace, (self.json,)

    @classmethod
    def load(cls, path: Path) -> "HuggingFace":
        """Reads a tokenizer.json; UserError if there is none, or it is damaged, or has no end of a document."""
        return cls(_read(path, "a tokenizer.json"), str(path))

    @classmethod
    def from_gpt2(cls, vocab: Path, merges: Path) -> "HuggingFace":
        """GPT-2's form: `vocab.json` (token -> id) and `merges.txt` (one pair a line, with or without a #version)."""
        try:
            ids = json.loads(_read(vocab, "a vocab.json"))
            lines = _read(merges, "a merges.txt").split("\n")
            pairs = [line.rstrip("\r").split(" ") for line in lines if line and not line.startswith("#version")]
            if not isinstance(ids, dict) or any(len(pair) != 2 or pair[0] + pair[1] not in ids for pair in pairs):
                raise ValueError("merges of tokens that are not in the vocabulary")
        except ValueError as e:
            raise UserError(
                expected=f"a byte-level BPE in {vocab} and {merges}", found=str(e)[:200], todo="copy both again"
            ) from e
        ends = [_added(END_OF_TEXT, ids[END_OF_TEXT], special=True)] if END_OF_TEXT in ids else []
        model = {"type": "BPE", "vocab": ids, "merges": pairs}
        data = {
            "version": "1.0",
            "added_tokens": ends,
            "pre_tokenizer": BYTE_LEVEL,
            "decoder": BYTE_LEVEL,
            "model": model,
        }
        return cls(json.dumps(data, ensure_ascii=False), str(vocab))

    def save(self, path: Path) -> None:
        """Writes a tokenizer.json, atomically."""
        write_atomic(path, self.json)

    def _ids(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def encode(self, texts: Sequence[str], workers: int = 1) -> list[list[int]]:
        """See `Tokenizer.encode`. More workers than one are as many threads as the library likes."""
        batches = [list(texts)] if workers > 1 else ([text] for text in texts)
        encode = self._tokenizer.encode_batch_fast
        return [done.ids for batch in batches for done in encode(batch, add_special_tokens=False)]

    def decode(self, ids: Iterable[int]) -> str:
        """See `Tokenizer.decode`."""
        runs: list[list[int]] = [[]]
        for i in map(int, ids):
            if i == self.unk:
                runs.append([])
            elif i not in self._unshown:
                runs[-1].append(i)
        return UNKNOWN_TEXT.join(self._tokenizer.decode(run, skip_special_tokens=False) for run in runs)

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """See `Tokenizer.pieces`."""
        return [self._piece(int(i)) for i in ids]

    def _piece(self, i: int) -> str:
        token = self._tokenizer.id_to_token(i)
        if token is None or i in self._names or i in self._unshown:
            return token or f"<id {i}>"
        return printable(bytes(BYTES[c] for c in token)) if self.byte_level else token.replace("\u2581", " ")

    def with_markers(self) -> "HuggingFace":
        """This tokenizer with all chat markers as tokens; those that it lacks come after all other ids."""
        data = json.loads(self.json)
        missing = [marker for speaker, marker in MARKERS.items() if speaker not in self.markers]
        for i, marker in enumerate(missing, self.vocab_size):
            data["added_tokens"].append(_added(marker, i, special=False))
        return HuggingFace(json.dumps(data, ensure_ascii=False)) if missing else self

    def parts(self) -> list[tuple[int, ...]]:
        """For each id the ids that spell the same bytes in smaller tokens.

        They are the pair that the first merge that makes the token puts together. A token with nothing smaller is its
        own part, an id that no text gives has none. UserError without byte-level BPE.
        """
        data = json.loads(self.json)
        ids: dict[str, int] = data["model"]["vocab"]
        if not self.byte_level or data["model"]["type"] != "BPE" or not ids.keys() >= BYTES.keys():
            raise UserError(
                expected="a byte-level BPE, for rare = split",
                found=f"a {data['model']['type']} tokenizer.json that is none",
                todo="set rare to drop or unk, or give another tokenizer",
            )
        parts: list[tuple[int, ...]] = [()] * self.vocab_size
        for token, i in ids.items():
            parts[i] = tuple(ids[letter] for letter in token)  # for a token that no merge makes
        for left, right in reversed(data["model"]["merges"]):
            parts[ids[left + right]] = (ids[left], ids[right])
        for token in data["added_tokens"]:
            parts[token["id"]] = () if token["special"] else (token["id"],)
        for i in {self.bos, self.eos, self.pad} - {-1}:
            parts[i] = ()
        return parts


def train(texts: Iterable[str], vocab_size: int, *, chat: bool = False) -> HuggingFace:
    """A byte-level BPE as GPT-2's, of exactly `vocab_size` tokens: <|endoftext|> = 0, the chat markers, the bytes, merges.

    The same texts give the same file. UserError, with the size that works, when the texts cannot fill it.
    """
    library = _library()
    named = [END_OF_TEXT, *(MARKERS.values() if chat else ())]
    if vocab_size < len(named) + 256:
        raise UserError(
            expected=f"a vocabulary of at least {len(named) + 256} (256 bytes and {len(named)} special tokens)",
            found=str(vocab_size),
            todo=f"set vocab_size to {len(named) + 256} or more",
        )
    trainer = library.trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=named,
        initial_alphabet=library.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made = library.Tokenizer(library.models.BPE())
    made.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = library.decoders.ByteLevel()
    # The trainer would learn merges for the letters of the markers, which encoding never meets.
    marker = re.compile("|".join(map(re.escape, named)))
    made.train_from_iterator((part for text in texts for part in marker.split(text) if part), trainer)
    if made.get_vocab_size() < vocab_size:
        raise UserError(
            expected=f"a vocabulary of at most {made.get_vocab_size()} (the texts have no more tokens)",
            found=str(vocab_size),
            todo=f"set vocab_size to {made.get_vocab_size()} or less, or give more text",
        )
    return HuggingFace(made.to_str())


def _settled(data: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """A tokenizer.json that adds nothing to a text, cuts nothing off it, and reads only chat markers out of it; its note."""
    if not isinstance(data, dict) or not isinstance(data.get("model"), dict):
        raise ValueError("JSON without a model")
    note = data.get(NOTE) or {}
    data = {key: value for key, value in data.items() if key != NOTE}
    data |= dict.fromkeys(("truncation", "padding", "post_processor"))
    flags = {marker: {"special": False, "normalized": False} for marker in MARKERS.values()}
    flags |= {token: {"special": True} for token in note.values()}
    data["added_tokens"] = [token | flags.get(token["content"], {}) for token in data.get("added_tokens") or []]
    if merges := data["model"].get("merges"):
        # Older files write a merge as "a b"; a piece itself never holds a space.
        pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in merges]
        data["model"] = {"type": "BPE"} | data["model"] | {"merges": pairs}
    return data, note


def _text(data: dict[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


def _keeps_all(data: dict[str, Any], ids: dict[str, int]) -> bool:
    """Whether a byte-level tokenizer gives back every text: nothing is changed before, and every byte has a token."""
    before = data.get("pre_tokenizer") or {}
    steps = before["pretokenizers"] if before.get("type") == "Sequence" else [before]
    return (
        data.get("normalizer") is None
        and steps[-1].get("type") == "ByteLevel"
        and not steps[-1].get("add_prefix_space", True)
        and all(s.get("type") == "Digits" or s.get("behavior") not in (None, "Removed") for s in steps[:-1])
        and data["model"].get("type") == "BPE"
        and not any(data["model"].get(key) for key in ("continuing_subword_prefix", "end_of_word_suffix"))
        and ids.keys() >= BYTES.keys()
        and not any(token.get("lstrip") or token.get("rstrip") for token in data["added_tokens"])
    )


def _added(content: str, i: int, *, special: bool) -> dict[str, Any]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": i, "content": content, **flags, "special": special}


def _read(path: Path, what: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as e:
        raise UserError(expected=f"{what} (UTF-8) at {path}", found="other bytes", todo="check the file") from e
    except OSError as e:
        raise UserError(expected=f"{what} at {path}", found=e.strerror or str(e), todo="check the path") from e


def _library() -> Any:
    try:
        import tokenizers
    except ImportError as e:
        raise UserError(expected="the package `tokenizers`", found="none", todo="run: pip install 'tsjax[hf]'") from e
    return tokenizers
