"""What went wrong with a call, and what follows from it: try again, give this request up, or stop the run."""

import math
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from enum import StrEnum


class Kind(StrEnum):
    """What to do about a failure. Only a DOUBTFUL one may have been billed."""

    RATE = "rate"  # too many requests: all calls hold, then again
    CAPACITY = "capacity"  # no room at this tier now; free; later again
    QUOTA = "quota"  # the account has no money or limit left: stop the run
    TRANSIENT = "transient"  # nothing was done: again, a few times
    DOUBTFUL = "doubtful"  # sent, and no whole answer came back: perhaps done and billed
    PERMANENT = "permanent"  # this request never will be answered
    FATAL = "fatal"  # no request will: wrong key, model or address


class Failure(Exception):
    """A call without an answer. `retry_after`: seconds the server asked for, None where it did not; no cap here.

    `status` is 0 where there was no HTTP answer, `code` the vendor's word for the error or "".
    """

    def __init__(
        self, kind: Kind, message: str, *, status: int = 0, code: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.kind, self.message, self.status, self.code, self.retry_after = kind, message, status, code, retry_after

    def __str__(self) -> str:
        return f"{self.kind} ({self.status}): {self.message}" if self.status else f"{self.kind}: {self.message}"

    def __repr__(self) -> str:
        return f"Failure({str(self)!r})"


QUOTA_CODES = {
    "insufficient_quota", "quota_exceeded", "billing_hard_limit_reached", "billing_not_active", "spending_limit_reached",
    "spend_limit_reached", "spend_limit_exceeded", "spending_limit_exceeded", "insufficient_balance", "insufficient_credits",
}  # fmt: skip
# Only for errors that come without a code: the text of a plain rate limit talks of billing pages too.
QUOTA_TEXT = re.compile(
    r"exceeded your (current|monthly) quota|(billing hard|spend(ing)?) limit|credit balance|"
    r"insufficient (balance|credit|funds)",
    re.IGNORECASE,
)
CAPACITY_CODES = {"resource_unavailable"}
RATE_CODES = {"rate_limit_exceeded", "slow_down", "too_many_requests"}
FATAL_CODES = {"invalid_api_key", "model_not_found", "account_deactivated", "organization_deactivated"}
AGAIN = {408, 409, 425}
STOP = {401, 403, 404, 405, 407, 410}


def classify(
    status: int, code: str | None, type_: str | None, message: str, headers: Mapping[str, str], now: float | None = None
) -> Failure:
    """The failure that an HTTP error is. Pure: `now` (unix seconds) is needed only for a dated Retry-After without Date.

    `headers` have lower-case names. `x-should-retry` is not read: vendors set it on an empty account too.
    """
    words = {str(word).lower() for word in (code, type_) if word}
    return Failure(
        _kind(status, words, message), message, status=status, code=code or "", retry_after=retry_after(headers, now)
    )


def _kind(status: int, words: set[str], message: str) -> Kind:
    if (
        status == 402
        or words & QUOTA_CODES
        or (not words & RATE_CODES and status == 429 and QUOTA_TEXT.search(message))
    ):
        return Kind.QUOTA
    if words & CAPACITY_CODES:
        return Kind.CAPACITY
    if status == 429 or (status == 503 and words & RATE_CODES):
        return Kind.RATE
    if status in AGAIN or status >= 500:
        return Kind.TRANSIENT
    if status in STOP or status < 400 or words & FATAL_CODES:  # below 400: a redirect, which is not followed
        return Kind.FATAL
    return Kind.PERMANENT


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds from now that the headers ask to wait, 0 for a date that has passed; None where they say nothing sane."""
    if (wait := _number(headers.get("retry-after-ms"))) is not None:
        return wait / 1000
    text = headers.get("retry-after")
    if text is None or (wait := _number(text)) is not None:
        return wait
    until = _date(text)
    since = _date(headers.get("date"))  # of the same clock, which may not be ours
    if since is None:
        since = now
    return None if until is None or since is None else max(0.0, until - since)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _date(text: str | None) -> float | None:
    try:
        return parsedate_to_datetime(text or "").timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
