"""Beat's schedule is static, and no clock that is set silences it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from celery.schedules import schedule

from worker.beat import beat_schedule, steady_clock

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_the_schedule_names_our_tasks_and_every_message_expires() -> None:
    made = beat_schedule(timedelta(seconds=7))
    assert {entry["task"] for entry in made.values()} == {
        "rotation.dispatch_due",
        "rotation.check_connections",
        "rotation.reconcile",
        "rotation.notify",
        "rotation.watch_expiries",
    }
    assert made["tick"]["options"]["expires"] == 7
    assert made["notify"]["schedule"].run_every == timedelta(seconds=made["notify"]["options"]["expires"])
    assert all(entry["options"]["expires"] > 0 for entry in made.values())
    assert not any(entry.get("args") or entry.get("kwargs") for entry in made.values())


def test_the_steady_clock_counts_and_does_not_follow_the_wall_clock() -> None:
    wall = [NOON]
    counted = [100.0]
    clock = steady_clock(lambda: wall[0], lambda: counted[0])
    wall[0] = NOON - timedelta(hours=1)
    counted[0] = 110.0
    assert clock() == NOON + timedelta(seconds=10)


def test_a_tick_is_due_after_its_interval_though_the_clock_was_set_back() -> None:
    counted = [0.0]
    tick = schedule(timedelta(seconds=10), nowfun=steady_clock(lambda: NOON, lambda: counted[0]))
    assert not tick.is_due(NOON).is_due
    counted[0] = 10.0
    assert tick.is_due(NOON).is_due
