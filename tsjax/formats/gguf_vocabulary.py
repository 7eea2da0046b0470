"""Tokenizers as GGUF keeps them, in the keys `tokenizer.ggml.*`: SentencePiece BPE ("llama") and GPT-2's ("gpt2")."""

import json
from typing import Any

from tsjax.errors import UserError
from tsjax.tokenizer import HuggingFace, SentencePiece, Tokenizer
from tsjax.tokenizer.hugging_face import BYTE_LEVEL
from tsjax.tokenizer.sentence_piece import NORMAL, USER_DEFINED, messages

CONTROL, UNUSED = 3, 5  # SentencePiece's numbers for types of pieces, which GGUF took over


def check(tokenizer: Tokenizer) -> None:
    """UserError for a tokenizer that programs which read GGUF have not."""
    match tokenizer:
        case SentencePiece():
            proto = tokenizer.proto()
            kind, normalizer = proto.trainer_spec.model_type, proto.normalizer_spec
            obstacles = {
                f"model type {messages.TrainerSpec.ModelType.Name(kind)}": kind != messages.TrainerSpec.BPE,
                f"normalization rule {normalizer.name!r}": bool(normalizer.precompiled_charsmap),
                "spaces behind words": proto.trainer_spec.treat_whitespace_as_suffix,
                "spaces that are not escaped": not normalizer.escape_whitespaces,
                "no byte fallback": not proto.trainer_spec.byte_fallback,
            }
        case HuggingFace():
            data = json.loads(tokenizer.json)
            obstacles = {
                "no byte-level BPE": not tokenizer.byte_level or data["model"]["type"] != "BPE",
                "a normalizer": data.get("normalizer") is not None,
                "another pre-tokenizer than GPT-2's": not _splits_as_gpt2(data.get("pre_tokenizer") or {}),
            }
        case _:
            obstacles = {f"a {type(tokenizer).__name__} one ({tokenizer.file})": True}
    for found, there in obstacles.items():
        if there:
            raise UserError(expected="a tokenizer that GGUF's readers have: a SentencePiece BPE or GPT-2's byte-level BPE",
                            found=found, todo="export to another format, or train with another tokenizer")  # fmt: skip


def _splits_as_gpt2(before: dict[str, Any]) -> bool:
    return all(before.get(key) == BYTE_LEVEL[key] for key in ("type", "add_prefix_space", "use_regex"))


def add(writer: Any, tokenizer: Tokenizer) -> list[str]:
    """Adds the keys to a `gguf.GGUFWriter`; a line on each thing that readers will do otherwise.

    UserError as `check`.
    """
    check(tokenizer)
    notes = []
    if isinstance(tokenizer, SentencePiece):
        proto = tokenizer.proto()
        writer.add_tokenizer_model("llama")
        writer.add_tokenizer_pre("default")
        writer.add_token_list([piece.piece for piece in proto.pieces])
        writer.add_token_scores([piece.score for piece in proto.pieces])
        writer.add_token_types([piece.type for piece in proto.pieces])
        writer.add_add_space_prefix(proto.normalizer_spec.add_dummy_prefix)
        if proto.normalizer_spec.remove_extra_whitespaces:
            notes.append("llama.cpp keeps doubled, leading and trailing spaces of a prompt, which this tokenizer drops")
    else:
        _add_byte_level(writer, json.loads(tokenizer.json), tokenizer)  # type: ignore[attr-defined]
    for name in ("bos", "eos", "unk", "pad"):
        if (i := getattr(tokenizer, name)) >= 0:
            getattr(writer, f"add_{name}_token_id")(i)
    if tokenizer.bos != tokenizer.eos:
        writer.add_eot_token_id(tokenizer.bos)  # a model that writes BOS has begun another document
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    return notes


def _add_byte_level(writer: Any, data: dict[str, Any], tokenizer: Tokenizer) -> None:
    tokens = [f"[unused {i}]" for i in range(tokenizer.vocab_size)]
    types = [UNUSED] * tokenizer.vocab_size
    special = {getattr(tokenizer, name) for name in ("bos", "eos", "unk", "pad")}
    for token, i in data["model"]["vocab"].items():
        tokens[i], types[i] = token, CONTROL if i in special else NORMAL
    for token in data["added_tokens"]:
        i = token["id"]
        tokens[i], types[i] = token["content"], CONTROL if token["special"] or i in special else USER_DEFINED
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([" ".join(pair) for pair in data["model"]["merges"]])
