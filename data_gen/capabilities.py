"""What a family of models takes, and a request in the words that it takes."""

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from data_gen.request import Request
from tsjax.errors import UserError

BUNDLED = Path(__file__).with_name("models.toml")
VARIABLE = "TSJAX_MODELS"
PARAMS = ("temperature", "top_p", "max_output_tokens", "effort", "schema")
SCHEMA_NAME = "answer"
Endpoint = Literal["chat", "responses"]
ENDPOINTS: tuple[Endpoint, ...] = ("chat", "responses")
SAMPLING = ("always", "never", "without effort")


@dataclass(frozen=True)
class Profile:
    """What a model takes; `models.toml` explains the fields. The defaults are the plain profile of unknown models."""

    name: str = "plain"
    limit: str = "max_tokens"
    sampling: str = "always"
    effort: tuple[str, ...] = ()
    schema: bool = True
    endpoints: tuple[str, ...] = ENDPOINTS
    tiers: tuple[str, ...] = ()


def profile(model: str, path: Path | None = None) -> Profile:
    """The profile of a model: from `path`, else the file that $TSJAX_MODELS names, else the bundled table, else plain."""
    if path is None and os.environ.get(VARIABLE):
        path = Path(os.environ[VARIABLE])
    for file in (path, BUNDLED) if path else (BUNDLED,):
        for family in _read(file):
            if re.match(family.pop("match"), model):
                return Profile(**family)
    return Profile()


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        families = tomllib.loads(path.read_text(encoding="utf-8")).get("families", [])
        return [_checked(dict(family)) for family in families]
    except (OSError, ValueError, TypeError, re.error) as why:
        found = f"{path}: {why}"
    raise UserError(
        expected="[[families]] of models as in the bundled models.toml", found=found, todo="correct the file"
    )


def _checked(family: dict[str, Any]) -> dict[str, Any]:
    known = {"match", *(field.name for field in fields(Profile))}
    if unknown := set(family) - known:
        raise ValueError(f"unknown {', '.join(sorted(unknown))}; a family has {', '.join(sorted(known))}")
    re.compile(family.get("match") or "(no match given")
    for name in "effort", "endpoints", "tiers":
        if name in family:
            if not isinstance(family[name], list) or not all(isinstance(value, str) for value in family[name]):
                raise ValueError(f"{name} = {family[name]!r} is no list of words")
            family[name] = tuple(family[name])
    if family.get("sampling", "always") not in SAMPLING:
        raise ValueError(f"sampling = {family['sampling']!r} is none of {', '.join(SAMPLING)}")
    return family


def body(
    request: Request, endpoint: str, profile: Profile, *, tier: str | None = None, strict: bool = True
) -> tuple[dict[str, Any], list[str]]:
    """The JSON that asks the vendor, and the parameters left out because the model refuses them.

    Strict: none is left out; UserError instead, before anything is paid. The same request gives the same body, always.
    A temperature or top_p of 1 is what a model that takes none does anyway: it is not sent to such a model, and that
    is no loss. `tier`: "flex", or None (or "standard") for the ordinary one.
    """
    unknown = sorted(set(request.params) - set(PARAMS))
    if unknown:
        near = difflib.get_close_matches(unknown[0], PARAMS, 1) or [", ".join(PARAMS)]
        raise UserError(expected="parameters of a request", found=f"{unknown[0]!r}", todo=f"perhaps {near[0]}?")
    if endpoint not in profile.endpoints:
        raise UserError(
            expected=f"an endpoint that {request.model} has: {', '.join(profile.endpoints)}",
            found=endpoint,
            todo="choose another endpoint",
        )
    params = {name: value for name, value in request.params.items() if value is not None}
    refused = _refused(request.model, params, profile)
    if refused and strict:
        name, (expected, todo) = next(iter(refused.items()))
        raise UserError(expected=expected, found=f"{name} = {params[name]!r}", todo=todo)
    for name in refused:
        del params[name]
    if not _samples(params, profile):
        params = {name: value for name, value in params.items() if name not in ("temperature", "top_p")}
    made = (_chat if endpoint == "chat" else _responses)(request, params, profile)
    if tier not in (None, "standard"):
        if tier not in profile.tiers:
            raise UserError(
                expected=f"a tier that {request.model} has: {', '.join(('standard', *profile.tiers))}",
                found=str(tier),
                todo="choose another tier or model",
            )
        made["service_tier"] = tier
    return made, sorted(refused)


def _samples(params: Mapping[str, Any], profile: Profile) -> bool:
    """Whether the model takes temperature and top_p beside these parameters."""
    return profile.sampling == "always" or (profile.sampling == "without effort" and params.get("effort") == "none")


def _refused(model: str, params: Mapping[str, Any], profile: Profile) -> dict[str, tuple[str, str]]:
    """Parameter -> (what was expected, what to do), for those that the model would answer with an error."""
    refused = {}
    if "effort" in params and params["effort"] not in profile.effort:
        if profile.effort:
            refused["effort"] = (f"an effort that {model} knows: {', '.join(profile.effort)}", "choose one of these")
        else:
            refused["effort"] = (f"no effort: {model} does not reason", "leave effort out")
    if "schema" in params and not profile.schema:
        refused["schema"] = (f"no schema: {model} takes none", "ask for JSON in the prompt, or choose another model")
    if not _samples({name: value for name, value in params.items() if name not in refused}, profile):
        way = ' or set effort = "none"' if "none" in profile.effort else " or choose a model that does not reason"
        for name in "temperature", "top_p":
            if params.get(name, 1) != 1:
                refused[name] = (
                    f"no {name} other than 1: {model} refuses it while it reasons",
                    f"leave {name} out{way}",
                )
    return refused


def _chat(request: Request, params: Mapping[str, Any], profile: Profile) -> dict[str, Any]:
    made: dict[str, Any] = {"model": request.model, "messages": [dict(message) for message in request.messages]}
    made |= {name: params[name] for name in ("temperature", "top_p") if name in params}
    if "max_output_tokens" in params:
        made[profile.limit] = params["max_output_tokens"]
    if "effort" in params:
        made["reasoning_effort"] = params["effort"]
    if "schema" in params:
        schema = {"name": SCHEMA_NAME, "schema": params["schema"], "strict": True}
        made["response_format"] = {"type": "json_schema", "json_schema": schema}
    return made


def _responses(request: Request, params: Mapping[str, Any], _: Profile) -> dict[str, Any]:
    made: dict[str, Any] = {
        "model": request.model,
        "input": [dict(message) for message in request.messages],
        "store": False,  # the vendor keeps it for a month otherwise
        "stream": False,  # the vendor's default, but not that of `transformers serve`
    }
    made |= {name: params[name] for name in ("temperature", "top_p", "max_output_tokens") if name in params}
    if "effort" in params:
        made["reasoning"] = {"effort": params["effort"]}
    if "schema" in params:
        made["text"] = {
            "format": {"type": "json_schema", "name": SCHEMA_NAME, "schema": params["schema"], "strict": True}
        }
    return made
