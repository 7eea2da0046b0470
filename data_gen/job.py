"""What is to be asked of a model, where, and for how much at most: what generating and judging have in common."""

import json
import math
import platform
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from data_gen.client import address
from data_gen.prices import Price, Prices, Tier
from tsjax import __version__
from tsjax.atomic import write_json
from tsjax.corpus.duplicates import check_seed
from tsjax.errors import UserError

if TYPE_CHECKING:
    from data_gen.engine import Backend

MANIFEST = "manifest.json"
ASKING = ("chat", "responses", "batch")  # a server
FREE = ("offline", "replay")
BACKENDS = (*ASKING, "file", *FREE)
STUDY = "study.json"  # in the folder of a study, which holds runs of its judges
GO_ON = {  # kind of folder -> how to go on with it
    "generation": "tsjax generate resume {out} goes on with it",
    "judging": "tsjax judge --out {parent} and its other options go on with it; tsjax generate status {out} tells of it",
    "study": "tsjax report {out} shows it; tsjax generate status and verify take the folders of its judges, {out}/judge-*",
}
ENDED = ("ended", "stopped", "attempts", "tokens", "cost_usd", "failures", "trouble")  # what the end of a run adds


@dataclass(frozen=True, kw_only=True)
class Job:
    """Kept in the manifest of its run. What `identity` tells may not change while a run lives, or its answers would not
    belong together; the rest may.

    seed:       of all that is drawn.
    cap:        picodollars at most, doubtful ones included; None only where nothing costs anything.
    overrides:  parameters that go before those of the requests.
    base_url:   of an OpenAI-compatible server (None: OpenAI's).
    key_env:    the environment variable with the key (None: OPENAI_API_KEY, for OpenAI alone).
    tier:       standard or flex; batches have their own price.
    replay:     the run folder whose answers are used again, for the backend of that name.
    """

    kind: ClassVar[str]  # of its run folders
    verb: ClassVar[str]  # of the command line that makes them
    ended: ClassVar[tuple[str, ...]] = ()  # what the end of a run adds to the manifest, besides ENDED
    kept: ClassVar[tuple[str, ...]] = ()  # settings that stay, once given

    model: str
    seed: int = 0
    backend: str = "chat"
    cap: int | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    base_url: str | None = None
    key_env: str | None = None
    tier: Tier = "standard"
    strict: bool = True
    concurrency: int = 128
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    timeout: float = 120.0
    free: bool = False
    prices: Path | None = None
    models: Path | None = None
    replay: Path | None = None
    enqueued_tokens: int | None = None

    def __post_init__(self) -> None:
        check_seed(self.seed)
        if self.base_url is not None:
            address(self.base_url)
        for name in ("concurrency", "candidates", "requests_per_minute", "tokens_per_minute", "enqueued_tokens"):
            if (limit := getattr(self, name, None)) is not None and limit < 1:
                option = "--" + name.replace("_", "-")
                raise UserError(
                    expected=f"at least 1 for {option}", found=str(limit), todo="choose another, or leave it out"
                )
        if not self.timeout > 0:
            raise UserError(expected="a --timeout above 0", found=str(self.timeout), todo="choose another")
        for name, least in (("temperature", 0), ("max_output_tokens", 1)):
            value = self.overrides.get(name, least)
            if not (math.isfinite(value) and value >= least):
                option = "--" + name.replace("_", "-")
                raise UserError(
                    expected=f"a number that makes sense for {option}", found=str(value), todo="choose another"
                )
        if self.backend not in BACKENDS:
            raise UserError(expected=f"a backend of {', '.join(BACKENDS)}", found=repr(self.backend), todo="choose one")
        if (self.backend == "replay") != (self.replay is not None):
            raise UserError(
                expected="--backend replay and --replay RUN together", found="one without the other", todo="give both"
            )

    @property
    def host(self) -> str | None:
        """The server that is asked, without what might be a secret; None: there is none."""
        if self.backend not in ASKING:
            return None
        return urlsplit(self.base_url).netloc.rpartition("@")[2] if self.base_url else "api.openai.com"

    @property
    def price(self) -> Price:
        """What a call costs; nothing where no vendor is asked."""
        tier: Tier = "batch" if self.backend == "batch" else self.tier
        return self.price_table.of(self.model, tier, free=self.free or self.backend in FREE)

    @property
    def price_table(self) -> Prices:
        return Prices.load(self.prices)

    def identity(self) -> dict[str, Any]:
        raise NotImplementedError

    def about(self) -> dict[str, Any]:
        """What the manifest tells besides identity and settings."""
        return {}

    def params(self) -> Sequence[Mapping[str, Any]]:
        """The parameters of each kind of request, `overrides` included."""
        raise NotImplementedError

    def offline(self) -> "Backend":
        """The backend of that name, which asks nobody."""
        raise UserError(
            expected=f"a backend for {self.verb}: chat, responses, batch, file or replay", found="offline",
            todo="choose one; the offline writer answers for recipes alone",
        )  # fmt: skip

    def settings(self) -> dict[str, Any]:
        """As JSON. Names of environment variables are in it, never what they hold."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            name: str(v) if isinstance(v, Path) else list(v) if isinstance(v, tuple) else v
            for name, v in values.items()
        }

    def check(self, manifest: Mapping[str, Any], out: Path) -> None:
        """UserError where this is not the order of the run in `out`."""
        identity = self.identity()
        if different := [key for key in identity if manifest.get(key) != identity[key]]:
            raise UserError(
                expected=f"in {out} " + ", ".join(f"{key} {manifest.get(key)}" for key in different),
                found=", ".join(f"{key} {identity[key]}" for key in different),
                todo="choose another --out: answers to different questions don't belong in one run",
            )


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def begin(out: Path, job: Job, price: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest of a new run in `out`, written, or of the run that is there. UserError where that is another one."""
    path = out / MANIFEST
    settings: dict[str, Any] = {**settled(job), "price": dict(price)}
    if path.exists():
        manifest = load(out, type(job))
        job.check(manifest, out)
        for kept in job.kept:
            settings["order"][kept] = settings["order"][kept] or manifest["order"].get(kept, "")
        manifest = {key: value for key, value in manifest.items() if key not in (*ENDED, *job.ended)} | settings
    else:
        if out.exists() and any(path for path in out.iterdir() if not path.name.startswith(".")):
            raise UserError(
                expected=f"a new or empty folder, or a run, at {out}",
                found="something else",
                todo="choose another --out",
            )
        manifest = {
            "kind": job.kind,
            "version": 1,
            "run": secrets.token_hex(8),
            **job.identity(),
            **settings,
            "versions": {"tsjax": __version__, "python": platform.python_version(), "openai": _version("openai")},
            "started": now(),
        }
    write_json(path, manifest)
    return manifest


