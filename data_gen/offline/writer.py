"""The offline writer: stories from templates, where there is no LLM API to ask.

It lets the whole pipeline run with no network, key or cost: tests, the quickstart, the benchmarks. It is not
a model and does not pretend to be one; its manifest says so. A story is a pure function of (seed, index), so
any shard of a corpus can be written anywhere and agrees with the whole.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import zstandard

from data_gen.offline.plots_courage import COURAGE
from data_gen.offline.plots_friends import FRIENDS
from data_gen.offline.plots_growing import GROWING
from data_gen.offline.plots_kindness import KINDNESS
from data_gen.offline.plots_making import MAKING
from data_gen.offline.plots_play import PLAY
from data_gen.offline.template import Words
from data_gen.offline.words import (
    ADJECTIVES,
    CAST,
    DETAILS,
    ELDERS,
    HOBBIES,
    HOMES,
    OPENINGS,
    PLACES,
)
from tsjax import __version__
from tsjax.atomic import sha256_file, sha256_json, write_json
from tsjax.errors import UserError

PLOTS = (*KINDNESS, *FRIENDS, *COURAGE, *GROWING, *MAKING, *PLAY)
STORIES_FILE = "stories.jsonl.zst"
MANIFEST_FILE = "manifest.json"
MOST_WORDS = 130  # neither detail nor moral may make a story longer than this

T = TypeVar("T")


class Plan(NamedTuple):
    """What a story will tell. The beats are templates; `words` fills their fields."""

    plot: str
    opening: int  # index in OPENINGS
    detail: str
    who: str
    where: str
    want: str
    obstacle: str
    turn: str
    ending: str
    moral: str
    moral_is_told: bool
    words: Words


class Dice:
    """Choices as the mixed-radix digits of one 512-bit hash of (seed, index); a story uses about 90 bits."""

    __slots__ = ("rest",)

    def __init__(self, seed: int, index: int):
        digest = hashlib.blake2b(f"{seed} {index}".encode(), digest_size=64).digest()
        self.rest = int.from_bytes(digest, "little")

    def pick(self, options: tuple[T, ...]) -> T:
        self.rest, digit = divmod(self.rest, len(options))
        return options[digit]


def plan_story(seed: int, index: int) -> Plan:
    """The plan of story `index` of the corpus that `seed` names."""
    pick = Dice(seed, index).pick
    plot = pick(PLOTS)
    opening = pick(_OPENING_NUMBERS)
    world = pick(_WORLDS)
    hero, _ = pick(pick(CAST[world][pick(_SEXES)]))
    _, friend = pick(pick(CAST[world][pick(_SEXES)]))
    while friend["B"] == hero["A"]:
        _, friend = pick(pick(CAST[world][pick(_SEXES)]))
    place = pick(plot.places)
    words: dict[str, str] = {**hero, **friend, **PLACES[place]}
    for table in (ADJECTIVES, HOBBIES, HOMES[world], ELDERS[pick(_SEXES)], *plot.slots):
        words.update(pick(table))
    way = pick(plot.ways)
    moral_is_told = pick((True, False))
    return Plan(
        plot=plot.name,
        opening=opening,
        detail="" if moral_is_told else pick(DETAILS),
        who=f"{words['A']} the {words['kind']}",
        where=place,
        want=pick(pick(plot.want)),
        obstacle=pick(pick(plot.obstacle)),
        turn=pick(pick(way.turn)),
        ending=pick(pick(way.ending)),
        moral=pick(pick(plot.moral)),
        moral_is_told=moral_is_told,
        words=words,
    )


def tell(plan: Plan) -> str:
    """The story of a plan: four paragraphs (who, where and want; obstacle; turn; ending), 60 to 130 words.

    A story that is long without them goes without its detail and moral.
    """
    start = f"{OPENINGS[plan.opening]} {plan.detail}{plan.want}"
    text = "\n\n".join((start, plan.obstacle, plan.turn, plan.ending))
    if plan.moral_is_told:
        text = f"{text} {plan.moral}"
    text = text.format_map(plan.words)
    if "{" in text:  # some words hold fields: "hit {his} feet"
        text = text.format_map(plan.words)
    if (plan.moral_is_told or plan.detail) and len(text.split()) > MOST_WORDS:
        text = tell(plan._replace(moral_is_told=False, detail=""))
    return text


def write_story(seed: int, index: int) -> str:
    """Story `index` of the corpus that `seed` names; nothing else decides what it says."""
    return tell(plan_story(seed, index))


def templates() -> list[str]:
    """Every piece of text that a story can be made of, fields included."""
    slots = [ADJECTIVES, HOBBIES, *HOMES.values(), *ELDERS.values(), tuple(PLACES.values())]
    slots += [table for plot in PLOTS for table in plot.slots]
    cast = [
        words for sexes in CAST.values() for kinds in sexes.values() for kind in kinds for who in kind for words in who
    ]
    texts = [text for table in (*slots, cast) for words in table for text in words.values()]
    return [*OPENINGS, *DETAILS, *texts, *(text for plot in PLOTS for text in plot.templates())]


def write_corpus(out: Path, count: int, seed: int, start: int = 0) -> dict[str, Any]:
    """Writes stories `start` to `start + count - 1` into the folder `out` and returns the manifest.

    The manifest comes last, so a killed call leaves none and the next one starts again; where the manifest of
    the very same request is there and its file is sound, nothing is written. Same arguments, same bytes.
    """
    if count < 1 or start < 0:
        raise UserError(
            expected="at least 1 story, from index 0 or later",
            found=f"count {count}, start {start}",
            todo="choose another count or start",
        )
    out = Path(out)
    request = {
        "kind": "documents",
        "writer": "offline",
        "seed": seed,
        "start": start,
        "count": count,
        "vocabulary_sha256": sha256_json(templates()),
    }
    if (out / MANIFEST_FILE).exists():
        return _reuse(out, request)
    out.mkdir(parents=True, exist_ok=True)
    sizes = _write_stories(out / STORIES_FILE, count, seed, start)
    manifest = request | {
        "note": "template writer standing in for an LLM API; words and sentences are the project's own",
        "file": STORIES_FILE,
        "sha256": sha256_file(out / STORIES_FILE),
        **sizes,
        "tsjax": __version__,
    }
    write_json(out / MANIFEST_FILE, manifest)
    return manifest


def _reuse(out: Path, request: dict[str, Any]) -> dict[str, Any]:
    todo = f"choose another folder, or delete {out} to write it again"
    try:
        manifest = json.loads((out / MANIFEST_FILE).read_text())
        found = {key: manifest[key] for key in request}
        sha256 = manifest["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            expected=f"a whole {MANIFEST_FILE} in {out}", found=f"a damaged one ({error!r})", todo=todo
        ) from error
    if found != request:
        different = [key for key in request if found[key] != request[key]]
        raise UserError(
            expected=", ".join(f"{key} {request[key]}" for key in different),
            found=f"{out} with " + ", ".join(f"{key} {found[key]}" for key in different),
            todo=todo,
        )
    stories = out / STORIES_FILE
    actual = sha256_file(stories) if stories.exists() else "no such file"
    if actual != sha256:
        raise UserError(expected=f"{stories} with sha256 {sha256}", found=actual, todo=todo)
    return manifest


def _write_stories(path: Path, count: int, seed: int, start: int) -> dict[str, int]:
    words = characters = 0
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as f:
            with zstandard.ZstdCompressor(level=3).stream_writer(f, closefd=False) as compressed:
                for index in range(start, start + count):
                    text = write_story(seed, index)
                    words += len(text.split())
                    characters += len(text)
                    line = json.dumps({"id": f"offline-{seed}-{index}", "text": text}) + "\n"
                    compressed.write(line.encode())
            f.flush()
            os.fsync(f.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return {"words": words, "characters": characters}


_OPENING_NUMBERS = tuple(range(len(OPENINGS)))
_WORLDS = ("people", "people", "animals")  # twice as many stories are about people
_SEXES = ("she", "he")
