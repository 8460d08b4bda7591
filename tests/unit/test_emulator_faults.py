"""Fault rules strike whom, when and as often as they say."""

from __future__ import annotations

import threading
import time
from collections import Counter

import pytest

from tasks.providers.openrouter.emulator import CallerKind, Fault, FaultBook, FaultKind, Plan, chaos, parse_fault


def strikes(book: FaultBook, calls: int, method: str = "GET", path: str = "/keys") -> list[bool]:
    return [book.plan(method, path).fault is not None for _ in range(calls)]


def test_without_rules_nothing_happens() -> None:
    assert FaultBook().plan("GET", "/keys") == Plan()


@pytest.mark.parametrize(
    ("rule", "method", "path", "struck"),
    [
        ({}, "GET", "/key", True),
        ({"method": "POST"}, "POST", "/keys", True),
        ({"method": "post"}, "POST", "/keys", True),
        ({"method": "POST"}, "GET", "/keys", False),
        ({"path": "/keys"}, "GET", "/keys", True),
        ({"path": "/keys"}, "GET", "/keys/abc", False),
        ({"path": "/keys/*"}, "GET", "/keys/abc", True),
        ({"path": "/keys/*"}, "GET", "/keys", False),
        ({"path": "/guardrails/*/assignments/keys"}, "GET", "/guardrails/1/assignments/keys", True),
    ],
)
def test_a_rule_strikes_the_calls_it_matches(rule: dict[str, str], method: str, path: str, struck: bool) -> None:
    book = FaultBook([Fault.model_validate({"kind": "empty", **rule})])
    assert strikes(book, 1, method, path) == [struck]


def test_a_rule_skips_the_first_and_stops_after_its_times() -> None:
    book = FaultBook([Fault(kind=FaultKind.EMPTY, after=2, times=2)])
    assert strikes(book, 6) == [False, False, True, True, False, False]


def test_only_matching_calls_are_counted() -> None:
    book = FaultBook([Fault(kind=FaultKind.EMPTY, method="POST", after=1)])
    assert strikes(book, 3, "GET") == [False] * 3
    assert strikes(book, 2, "POST") == [False, True]


def test_chance_repeats_with_its_seed_and_differs_with_another() -> None:
    def drawn(seed: int) -> list[bool]:
        return strikes(FaultBook([Fault(kind=FaultKind.EMPTY, probability=0.3)], seed=seed), 200)

    assert drawn(1) == drawn(1) != drawn(2)
    assert 30 < sum(drawn(1)) < 90


def test_two_rules_of_one_book_do_not_strike_in_step() -> None:
    rules = [Fault(kind=FaultKind.EMPTY, path=path, probability=0.5) for path in ("/a", "/b")]
    book = FaultBook(rules)
    assert strikes(book, 100, path="/a") != strikes(book, 100, path="/b")


def test_a_rules_own_seed_wins_over_the_books() -> None:
    rule = Fault(kind=FaultKind.EMPTY, probability=0.5, seed=9)
    assert strikes(FaultBook([rule], seed=1), 50) == strikes(FaultBook([rule], seed=2), 50)


@pytest.mark.parametrize(("caller", "struck"), [(CallerKind.MANAGEMENT, True), (CallerKind.KEY, False)])
def test_a_rule_for_one_kind_of_caller_spares_the_others(caller: CallerKind, struck: bool) -> None:
    book = FaultBook([parse_fault('{"kind": "empty", "caller": "management"}')])
    assert (book.plan("GET", "/key", caller).fault is not None) is struck


def struck_by(book: FaultBook, calls: int, caller: CallerKind) -> list[tuple[FaultKind, int] | None]:
    faults = [book.plan("GET", "/keys", caller).fault for _ in range(calls)]
    return [None if fault is None else (fault.kind, fault.status) for fault in faults]


def test_chaos_strikes_its_share_of_management_calls_in_every_way_alike() -> None:
    drawn = struck_by(FaultBook(chaos(0.1, seed=3)), 24_000, CallerKind.MANAGEMENT)
    counts = Counter(way for way in drawn if way is not None)
    assert 0.09 < counts.total() / len(drawn) < 0.11
    assert len(counts) == 12
    assert all(140 < count < 260 for count in counts.values()), counts


def test_chaos_spares_whoever_uses_a_key() -> None:
    book = FaultBook(chaos(1.0))
    assert struck_by(book, 50, CallerKind.KEY) == [None] * 50
    assert None not in struck_by(book, 50, CallerKind.MANAGEMENT)


def test_chaos_repeats_with_its_seed() -> None:
    one, again, other = (struck_by(FaultBook(chaos(0.3, seed=s)), 100, CallerKind.MANAGEMENT) for s in (1, 1, 2))
    assert one == again != other


@pytest.mark.parametrize("rate", [-0.1, 1.1])
def test_a_rate_of_chaos_that_is_no_share_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        chaos(rate)


def test_latencies_add_up_and_the_first_other_rule_wins() -> None:
    book = FaultBook(
        [
            Fault(kind=FaultKind.LATENCY, seconds=0.5),
            Fault(kind=FaultKind.LATENCY, seconds=0.25),
            Fault(kind=FaultKind.EMPTY, times=1),
            Fault(kind=FaultKind.HUGE),
        ]
    )
    first, second = book.plan("GET", "/keys"), book.plan("GET", "/keys")
    assert (first.latency_s, second.latency_s) == (0.75, 0.75)
    assert first.fault is not None
    assert second.fault is not None
    assert (first.fault.kind, second.fault.kind) == (FaultKind.EMPTY, FaultKind.HUGE)


def test_clearing_takes_every_rule_out() -> None:
    book = FaultBook([Fault(kind=FaultKind.EMPTY)])
    book.clear()
    assert strikes(book, 1) == [False]


def test_a_held_reply_goes_when_released() -> None:
    book = FaultBook()
    waiter = threading.Thread(target=book.hold, args=(60,))
    waiter.start()
    while not book.held:
        time.sleep(0.001)
    assert book.release() == 1
    waiter.join(5)
    assert not waiter.is_alive()
    assert book.held == 0


def test_nothing_is_held_once_it_is_abandoned() -> None:
    FaultBook().hold(60, abandoned=lambda: True)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("nonsense", "rule"),
        ("{}", "kind"),
        ('{"kind": "explode"}', "kind"),
        ('{"kind": "empty", "time": 1}', "time"),
        ('{"kind": "empty", "probability": 2}', "probability"),
        ('{"kind": "status", "status": 99}', "status"),
        ('{"kind": "empty", "caller": "somebody"}', "caller"),
    ],
)
def test_a_faulty_rule_is_refused_by_field(text: str, field: str) -> None:
    with pytest.raises(ValueError, match=f"not a fault rule: {field}"):
        parse_fault(text)


def test_a_rule_is_read_from_json() -> None:
    assert parse_fault('{"kind": "status", "status": 429, "retry_after": 2, "times": 1}') == Fault(
        kind=FaultKind.STATUS, status=429, retry_after=2, times=1
    )
