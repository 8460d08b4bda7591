"""Finding what is due: each rotation is handed out once, and again only when it was not taken up."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest

from tasks.operations import Operations
from tasks.wiring import Rotator
from tests.contract.state.scene import Clock, Rows, add_connection, at_once, order, race, start_processes

MANY = 40


@pytest.fixture
def due(rotator: Rotator, operations: Operations) -> set[str]:
    """The ids of many rotations, all of them due."""
    add_connection(rotator)
    return {operations.create_rotation(order(f"web-{n}")).id for n in range(MANY)}


def test_eight_threads_claim_each_once(rotator: Rotator, due: set[str]) -> None:
    claimed = at_once(8, lambda _: rotator.store.claim_due(10))
    handed_out = [id_ for ids in claimed for id_ in ids]
    handed_out += rotator.store.claim_due(MANY)
    assert sorted(handed_out) == sorted(due)
    assert max(len(ids) for ids in claimed) <= 10


def test_four_processes_claim_each_once(environment: Mapping[str, str], rows: Rows, due: set[str]) -> None:
    code = (
        "from config.settings import settings\n"
        "from tasks.wiring import open_rotator\n"
        "store = open_rotator(settings()).store\n"
        "store.now()\n"
        "go()\n"
        "print(json.dumps([id_ for _ in range(8) for id_ in store.claim_due(7)]))\n"
    )
    rows.ask("UPDATE rotations SET wake_at = 0")  # these processes go by the real clock
    handed_out = [id_ for ids in race(start_processes(code, [environment] * 4)) for id_ in ids]
    assert sorted(handed_out) == sorted(due)


def test_no_more_than_the_limit_and_the_longest_due_first(rotator: Rotator, due: set[str], rows: Rows) -> None:
    late = sorted(due)[:3]
    for id_ in late:
        rows.ask("UPDATE rotations SET wake_at = wake_at - 5000 WHERE id = :id", id=id_)
    assert sorted(rotator.store.claim_due(3)) == late
    assert len(rotator.store.claim_due(5)) == 5


def test_who_was_told_has_a_minute_to_begin(rotator: Rotator, due: set[str], clock: Clock) -> None:
    assert set(rotator.store.claim_due(MANY)) == due
    clock.advance(timedelta(seconds=60))
    assert rotator.store.claim_due(MANY) == []
    clock.advance(timedelta(milliseconds=1))
    assert set(rotator.store.claim_due(MANY)) == due


def test_what_could_not_be_told_is_given_back(rotator: Rotator, due: set[str]) -> None:
    claimed = rotator.store.claim_due(MANY)
    rotator.store.dispatch.give_back(claimed[:2])
    assert sorted(rotator.store.claim_due(MANY)) == sorted(claimed[:2])


def test_what_is_leased_or_asleep_is_not_due(rotator: Rotator, due: set[str], clock: Clock, rows: Rows) -> None:
    leased, later, never, *rest = sorted(due)
    assert rotator.store.leased.take_lease(leased, "worker")
    rows.ask("UPDATE rotations SET wake_at = wake_at + 1 WHERE id = :id", id=later)
    rows.ask("UPDATE rotations SET wake_at = NULL WHERE id = :id", id=never)
    assert sorted(rotator.store.claim_due(MANY)) == rest
    clock.advance(timedelta(milliseconds=1))
    assert rotator.store.claim_due(MANY) == [later]
    clock.advance(timedelta(seconds=60))
    assert leased in rotator.store.claim_due(MANY)  # its worker died


def test_beats_pulse_is_one_row(rotator: Rotator, clock: Clock, rows: Rows) -> None:
    assert rotator.store.last_tick_age() is None
    for _ in range(2):
        rotator.store.record_tick()
        clock.advance(timedelta(seconds=5))
    assert rotator.store.last_tick_age() == timedelta(seconds=5)
    assert rows.one("SELECT count(*) FROM heartbeats") == 1
