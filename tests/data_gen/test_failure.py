"""Which failure an HTTP error is, and how long it asks to wait."""

import pickle
from email.utils import formatdate

import pytest

from data_gen.failure import Failure, Kind, classify, retry_after

BILLING_PAGE = "Rate limit reached for gpt-6-luna. Add a payment method at https://example.com/account/billing."


@pytest.mark.parametrize(
    ("status", "code", "type_", "message", "kind"),
    [
        (429, "rate_limit_exceeded", "requests", "Rate limit reached.", Kind.RATE),
        (429, None, None, "", Kind.RATE),
        (429, "rate_limit_exceeded", "tokens", BILLING_PAGE, Kind.RATE),
        (429, "rate_limit_exceeded", "tokens", "You exceeded your current quota of requests a minute.", Kind.RATE),
        (503, "slow_down", None, "Slow down.", Kind.RATE),
        (429, "resource_unavailable", "resource_unavailable", "No capacity.", Kind.CAPACITY),
        (429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota.", Kind.QUOTA),
        (429, None, "insufficient_quota", "", Kind.QUOTA),
        (429, None, None, "You exceeded your current quota, please check your plan.", Kind.QUOTA),
        (400, "billing_hard_limit_reached", None, "Billing hard limit has been reached.", Kind.QUOTA),
        (429, None, None, "The monthly spend limit of this project is reached.", Kind.QUOTA),
        (402, None, None, "Pay first.", Kind.QUOTA),
        *[(status, None, "server_error", "", Kind.TRANSIENT) for status in (408, 409, 500, 502, 503, 504, 529)],
        (400, None, "invalid_request_error", "Invalid request.", Kind.PERMANENT),
        (413, None, None, "Too large.", Kind.PERMANENT),
        (422, None, None, "", Kind.PERMANENT),
        *[(status, None, None, "", Kind.FATAL) for status in (301, 307, 401, 403, 404, 405)],
        (400, "invalid_api_key", None, "Wrong key.", Kind.FATAL),
    ],
)
def test_kind(status, code, type_, message, kind):
    failure = classify(status, code, type_, message, {"x-should-retry": "true"})
    assert (failure.kind, failure.status, failure.code, failure.message) == (kind, status, code or "", message)
    assert failure.retry_after is None


NOW = 1_790_000_000.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "7"}, 7),
        ({"retry-after": "86400"}, 86400),  # the caller caps it
        *[({"retry-after": text}, None) for text in ("soon", "", "-3", "nan", "inf", "1e999", "Thu, 99 Foo")],
        ({"retry-after": formatdate(NOW + 30, usegmt=True)}, 30),
        ({"retry-after": formatdate(NOW - 30, usegmt=True)}, 0),
        # The server's clock is an hour ahead of ours: its own Date counts.
        ({"retry-after": formatdate(NOW + 3630, usegmt=True), "date": formatdate(NOW + 3600, usegmt=True)}, 30),
        ({"retry-after": formatdate(NOW + 30, usegmt=True), "date": "yesterday"}, 30),
    ],
)
def test_retry_after(headers, seconds):
    assert retry_after(headers, NOW) == (None if seconds is None else pytest.approx(seconds))
    assert classify(429, None, None, "", headers, NOW).retry_after == retry_after(headers, NOW)


def test_a_date_without_any_clock_says_nothing():
    assert retry_after({"retry-after": formatdate(NOW, usegmt=True)}) is None


def test_a_failure_tells_its_kind():
    failure = Failure(Kind.RATE, "Slow down.", status=429)
    assert str(failure) == "rate (429): Slow down." and str(Failure(Kind.DOUBTFUL, "lost")) == "doubtful: lost"
    assert pickle.dumps(Kind.RATE) and Kind("rate") is Kind.RATE
