"""What evaluation keeps, one JSON object a line: prompts, completions, grades. Each names by hashes what it came from."""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

from tsjax.atomic import write_atomic
from tsjax.errors import UserError

KINDS = STORY, KNOWLEDGE, REASONING, CONTEXT, INSTRUCT = "story", "knowledge", "reasoning", "context", "instruct"


@dataclass(frozen=True)
class Prompt:
    """One thing a model is asked to go on from.

    kind:     STORY (a beginning cut in mid-sentence), KNOWLEDGE, REASONING, CONTEXT (paper, Figs 9 to 11), or INSTRUCT.
    accepted, rejected: right and wrong continuations, where the prompt has them.
    asks:     of INSTRUCT: {"words", "features", "summary", "sentence"} as far as it asks for them.
    """

    id: str
    kind: str
    text: str
    accepted: tuple[str, ...] = ()
    rejected: tuple[str, ...] = ()
    asks: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Completion:
    """What one model wrote after one prompt.

    model:     how reports call it; `checkpoint`, `step`, `parameters`, `tokenizer`: what it was, where known; hashes.
    prompts:   hash of the prompt set; `k`: which of the prompt's completions, from 0.
    decoding:  {"mode", "temperature", "top_k", "top_p", "beam", "max_new", "seed", "cut_at_repeat"}.
    stop:      "eos", "length" or "repeat".
    """

    model: str
    prompts: str
    prompt_id: str
    kind: str
    k: int
    prompt: str
    text: str
    stop: str
    tokens: int
    logprob: float | None = None
    decoding: Mapping[str, Any] = field(default_factory=dict)
    checkpoint: str = ""
    step: int | None = None
    parameters: int | None = None
    tokenizer: str = ""

    @property
    def id(self) -> str:
        """128 bits of what was written and by whom, in hex."""
        what = [
            self.model,
            self.checkpoint,
            self.step,
            self.prompts,
            self.prompt_id,
            self.k,
            dict(self.decoding),
            self.text,
        ]
        return blake2b(json.dumps(what, sort_keys=True).encode(), digest_size=16).hexdigest()


@dataclass(frozen=True)
class Grade:
    """One judgement of one completion. `scores`: dimension -> 0..10; None where none could be read, and then `why` says why.

    judge:  which model in which mode and rubric version; `repeat`: which of its judgements of the completion, from 0.
    anchor: kind of the anchor, for the judge's own test items; "" for completions of models.
    split_ok: whether the sentence that the beginning cuts is finished; None where nobody asked (instructions, paper mode).
    met:    id of `eval.rubric.constraints` -> whether it is followed, of instructions whose `asks` are known.
    """

    completion: str
    model: str
    prompt_id: str
    k: int
    repeat: int
    judge: str
    scores: Mapping[str, float] | None
    age: str = ""
    anchor: str = ""
    why: str = ""
    assessment: str = ""
    request: str = ""
    cost: int = 0  # picodollars
    split_ok: bool | None = None
    met: Mapping[str, bool] = field(default_factory=dict)


T = TypeVar("T", Prompt, Completion, Grade)


def write_lines(path: Path, records: Iterable[Any]) -> None:
    """Writes dataclass records as JSON lines, whole or not at all."""
    write_atomic(path, "".join(json.dumps(dataclasses.asdict(record)) + "\n" for record in records))


def mend(path: Path) -> None:
    """Makes a file of records end with a line's end: a process that was killed may have left its last line without one.

    A last line that is a whole record gets its end; the piece of one is taken away. What is not there stays so.
    """
    if not path.exists() or (data := path.read_bytes()).endswith(b"\n") or not data:
        return
    begin = data.rfind(b"\n") + 1
    try:
        json.loads(data[begin:])  # no piece of a JSON object is one: its brace closes at the end
    except ValueError:
        with open(path, "r+b") as file:
            file.truncate(begin)
        return
    with open(path, "ab") as file:
        file.write(b"\n")


def read_lines(path: Path, kind: type[T]) -> Iterator[T]:
    """The records of a file. Fields that `kind` does not have are passed over. UserError names the line that is none."""
    known = {one.name for one in dataclasses.fields(kind)}
    try:
        lines = path.read_text("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as e:
        raise UserError(
            expected=f"JSON lines in UTF-8 at {path}", found=" ".join(str(e).split()), todo="check the path"
        ) from e
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            values: dict[str, Any] = {name: value for name, value in json.loads(line).items() if name in known}
            lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
            made = kind(**values | lists)
        except (ValueError, TypeError, AttributeError) as e:
            raise UserError(
                expected=f"a {kind.__name__.lower()} in line {number} of {path}", found=str(e), todo="mend or remove it"
            ) from e
        yield made
