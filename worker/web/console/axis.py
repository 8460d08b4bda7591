"""A time axis in percent of its width, with ticks at round times (UTC)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

_MOST_TICKS: Final = 9
_STEPS: Final = tuple(
    timedelta(minutes=minutes) for minutes in (1, 2, 5, 10, 30, 60, 120, 360, 720, 1440, 2 * 1440, 7 * 1440, 14 * 1440)
)
_MONTHS: Final = (1, 2, 3, 6, 12, 24, 60, 120)
_DAY: Final = timedelta(days=1)
_MONTH: Final = timedelta(days=30)
_MONDAY: Final = datetime(2024, 1, 1, tzinfo=UTC)
_EDGE: Final = 6.0
"""Within so many percent of an end, a label would stand out over it."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A round time on the axis."""

    at: datetime
    x: float
    label: str
    anchor: str
    """``start``, ``middle`` or ``end``, as SVG's ``text-anchor`` has it."""
    minor: bool
    """May be left out where there is little room."""


@dataclass(frozen=True, slots=True)
class Axis:
    """From one time to a later one."""

    begins_at: datetime
    ends_at: datetime

    def x(self, at: datetime) -> float:
        """Where a time is, in percent; what lies outside is at the end."""
        share = (at - self.begins_at) / (self.ends_at - self.begins_at)
        return round(100 * min(1.0, max(0.0, share)), 3)

    def ticks(self) -> tuple[Tick, ...]:
        """A few round times, evenly spread."""
        length = self.ends_at - self.begins_at
        step = next((s for s in _STEPS if length / s <= _MOST_TICKS), None)
        times = list(_stepping(self, step) if step is not None else _by_months(self))
        form = _form(step)
        return tuple(
            Tick(t, self.x(t), t.strftime(form), anchor_at(self.x(t)), i % 2 == 1) for i, t in enumerate(times)
        )


def anchor_at(x: float) -> str:
    """How a label at ``x`` stays inside."""
    return "start" if x < _EDGE else "end" if x > 100 - _EDGE else "middle"


def _form(step: timedelta | None) -> str:
    if step is None:
        return "%b %Y"
    return "%d %b" if step >= _DAY else "%H:%M"


def _stepping(axis: Axis, step: timedelta) -> Iterator[datetime]:
    at = _MONDAY + -(-(axis.begins_at - _MONDAY) // step) * step
    while at <= axis.ends_at:
        yield at
        at += step


def _by_months(axis: Axis) -> Iterator[datetime]:
    months = (axis.ends_at - axis.begins_at) / _MONTH
    step = next((m for m in _MONTHS if months / m <= _MOST_TICKS), _MONTHS[-1])
    count = axis.begins_at.year * 12 + axis.begins_at.month - 1
    count = -(-count // step) * step
    while (at := datetime(count // 12, count % 12 + 1, 1, tzinfo=UTC)) <= axis.ends_at:
        if at >= axis.begins_at:
            yield at
        count += step
