"""A clock that stands until it is told to move, for the database, for leases and for the emulator alike."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Final

import sqlalchemy as sa

from tasks.store.columns import as_millis

START: Final = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
"""Any moment does; it is fixed so that a failure can be repeated."""


class SteeredClock:
    """One time for everything in a test, and it only ever goes forward; but the database's clock may be set."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start
        self._ahead = timedelta(0)
        self.was_set_back = False
        """Whether the database has seen a later time than it sees now."""
        self._alarms: list[tuple[datetime, int, Callable[[], object]]] = []
        self._order = count()

    def now(self) -> datetime:
        """The time, aware UTC."""
        return self._now

    def database_now(self) -> datetime:
        """What the database takes for the time."""
        return self._now + self._ahead

    def by_database(self, moment: datetime) -> datetime:
        """When the database's clock will show ``moment``, unless it is set again."""
        return moment - self._ahead

    def monotonic(self) -> float:
        """In place of ``time.monotonic``: seconds since ``START``."""
        return (self._now - START).total_seconds()

    def move(self, span: timedelta) -> None:
        """Let ``span`` pass."""
        self.move_to(self._now + span)

    def move_to(self, moment: datetime) -> None:
        """Let time pass until ``moment``; nothing happens when that has gone by."""
        while self._alarms and self._alarms[0][0] <= moment:
            at, _, act = heapq.heappop(self._alarms)
            self._now = max(self._now, at)
            act()
        self._now = max(self._now, moment)

    def later(self, span: timedelta, act: Callable[[], object]) -> None:
        """Let something happen once ``span`` has passed, in the midst of whatever moves the clock."""
        heapq.heappush(self._alarms, (self._now + span, next(self._order), act))

    def step(self, span: timedelta) -> None:
        """Somebody sets the database's clock forward, or with a negative span back. No time passes by it."""
        self._ahead += span
        self.was_set_back = self.was_set_back or span < timedelta(0)

    def sleep(self, seconds: float) -> None:
        """In place of ``time.sleep``."""
        self.move(timedelta(seconds=seconds))

    def expression(self) -> sa.ColumnElement[int]:
        """The database's clock, as ``Database.now`` takes it: read anew by each statement that is executed."""
        millis = sa.bindparam("steered_now", callable_=lambda: as_millis(self.database_now()), type_=sa.BigInteger)
        # Inside a cast, because type_coerce would give a bare parameter a type that expects a datetime.
        return sa.cast(millis, sa.BigInteger)
