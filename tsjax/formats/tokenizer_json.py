"""The Hugging Face tokenizer.json of a SentencePiece model: the same ids for every text, but for one sign.

That sign is U+2581, which stands for a space in both libraries: Hugging Face reads it as a space wherever it comes (as
SentencePiece does; `tsjax.tokenizer` alone spells it). Special tokens written in a text, `<s>` say, are text for
SentencePiece; set `split_special_tokens` (transformers) or `encode_special_tokens` (tokenizers) and they are here too.
"""

import json
import re
from typing import Any

from tsjax.errors import UserError
from tsjax.tokenizer import SentencePiece
from tsjax.tokenizer.sentence_piece import BYTE, NORMAL, SPACE, USER_DEFINED, messages


def tokenizer_json(tokenizer: SentencePiece) -> str:
    """The text of the tokenizer.json, bos in front of every text. UserError if Hugging Face cannot do the same."""
    proto = tokenizer.proto()
    kinds = {messages.TrainerSpec.BPE: _bpe, messages.TrainerSpec.UNIGRAM: _unigram}
    kind, normalizer = proto.trainer_spec.model_type, proto.normalizer_spec
    for wrong, found in (
        (kind not in kinds, f"model type {messages.TrainerSpec.ModelType.Name(kind)}"),
        (bool(normalizer.precompiled_charsmap), f"normalization rule {normalizer.name!r}"),
        (proto.trainer_spec.treat_whitespace_as_suffix, "spaces behind words"),
        (not normalizer.escape_whitespaces, "spaces that are not escaped"),
    ):
        if wrong:
            raise UserError(
                expected="a SentencePiece model that a tokenizer.json can hold: BPE or unigram, identity normalization",
                found=found,
                todo="export the tokenizer.model alone, or train another tokenizer",
            )
    splits = _splits(proto)
    bos = proto.pieces[tokenizer.bos].piece
    special = [i for i in (tokenizer.unk, tokenizer.bos, tokenizer.eos, tokenizer.pad) if i >= 0]
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False) | {"special": True}
    data = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": i, "content": proto.pieces[i].piece, **flags} for i in sorted(special)],
        "normalizer": {"type": "Sequence", "normalizers": _normalizers(normalizer)},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": splits} if splits else None,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": bos, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"SpecialToken": {"id": bos, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                     {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {bos: {"id": bos, "ids": [tokenizer.bos], "tokens": [bos]}},
        },
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
            {"type": "ByteFallback"},
            {"type": "Fuse"},
            *([{"type": "Strip", "content": " ", "start": 1, "stop": 0}] if normalizer.add_dummy_prefix else []),
        ]},
        "model": kinds[kind](proto),
    }  # fmt: skip
    return json.dumps(data, ensure_ascii=False, indent=1)


def _normalizers(spec: Any) -> list[dict[str, Any]]:
    def replace(pattern: dict[str, str], content: str) -> dict[str, Any]:
        return {"type": "Replace", "pattern": pattern, "content": content}

    steps = []
    if spec.remove_extra_whitespaces:  # \A and \z: the ends of the text, where ^ and $ are those of every line
        steps += [replace({"Regex": rule}, "") for rule in (r"\A +", r" +\z")] + [replace({"Regex": " {2,}"}, " ")]
    if spec.add_dummy_prefix:
        steps.append({"type": "Prepend", "prepend": SPACE})
    return [*steps, replace({"String": " "}, SPACE)]


def _splits(proto: Any) -> list[dict[str, Any]]:
    """Where the text is cut before pieces are looked for."""

    def split(pattern: dict[str, str], behavior: str) -> dict[str, Any]:
        return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": False}

    user_defined = sorted((p.piece for p in proto.pieces if p.type == USER_DEFINED), key=len, reverse=True)
    # As added tokens they would cut the text before the normalizer sees it, and each part would get a space in front.
    splits = [split({"String": text}, "Isolated") for text in user_defined]
    if proto.trainer_spec.model_type == messages.TrainerSpec.UNIGRAM:
        # Hugging Face looks for every piece in the text, so `<s>` and `<0x41>` are cut behind their first letter.
        named = [p.piece for p in proto.pieces if p.type not in (NORMAL, USER_DEFINED, BYTE)]
        starts = [f"{re.escape(name[0])}(?={re.escape(name[1:])})" for name in named] + ["<(?=0x[0-9A-F]{2}>)"]
        splits.append(split({"Regex": "|".join(starts)}, "MergedWithPrevious"))
    return splits


def _bpe(proto: Any) -> dict[str, Any]:
    """Every pair of pieces that makes a piece is a merge; the merges come in the order of what they make."""
    ids = {piece.piece: i for i, piece in enumerate(proto.pieces)}
    normal = {piece.piece: piece.score for piece in proto.pieces if piece.type == NORMAL}
    merges = []
    for whole, score in normal.items():
        for at in range(1, len(whole)):
            left, right = whole[:at], whole[at:]
            if left in normal and right in normal:
                merges.append((-score, ids[left], ids[right], left, right))
    merges.sort(key=lambda merge: merge[:3])
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": proto.pieces[proto.trainer_spec.unk_id].piece,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": True,
        "byte_fallback": proto.trainer_spec.byte_fallback,
        # For user-defined pieces, which are no merges, and come here alone.
        "ignore_merges": any(piece.type == USER_DEFINED for piece in proto.pieces),
        "vocab": ids,
        "merges": [[left, right] for *_, left, right in merges],
    }


def _unigram(proto: Any) -> dict[str, Any]:
    return {
        "type": "Unigram",
        "unk_id": proto.trainer_spec.unk_id,
        "vocab": [[piece.piece, piece.score] for piece in proto.pieces],
        "byte_fallback": proto.trainer_spec.byte_fallback,
    }
