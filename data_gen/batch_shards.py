"""Requests -> shards: JSON-lines files for a batch, and beside each the requests that its lines came from.

    00000-1a2b3c4d.jsonl            what the vendor reads: {"custom_id", "method", "url", "body"} a line
    00000-1a2b3c4d.requests.jsonl   what we need when the answers come, perhaps in another process

Both are written as lines come and are whole before they have their names. A shard's name holds its number and the
start of its sha256, so shards that ask the same again are still two.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from data_gen.answer import Answer
from data_gen.capabilities import Profile, body
from data_gen.client import PATHS
from data_gen.engine import worst_cost
from data_gen.prices import Price, about_tokens
from data_gen.request import Request
from tsjax.errors import UserError

FOLDER = "batches"
MOST_LINES, MOST_BYTES = 50_000, 190_000_000  # the vendor's limits: 50,000 requests, 200 MB
AROUND, MARGIN = 4, 1.2  # tokens of a message beside its text, and what the estimate of the text may be short of
_ELSEWHERE = ("model", "messages", "input")  # of a body: what a raw line keeps in fields of its own


@dataclass(frozen=True)
class Terms:
    """How a request is put to the vendor, and what it costs there; money in picodollars, at the price of the batch.

    url:    of every line, such as "/v1/chat/completions".
    body:   the vendor's JSON for a request, and our parameters that it does not take.
    worst:  the most that a request can cost.
    booked: (cost, doubt) of an answer to a request for which so much was reserved, as `Price.booked`.
    tokens: input tokens of a request, for the vendor's limit on what is enqueued.
    """

    url: str
    body: Callable[[Request], tuple[Mapping[str, Any], Sequence[str]]]
    worst: Callable[[Request], int]
    booked: Callable[[Answer, int], tuple[int, int]]
    tokens: Callable[[Request], int]

    @classmethod
    def of(cls, profile: Profile, price: Price, endpoint: str = "chat", *, strict: bool = True) -> "Terms":
        """As `profile` and `price` (of the batch tier) have it. Every request must have `max_output_tokens`."""
        return cls(
            "/v1" + PATHS[endpoint],
            lambda request: body(request, endpoint, profile, strict=strict),
            lambda request: worst_cost(price, request),
            lambda answer, reserve: price.booked(answer.usage, "", reserve),  # a batch has one tier
            lambda request: sum(AROUND + round(MARGIN * about_tokens(m["content"])) for m in request.messages),
        )


class Item(NamedTuple):
    """A request in a shard. `sent` are its parameters as sent, `tries` how often it failed before."""

    request: Request
    sent: Mapping[str, Any]
    dropped: tuple[str, ...]
    tries: int


@dataclass(frozen=True)
class Limits:
    """Of one shard. `tokens` is what the tier lets be enqueued, None: no such limit; one line always goes."""

    lines: int = MOST_LINES
    bytes: int = MOST_BYTES
    tokens: int | None = None


@dataclass(frozen=True)
class Shard:
    """A shard on disk: `n` lines, `bytes` long, with `tokens` of input."""

    folder: Path
    name: str
    sha256: str
    n: int
    bytes: int
    tokens: int

    def file(self, what: str = "") -> Path:
        """The input, or what else belongs to the shard: "requests", "output", "error", "unknown"."""
        return self.folder / f"{self.name}{'.' if what else ''}{what}.jsonl"

    def row(self) -> dict[str, Any]:
        """As the ledger keeps it."""
        return {"input_sha256": self.sha256, "n": self.n, "bytes": self.bytes, "tokens": self.tokens}

    @classmethod
    def of(cls, folder: Path, row: Mapping[str, Any]) -> "Shard":
        return cls(folder, row["shard"], row["input_sha256"], row["n"], row["bytes"], row["tokens"])


class ShardDraft:
    """A shard as it fills. Nothing of it counts before `close`."""

    def __init__(self, folder: Path, number: int, terms: Terms, limits: Limits = Limits()):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.number, self.terms, self.limits = folder, number, terms, limits
        self.n = self.bytes = self.tokens = 0
        self._model: str | None = None
        self._sha = hashlib.sha256()
        self._paths = [folder / f".{number:05}.{what}.tmp" for what in ("input", "requests")]
        self._files = [open(path, "wb") for path in self._paths]

    def add(self, request: Request, tries: int = 0) -> bool:
        """Takes a request; False where it does not fit any more, or asks another model than the rest of the shard."""
        body, dropped = self.terms.body(request)
        line = _line({"custom_id": request.id, "method": "POST", "url": self.terms.url, "body": body})
        tokens = self.terms.tokens(request)
        if (
            self.n >= self.limits.lines
            or self.bytes + len(line) > self.limits.bytes
            or (self.n and self.limits.tokens is not None and self.tokens + tokens > self.limits.tokens)
            or self._model not in (None, request.model)
        ):
            return False
        sent = {name: value for name, value in body.items() if name not in _ELSEWHERE}
        row = {
            "id": request.id, "recipe": request.recipe, "index": request.index, "step": request.step,
            "sample": request.sample, "model": request.model, "messages": [dict(m) for m in request.messages],
            "params": dict(request.params), "factors": dict(request.factors), "sent": sent, "dropped": list(dropped),
            "tries": tries,
        }  # fmt: skip
        self._files[0].write(line)
        self._files[1].write(_line(row))
        self._sha.update(line)
        self._model = request.model
        self.n, self.bytes, self.tokens = self.n + 1, self.bytes + len(line), self.tokens + tokens
        return True

    def close(self) -> Shard | None:
        """The shard, whole and synced; None where nothing was added."""
        for file in self._files:
            file.flush()
            os.fsync(file.fileno())
            file.close()
        if not self.n:
            for path in self._paths:
                path.unlink()
            return None
        sha = self._sha.hexdigest()
        shard = Shard(self.folder, f"{self.number:05}-{sha[:8]}", sha, self.n, self.bytes, self.tokens)
        for path, what in zip(reversed(self._paths), ("requests", ""), strict=True):
            os.replace(path, shard.file(what))
        folder = os.open(self.folder, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
        return shard


class Roster:
    """The requests of a shard by their ids; they stay on disk, only their places are in memory."""

    def __init__(self, shard: Shard):
        self.path = shard.file("requests")
        self._at: dict[str, int] = {}
        try:
            with open(self.path, "rb") as lines:
                at = 0
                for line in lines:
                    self._at[json.loads(line)["id"]] = at
                    at += len(line)
        except (OSError, ValueError, KeyError) as e:
            raise self._damaged(str(e)) from e
        if len(self._at) != shard.n:
            raise self._damaged(f"{len(self._at):,}")
        self._n = shard.n
        self._file = open(self.path, "rb")

    def __contains__(self, name: object) -> bool:
        return name in self._at

    def __iter__(self) -> Iterator[str]:
        return iter(self._at)

    def __len__(self) -> int:
        return len(self._at)

    def __getitem__(self, name: str) -> Item:
        self._file.seek(self._at[name])
        row = json.loads(self._file.readline())
        request = Request(row["recipe"], row["index"], row["step"], row["sample"], row["model"],
                          tuple(row["messages"]), row["params"], row["factors"])  # fmt: skip
        if request.id != name:
            raise self._damaged(f"a request that is not {name}")
        return Item(request, row["sent"], tuple(row["dropped"]), row["tries"])

    def close(self) -> None:
        self._file.close()

    def _damaged(self, found: str) -> UserError:
        return UserError(
            expected=f"the requests of a batch in {self.path}", found=found, todo="bring it back from a copy"
        )


def next_number(folder: Path) -> int:
    """The number of the next shard. Removes what a killed process left half written."""
    for path in folder.glob(".*.tmp"):
        with suppress(OSError):
            path.unlink()
    numbers = [int(path.name[:5]) for path in folder.glob("[0-9]*-*.requests.jsonl")]
    return max(numbers, default=-1) + 1


def _line(value: Any) -> bytes:
    # All in ASCII, so that nobody's way of splitting lines can break one.
    return (json.dumps(value, separators=(",", ":"), allow_nan=False) + "\n").encode()
