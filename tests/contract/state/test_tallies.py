"""What processes count reaches the database: sums, no fewer for a failure, and never at a rotation's cost."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import pytest

from config.secret import Secret
from tasks.operations import Operations
from tasks.rotation.errors import Unavailable
from tasks.store.tallies import BUCKETS_S, CALL_SECONDS, CALLS, Tallied, Tally, by_bucket
from tasks.wiring import Rotator
from tests.contract.state.scene import at_once


def test_amounts_are_added_to_what_is_there(rotator: Rotator) -> None:
    tallies = rotator.store.tallies
    tallies.add({("a", ()): 1, ("b", (("x", "1"), ("y", "2"))): 0.5})
    tallies.add({("b", (("x", "1"), ("y", "2"))): 0.25, ("b", (("x", "2"),)): 3})
    assert tallies.all() == {("a", ()): 1, ("b", (("x", "1"), ("y", "2"))): 0.75, ("b", (("x", "2"),)): 3}


def test_many_that_add_at_once_lose_nothing(rotator: Rotator) -> None:
    """And none waits for another in a circle, in whichever order each counted."""
    names = [f"n{number}" for number in range(20)]

    def add(number: int) -> None:
        mixed = names[number:] + names[:number]
        for _ in range(5):
            rotator.store.tallies.add({(name, ()): 1 for name in mixed})

    at_once(6, add)
    assert rotator.store.tallies.all() == {(name, ()): 30 for name in names}


def test_what_cannot_be_stored_is_kept_and_told_to_nobody() -> None:
    stored: list[Mapping[Tallied, float]] = []
    failures = [Unavailable("the database is away"), ValueError("a bug")]

    def store(amounts: Mapping[Tallied, float]) -> None:
        if failures:
            raise failures.pop()
        stored.append(dict(amounts))

    tally = Tally(store, after_s=3600)
    tally.add("a", {"x": "1"})
    tally.flush()
    tally.add("a", {"x": "1"}, 2)
    tally.flush()
    assert stored == []
    tally.flush()
    tally.flush()
    tally.close()
    assert stored == [{("a", (("x", "1"),)): 3}]


def test_it_is_stored_in_a_while_though_nobody_does_anything_more() -> None:
    stored = threading.Event()
    tally = Tally(lambda amounts: stored.set(), after_s=0.01)
    tally.add("a", {})
    assert stored.wait(10)
    tally.close()


def test_the_end_of_a_process_stores_what_is_left_and_leaves_no_thread() -> None:
    stored: list[Mapping[Tallied, float]] = []
    before = threading.active_count()
    tally = Tally(lambda amounts: stored.append(dict(amounts)), after_s=3600)
    tally.add("a", {})
    assert threading.active_count() == before + 1
    tally.close()
    assert stored == [{("a", ()): 1}]
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join(10)
    assert threading.active_count() == before


def test_without_a_thread_to_spare_counting_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(_: threading.Timer) -> None:
        raise RuntimeError("can't start new thread")

    stored: list[Mapping[Tallied, float]] = []
    monkeypatch.setattr(threading.Timer, "start", none_left)
    tally = Tally(lambda amounts: stored.append(dict(amounts)))
    tally.add("a", {})
    tally.add("a", {})
    tally.close()
    assert stored == [{("a", ()): 2}]


def test_a_duration_is_in_its_bucket_and_all_above() -> None:
    counted: dict[Tallied, float] = {}
    tally = Tally(counted.update, after_s=3600)
    for seconds in (BUCKETS_S[0], BUCKETS_S[0] + 0.001, 100.0):
        tally.observe("t", {"outcome": "x"}, seconds)
    tally.close()
    assert counted.pop(("t_sum", (("outcome", "x"),))) == pytest.approx(100.001 + 2 * BUCKETS_S[0])
    buckets = by_bucket({dict(labels)["le"]: amount for (_, labels), amount in counted.items()})
    assert buckets[:2] == [(str(BUCKETS_S[0]), 1), (str(BUCKETS_S[1]), 2)]
    assert buckets[-2:] == [(str(BUCKETS_S[-1]), 2), ("+Inf", 3)]


def test_every_call_to_openrouter_is_counted_with_its_outcome(
    operations: Operations, rotator: Rotator, management_key: Secret, canary: str
) -> None:
    operations.create_connection("prod", management_key)
    rotator.tally.flush()
    counted = rotator.store.tallies.all()
    calls = {labels: amount for (name, labels), amount in counted.items() if name == CALLS}
    assert calls == {
        (("call", "say what the key is"), ("outcome", "answered")): 1,
        (("call", "list the keys"), ("outcome", "answered")): 1,
    }
    assert sum(amount for (name, _), amount in counted.items() if name == f"{CALL_SECONDS}_bucket") == 2
    assert canary not in repr(counted)
