"""What a user orders: a recipe, a model, how many documents, for how much at most. Kept in the run's manifest."""

import json
import math
import platform
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from data_gen.client import address
from data_gen.prices import Tier
from data_gen.recipe import Recipe
from data_gen.recipe import load as load_recipe
from tsjax import __version__
from tsjax.atomic import write_json
from tsjax.corpus.duplicates import check_seed
from tsjax.errors import UserError

MANIFEST = "manifest.json"
KIND = "generation"
ASKING = ("chat", "responses", "batch")  # a server
BACKENDS = ("chat", "responses", "batch", "file", "replay", "offline")
ENDED = (
    "ended",
    "stopped",
    "attempts",
    "tokens",
    "cost_usd",
    "failures",
    "documents",
    "alarms",
)  # what the end of a run adds
CANDIDATES = 2  # indices asked for each document wanted, at most, unless the user says otherwise


@dataclass(frozen=True)
class Order:
    """`identity` may not change while a run lives, or its answers would not belong together; the rest may.

    source:     the recipe's name or path, to load it again.
    target:     accepted documents wanted.
    candidates: indices asked at most (None: CANDIDATES times the target).
    cap:        picodollars at most, doubtful ones included; None only where nothing costs anything.
    overrides:  parameters that go before the recipe's.
    base_url:   of an OpenAI-compatible server (None: OpenAI's).
    key_env:    the environment variable with the key (None: OPENAI_API_KEY, for OpenAI alone).
    tier:       standard or flex; batches have their own price.
    against:    corpora whose documents, and copies of them, are left out.
    replay:     the run folder whose answers are used again, for the backend of that name.
    """

    recipe: Recipe
    source: str
    model: str
    target: int
    seed: int = 0
    backend: str = "chat"
    cap: int | None = None
    candidates: int | None = None
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
    valid_fraction: float = 0.01
    against: tuple[str, ...] = ()
    enqueued_tokens: int | None = None
    licence: str = ""
    terms: str = ""

    def __post_init__(self) -> None:
        for name, least in (("target", 2), ("concurrency", 1)):  # of two documents one validates
            if (number := getattr(self, name)) < least:
                raise UserError(expected=f"a {name} of at least {least}", found=str(number), todo="choose another")
        if self.base_url is not None:
            address(self.base_url)
        check_seed(self.seed)
        if not 0 < self.valid_fraction < 1:
            raise UserError(
                expected="a --valid-fraction above 0 and below 1", found=str(self.valid_fraction), todo="choose another"
            )
        for name in ("temperature", "max_output_tokens"):
            value = self.overrides.get(name, 1)
            if not (math.isfinite(value) and value >= (1 if name == "max_output_tokens" else 0)):
                option = "--" + name.replace("_", "-")
                raise UserError(
                    expected=f"a number that makes sense for {option}", found=str(value), todo="choose another"
                )
        if not self.timeout > 0:
            raise UserError(expected="a --timeout above 0", found=str(self.timeout), todo="choose another")
        for name in ("requests_per_minute", "tokens_per_minute", "enqueued_tokens", "candidates"):
            if (limit := getattr(self, name)) is not None and limit < 1:
                option = "--" + name.replace("_", "-")
                raise UserError(
                    expected=f"at least 1 for {option}", found=str(limit), todo="choose another, or leave it out"
                )
        if self.backend not in BACKENDS:
            raise UserError(expected=f"a backend of {', '.join(BACKENDS)}", found=repr(self.backend), todo="choose one")
        if (self.backend == "replay") != (self.replay is not None):
            raise UserError(
                expected="--backend replay and --replay RUN together", found="one without the other", todo="give both"
            )
        if self.most < self.target:
            raise UserError(
                expected=f"at least as many candidates as the target, {self.target:,}", found=f"{self.most:,}",
                todo="raise --candidates",
            )  # fmt: skip

    @property
    def most(self) -> int:
        """Indices asked at most."""
        return CANDIDATES * self.target if self.candidates is None else self.candidates

    @property
    def host(self) -> str | None:
        """The server that is asked, without what might be a secret; None: there is none."""
        if self.backend not in ASKING:
            return None
        return urlsplit(self.base_url).netloc.rpartition("@")[2] if self.base_url else "api.openai.com"

    def identity(self) -> dict[str, Any]:
        return {
            "recipe": self.recipe.name,
            "request_hash": self.recipe.request_hash,
            "seed": self.seed,
            "model": self.model,
            "overrides": dict(self.overrides),
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

    def settings(self) -> dict[str, Any]:
        """All but the recipe, as JSON. Names of environment variables are in it, never what they hold."""
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "recipe"}
        return {
            name: str(v) if isinstance(v, Path) else list(v) if isinstance(v, tuple) else v
            for name, v in values.items()
        }

    @classmethod
    def of(cls, manifest: Mapping[str, Any], **changed: Any) -> "Order":
        """The order that a run's manifest tells, with what the user changes now."""
        settings = dict(manifest["order"])
        if strange := set(settings) ^ {one.name for one in fields(cls) if one.name != "recipe"}:
            raise UserError(
                expected="the settings of an order in the run's manifest",
                found=f"{', '.join(sorted(strange))} too many or missing",
                todo="go on with the version of tsjax that began the run, or bring the manifest back from a copy",
            )  # fmt: skip
        for name in ("prices", "models", "replay"):
            settings[name] = settings[name] and Path(settings[name])
        settings["against"] = tuple(settings["against"])
        recipe = changed.pop("recipe", None) or load_recipe(settings["source"])
        return cls(**{**settings, "recipe": recipe, **changed})


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def begin(out: Path, order: Order, price: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest of a new run in `out`, written, or of the run that is there. UserError where that is another one."""
    path = out / MANIFEST
    told = {**settled(order), "price": dict(price)}
    if path.exists():
        manifest = load(out)
        order.check(manifest, out)
        for kept in ("licence", "terms"):  # given once, they stay
            told["order"][kept] = told["order"][kept] or manifest["order"].get(kept, "")
        manifest = {key: value for key, value in manifest.items() if key not in ENDED} | told
    else:
        if out.exists() and any(path for path in out.iterdir() if not path.name.startswith(".")):
            raise UserError(
                expected=f"a new or empty folder, or a run, at {out}",
                found="something else",
                todo="choose another --out",
            )
        manifest = {
            "kind": KIND,
            "version": 1,
            "run": secrets.token_hex(8),
            **order.identity(),
            **told,
            "versions": {"tsjax": __version__, "python": platform.python_version(), "openai": _version("openai")},
            "started": now(),
        }
    write_json(path, manifest)
    return manifest


def settled(order: Order) -> dict[str, Any]:
    """What an order says of a run that may change while it lives."""
    return {
        "order": order.settings(),
        "cap_usd": None if order.cap is None else order.cap / 1e12,
        "host": order.host,
        "curation_hash": order.recipe.curation_hash,
        "recipe_text": order.recipe.text,
    }


def load(out: Path) -> dict[str, Any]:
    """The manifest of the run in `out`."""
    path = out / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
        if manifest["kind"] != KIND:
            raise ValueError(f"kind {manifest['kind']!r}")
        if not isinstance(manifest["order"], dict):
            raise TypeError("order")
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise UserError(
            expected=f"a run of tsjax generate in {out}",
            found=f"no sound {MANIFEST} ({type(e).__name__})",
            todo="give the folder that --out named",
        ) from e
    return manifest


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
