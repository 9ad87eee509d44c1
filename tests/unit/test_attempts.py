"""A brake on whoever tries too often, which forgets and cannot be made to remember too much."""

import pytest

from core.errors import LimitReached
from core.identity.attempts import Attempts
from tests.builders import SteadyClock

ME, OTHER = "192.0.2.1", "192.0.2.2"


def refused(attempts: Attempts, address: str) -> tuple[str, int]:
    with pytest.raises(LimitReached) as limit:
        attempts.take(address)
    return limit.value.code, limit.value.retry_after_seconds


def test_an_address_may_try_so_often_and_begins_anew_after_the_window() -> None:
    clock = SteadyClock()
    attempts = Attempts(most=2, seconds=60.0, clock=clock)
    attempts.take(ME)
    clock.move(seconds=20)
    attempts.take(ME)
    assert refused(attempts, ME) == ("too_many_attempts", 41)
    attempts.take(OTHER)
    clock.move(seconds=40)
    for _ in range(2):
        attempts.take(ME)
    assert refused(attempts, ME) == ("too_many_attempts", 61)


def test_all_together_may_try_so_often_and_the_refused_do_not_count() -> None:
    clock = SteadyClock()
    attempts = Attempts(most=2, in_all=3, seconds=60.0, clock=clock)
    for address in (ME, ME, OTHER):
        attempts.take(address)
    assert refused(attempts, ME) == ("too_many_attempts", 61)
    assert refused(attempts, "192.0.2.3") == ("too_many_attempts_in_all", 61)
    clock.move(seconds=60)
    attempts.take("192.0.2.3")


@pytest.mark.parametrize(
    ("one", "same", "another"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1"),
        ("fe80::1%eth0", "fe80::2%eth1", "fe80:0:0:1::1"),
        ("192.0.2.1", "::ffff:192.0.2.1", "::ffff:192.0.2.2"),
        ("", "", "no address"),
    ],
)
def test_whoever_has_many_addresses_of_one_network_is_one(
    one: str, same: str, another: str
) -> None:
    attempts = Attempts(most=1, seconds=60.0, clock=SteadyClock())
    attempts.take(one)
    assert refused(attempts, same)[0] == "too_many_attempts"
    attempts.take(another)


def test_of_very_many_addresses_the_oldest_is_forgotten() -> None:
    attempts = Attempts(most=1, seconds=60.0, clock=SteadyClock())
    attempts.take(ME)
    for number in range(10_000):
        attempts.take(f"10.{number // 65_536}.{number // 256 % 256}.{number % 256}")
    attempts.take(ME)
