"""What the stub does wrong, and when: a list of rules, a seed, and nothing else.

Which calls a rule hits is a function of (seed, rule, what was asked, which attempt), never of the clock or of the
order in which calls arrive: two clients that send the same requests, in whatever order and however often killed, meet
the same faults. What an answer says (`ANSWERS`) depends on the request alone, so asking again changes nothing.
"""

import hashlib
import json
import random
from dataclasses import asdict, dataclass, field
from typing import Any

# Errors told by status, before any work; nothing is billed. Name: status, type, code, message.
REFUSALS: dict[str, tuple[int, str, str | None, str]] = {
    "rate_seconds": (429, "requests", "rate_limit_exceeded", "Rate limit reached for requests."),
    "rate_ms": (429, "requests", "rate_limit_exceeded", "Rate limit reached for requests."),
    "rate_date": (429, "tokens", "rate_limit_exceeded", "Rate limit reached for tokens."),
    "rate_bare": (429, "tokens", "rate_limit_exceeded", "Rate limit reached for tokens."),
    "rate_absurd": (429, "requests", "rate_limit_exceeded", "Rate limit reached for requests."),
    "rate_nonsense": (429, "requests", "rate_limit_exceeded", "Rate limit reached for requests."),
    "quota": (429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota."),
    "capacity": (429, "resource_unavailable", "resource_unavailable", "No capacity for flex processing now."),
    "bad_request": (400, "invalid_request_error", None, "Invalid request."),
    "bad_key": (401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    "forbidden": (403, "invalid_request_error", "unsupported_country_region_territory", "Not allowed."),
    "no_model": (404, "invalid_request_error", "model_not_found", "The model does not exist."),
    "timeout_408": (408, "timeout", None, "Request timed out."),
    "conflict_409": (409, "conflict", None, "Conflict."),
    "unprocessable": (422, "invalid_request_error", None, "Unprocessable."),
    "error_500": (500, "server_error", None, "The server had an error."),
    "error_502": (502, "server_error", None, "Bad gateway."),  # as a proxy tells it: an HTML page
    "error_503": (503, "server_error", None, "The engine is overloaded."),
    "error_504": (504, "server_error", None, "Gateway timeout."),
}
# What stops a sensible run: these are in random scripts only when asked for.
FATAL = ("quota", "bad_request", "bad_key", "forbidden", "no_model", "unprocessable")
SLOW = ("rate_seconds", "rate_absurd")  # Retry-After in whole seconds

# Faults of the wire. True: the work was done and is billed, whatever the client got to see of it.
WIRE: dict[str, bool] = {
    "reset_before": False,  # the request is read, then RST
    "reset_after_work": True,  # RST instead of an answer: the reply lost after billing
    "reset_in_head": True,  # RST in the middle of the header lines
    "reset_in_body": True,  # RST in the middle of the body
    "close_in_body": True,  # a proper close, too early for Content-Length
    "reset_after_body": True,  # RST after the last byte
    "slow_head": True,  # `value` seconds of silence, then the answer
    "slow_body": True,  # the body in pieces, over `value` seconds
    "late": True,  # answers after `value` seconds, when the client should have given up
    "half_json": True,  # 200, complete HTTP, half a document
    "html": True,  # 200 with a page of HTML
    "wrong_type": True,  # the right JSON as text/plain
    "empty_body": True,  # 200, Content-Length 0
    "duplicate": True,  # the whole answer twice on one connection
}
STALE = ("reset_after_body", "duplicate")  # what an unwary client meets in the next call on that connection
# 200 answers that say something else; always billed, and the same at every attempt.
ANSWERS = (
    "no_usage", "null_content", "empty_text", "empty_choices", "refusal", "length", "content_filter", "wrong_schema",
    "fenced_json", "whitespace_flood", "repeated_answer", "wrong_id", "extra_fields", "wrong_model", "odd_headers",
    "clock_jump",
)  # fmt: skip
# Faults of a batch, of its files, or of the calls about them.
BATCHES = (
    "upload_lost",  # the file is kept, the reply is not sent
    "create_fails",  # 500 to the create; no batch
    "create_lost",  # the batch runs; the create's reply is not sent
    "input_gone",  # the input file is deleted before the create
    "invalid_line",  # fails in validation, with a line number
    "error_only",  # every line in the error file
    "some_errors",  # a part of the lines in the error file
    "shuffled",
    "missing",  # lines in neither file, not billed
    "missing_billed",  # lines in neither file, billed
    "doubled",  # lines twice, billed once
    "unknown_id",  # a line that nobody asked for
    "status_0",  # lines with status 0 and no body, not billed
    "torn_line",  # the last line of the output is half a line
    "expired",  # half is done and billed, half in the error file as batch_expired
    "cancelled",  # the vendor cancels it half way
    "stuck",  # in finalizing for `value` polls more, or for ever
    "output_late",  # completed, but the first poll after that names no output file yet
    "output_gone",  # the output file is deleted: 404
    "poll_500",  # every second poll
    "download_cut",  # the first download of a result ends early
    "download_500",  # the first download of a result is refused
)
# In random scripts only with `fatal`: answers are lost, never come, or a retry is not the obvious way.
LOSING = ("output_gone", "stuck", "invalid_line")
FAULTS = (*REFUSALS, *WIRE, *ANSWERS, *BATCHES)


@dataclass(frozen=True)
class Rule:
    """One fault and the calls it hits: a share of those whose request holds `match`, in their first `attempts`."""

    fault: str
    share: float = 1.0
    attempts: int | None = 1  # None: however often it is sent
    value: float | None = None  # seconds, milliseconds or polls, as the fault has it
    match: str = ""
    after: int = 0  # not the first so many calls of the server's life; the one thing here that depends on order

    def __post_init__(self) -> None:
        if self.fault not in FAULTS:
            raise ValueError(f"no fault is called {self.fault!r}; there are {', '.join(FAULTS)}")


@dataclass(frozen=True)
class Script:
    """All that the stub does on purpose. `load(dump())` is the same script."""

    seed: int = 0
    latency: float = 0.0  # seconds before each answer
    rules: tuple[Rule, ...] = ()
    models: tuple[str, ...] = ("stub", "gpt-4o-mini", "gpt-5.4-nano", "gpt-6-luna")
    reasoning: int = 0  # tokens a reasoning model bills before it says a word
    per_second: float | None = None  # a true limit: calls above it get 429
    polls: int = 1  # how often a batch is found in progress
    enqueued_tokens: int | None = None  # as the tier's limit: a batch that exceeds it fails
    extra: dict[str, Any] = field(default_factory=dict)  # for the answer function

    def dump(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str) -> "Script":
        fields = json.loads(text)
        rules = tuple(Rule(**rule) for rule in fields.pop("rules", ()))
        if "models" in fields:
            fields["models"] = tuple(fields["models"])
        return cls(rules=rules, **fields)

    def meets(self, kinds: Any, key: str, attempt: int, text: str = "", ordinal: int = 1) -> list[Rule]:
        """The rules of these kinds that hit this attempt at this request, in the script's order."""
        return [
            rule
            for number, rule in enumerate(self.rules)
            if rule.fault in kinds and rule.match in text and ordinal > rule.after and self._hits(number, key, attempt)
        ]

    def _hits(self, number: int, key: str, attempt: int) -> bool:
        rule = self.rules[number]
        if rule.fault in ANSWERS:  # the same answer to the same question
            return dice(self.seed, number, key) < rule.share
        if rule.attempts is not None and attempt > rule.attempts:
            return False
        return dice(self.seed, number, key, attempt) < rule.share


def dice(*what: Any) -> float:
    """A number in [0, 1) that these values alone decide."""
    digest = hashlib.blake2b(" ".join(map(str, what)).encode(), digest_size=7).digest()
    return int.from_bytes(digest, "little") / 256**7


def random_script(seed: int, *, timeout: float = 0.3, fatal: bool = False, slow: bool = False) -> Script:
    """One of endlessly many scripts that a good client gets through.

    No request meets a fault of refusal or wire after its second attempt, so three tries are enough; with faults that
    spoil a connection for the next call on it (`STALE`), none after its first. `timeout` is the client's: late answers
    come after it. `fatal` adds what a run may stop at, `slow` a Retry-After of seconds or more.
    """
    rng = random.Random(seed)
    refusals = [name for name in REFUSALS if (fatal or name not in FATAL) and (slow or name not in SLOW)]
    batches = [name for name in BATCHES if fatal or name not in LOSING]
    rules = []
    names = rng.sample([*refusals, *WIRE], rng.randint(1, 7))
    most = 1 if set(STALE) & set(names) else 2
    for name in names:
        if name in FATAL:
            rules.append(Rule(name, round(rng.uniform(0.01, 0.1), 3), rng.choice([1, None]), after=rng.randint(0, 20)))
            continue
        value = {
            "rate_ms": float(rng.randint(0, 30)),
            "rate_seconds": 1.0,
            "slow_head": round(timeout * rng.uniform(0.1, 0.4), 3),
            "slow_body": round(timeout * rng.uniform(0.1, 0.4), 3),
            "late": round(timeout * rng.uniform(1.5, 2.5), 3),
        }.get(name)
        rules.append(Rule(name, round(rng.uniform(0.02, 0.3), 3), rng.randint(1, most), value))
    for name in rng.sample(ANSWERS, rng.randint(0, 4)):
        rules.append(Rule(name, round(rng.uniform(0.02, 0.15), 3), None))
    for name in rng.sample(batches, rng.randint(0, 4)):
        rules.append(Rule(name, round(rng.uniform(0.3, 1.0), 3), rng.choice([1, 2])))
    return Script(
        seed=seed,
        latency=rng.choice([0.0, 0.001, 0.005]),
        rules=tuple(rules),
        reasoning=rng.choice([0, 0, 40]),
        polls=rng.randint(0, 3),
    )
