"""What a vendor answered, read leniently: both APIs' envelopes, whole or not, become one shape."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LIMITS = ("max_completion_tokens", "max_output_tokens", "max_tokens")  # as vendors call it
MOST_TOKENS = 10**9  # in one answer; a number beyond that is no count
TIMES = 4  # the limit that was sent: a count of output beyond that is none (some servers think on top of their limit)
STOP, LENGTH, FILTER, REFUSAL, EMPTY = "stop", "length", "content_filter", "refusal", "empty"


@dataclass(frozen=True)
class Usage:
    """Tokens as the vendor counted them. Cached and cache-written ones are part of `input`, reasoning of `output`."""

    input: int
    output: int
    cached: int = 0
    cache_write: int = 0
    reasoning: int = 0


@dataclass(frozen=True)
class Answer:
    """`text` is "" where there is none; `finish` says why it ends: STOP, or what makes it no good as an answer."""

    text: str
    finish: str
    usage: Usage | None = None
    refusal: str = ""
    model: str = ""
    fingerprint: str = ""
    tier: str = ""


@dataclass(frozen=True)
class Reply:
    """One answer as it came: what a backend returns, and what is kept on disk.

    body:    the JSON, verbatim; `read_answer` can read it, or the backend has refused it.
    headers: of rate limits, and the vendor's name for the request; nothing that could hold a key.
    params:  as sent, in the vendor's words; `dropped`: ours that the model does not take, where that was allowed.
    """

    status: int
    body: dict[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()


def read_answer(body: Mapping[str, Any], sent: Mapping[str, Any] | None = None) -> Answer:
    """The answer in the JSON of a chat completion or a response. ValueError where it is neither.

    sent: the parameters it was asked with. An answer as long as its limit counts as cut whatever it says of itself:
          some servers call it completed (`transformers serve`, responses). One that is told to be much longer has no
          usage: such a count would be a bill that nobody can check.
    """
    if "choices" in body:
        text, finish, refusal = _chat(body)
    elif isinstance(body.get("output"), list):
        text, finish, refusal = _response(body)
    else:
        raise ValueError("neither choices nor output in the answer")
    if refusal:
        finish = REFUSAL
    elif finish == STOP and not text.strip():
        finish = EMPTY
    usage = _usage(body.get("usage"))
    limit = _limit(sent or {})
    if finish == STOP and usage and usage.output >= limit:
        finish = LENGTH
    if usage and usage.output > TIMES * limit:
        usage = None
    return Answer(text, finish, usage, refusal, _text(body.get("model")),
                  _text(body.get("system_fingerprint")), _text(body.get("service_tier")))  # fmt: skip


def _chat(body: Mapping[str, Any]) -> tuple[str, str, str]:
    choices = body["choices"]
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    message = choice.get("message")
    message = message if isinstance(message, dict) else {}
    finish = _text(choice.get("finish_reason")) or STOP
    return _text(message.get("content")), finish, _text(message.get("refusal"))


def _response(body: Mapping[str, Any]) -> tuple[str, str, str]:
    messages = [item for item in body["output"] if isinstance(item, dict) and item.get("type") == "message"]
    parts = [part for item in messages for part in item.get("content") or [] if isinstance(part, dict)]
    details = body.get("incomplete_details")
    reason = _text(details.get("reason")) if isinstance(details, dict) else ""
    finish = {"": STOP, "max_output_tokens": LENGTH}.get(reason, reason)
    text = "".join(_text(part.get("text")) for part in parts if part.get("type") == "output_text")
    return text, finish, "".join(_text(part.get("refusal")) for part in parts if part.get("type") == "refusal")


def _usage(usage: Any) -> Usage | None:
    """None where a number that decides the price is missing or makes no sense."""
    if not isinstance(usage, dict):
        return None
    given = _count(usage, "prompt_tokens", "input_tokens")
    made = _count(usage, "completion_tokens", "output_tokens")
    if given is None or made is None:
        return None
    inside = usage.get("prompt_tokens_details") or usage.get("input_tokens_details") or {}
    outside = usage.get("completion_tokens_details") or usage.get("output_tokens_details") or {}
    return Usage(
        given,
        made,
        _count(inside, "cached_tokens") or 0,
        _count(inside, "cache_write_tokens") or 0,
        _count(outside, "reasoning_tokens") or 0,
    )


def _limit(sent: Mapping[str, Any]) -> float:
    found = (sent[name] for name in LIMITS if isinstance(sent.get(name), int))
    return next(found, math.inf)


def _count(of: Any, *names: str) -> int | None:
    for name in names:
        value = of.get(name) if isinstance(of, dict) else None
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS:
            return value
    return None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
