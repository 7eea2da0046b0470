"""Completions that another model wrote, from a file."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from eval.characters import check_name, check_whole
from eval.prompts import PromptSet
from eval.records import KINDS, STORY, Completion
from eval.repeat import end_of_news
from tsjax.errors import UserError

STOP = "eos"  # of texts whose file does not say how they ended
_COUNTS = {"k": 10_000, "tokens": 2**53, "step": 2**53, "parameters": 2**53}  # below these
_LARGEST = 1e300
_STRINGS = ("model", "text", "prompt", "prompt_id", "prompts", "kind", "stop", "checkpoint", "tokenizer")
_MAY_BE_NULL = ("logprob", "step", "parameters")
_KEPT = ("logprob", "decoding", "checkpoint", "step", "parameters", "tokenizer")


def foreign(path: Path, prompts: PromptSet | None = None, *, cut_at_repeat: bool = False) -> Iterator[Completion]:
    """The completions in a JSONL file: `model`, `text`, and `prompt` (the text) or `prompt_id` (of a prompt of the set).

    Optional are `k` (counted per model and prompt where it is not given), `stop`, `kind`, `decoding`, and all other fields of
    a Completion. Whitespace around a `prompt` does not count, and a `text` that begins with its prompt loses it. `tokens` is
    0 where unknown: other models count otherwise. UserError names the line that has no completion, or whose prompt the set
    does not have, and says so where the file has none at all.
    """
    path = Path(path)
    try:
        lines = path.read_text("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(expected=f"JSON lines in UTF-8 at {path}", found=" ".join(str(error).split()),
                        todo="check the path") from error  # fmt: skip
    if not any(map(str.strip, lines)):
        raise UserError(expected=f"completions in {path}", found="an empty file", todo="check the path")
    counts: dict[tuple[str, str], int] = {}
    by_id = {prompt.id: prompt for prompt in prompts.prompts} if prompts else {}
    by_text = {prompt.text.strip(): prompt for prompt in prompts.prompts} if prompts else {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = _checked(json.loads(line))
            model, text = row["model"], row["text"]
            prompt = by_id.get(row["prompt_id"]) if "prompt_id" in row else by_text.get(row["prompt"].strip())
            if prompts is not None and prompt is None:
                raise ValueError(f"the prompt {row.get('prompt_id', row.get('prompt'))!r:.60} is not in {prompts.name}")
            said = prompt.text if prompt else row["prompt"]
            prompt_id = prompt.id if prompt else row.get("prompt_id") or said[:60]
            k = row.get("k", counts.get((model, prompt_id), 0))
            counts[model, prompt_id] = max(counts.get((model, prompt_id), 0), k + 1)
            made = Completion(
                model=model, prompts=prompts.hash if prompts else row.get("prompts", ""), prompt_id=prompt_id,
                kind=prompt.kind if prompt else row.get("kind", STORY), k=k, prompt=said,
                text=text.removeprefix(said), stop=row.get("stop", STOP), tokens=row.get("tokens", 0),
                **{name: row[name] for name in _KEPT if name in row},
            )  # fmt: skip
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            found = f"no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
            raise UserError(
                expected=f"model, text, and prompt or prompt_id in line {number} of {path}", found=found,
                todo="mend or remove the line",
            ) from error  # fmt: skip
        end = end_of_news(made.text) if cut_at_repeat else None
        yield made if end is None else replace(made, text=made.text[:end], stop="repeat")


def _checked(row: Any) -> dict[str, Any]:
    """The object of a line. TypeError or ValueError for a field that a Completion could not hold."""
    if not isinstance(row, dict):
        raise TypeError("no JSON object")
    check_whole(row)
    for name, value in row.items():
        if value is None and name in _MAY_BE_NULL:
            continue
        a_number = isinstance(value, int | float) and not isinstance(value, bool)
        for names, good, what in (
            (_STRINGS, isinstance(value, str), "a string"),
            (_COUNTS, isinstance(value, int) and a_number and 0 <= value < _COUNTS.get(name, 0),
             f"a whole number of at least 0 and below {_COUNTS.get(name, 0):,}"),
            (("logprob",), a_number and -_LARGEST < value < _LARGEST, "a number"),
            (("decoding",), isinstance(value, dict), "an object"),
        ):  # fmt: skip
            if name in names and not good:
                raise TypeError(f"{name} {value!r:.60}, not {what}")
    check_name(row["model"])
    if row.get("kind", STORY) not in KINDS:
        raise ValueError(f"kind {row['kind']!r:.60}, none of {', '.join(KINDS)}")
    return row
