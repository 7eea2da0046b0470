"""A run folder as the engine leaves it, of answers that a test makes up: raw lines, and a ledger that goes with them."""

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import zstandard

from data_gen import recipe as recipes
from data_gen.answer import read_answer
from data_gen.examine import Examiner
from data_gen.factors import Sampler
from data_gen.journal import tokens_of
from data_gen.ledger import Ledger
from data_gen.offline import write_story
from data_gen.raw import RawWriter
from data_gen.recipe import Recipe
from data_gen.render import render
from data_gen.request import Request

MODEL, SERVED = "gpt-test", "gpt-test-2026-11-01"
REFUSAL = "I'm sorry, but I can't help with that."

Said = str | tuple[str, str]  # the text of an answer, or text and finish reason


def story(index: int, factors: Mapping[str, Any]) -> str:
    """A story of the offline writer with the three words of the recipe in it."""
    return f"{write_story(0, index)} {sentence(factors)}"


def sentence(factors: Mapping[str, Any]) -> str:
    return f"They all saw the {factors['adjective']} {factors['noun']} and began to {factors['verb']}."


def chat(index: int, factors: Mapping[str, Any]) -> str:
    words = write_story(1, index).replace('"', "").split()
    turns = [" ".join(words[12 * i : 12 * i + 12]).strip(".,!?;:") + "." for i in range(4)]
    turns[2] += f" {sentence(factors)}"
    said = [{"role": ("user", "assistant")[i % 2], "content": turn} for i, turn in enumerate(turns)]
    return json.dumps({"messages": said})


def good(request: Request) -> Said:
    """What an honest model would say to the bundled recipes tinystories, tinystories_instruct and tinychat."""
    if request.step:
        return f"A small friend helps with the {request.factors['noun']} and learns to {request.factors['verb']}."
    return (
        chat(request.index, request.factors) if request.params.get("schema") else story(request.index, request.factors)
    )


def row(request: Request, said: Said, attempt: int, received: float | None = None) -> dict[str, Any]:
    """The raw line of an answer; the `attempt`-th second of a day in 2026 unless told otherwise."""
    text, finish = (said, "stop") if isinstance(said, str) else said
    usage = {"prompt_tokens": 120, "completion_tokens": len(text) // 4, "prompt_tokens_details": {"cached_tokens": 20}}
    received = 1_793_000_000.0 + attempt if received is None else received
    return {
        "v": 1, "run": "run-1", "id": request.id, "index": request.index, "step": request.step, "sample": request.sample,
        "attempt": attempt, "backend": "chat", "batch": None, "sent": received - 0.5, "received": received, "status": 200,
        "headers": {}, "model": request.model, "params": {"temperature": 1.0}, "dropped": [],
        "messages": [dict(m) for m in request.messages], "cost": 1_500_000, "doubt": 0, "price": "prices-2026-11",
        "body": {"id": f"c{attempt}", "model": SERVED, "usage": usage,
                 "choices": [{"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text}}]},
    }  # fmt: skip


def ask(
    recipe: Recipe, seed: int, indices: range, answers: Callable[[Request], Said] = good, first: int = 1
) -> list[dict[str, Any]]:
    """The raw lines of a run that asks for every index, step by step and again after what was refused."""
    sampler, examiner = Sampler(recipe, seed), Examiner(recipe)
    rows: list[dict[str, Any]] = []
    for index in indices:
        factors = sampler.draw(index)
        for sample in range(recipe.redraws + 1):
            earlier: dict[str, str] = {}
            for number, step in enumerate(recipe.steps):
                request = render(
                    recipe, number, factors, earlier, index=index, sample=sample, model=MODEL, overrides={}
                )
                rows.append(row(request, answers(request), first + len(rows)))
                finding = examiner.examine(number, factors, read_answer(rows[-1]["body"]), earlier)
                if finding.reason:
                    break
                earlier[step.name] = finding.text
            else:
                break
    return rows


def write(folder: Path, rows: list[dict[str, Any]], frame: int = 50, part_bytes: int = 30_000) -> Path:
    """Writes raw lines into a run folder, in several frames and parts, and settles them in its ledger."""
    raw = RawWriter(folder, part_bytes)
    book = Ledger(folder)
    with book.transaction():
        for start in range(0, len(rows), frame):
            some = rows[start : start + frame]
            raw.append(some)
            book.open(
                [(r["attempt"], r["id"], r["index"], r["step"], r["sample"], "chat", None, r["sent"], 0) for r in some]
            )
            for r in some:
                book.settle(r["attempt"], r["cost"], r["doubt"], *tokens_of(r["body"], r["params"]), r["received"])
        book.mark = raw.mark
    raw.close()
    book.close()
    return folder


def bundled(name: str) -> Recipe:
    return recipes.load(name)


def lines(path: Path) -> list[dict]:
    with open(path, "rb") as f:
        return [json.loads(line) for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(f), "utf-8")]


def documents(folder: Path) -> list[dict]:
    return [d for split in ("train", "valid") for d in lines(folder / "documents" / f"{split}.jsonl.zst")]


def content(folder: Path) -> dict[str, bytes]:
    """All that curation writes."""
    made = [folder / "rejected.jsonl.zst", folder / "report.json", *(folder / "documents").iterdir()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in made}
