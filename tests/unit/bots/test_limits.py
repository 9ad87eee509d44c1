"""Buckets of tokens: no minute ever holds more than a rate allows, and nothing waits too long."""

from hypothesis import given
from hypothesis import strategies as st

from bots.limits import Limits, Rate
from bots.slack.delivering import RATES
from tests.builders import SteadyClock

POST = ("post", "")
HERE, THERE = ("message", "C1"), ("message", "C2")
SOME = {"post": Rate(per_minute=30, burst=5), "message": Rate(per_minute=60, burst=1)}


def limits() -> tuple[Limits, SteadyClock]:
    clock = SteadyClock()
    return Limits(SOME, clock=clock), clock


@given(pauses=st.lists(st.floats(0, 20), max_size=60))
def test_no_minute_holds_more_than_the_rate_and_its_burst(pauses: list[float]) -> None:
    some, clock = limits()
    used: list[float] = []
    for pause in pauses:
        clock.move(seconds=pause)
        clock.move(seconds=some.seconds_until(POST) + 1e-6)
        some.take(POST)
        used.append(clock.monotonic())
    for first in used:
        assert sum(first <= one < first + 60 for one in used) <= 35


def test_a_new_one_does_not_know_what_was_before_it_and_begins_with_one() -> None:
    some, _ = limits()
    some.take(POST)
    assert some.seconds_until(POST) == 2


def test_one_channel_does_not_hold_up_another() -> None:
    some, clock = limits()
    clock.move(seconds=60)
    some.take(POST, HERE)
    assert some.seconds_until(POST, HERE) == 1
    assert some.seconds_until(POST, THERE) == 0


def test_what_the_platform_asks_for_rests_so_long() -> None:
    some, clock = limits()
    some.pause(POST, seconds=7)
    assert some.seconds_until(POST) == 7
    clock.move(seconds=7)
    assert some.seconds_until(POST) == 0


def test_what_rests_in_one_channel_goes_on_in_another() -> None:
    some, clock = limits()
    clock.move(seconds=60)
    some.pause(HERE, seconds=7)
    assert some.seconds_until(POST, HERE) == 7
    assert some.seconds_until(POST, THERE) == 0
    some.pause(("message", ""), seconds=9)
    assert some.seconds_until(THERE) == 9


def test_what_has_no_rate_is_never_waited_for() -> None:
    some, _ = limits()
    some.take(("other", ""))
    assert some.seconds_until(("other", "")) == 0


def test_slacks_tiers_hold_with_their_bursts() -> None:
    tiers = {"chat.startStream": 20, "chat.update": 50, "chat.appendStream": 100}
    for method, a_minute in tiers.items():
        assert RATES[method].per_minute + RATES[method].burst <= a_minute
    assert RATES["message"].per_minute <= 60
    assert RATES["message"].burst == 1
