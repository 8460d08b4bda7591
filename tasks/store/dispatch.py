"""Finding what is due, and beat's pulse."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from tasks.store import schema
from tasks.store.columns import NO_LEASE_LASTS_MS, Moment, is_over, millis
from tasks.store.database import Database
from tasks.store.tables import HeartbeatRow, RotationRow
from tasks.store.writing import upsert

_TICK: Final = "tick"
_TOLD_FOR_MS: Final = 60_000
"""How long a worker that was told has to begin, before another is told."""


class Dispatch:
    """What the tick needs of the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim_due(self, limit: int) -> list[str]:
        """Ids of rotations whose alarm has rung and that nobody has or was told of, at most ``limit``. They are
        marked as told for a minute, so that the next tick does not tell again."""
        now = self._database.now
        due = (
            sa.select(RotationRow.id)
            .where(
                RotationRow.removed_at.is_(None),
                millis(RotationRow.wake_at) <= now,
                is_over(RotationRow.lease_until, now, at_most_ms=NO_LEASE_LASTS_MS),
                is_over(RotationRow.dispatched_until, now, at_most_ms=_TOLD_FOR_MS),
            )
            .order_by(RotationRow.wake_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        statement = (
            sa.update(RotationRow)
            .where(RotationRow.id.in_(due.scalar_subquery()))
            .values(dispatched_until=sa.type_coerce(now + _TOLD_FOR_MS, Moment))
            .returning(RotationRow.id)
        )
        with self._database.write() as connection:
            return list(connection.execute(statement).scalars())

    def give_back(self, ids: list[str]) -> None:
        """No worker could be told after all; the next tick tries again."""
        statement = sa.update(RotationRow).where(RotationRow.id.in_(ids)).values(dispatched_until=None)
        with self._database.write() as connection:
            connection.execute(statement)

    def record_tick(self) -> None:
        """Beat is alive, and so is a worker of this release."""
        with self._database.write() as connection:
            upsert(connection, HeartbeatRow, {"name": _TICK}, {"at": sa.type_coerce(self._database.now, Moment)})
            schema.record_work(connection, self._database.now)

    def last_tick_at(self) -> datetime | None:
        """When beat was last heard of, by the database's clock."""
        with self._database.read() as connection:
            query = sa.select(HeartbeatRow.at).where(HeartbeatRow.name == _TICK)
            return connection.execute(query).scalar_one_or_none()

    def last_tick_age(self) -> timedelta | None:
        """How long beat has been silent; None when it was never heard of."""
        last = self.last_tick_at()
        return None if last is None else self.now() - last

    def now(self) -> datetime:
        """The database's clock."""
        with self._database.read() as connection:
            return self._database.moment(connection)
