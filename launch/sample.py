"""`tsjax sample`: prompts in, stories out; one story streams to the terminal as it is written."""

import argparse
import json
import sys
from pathlib import Path

from tsjax import decode
from tsjax.corpus import chat
from tsjax.errors import UserError
from tsjax.samples import complete_texts, prompt_ids, stops, story_text
from tsjax.trained import Trained, open_trained

CHUNK = 16  # tokens between two prints of a streamed story


def sample(arguments: argparse.Namespace) -> None:
    sampler = decode.Sampler(arguments.temperature, arguments.top_k, arguments.top_p, arguments.min_p)
    for name in ("count", "max_new"):
        if getattr(arguments, name) < 1:
            raise UserError(
                expected=f"--{name.replace('_', '-')} of at least 1",
                found=str(getattr(arguments, name)),
                todo="raise it",
            )
    prompts = [*(arguments.prompt or []), *(read_prompts(arguments.prompts) if arguments.prompts else [])] or [""]
    if not 0 <= arguments.seed < 2**32:
        raise UserError(expected="--seed from 0 to 2^32 - 1", found=str(arguments.seed), todo="choose another")
    for prompt in prompts:
        if any("\ud800" <= character <= "\udfff" for character in prompt):
            raise UserError(expected="prompts in UTF-8", found=repr(prompt[:40]), todo="check the terminal's encoding")
    trained = open_trained(arguments.run)
    if arguments.chat:
        prompts = [chat_prompt(trained, prompt) for prompt in prompts]
    prompts = [prompt for prompt in prompts for _ in range(arguments.count)]
    if arguments.out is None and len(prompts) == 1:
        stream_one(trained, prompts[0], arguments.max_new, sampler, arguments.seed)
        return
    rows = complete_all(trained, prompts, arguments.max_new, sampler, arguments.seed)
    if arguments.out is not None:
        from tsjax.atomic import write_atomic

        write_atomic(arguments.out, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        print(f"{len(rows)} completions in {arguments.out}")
        return
    for row in rows:
        print(f"--- {row['index']}\n{row['prompt']}{row['text']}\n")


def chat_prompt(trained: Trained, says: str) -> str:
    """What the user says, ready for the assistant's answer."""
    if "assistant" not in trained.tokenizer.markers:
        raise UserError(expected="a run on chats (shards prepared with --chat)", found="a tokenizer without turns",
                        todo="leave --chat out")  # fmt: skip
    try:
        return chat.prompt([chat.Turn("user", says)])
    except ValueError as error:
        raise UserError(expected="--prompt with what the user says, without marks of turns", found=str(error),
                        todo="give plain text") from error  # fmt: skip


def read_prompts(path: Path) -> list[str]:
    """A JSON list of strings, JSONL with a `prompt` field, or one prompt a line."""
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            prompts = json.loads(text)
        elif path.suffix == ".jsonl":
            prompts = [json.loads(line)["prompt"] for line in text.splitlines() if line.strip()]
        else:
            prompts = [line for line in text.splitlines() if line.strip()]
    except OSError as error:
        raise UserError(
            expected="a file of prompts", found=f"{path}: {error.strerror}", todo="check the path"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        todo = "give a JSON list of strings, JSONL with a prompt field, or one prompt a line"
        raise UserError(expected=f"prompts in {path}", found=str(error), todo=todo) from error
    if not isinstance(prompts, list) or not prompts or not all(isinstance(p, str) for p in prompts):
        raise UserError(
            expected=f"at least one prompt in {path}, all of them text", found="something else", todo="mend the file"
        )
    return prompts


def complete_all(trained: Trained, prompts: list[str], max_new: int, sampler: decode.Sampler, seed: int) -> list[dict]:
    """One row per prompt: index, prompt, text, ended, and what is needed to make it again."""
    done = complete_texts(
        trained.config, trained.params, trained.tokenizer, prompts, max_new=max_new, sampler=sampler, seed=seed
    )
    return [{"index": i, **row, "step": trained.step, "seed": seed} for i, row in enumerate(done)]


def stream_one(trained: Trained, prompt: str, max_new: int, sampler: decode.Sampler, seed: int) -> None:
    """Prints while the story is written; a piece is printed once the text before it can't change any more."""
    tokenizer = trained.tokenizer
    (ids,) = prompt_ids(tokenizer, [prompt])
    sys.stdout.write(prompt)
    printed = ""
    for (completion,) in decode.stream(
        trained.config.model,
        trained.params,
        [ids],
        max_new=max_new,
        stops=stops(tokenizer),
        sampler=sampler,
        seed=seed,
        chunk=CHUNK,
    ):
        text = story_text(tokenizer, ids, completion.ids).rstrip("�")  # half a character: wait for the rest
        sys.stdout.write(text[len(printed) :])
        sys.stdout.flush()
        printed = text
    print()
