"""When a rotation runs next.

The next run is computed from the last success, never from a list of dates that must be kept: after an outage a
rotation therefore runs once, not once for each time it missed. Which times an interval or a cron expression names, and
what clock changes do to them, is told in ``timing``.

The window adds a delay to every run of a rotation: always the same for one rotation, another for the next. It moves
the times that have a place on the clock; an interval without a time of day grows by it.

Moments are aware UTC, spans are ``timedelta``. Nothing here reads a clock.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSimError

from tasks.rotation.errors import InvalidInput
from tasks.rotation.local_time import require_zone
from tasks.rotation.spans import format_span, parse_span, parse_time_of_day, quoted
from tasks.rotation.timing import Cron, Every, shortest_gap_of, slot_after

__all__ = [
    "Cron",
    "Every",
    "Schedule",
    "format_span",
    "make_cron",
    "make_schedule",
    "next_run",
    "parse_span",
    "parse_time_of_day",
    "refuse_if_too_short",
    "shortest_gap",
    "upcoming",
]

_LONGEST_CRON: Final = 200  # characters; CronSim itself reads numbers of any length
_CRON_FIELDS: Final = 5  # CronSim takes a sixth, for seconds
_RUNS_KEPT: Final = 50_000  # what is shown of 10,000 rotations; a cron expression takes a tenth of a millisecond
_REFERENCE: Final = datetime(2026, 1, 1, tzinfo=UTC)  # any date does: validation must not depend on today


@dataclass(frozen=True, slots=True)
class Schedule:
    """When to run, in which time zone, and over what window the runs of many rotations spread.

    ``make_schedule`` builds one from what a person wrote, and validates it.
    """

    timing: Every | Cron
    timezone: str = "UTC"
    window: timedelta = timedelta(0)

    def describe(self) -> str:
        """Say it in words: ``every 30d at 03:00 Europe/Berlin, spread over 2h``."""
        spread = f", spread over {format_span(self.window)}" if self.window else ""
        if isinstance(self.timing, Cron):
            return f'cron "{self.timing.expression}" {self.timezone}{spread}'
        at = f" at {self.timing.at:%H:%M} {self.timezone}" if self.timing.at is not None else ""
        return f"every {format_span(self.timing.interval)}{at}{spread}"


def make_schedule(
    *, every: str | None, at: str | None, cron: str | None, timezone: str = "UTC", window: str | None = None
) -> Schedule:
    """Build a schedule from what a person wrote; InvalidInput names the option of the command line that is wrong.

    Exactly one of ``every`` and ``cron`` must be given, ``at`` only with whole days, and the window must be shorter
    than the shortest time between two runs.
    """
    schedule = Schedule(_timing(every, at, cron), require_zone(timezone, field="--timezone"))
    spread = parse_span(window, field="--window") if window is not None else timedelta(0)
    if spread and spread >= (gap := shortest_gap(schedule, after=_REFERENCE)):
        raise InvalidInput(
            "--window",
            f"{format_span(spread)} is not shorter than the {format_span(gap)} between two runs.",
            f"Choose a window below {format_span(gap)}, or rotate less often.",
        )
    return replace(schedule, window=spread)


@lru_cache(maxsize=1000)
def make_cron(text: str) -> Cron:
    """The expression that a person wrote; InvalidInput when it is none, or never comes true."""
    cron = Cron(" ".join(text.split()))
    if len(text) > _LONGEST_CRON or len(cron.expression.split(" ")) != _CRON_FIELDS:
        raise _not_cron(text, "an expression has five short fields")
    try:
        slot_after(cron, ZoneInfo("UTC"), _REFERENCE)
    except CronSimError as error:
        raise _not_cron(text, str(error)) from error
    return cron


def next_run(schedule: Schedule, *, last_success: datetime, seed: str) -> datetime:
    """Return the first run after ``last_success`` (aware), in UTC and always later than it.

    ``seed`` (the rotation's id) settles where in the window this rotation runs. Counting begins that delay before
    ``last_success``, so that a run which was late by its delay loses nothing. A success inside the window before its
    run was due counts as that run, unless the run is still more than half a gap away.
    """
    return _next_run(schedule, _utc(last_success), seed)


@lru_cache(maxsize=_RUNS_KEPT)
def _next_run(schedule: Schedule, after: datetime, seed: str) -> datetime:
    delay, zone = _delay(schedule.window, seed), ZoneInfo(schedule.timezone)
    if isinstance(schedule.timing, Every) and schedule.timing.at is None:
        return after + schedule.timing.interval + delay
    slot = slot_after(schedule.timing, zone, after - delay)
    if slot <= after:
        following = slot_after(schedule.timing, zone, slot)
        if 2 * (slot + delay - after) < following - slot:
            return following + delay
    return slot + delay


def upcoming(
    schedule: Schedule, *, last_success: datetime, now: datetime, seed: str, count: int = 3
) -> tuple[datetime, ...]:
    """Return the next ``count`` runs if each is on time; a run that is overdue is due ``now``."""
    runs: list[datetime] = []
    for _ in range(count):
        run = next_run(schedule, last_success=runs[-1] if runs else last_success, seed=seed)
        runs.append(max(run, _utc(now)))
    return tuple(runs)


def shortest_gap(schedule: Schedule, *, after: datetime) -> timedelta:
    """Return the least time between two consecutive scheduled runs from ``after`` on, clock changes included.

    The window does not count: it moves all runs of a rotation alike. A run that a person asks for may come nearer.
    """
    return shortest_gap_of(schedule.timing, ZoneInfo(schedule.timezone), _utc(after))


def refuse_if_too_short(schedule: Schedule, *, overlap: timedelta, cooling: timedelta, after: datetime) -> None:
    """Raise InvalidInput unless a replaced key is gone before the next scheduled rotation replaces another.

    So no more than two keys are in service at once, versions end in order, and ``undo`` has one possible meaning.
    """
    gap, needed = shortest_gap(schedule, after=after), overlap + cooling
    if needed <= gap and overlap < gap:
        return
    raise InvalidInput(
        "--cron" if isinstance(schedule.timing, Cron) else "--every",
        f"{schedule.describe()} leaves as little as {format_span(gap)} between two rotations, but the old key takes "
        f"--overlap {format_span(overlap)} + --cooling {format_span(cooling)} = {format_span(needed)} to be gone.",
        f"Rotate less often, or choose an --overlap below {format_span(gap)} that together with --cooling "
        f"is no more than {format_span(gap)}.",
    )


def _timing(every: str | None, at: str | None, cron: str | None) -> Every | Cron:
    if every is not None and cron is not None:
        raise InvalidInput("--cron", "it cannot be combined with --every.", "Give one of the two.")
    if every is not None:
        return _every(every, at)
    if cron is None:
        raise InvalidInput("--every", "there is no schedule.", 'Give --every 30d, or --cron "0 3 1 * *".')
    if at is not None:
        raise InvalidInput("--at", "it goes with --every only.", "Put the time into the cron expression.")
    return make_cron(cron)


def _every(every: str, at: str | None) -> Every:
    interval = parse_span(every, field="--every")
    if not interval:
        raise InvalidInput("--every", "an interval of zero would never stop.", "Give at least 1s.")
    time_of_day = parse_time_of_day(at, field="--at") if at is not None else None
    if time_of_day is not None and interval % timedelta(days=1):
        problem = f"--every {format_span(interval)} is not whole days, so it cannot keep to a time of day."
        raise InvalidInput("--at", problem, "Give whole days, or leave --at out.")
    return Every(interval, time_of_day)


def _not_cron(text: str, why: str) -> InvalidInput:
    remedy = 'Give minute, hour, day of month, month and day of week, such as "0 3 1 * *".'
    return InvalidInput("--cron", f"{quoted(text)} is not a cron expression: {why}.", remedy)


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a moment without a time zone: pass aware UTC")
    return moment.astimezone(UTC)


def _delay(window: timedelta, seed: str) -> timedelta:
    """Return this rotation's place in the window: whole seconds from 0 up to, not including, the window."""
    share = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big")
    return timedelta(seconds=(window // timedelta(seconds=1)) * share >> 64)
