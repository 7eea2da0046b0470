"""Prompt sets: the project's own four, the 44 released beginnings, and files of a user. Each has a hash of its prompts.

Own sets, `NAMES`: `stories` (beginnings cut in mid-sentence), and the three families of the paper's Figs 9 to 11,
`knowledge`, `reasoning` and `context`, whose prompts carry right and wrong continuations. All texts are the project's.
The released beginnings are not part of the project: `released` fetches them from the hub.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from eval.characters import check_whole
from eval.records import KINDS, STORY, Prompt, read_lines
from tsjax.atomic import sha256_json
from tsjax.corpus import hub
from tsjax.errors import UserError

NAMES = ("stories", "knowledge", "reasoning", "context")
RELEASED = "released"
RELEASED_AT = "hf://roneneldan/TinyStories/Evaluation prompts.yaml"
VERSION = "1"  # of the four own sets; raise it with any change of a text
FORMS = ".yaml or .json (a list of texts), .jsonl (objects with `text` or `prompt`), or .txt (one prompt a line)"

_FOLDER = Path(__file__).with_name("prompt_sets")


@dataclass(frozen=True)
class PromptSet:
    """Prompts under a name. `version` is that of an own set, "" of others; `note` says what a reader should know.

    `whole`: hash of the set that these prompts were picked from, where they are not all of it. What was written after them
    is of that set: models that can't read the same prompts are still compared on those that both can.
    """

    name: str
    version: str
    prompts: tuple[Prompt, ...]
    note: str = ""
    whole: str = ""

    def __post_init__(self) -> None:
        ids = [prompt.id for prompt in self.prompts]
        twice = sorted({i for i in ids if ids.count(i) > 1})
        if not ids or twice:
            raise UserError(
                expected=f"at least one prompt in {self.name}, each id once",
                found=f"{twice[0]!r} more than once" if twice else "none",
                todo="mend the file",
            )

    @property
    def hash(self) -> str:
        """Hex sha256 of the prompts, in order, with all they carry: neither name nor version counts. `whole` comes first."""
        return self.whole or sha256_json([asdict(prompt) for prompt in self.prompts])


def load(where: str | Path) -> PromptSet:
    """One of `NAMES`, `released`, a file (`FORMS`), or `hf://owner/name/file` for a file of the hub.

    Raises UserError for another name, and for a file that is missing or holds no prompts.
    """
    if str(where) in NAMES:
        return PromptSet(str(where), VERSION, tuple(read_lines(_FOLDER / f"{where}.jsonl", Prompt)))
    address = RELEASED_AT if str(where) == RELEASED else str(where)
    if hub.is_address(address):
        (path, name, _), *more = hub.fetch(hub.parse(address))
        if more:
            raise UserError(expected="the address of one file", found=f"{len(more) + 1} files at {address}",
                            todo="name the file behind the data set")  # fmt: skip
        return PromptSet(RELEASED if address == RELEASED_AT else name, "", _read(path))
    path = Path(where)
    if not path.is_file():
        raise UserError(
            expected=f"a prompt set: {', '.join((*NAMES, RELEASED))}, or a file",
            found=f"no {where}", todo="check the name or the path",
        )  # fmt: skip
    return PromptSet(path.stem, "", _read(path))


def parted(prompts: Sequence[Prompt], hashes: Mapping[str, str]) -> list[PromptSet]:
    """The sets of these names and hashes, each of one kind, out of a list where they stand one after the other.

    UserError where it holds others.
    """
    names, found, rest = {of_set: name for name, of_set in hashes.items()}, list[PromptSet](), list(prompts)
    while rest:
        alike = next((n for n, prompt in enumerate(rest) if prompt.kind != rest[0].kind), len(rest))
        for end in range(alike, 0, -1):  # the first, but for two sets of one kind
            if name := names.get(sha256_json([asdict(prompt) for prompt in rest[:end]])):
                found.append(PromptSet(name, VERSION if name in NAMES else "", tuple(rest[:end])))
                rest = rest[end:]
                break
        else:
            break
    if rest or len(found) != len(hashes):
        raise UserError(
            expected=f"the prompts of {', '.join(hashes)}", found="others, or not all", todo="name them with --prompts"
        )
    return found


def of_texts(texts: Sequence[str]) -> tuple[Prompt, ...]:
    """Story beginnings with ids made of place and text: the same texts have the same ids, whatever file they were in."""
    named = enumerate((text.strip() for text in texts), 1)
    return tuple(Prompt(f"{n:02d}-{sha256(text.encode()).hexdigest()[:8]}", STORY, text) for n, text in named)


def _read(path: Path) -> tuple[Prompt, ...]:
    try:
        text = path.read_text("utf-8-sig")
        if path.suffix == ".jsonl":
            rows = [_row(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
            if rows and all(isinstance(row, dict) and {"id", "kind", "text"} <= row.keys() for row in rows):
                if unknown := [row["kind"] for row in rows if row["kind"] not in KINDS]:
                    raise ValueError(f"kind {unknown[0]!r}, none of {', '.join(KINDS)}")
                return tuple(read_lines(path, Prompt))
            return _checked(path, rows)
        if path.suffix == ".json":
            return _checked(path, json.loads(text))
        if path.suffix in (".yaml", ".yml"):
            return _checked(path, yaml.safe_load(text))
        return _checked(path, [line for line in text.splitlines() if line.strip()])
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(
            expected=f"prompts in {path}: {FORMS}", found=" ".join(str(error).split())[:200], todo="mend the file"
        ) from error


def _row(number: int, line: str) -> Any:
    try:
        check_whole(row := json.loads(line))
    except ValueError as error:
        raise ValueError(f"line {number}: {error}") from error
    return row


def _checked(path: Path, rows: Any) -> tuple[Prompt, ...]:
    """The prompts of a list of texts, or of objects that hold one. ValueError for anything else."""
    if not isinstance(rows, list):
        raise ValueError(f"a {type(rows).__name__}, not a list")
    texts = []
    for n, row in enumerate(rows, 1):
        text = row.get("text", row.get("prompt")) if isinstance(row, dict) else row
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"no text in entry {n}")
        try:
            check_whole(text)
        except ValueError as error:
            raise ValueError(f"entry {n}: {error}") from error
        texts.append(text)
    return of_texts(texts)
