"""Random requests: good ones with a field or two gone wrong, and bytes that are nothing."""

import json
import random
from typing import Any

WRONG = [
    None, True, False, 0, -1, 1, 2, 5, 10**9, 10**40, -(10**40), 0.5, 1e308, -1e308, 1e-300, "", "a", "\u0000", "\ud800",
    "\U0001f600" * 20, "bana " * 300, [], {}, [[]], [None], [1, "a"], [[1, 2], ["a"]], {"a": {"b": [1]}}, ["x"] * 40, [7] * 300,
]  # fmt: skip
NUMBERS = ("max_tokens", "n", "seed", "logprobs", "top_logprobs", "temperature", "top_p", "top_k", "min_p",
           "repetition_penalty", "best_of", "presence_penalty", "max_completion_tokens", "row")  # fmt: skip
FIELDS = (
    *NUMBERS,
    "prompt",
    "messages",
    "stop",
    "echo",
    "stream",
    "stream_options",
    "model",
    "suffix",
    "tools",
    "unknown",
)


def random_request(rng: random.Random) -> tuple[str, bytes]:
    """A path and a body."""
    chat = rng.random() < 0.5
    path = "/v1/chat/completions" if chat else "/v1/completions"
    if rng.random() < 0.1:
        return path, bytes(rng.randrange(256) for _ in range(rng.randrange(60)))
    good = _good(rng, chat)
    for _ in range(rng.choice((0, 0, 1, 1, 2, 4))):
        good[rng.choice(FIELDS)] = rng.choice(WRONG)
    body = json.dumps(good, ensure_ascii=True).encode()
    if rng.random() < 0.1:
        return path, body[: rng.randrange(len(body))]
    return path, body


def _good(rng: random.Random, chat: bool) -> dict[str, Any]:
    body: dict[str, Any] = {"max_tokens": rng.randrange(1, 24), "temperature": rng.choice((0, 0.7, 1))}
    words = " ".join(rng.choices(("bana", "di", "lo", "ke", "Sumo."), k=rng.randrange(1, 30)))
    if chat:
        body["messages"] = [{"role": "user", "content": words}]
        if rng.random() < 0.3:
            body |= {"logprobs": True, "top_logprobs": rng.randrange(21)}
    else:
        body["prompt"] = rng.choice((words, [words, "Bana"], [rng.randrange(512) for _ in range(9)]))
        body |= {"echo": rng.random() < 0.3}
        if rng.random() < 0.3:
            body["logprobs"] = rng.randrange(21)
    for name, some in (("n", (1, 2, 5)), ("stop", ("a", ["lo", "e"])), ("seed", (0, -5, 2**40)), ("stream", (True,)),
                       ("top_k", (3,)), ("top_p", (0.5,)), ("min_p", (0.1,)), ("repetition_penalty", (1.3,))):  # fmt: skip
        if rng.random() < 0.25:
            body[name] = rng.choice(some)
    return body
