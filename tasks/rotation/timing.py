"""The times that an interval or a cron expression names, clock changes settled.

- An interval without a time of day names the moment so much real time later.
- An interval with a time of day names that local time, N calendar days after the local day it counts from. What it
  counts from belongs to the day before if it lies past midnight, and within twelve hours of that day's time: a run of
  the late evening that succeeds after midnight must not cost a day.
- A cron expression whose hour field names every hour follows real time: it goes on hourly while clocks change (one
  step lasts longer where they change by half an hour). Any other names each of its wall-clock times once.
- A skipped time is the first instant after the gap, a repeated one its first occurrence only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import islice, pairwise, takewhile
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim

from tasks.rotation.errors import InvalidInput
from tasks.rotation.local_time import instant_of

_DAY: Final = timedelta(days=1)
_LATEST_AFTER_MIDNIGHT: Final = timedelta(hours=12)
_GAP_HORIZON: Final = timedelta(days=4 * 366)  # a leap year with its neighbours
_GAP_RUNS: Final = 5000  # more than a year of "0 */2 * * *"; what runs more often shows its shortest gap within days
_GAP_RARE_RUNS: Final = 5  # for what runs less than once a year


@dataclass(frozen=True, slots=True)
class Every:
    """An interval, at least a second; with ``at``, whole days and the local time of day to run."""

    interval: timedelta
    at: time | None


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron expression of five fields that comes true at least once in fifty years."""

    expression: str


def slot_after(timing: Every | Cron, zone: ZoneInfo, after: datetime) -> datetime:
    """Return the first instant that ``timing`` names strictly after ``after`` (both aware UTC).

    Raises InvalidInput for an expression that never comes true, and CronSimError for one that is none.
    """
    if isinstance(timing, Every):
        return after + timing.interval if timing.at is None else _daily_slot(timing.interval, timing.at, zone, after)
    for slot in _cron_slots(timing, zone, after):
        return slot
    raise InvalidInput("--cron", "it never comes true, not once in fifty years.", "Name a day that exists.")


def shortest_gap_of(timing: Every | Cron, zone: ZoneInfo, after: datetime) -> timedelta:
    """Return the least time between two consecutive slots from ``after`` on.

    An interval without a time of day is its own gap; with one, every first day within a year is tried; an expression is
    followed for four years, and for at least 5 and at most 5000 slots.
    """
    if isinstance(timing, Cron):
        return min(later - earlier for earlier, later in pairwise(_sample(timing, zone, after)))
    if timing.at is None:
        return timing.interval
    first = datetime.combine(after.date(), timing.at)
    starts = (first + day * _DAY for day in range(367))
    return min(instant_of(start + timing.interval, zone) - instant_of(start, zone) for start in starts)


def _sample(cron: Cron, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    numbered = enumerate(islice(_cron_slots(cron, zone, after), _GAP_RUNS))
    near = takewhile(lambda slot: slot[0] < _GAP_RARE_RUNS or slot[1] - after < _GAP_HORIZON, numbered)
    return (slot for _, slot in near)


def _daily_slot(interval: timedelta, at: time, zone: ZoneInfo, after: datetime) -> datetime:
    local = after.astimezone(zone).replace(tzinfo=None)
    day = datetime.combine(local, at)
    if local - (day - _DAY) <= _LATEST_AFTER_MIDNIGHT:
        day -= _DAY
    slot = instant_of(day + interval, zone)
    # Where clocks go back over midnight a day is entered twice, and the slot may lie in its first beginning.
    return slot if slot > after else instant_of(day + interval + _DAY, zone)


def _cron_slots(cron: Cron, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    """Yield the instants after ``after`` that the expression names, rising; ends where none comes for fifty years."""
    local = after.astimezone(zone)
    wall_clock = CronSim(cron.expression, local.replace(tzinfo=None))
    if wall_clock.hours == set(range(24)):
        # With "*" for the hour CronSim counts in real time, in whichever way the hours were written.
        minute, _, *days = cron.expression.split(" ")
        slots = (slot.astimezone(UTC) for slot in CronSim(" ".join([minute, "*", *days]), local))
    else:
        slots = (instant_of(wall, zone) for wall in wall_clock)
    latest = after
    for slot in slots:
        if slot > latest:  # times in one gap share an instant; a repeated hour names instants that have passed
            latest = slot
            yield slot
