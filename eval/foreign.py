"""Completions that another model wrote, from a file."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from eval.prompts import PromptSet
from eval.records import STORY, Completion
from eval.repeat import end_of_news
from tsjax.errors import UserError

STOP = "eos"  # of texts whose file does not say how they ended


def foreign(path: Path, prompts: PromptSet | None = None, *, cut_at_repeat: bool = False) -> Iterator[Completion]:
    """The completions in a JSONL file: `model`, `text`, and `prompt` (the text) or `prompt_id` (of a prompt of the set).

    Optional are `k` (counted per model and prompt where it is not given), `stop`, `kind`, `decoding`, and all other fields of
    a Completion. A `text` that begins with its prompt loses it. `tokens` is 0 where unknown: other models
    count otherwise. UserError names the line that has no completion, or whose prompt the set does not have.
    """
    path = Path(path)
    try:
        lines = path.read_text("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(expected=f"JSON lines in UTF-8 at {path}", found=" ".join(str(error).split()),
                        todo="check the path") from error  # fmt: skip
    counts: dict[tuple[str, str], int] = {}
    by_id = {prompt.id: prompt for prompt in prompts.prompts} if prompts else {}
    by_text = {prompt.text: prompt for prompt in prompts.prompts} if prompts else {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            model, text = row["model"], row["text"]
            if not isinstance(model, str) or not isinstance(text, str):
                raise TypeError("model and text must be strings")
            prompt = by_id.get(row["prompt_id"]) if "prompt_id" in row else by_text.get(row["prompt"].strip())
            if prompts is not None and prompt is None:
                raise ValueError(f"the prompt {row.get('prompt_id', row.get('prompt'))!r:.60} is not in {prompts.name}")
            said = prompt.text if prompt else row["prompt"]
            prompt_id = prompt.id if prompt else row.get("prompt_id") or said[:60]
            k = int(row.get("k", counts.get((model, prompt_id), 0)))
            counts[model, prompt_id] = max(counts.get((model, prompt_id), 0), k + 1)
            extra = {key: row[key] for key in ("logprob", "decoding", "checkpoint", "step", "parameters", "tokenizer")
                     if key in row}  # fmt: skip
            made = Completion(
                model=model, prompts=prompts.hash if prompts else row.get("prompts", ""), prompt_id=prompt_id,
                kind=prompt.kind if prompt else row.get("kind", STORY), k=k, prompt=said,
                text=text.removeprefix(said), stop=row.get("stop", STOP), tokens=int(row.get("tokens", 0)), **extra,
            )  # fmt: skip
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            found = f"no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
            raise UserError(
                expected=f"model, text, and prompt or prompt_id in line {number} of {path}", found=found,
                todo="mend or remove the line",
            ) from error  # fmt: skip
        end = end_of_news(made.text) if cut_at_repeat else None
        yield made if end is None else replace(made, text=made.text[:end], stop="repeat")
