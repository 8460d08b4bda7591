"""How often somebody may ask, told with a clock in the test's hand."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from worker.web.access.limits import FAILURES_PER_MINUTE, Limits, Rate
from worker.web.errors import Denied


@dataclass
class Seconds:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Seconds:
    return Seconds()


def test_a_burst_passes_and_then_the_rate_holds(clock: Seconds) -> None:
    rate = Rate(60, 5, clock)
    assert [rate.take("a") for _ in range(5)] == [0.0] * 5
    assert rate.take("a") == pytest.approx(1)
    clock.now += 1
    assert rate.take("a") == 0
    assert rate.take("a") > 0


def test_the_wait_that_is_told_is_enough_and_what_is_refused_takes_nothing(clock: Seconds) -> None:
    rate = Rate(7, 3, clock)
    for _ in range(50):
        while wait := rate.take("a"):
            assert rate.take("a") == wait
            clock.now += wait
    assert clock.now - 1000 == pytest.approx((50 - 3) * 60 / 7)


def test_who_waits_long_has_one_burst_and_not_more(clock: Seconds) -> None:
    rate = Rate(60, 5, clock)
    rate.take("a")
    clock.now += 1e9
    assert sum(rate.take("a") == 0 for _ in range(20)) == 5


def test_each_key_has_its_own(clock: Seconds) -> None:
    rate = Rate(60, 1, clock)
    assert [rate.take(key) for key in "abc"] == [0.0] * 3
    assert all(rate.take(key) for key in "abc")


def test_memory_is_bounded_and_so_is_the_rate_whatever_keys_come(clock: Seconds) -> None:
    rate = Rate(60, 1, clock, most=100)
    passed = sum(rate.take(f"key {n}") == 0 for n in range(100_000))
    assert passed == 101
    assert len(rate) <= 101
    clock.now += 10
    assert rate.take("new") == 0
    assert len(rate) == 1, "what came back whole needs no memory"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("unknown", "unknown", True),
        ("fe80::1%eth0", "fe80::2%eth0", True),
    ],
)
def test_wrong_tokens_are_counted_by_address(clock: Seconds, one: str, other: str, same: bool) -> None:
    limits = Limits(600, clock=clock)
    assert [_refused(limits, one).status for _ in range(FAILURES_PER_MINUTE)] == [403] * FAILURES_PER_MINUTE
    refused = _refused(limits, one)
    assert (refused.status, refused.error, refused.retry_after_s) == (429, "RateLimitExceeded", 6)
    assert _refused(limits, other).status == (429 if same else 403)
    clock.now += 6
    assert _refused(limits, one).status == 403


def _refused(limits: Limits, address: str) -> Denied:
    return limits.refuse(address)
