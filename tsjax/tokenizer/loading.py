"""Reading a tokenizer, whatever it is."""

import json
from pathlib import Path

from tsjax.errors import UserError
from tsjax.tokenizer import tokenizer_bin
from tsjax.tokenizer.hugging_face import HuggingFace
from tsjax.tokenizer.interface import Tokenizer
from tsjax.tokenizer.restricted import FORMAT, Restricted
from tsjax.tokenizer.sentence_piece import SentencePiece
from tsjax.tokenizer.word_list import WordList

FILES = (Restricted.file, HuggingFace.file, SentencePiece.file, WordList.file, "tokenizer.bin")  # of a folder, in order
VOCAB, MERGES = "vocab.json", "merges.txt"  # GPT-2's two files, with any beginning of their names
FORMS = "a SentencePiece model, a tokenizer.json, vocab.json and merges.txt, a llama2.c tokenizer.bin, a word list .txt"


def load(path: Path) -> Tokenizer:
    """The tokenizer in a file (`FORMS`), or in a folder that holds one. UserError that names the path if there is none."""
    path = Path(path)
    if path.is_dir():
        inside = [path / name for name in FILES if (path / name).is_file()] or sorted(path.glob(f"*{VOCAB}"))
        if len(inside) > 1 and inside[0].name.endswith(VOCAB):
            raise UserError(
                expected=f"one tokenizer in {path}",
                found=", ".join(p.name for p in inside),
                todo="give the path of one of them",
            )
        if not inside:
            raise UserError(
                expected=f"a tokenizer in {path}: {', '.join(FILES)}, or {VOCAB} beside {MERGES}",
                found=", ".join(sorted(p.name for p in path.iterdir())[:5]) or "an empty folder",
                todo="give the path of a tokenizer",
            )
        return load(inside[0])
    try:
        with open(path, "rb") as f:
            head = f.read(64)
    except OSError as e:
        raise UserError(
            expected=f"a tokenizer at {path}: {FORMS}", found=e.strerror or str(e), todo="check the path"
        ) from e
    if path.name.endswith(MERGES) or head.startswith(b"#version"):
        stem = path.name.removesuffix(MERGES) if path.name.endswith(MERGES) else ""
        return HuggingFace.from_gpt2(path.with_name(stem + VOCAB), path)
    if head.startswith(b"{") or path.suffix == ".json":
        return _of_json(path)
    if path.suffix == ".bin":
        return tokenizer_bin.read(path)
    if path.suffix == ".txt":
        return WordList.load(path)
    return SentencePiece.load(path)


def _of_json(path: Path) -> Tokenizer:
    try:
        text = path.read_text(encoding="utf-8")
        data = json.loads(text)
        if not isinstance(data, dict):
            raise ValueError(f"a {type(data).__name__}, not an object")
    except (OSError, ValueError) as e:
        raise UserError(
            expected=f"a tokenizer in JSON at {path}", found=str(e)[:200], todo="copy it again, or check the path"
        ) from e
    if data.get("format") == FORMAT:
        return Restricted(text, str(path))
    if data and all(isinstance(i, int) for i in data.values()):  # GPT-2 has a token "model"
        stem = path.name.removesuffix(VOCAB) if path.name.endswith(VOCAB) else ""
        return HuggingFace.from_gpt2(path, path.with_name(stem + MERGES))
    return HuggingFace(text, str(path))