def settled(job: Job) -> dict[str, Any]:
    """What a job says of a run that may change while it lives."""
    return {
        "order": job.settings(),
        "cap_usd": None if job.cap is None else job.cap / 1e12,
        "host": job.host,
        **job.about(),
    }


def load(out: Path, of: type[Job] | None = None) -> dict[str, Any]:
    """The manifest of the run in `out`; `of`: the kind of run it must be. UserError says what there is instead."""
    wanted = f"a run of {of.verb if of else 'tsjax generate or tsjax judge'} in {out}"
    try:
        manifest = json.loads((out / MANIFEST).read_bytes())
        kind = manifest["kind"]
        if (of and kind != of.kind) or kind not in GO_ON:
            found, todo = f"one of kind {kind}", GO_ON.get(kind, "give the folder that --out named")
            raise UserError(expected=wanted, found=found, todo=todo.format(out=out, parent=out.parent))
        if not isinstance(manifest["order"], dict):
            raise TypeError("order")
    except (OSError, ValueError, KeyError, TypeError) as e:
        if (out / STUDY).exists():
            raise UserError(expected=wanted, found="a study", todo=GO_ON["study"].format(out=out)) from e
        raise UserError(
            expected=wanted, found=f"no sound {MANIFEST} ({type(e).__name__})", todo="give the folder that --out named"
        ) from e
    return manifest


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
