"""The limiter on a clock of its own: no test here waits for real."""

import asyncio
import heapq
import random
from collections.abc import Coroutine
from typing import Any

import pytest

from data_gen.limiter import CAP, LONGEST_HOLD, Limiter, span


class Time:
    """A clock that jumps to the next sleeper as soon as nothing else is to do."""

    def __init__(self) -> None:
        self.now, self._asleep, self._count = 1000.0, [], 0

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self._count += 1
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._asleep, (self.now + seconds, self._count, woken))
        await woken

    def run(self, main: Coroutine[Any, Any, Any]) -> Any:
        async def all_of_it() -> Any:
            task = asyncio.ensure_future(main)
            while not task.done():
                for _ in range(20):  # lets everyone who can go on do so
                    await asyncio.sleep(0)
                while self._asleep and self._asleep[0][2].done():  # cancelled
                    heapq.heappop(self._asleep)
                if not task.done() and self._asleep:
                    at, _, woken = heapq.heappop(self._asleep)
                    self.now = max(self.now, at)
                    woken.set_result(None)
            return task.result()

        return asyncio.run(asyncio.wait_for(all_of_it(), 20))


@pytest.fixture
def time() -> Time:
    return Time()


def limiter(time: Time, *args, **more) -> Limiter:
    return Limiter(*args, clock=time.clock, sleep=time.sleep, random=random.Random(0), **more)


def told(limit=None, left=None, reset=None, name="requests") -> dict[str, str]:
    parts = {"limit": limit, "remaining": left, "reset": reset}
    return {f"x-ratelimit-{part}-{name}": str(value) for part, value in parts.items() if value is not None}


def test_no_more_at_once_than_the_limit_and_in_order(time):
    limit = limiter(time, 3, 3)
    order, most = [], []

    async def call(i: int) -> None:
        async with limit.slot():
            order.append(i)
            most.append(limit.in_flight)
            await time.sleep(random.Random(i).uniform(0.1, 2))

    async def main() -> None:
        await asyncio.gather(*map(call, range(50)))

    time.run(main())
    assert order == list(range(50)) and max(most) == 3 and limit.in_flight == 0


def test_requests_per_minute_hold_in_every_minute(time):
    limit, at = limiter(time, 64, requests_per_minute=120), []

    async def call() -> None:
        async with limit.slot():
            at.append(time.now)

    async def main() -> None:
        await asyncio.gather(*(call() for _ in range(600)))

    time.run(main())
    assert 295 <= at[-1] - at[0] <= 301  # two a second
    assert max(sum(start <= t < start + 60 for t in at) for start in at) <= 120 + 2


def test_tokens_per_minute_hold_and_no_request_is_too_large(time):
    limit, at = limiter(time, 64, tokens_per_minute=6000), []

    async def call(tokens: int) -> None:
        async with limit.slot(tokens):
            at.append(time.now - 1000)

    async def main() -> None:
        for tokens in (100, 500, 10_000, 100, 100):
            await call(tokens)

    time.run(main())
    assert at == pytest.approx([0, 1, 6, 106, 107], abs=0.01)  # 100 a second, and the debts are paid


def test_a_cancelled_waiter_loses_no_place(time):
    limit = limiter(time, 1, 1)

    async def call(seconds: float) -> str:
        async with limit.slot():
            await time.sleep(seconds)
            return "done"

    async def main() -> list[Any]:
        tasks = [asyncio.ensure_future(call(1)) for _ in range(8)]
        await time.sleep(0.5)
        for i in 1, 2, 5, 7:  # the first in line, its follower, one between and the last
            tasks[i].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        tasks = [asyncio.ensure_future(call(1)) for _ in range(2)]
        await time.sleep(0.5)
        tasks[0].cancel()  # while it holds the place
        return results + await asyncio.gather(*tasks, return_exceptions=True)

    got = time.run(main())
    assert [result == "done" for result in got] == [True, False, False, True, True, False, True, False, False, True]
    assert limit.in_flight == 0


def test_a_waiter_cancelled_while_held_takes_nothing(time):
    limit = limiter(time, 4, requests_per_minute=60)

    async def main() -> None:
        limit.limited(100)
        waiter = asyncio.ensure_future(limit.admit())
        await time.sleep(50)
        waiter.cancel()
        await asyncio.gather(waiter, return_exceptions=True)
        assert limit.in_flight == 0
        await limit.admit()

    time.run(main())
    assert limit.in_flight == 1 and time.now == pytest.approx(1100)


def test_concurrency_doubles_until_the_first_limit_and_then_grows_by_one(time):
    limit = limiter(time, 4, 128)
    for expected in (8, 16, 32):
        for _ in range(limit.limit):
            limit.answered({})
        assert limit.limit == expected
    limit.limited(None)
    assert limit.limit == 16
    for _ in range(17):
        limit.answered({})
    assert limit.limit == 17
    for _ in range(20_000):
        limit.answered({})
    assert limit.limit == 128


