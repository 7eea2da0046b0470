"""The Hugging Face tokenizer.json of a word list: WordPiece with nothing in front of what goes on within a word.

Each word has the space before it and is cut into the longest tokens that fit, which is what WordPiece does, only that
it gives up a whole word for one letter that nothing fits. So such letters are cut out first, and a list in which an
unknown letter can still come up is refused. No special token is read out of a text; a list whose user marker is BOS
gives no BOS of its own.
"""

import json
import re
from typing import Any

from tsjax.errors import UserError
from tsjax.tokenizer import WordList
from tsjax.tokenizer.word_list import UNK


def word_piece_json(tokenizer: WordList) -> str:
    """The text of the tokenizer.json: `tokenizer`'s ids for every text. A text with a letter that nothing fits is an error
    there where it is UNKNOWN here. UserError for a list with <unk> in which a letter of some token is no token itself.
    """
    words = [token for token in tokenizer.tokens if token != UNK]
    letters = sorted(set("".join(words)))
    if tokenizer.unk >= 0 and (alone := [letter for letter in letters if letter not in words]):
        raise UserError(
            expected="a word list with <unk> in which each letter of a token is a token too, for a tokenizer.json",
            found=f"no token {alone[0]!r}",
            todo="train another word list, or export without the tokenizer",
        )
    known = re.escape("".join(letters))
    splits = [{"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithNext", "invert": False}]
    if tokenizer.unk >= 0:
        splits.append({"type": "Split", "pattern": {"Regex": f"[^{known}]"}, "behavior": "Isolated", "invert": False})
    named = names(tokenizer)
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False) | {"special": True}
    bos = "" if "user" in tokenizer.markers else named[tokenizer.bos]
    special = [{"SpecialToken": {"id": bos, "type_id": 0}}] if bos else []
    parts: list[dict[str, Any]] = [{"Sequence": {"id": name, "type_id": i}} for i, name in enumerate("AB")]
    data = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": i, "content": content, **flags} for i, content in named.items()],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Lowercase"}, {"type": "Prepend", "prepend": " "}]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": splits},
        "post_processor": {
            "type": "TemplateProcessing", "single": [*special, parts[0]], "pair": [*special, *parts],
            "special_tokens": {bos: {"id": bos, "ids": [tokenizer.bos], "tokens": [bos]}} if bos else {},
        },
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}
        ]},
        "model": {
            "type": "WordPiece", "unk_token": UNK, "continuing_subword_prefix": "", "max_input_chars_per_word": 2**31,
            "vocab": {token: i for i, token in enumerate(tokenizer.tokens)},
        },
    }  # fmt: skip
    return json.dumps(data, ensure_ascii=False, indent=1)


def names(tokenizer: WordList) -> dict[int, str]:
    """What the ids past the tokens are called; those that only round the vocabulary up by their number."""
    first = len(tokenizer.tokens)
    ends = {} if "user" in tokenizer.markers else {tokenizer.bos: "<s>", tokenizer.eos: "</s>"}
    called = ends | ({tokenizer.pad: "<pad>"} if tokenizer.pad >= 0 else {})
    return {i: called.get(i, f"<id {i}>") for i in range(first, tokenizer.vocab_size)}
