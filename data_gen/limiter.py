"""How many calls at once and how fast: learned from the server's answers, held to the user's limits."""

import asyncio
import math
import random as random_module
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

BASE, CAP = 1.0, 60.0  # seconds, of the backoff
LONGEST_HOLD = 120.0  # seconds; a server that asks for more is reported, not obeyed to the letter
BURST = 1.0  # seconds' worth of a user's limit that may go at once
LOOK_AGAIN = 1.0  # seconds: what is waited for may come sooner than computed
TICK = 1e-3  # seconds: less is not worth a sleep; a bucket's debt keeps the account
SPAN = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d*)?)s)?(?:(\d+(?:\.\d*)?)ms)?")


class Bucket:
    """An amount that refills at `rate` a second up to `capacity`. Taking may leave a debt, so no request is too large."""

    def __init__(self, rate: float, capacity: float, level: float, now: float) -> None:
        self.rate, self.capacity, self.level, self._at = rate, capacity, level, now

    def wait(self, need: float, now: float) -> float:
        """Seconds until `need` is there, or all that ever will be."""
        self.level = min(self.capacity, self.level + max(0.0, now - self._at) * self.rate)
        self._at = now
        lack = min(need, self.capacity) - self.level
        return lack / self.rate if lack > 1e-9 else 0.0


class Limiter:
    """Admits calls in the order of asking: concurrency that adapts, buckets, and a hold that counts for all.

    concurrency: calls at once in the beginning. Doubles with every round of answers until the first rate limit, which
                 halves it; then grows by one a round (as TCP does).
    most:        calls at once at any time.
    requests_per_minute, tokens_per_minute: the user's own limits. Those that `x-ratelimit-*` headers tell come on top.
    """

    def __init__(
        self,
        concurrency: int = 16,
        most: int = 128,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: random_module.Random | None = None,
    ) -> None:
        if not 1 <= concurrency <= most:
            raise ValueError(f"concurrency {concurrency} is not in 1..{most}")
        self._most, self._limit = most, float(concurrency)
        self._clock, self._sleep, self._random = clock, sleep, random or random_module.Random()
        now = clock()
        self._own = {
            name: Bucket(limit / 60, max(1.0, limit / 60 * BURST), max(1.0, limit / 60 * BURST), now)
            for name, limit in (("requests", requests_per_minute), ("tokens", tokens_per_minute))
            if limit is not None
        }
        self._told: dict[str, Bucket] = {}  # the server's, as far as its headers tell
        self._turn, self._freed = asyncio.Lock(), asyncio.Event()
        self.in_flight = 0
        self._tokens_in_flight = 0.0
        self._flight = 1.0  # seconds a call takes, smoothed
        self._cut_at, self._was_cut = -math.inf, False
        self._in_a_row = 0  # rate limits since the last answer
        self._held_until = -math.inf
        self.hold_too_long: float | None = None  # seconds, the last Retry-After that was beyond obeying

    @property
    def limit(self) -> int:
        """Calls at once, now."""
        return int(self._limit)

    @property
    def held(self) -> float:
        """Seconds for which no call will be admitted."""
        return max(0.0, self._held_until - self._clock())

    @asynccontextmanager
    async def slot(self, tokens: float = 0) -> AsyncIterator[None]:
        """`async with`: a place for one call of about so many tokens, input and output."""
        began = await self.admit(tokens)
        try:
            yield
        finally:
            self.release(began, tokens)

    async def admit(self, tokens: float = 0) -> float:
        """Waits for a place and takes it; returns what `release` wants back. First come, first served.

        Only the first in line waits for a condition, and nothing is taken before the last step, which can't be
        interrupted: a waiter that is cancelled takes no place with it.
        """
        async with self._turn:
            while True:
                if self.in_flight >= self.limit:
                    self._freed.clear()
                    await self._freed.wait()
                elif (wait := self._wait(tokens)) > TICK:
                    await self._sleep(min(wait, LOOK_AGAIN))
                else:
                    break
            for buckets in (self._own, self._told):
                for name, amount in (("requests", 1.0), ("tokens", float(tokens))):
                    if name in buckets:
                        buckets[name].level -= amount
            self.in_flight += 1
            self._tokens_in_flight += tokens
            return self._clock()

    def release(self, began: float, tokens: float = 0) -> None:
        """Gives the place back."""
        self.in_flight -= 1
        self._tokens_in_flight -= tokens
        self._flight += 0.1 * (self._clock() - began - self._flight)
        self._freed.set()

    def answered(self, headers: Mapping[str, str]) -> None:
        """A call brought an answer with these headers (names in lower case)."""
        self._in_a_row = 0
        self._limit = min(float(self._most), self._limit + (1 / self._limit if self._was_cut else 1.0))
        self._freed.set()
        self._learn(headers)

    def limited(self, retry_after: float | None) -> float:
        """A call met a rate limit: fewer at once, and all hold, longer each time in a row. Returns the hold in seconds."""
        now = self._clock()
        if now - self._cut_at >= self._flight:  # the others of the same flight tell the same news
            self._in_a_row += 1
            self._limit, self._was_cut = max(1.0, self._limit / 2), True
            self._cut_at = now
        if retry_after is not None and retry_after > LONGEST_HOLD:
            self.hold_too_long = retry_after
        hold = max(min(retry_after or 0.0, LONGEST_HOLD), self.backoff(max(1, self._in_a_row)))
        self._held_until = max(self._held_until, now + hold)
        return hold

    def backoff(self, attempt: int) -> float:
        """Seconds to wait after the `attempt`-th failure (from 1): anything up to a bound that doubles (full jitter)."""
        return self._random.uniform(0, min(CAP, BASE * 2 ** min(attempt - 1, 30)))

    def _wait(self, tokens: float) -> float:
        now = self._clock()
        waits = [self._held_until - now]
        for buckets in (self._own, self._told):
            for name, need in (("requests", 1.0), ("tokens", float(tokens))):
                if name in buckets:
                    waits.append(buckets[name].wait(need, now))
        return max(waits)

    def _learn(self, headers: Mapping[str, str]) -> None:
        now = self._clock()
        others = max(0, self.in_flight - 1)  # calls the server may not have counted yet when it wrote the header
        share = others / self.in_flight if self.in_flight else 0.0
        for name, unseen in (("requests", float(others)), ("tokens", self._tokens_in_flight * share)):
            limit = _amount(headers.get(f"x-ratelimit-limit-{name}"))
            left = _amount(headers.get(f"x-ratelimit-remaining-{name}"))
            if limit is None or left is None or limit <= 0 or left > limit:
                continue
            full = span(headers.get(f"x-ratelimit-reset-{name}"))  # seconds until it is full again: the true rate
            rate = (limit - left) / full if full and left < limit else limit / 60
            self._told[name] = Bucket(rate, limit, left - unseen, now)


def _amount(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def span(text: str | None) -> float | None:
    """Seconds in `6ms`, `1s`, `6m0s`, `1h2m3.5s` or a plain number of seconds; None for anything else."""
    text = (text or "").strip()
    if (plain := _amount(text)) is not None:
        return plain
    found = SPAN.fullmatch(text)
    if not text or not found:
        return None
    hours, minutes, seconds, thousandths = (float(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + seconds + thousandths / 1000
