"""What the schedules will do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from tasks.operations.requests import ScheduleRequest
from tasks.operations.views import ComingRotation
from tasks.rotation.model import Snapshot
from tasks.rotation.policy import next_rotation_at
from tasks.rotation.schedule import Cron, Schedule, format_span, upcoming
from tasks.wiring import Rotator


def calendar(rotator: Rotator, *, days: int) -> tuple[ComingRotation, ...]:
    """See ``Operations.calendar``."""
    found = (s for s in rotator.store.rotations.each() if isinstance(s, Snapshot))
    runs = (run for s in found if not (s.rotation.paused or s.rotation.removal) for run in _coming(s, days))
    return tuple(sorted(runs, key=lambda run: (run.at, run.rotation)))


def as_asked(schedule: Schedule) -> ScheduleRequest:
    """A schedule as one would ask for it: ``make_schedule`` makes the same of it."""
    timing, window = schedule.timing, format_span(schedule.window) if schedule.window else None
    if isinstance(timing, Cron):
        return ScheduleRequest(cron=timing.expression, timezone=schedule.timezone, window=window)
    at = None if timing.at is None else f"{timing.at:%H:%M}"
    return ScheduleRequest(every=format_span(timing.interval), at=at, timezone=schedule.timezone, window=window)


def _coming(snapshot: Snapshot, days: int) -> Iterator[ComingRotation]:
    rotation, now = snapshot.rotation, snapshot.now
    first = max(next_rotation_at(rotation, snapshot.active), now)
    later = upcoming(rotation.schedule, last_success=first, now=first, seed=rotation.id, count=days)
    for index, at in enumerate((first, *later)):
        if at > now + timedelta(days=days):
            return
        yield ComingRotation(rotation.name, at, is_last_told=index == days)
