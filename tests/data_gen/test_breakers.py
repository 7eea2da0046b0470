"""When a run is stopped, and when not."""

import random

import pytest

from data_gen.breakers import Breakers, hopeless
from data_gen.failure import Failure, Kind


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def failure(kind: Kind = Kind.TRANSIENT, message: str = "The server had an error.") -> Failure:
    return Failure(kind, message, status=500)


def test_21_errors_of_512_stop_nothing():
    """DataDesigner#185: they ended a run there. In any order, and all at once at any place."""
    for seed in range(20):
        ends = [True] * 21 + [False] * 491
        if seed:
            random.Random(seed).shuffle(ends)
        breakers = Breakers(error_share=0.25, clock=Clock())
        for error in ends:
            breakers.failed(failure()) if error else breakers.succeeded()
            assert breakers.tripped() is None


def test_errors_that_left_the_window_are_forgotten():
    breakers = Breakers(error_share=0.25, clock=Clock())
    for i in range(5000):
        breakers.failed(failure()) if i % 5 == 0 else breakers.succeeded()
        assert breakers.tripped() is None, i


def test_few_calls_say_nothing_and_half_of_a_hundred_is_not_more_than_half():
    breakers = Breakers(clock=Clock())
    for _ in range(50):
        breakers.failed(failure())
        assert breakers.tripped() is None
    for _ in range(50):
        breakers.succeeded()
    assert breakers.tripped() is None
    with pytest.raises(ValueError, match="fewer than 50"):
        Breakers(errors_over=49)


def test_a_share_of_errors_above_the_bound():
    clock = Clock()
    breakers = Breakers(error_share=0.5, errors_over=100, errors_for=60, clock=clock)
    for _ in range(1000):
        breakers.succeeded()
        clock.now += 1
    for i in range(51):
        assert breakers.tripped() is None, i
        breakers.failed(failure())
        clock.now += 1
    assert "51 of the last 100 calls failed in 99 s, more than 50%" in breakers.tripped()
    for _ in range(1000):
        breakers.succeeded()
    assert "51 of the last 100" in breakers.tripped()  # once is for good


def test_an_outage_of_seconds_stops_nothing_and_one_of_minutes_does():
    clock = Clock()
    breakers = Breakers(clock=clock)
    for _ in range(60 * 400):
        breakers.succeeded()
        clock.now += 1 / 400
    for _ in range(800):  # two seconds, at 400 calls a second
        breakers.failed(failure())
        clock.now += 1 / 400
        assert breakers.tripped() is None
    for _ in range(30):
        breakers.failed(failure())
        clock.now += 1
    assert breakers.tripped() is None  # few calls while all back off: most of the last minute's are still answers
    for _ in range(60):
        breakers.failed(failure())
        clock.now += 1
    assert "calls failed" in breakers.tripped()


@pytest.mark.parametrize("kind", [Kind.RATE, Kind.CAPACITY])
def test_rate_limits_are_no_errors_but_no_progress_either(kind):
    """DataDesigner#575: a run stalled for ever under steady 429."""
    clock = Clock()
    breakers = Breakers(silence=600, clock=clock)
    for _ in range(500):
        breakers.failed(failure(kind, "Rate limit reached."))
        clock.now += 1.2
    assert breakers.tripped() is None
    clock.now += 1
    assert "no answer for 10.0 minutes; the last error: rate (500)".replace("rate (", f"{kind} (") in breakers.tripped()


def test_a_deterministic_500_ends_in_minutes():
    """METR/hawk#945: 1,149 tries over 24 days."""
    clock = Clock()
    breakers = Breakers(silence=600, clock=clock)
    while not breakers.tripped():
        breakers.failed(failure())
        clock.now += 30
    assert clock.now <= 630


def test_a_long_silence_without_a_failure_is_only_slow():
    clock = Clock()
    breakers = Breakers(silence=600, clock=clock)
    clock.now = 900
    assert breakers.tripped() is None  # the flex tier may take 15 minutes
    breakers.succeeded()
    clock.now = 1400
    breakers.failed(failure())
    assert breakers.tripped() is None
    breakers.succeeded()
    clock.now = 2100
    assert breakers.tripped() is None


@pytest.mark.parametrize(("kind", "word"), [(Kind.QUOTA, "no quota left"), (Kind.FATAL, "no request can succeed")])
def test_quota_and_fatal_stop_at_once(kind, word):
    breakers = Breakers(clock=Clock())
    breakers.failed(failure(kind, "Because."))
    breakers.failed(failure(Kind.QUOTA, "Later."))
    assert word in breakers.tripped() and "Because." in breakers.tripped()


def test_a_broken_prompt():
    breakers = Breakers(accepted_share=0.05, accepted_over=500, clock=Clock())
    for i in range(500):
        assert breakers.tripped() is None, i
        breakers.judged(i % 21 == 0)  # 24 of 500
    assert "only 24 of the last 500 answers were accepted, less than 5%" in breakers.tripped()


def test_a_poor_but_sound_prompt_and_a_window_that_slides():
    breakers = Breakers(accepted_share=0.05, accepted_over=500, clock=Clock())
    for i in range(5000):
        breakers.judged(i % 20 == 0)
        assert breakers.tripped() is None
    for _ in range(25):
        breakers.judged(False)
    assert "24 of the last 500" in breakers.tripped()
    off = Breakers(accepted_share=0, accepted_over=500, clock=Clock())
    for _ in range(600):
        off.judged(False)
    assert off.tripped() is None


@pytest.mark.parametrize(
    ("messages", "sure"),
    [
        (["The server had an error."] * 4, True),
        (["The server had an error."] * 3, False),
        (["Other."] + ["The server had an error."] * 4, True),
        (["The server had an error."] * 3 + ["Other."], False),
        ([f"Error in request req_{i}abc{i} after {i} ms" for i in range(4)], True),
        (["a", "b", "a", "b"], False),
        ([], False),
    ],
)
def test_hopeless(messages, sure):
    assert hopeless(messages) is sure


def test_a_run_that_never_had_an_answer_gives_up_early():
    breakers = Breakers(clock=Clock())
    for i in range(19):
        breakers.gave_up(f"no connection to host (request req_{i}abc)")
        breakers.gave_up(f"another reason {'x' * i}")
        assert breakers.tripped() is None
    breakers.gave_up("no connection to host (request req_99abc)")
    assert "20 requests were given up for one reason: no connection" in breakers.tripped()
    doubting = Breakers(clock=Clock())
    for _ in range(49):
        doubting.failed(failure(Kind.DOUBTFUL, "Lost."))
        assert doubting.tripped() is None
    doubting.failed(failure(Kind.DOUBTFUL, "Lost."))
    assert "nothing was answered, and 50 sends may have been billed" in doubting.tripped()


def test_one_answer_is_enough_to_be_patient():
    breakers = Breakers(clock=Clock())
    breakers.succeeded()
    for _ in range(99):
        breakers.failed(failure(Kind.DOUBTFUL, "Lost."))
        breakers.gave_up("Lost.")
    assert breakers.tripped() is None