def test_concurrency_halves_once_a_flight(time):
    limit = limiter(time, 20, 20)

    async def main() -> None:
        for _ in range(3):  # flights of 2 s
            async with limit.slot():
                await time.sleep(2)

    time.run(main())
    for _ in range(10):
        limit.limited(None)
    assert limit.limit == 10
    time.now += 0.5
    limit.limited(None)
    assert limit.limit == 10
    time.now += 2
    limit.limited(None)
    assert limit.limit == 5
    for _ in range(10):
        time.now += 10
        limit.limited(None)
    assert limit.limit == 1


def test_a_hold_counts_for_all_and_is_capped(time):
    limit, at = limiter(time, 8), []

    async def call() -> None:
        async with limit.slot():
            at.append(time.now)

    async def main() -> None:
        assert limit.limited(30) == 30
        assert limit.limited(5) == 5  # does not shorten it
        await asyncio.gather(*(call() for _ in range(5)))

    time.run(main())
    assert at == [pytest.approx(1030)] * 5 and limit.hold_too_long is None and limit.held == 0
    assert limit.limited(86_400) == LONGEST_HOLD and limit.held == pytest.approx(LONGEST_HOLD)
    assert limit.hold_too_long == 86_400


def test_backoff_is_full_jitter_within_a_bound_that_doubles(time):
    limit = limiter(time)
    for attempt, bound in [(1, 1), (2, 2), (3, 4), (6, 32), (7, CAP), (1000, CAP)]:
        waits = [limit.backoff(attempt) for _ in range(500)]
        assert 0 <= min(waits) < 0.05 * bound and 0.95 * bound < max(waits) <= bound
    again = [limiter(time).backoff(3) for _ in range(3)]
    assert len(set(again)) == 1  # the generator decides, nothing else


def test_holds_grow_while_nothing_but_rate_limits_comes(time):
    limit, holds = limiter(time), []
    for _ in range(60):
        holds.append(limit.limited(None))
        time.now += 200
    assert max(holds[:2]) <= 2 and max(holds) > 0.5 * CAP
    limit.answered({})
    assert limit.limited(None) <= 1


def test_headers_fill_the_buckets(time):
    limit = limiter(time, 64, 64)
    limit.answered(told(60, 5, "55s"))  # five left, one more each second
    at = []

    async def call() -> None:
        async with limit.slot():
            at.append(time.now - 1000)

    async def main() -> None:
        await asyncio.gather(*(call() for _ in range(8)))

    time.run(main())
    assert at == pytest.approx([0, 0, 0, 0, 0, 1, 2, 3], abs=0.01)
    limit.answered(told(60, 60, "0s"))
    assert limit._told["requests"].rate == 1


def test_a_daily_limit_is_seen_by_its_reset(time):
    limit = limiter(time, 64, 64)
    limit.answered(told(14_400, 14_370, "180s"))
    assert limit._told["requests"].rate * 86_400 == pytest.approx(14_400)


@pytest.mark.parametrize(
    "headers",
    [{}, told("many", "many", "-3 parsecs"), told(100), told(left=5), told(0, 0, "1s"), told(100, 101, "1s"),
     told("nan", "nan", "nan"), told(100, -1, "1s"), told("inf", 3, "1s")],
)  # fmt: skip
def test_nonsense_in_headers_is_ignored(time, headers):
    limit = limiter(time, 8)
    limit.answered(headers)
    assert limit._told == {}


def test_calls_in_flight_are_not_promised_twice(time):
    limit = limiter(time, 8)

    async def main() -> None:
        places = [await limit.admit(100) for _ in range(4)]
        limit.answered(told(1000, 10, "60s") | told(100_000, 1000, "60s", "tokens"))
        assert limit._told["requests"].level == 7 and limit._told["tokens"].level == 700
        for place in places:
            limit.release(place, 100)

    time.run(main())


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("6ms", 0.006), ("1s", 1), ("6m0s", 360), ("1h2m3.5s", 3723.5), ("2m59.56s", 179.56), ("7", 7), ("0.5", 0.5),
     ("", None), ("soon", None), ("-3 parsecs", None), ("-1", None), ("s", None), ("2026-11-21T00:00:00Z", None), (None, None)],
)  # fmt: skip
def test_span(text, seconds):
    assert span(text) == seconds


def test_impossible_numbers():
    with pytest.raises(ValueError, match="concurrency"):
        Limiter(200, 128)
    with pytest.raises(ValueError, match="concurrency"):
        Limiter(0)
