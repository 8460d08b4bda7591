"""A clock that stands until it is told to move, for the database, for leases and for the emulator alike."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import sqlalchemy as sa

from tasks.store.columns import as_millis

START: Final = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
"""Any moment does; it is fixed so that a failure can be repeated."""


class SteeredClock:
    """One time for everything in a test. It only ever goes forward."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start

    def now(self) -> datetime:
        """The time, aware UTC."""
        return self._now

    def monotonic(self) -> float:
        """In place of ``time.monotonic``: seconds since ``START``."""
        return (self._now - START).total_seconds()

    def move(self, span: timedelta) -> None:
        """Let ``span`` pass."""
        self._now += span

    def move_to(self, moment: datetime) -> None:
        """Let time pass until ``moment``; nothing happens when that has gone by."""
        self._now = max(self._now, moment)

    def sleep(self, seconds: float) -> None:
        """In place of ``time.sleep``."""
        self.move(timedelta(seconds=seconds))

    def expression(self) -> sa.ColumnElement[int]:
        """The database's clock, as ``Database.now`` takes it: read anew by each statement that is executed."""
        millis = sa.bindparam("steered_now", callable_=lambda: as_millis(self._now), type_=sa.BigInteger)
        # Inside a cast, because type_coerce would give a bare parameter a type that expects a datetime.
        return sa.cast(millis, sa.BigInteger)
