"""The figures of the metrics: true, the same number of statements for any number of rotations, and no event lost."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from config.secret import Secret
from config.settings import Settings
from tasks.operations import Operations
from tasks.operations.requests import ScheduleRequest
from tasks.rotation.model import Event
from tasks.store.database import Database, make_engine
from tasks.store.event_counts import EventCounts, Happening
from tasks.wiring import Rotator
from tests.contract.state.scene import Clock, Rows, add_connection, order
from tests.contract.state.test_many_rotations import statements

SCHEDULES: dict[str, dict[str, Any]] = {
    "interval": {"schedule": ScheduleRequest(every="30d")},
    "daily": {"schedule": ScheduleRequest(every="30d", at="03:00", timezone="Europe/Berlin")},
    "cron": {"schedule": ScheduleRequest(cron="0 3 1 * *", window="2h")},
    "ending": {"schedule": ScheduleRequest(every="30d"), "expires_after": "40d"},
}


@pytest.fixture
def served(operations: Operations, rotator: Rotator, management_key: Secret) -> Operations:
    """A connection whose key OpenRouter knows."""
    add_connection(rotator, key=management_key)
    return operations


def test_what_is_due_is_as_operators_are_told(served: Operations, rotator: Rotator, clock: Clock) -> None:
    for name, wanted in SCHEDULES.items():
        served.create_rotation(order(name, initial=True, **wanted))
        served.advance_here(name)
    served.create_rotation(order("paused"))
    served.pause_rotation("paused")
    clock.advance(timedelta(days=3))
    reading = rotator.store.readings.read()
    views = {view.name: view for view in served.list_rotations()}
    assert {r.name: r.due_at for r in reading.rotations} == {n: v.next_rotation_at for n, v in views.items()}
    assert {r.name: r.active_since for r in reading.rotations} == {n: v.active_since for n, v in views.items()}
    assert [r.name for r in reading.rotations if r.expires_at] == ["ending"]
    assert [r.name for r in reading.rotations if r.paused] == ["paused"]
    assert {r.name: dict(r.versions) for r in reading.rotations} == {
        **{name: {"active": 1} for name in SCHEDULES},
        "paused": {},
    }
    assert reading.now == clock.now


def test_any_number_of_rotations_takes_as_many_statements(served: Operations, rotator: Rotator) -> None:
    def asked() -> int:
        with statements() as sent:
            rotator.store.readings.read()
        return len(sent)

    none = asked()
    for number in range(30):
        served.create_rotation(order(f"r{number}", initial=True))
    assert asked() == none < 9


def test_a_row_that_cannot_be_is_counted_and_the_others_are_told(
    served: Operations, rotator: Rotator, rows: Rows
) -> None:
    for name in "abc":
        served.create_rotation(order(name))
    rows.ask("UPDATE rotations SET overlap = -1 WHERE name = 'a'")
    rows.ask(f"UPDATE rotations SET last_rotated_at = {2**62} WHERE name = 'b'")
    reading = rotator.store.readings.read()
    assert ([r.name for r in reading.rotations], reading.unreadable) == (["a", "c"], 1), "the overlap is not asked for"


def test_events_are_counted_once_and_then_only_the_new_ones(rotator: Rotator, settings: Settings, clock: Clock) -> None:
    database = Database(make_engine(settings.database()), clock.column())

    def happen(name: str, times: int, **detail: str) -> None:
        events = [Event(clock.now, name, "test", detail=tuple(detail.items())) for _ in range(times)]
        rotator.store.desk.append(*events)

    def total() -> dict[Happening, int] | None:
        return counts.counted()

    happen("delivered", 5)
    happen("mint_failed", 2, family="try-again")
    counts = EventCounts(database, at_once=3, steps=2)
    assert total() is None, "seven events, and six at a time"
    assert total() == {Happening("delivered", "", ""): 5, Happening("mint_failed", "try-again", ""): 2}
    happen("version_active", 1, reason="manual")
    with statements() as sent:
        assert (total() or {})[Happening("version_active", "", "manual")] == 1
    assert len([s for s in sent if "GROUP BY" in s]) == 1
    with statements() as sent:
        total()
    database.close()
    assert not [s for s in sent if "GROUP BY" in s]
