"""Keys in service that OpenRouter ends soon, while their successors are late: each is told once, by an event."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from tasks.rotation.model import Event
from tasks.rotation.telling import LATE_AT
from tasks.rotation.wording import EXPIRES_SOON
from tasks.store.columns import as_millis, as_moment, millis
from tasks.store.database import Database
from tasks.store.tables import ENDING, KeyVersionRow, RotationRow
from tasks.store.writing import write_events

_TELLING: Final = 4_180_662_937
"""Lock: two that tell at once would tell twice."""
_LATEST_MS: Final = 253_402_300_799_999
"""The end of the calendar; to reckon with a moment beyond it would fail for every key."""
_AT_ONCE: Final = 1000
"""After an upgrade all keys are new; the next look goes on."""


class Expiries:
    """What ends soon. A key in service has, by that alone, no successor in service yet.

    When it is to be told is reckoned once for each key, after it has come into service, and kept in its row: a look
    costs what is new or due, however many keys there are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def tell(self, *, actor: str) -> int:
        """Write the event of each key that ends soon and was not told of; how many. One query when there is none."""
        query = self._open()
        with self._database.look() as connection:
            if connection.execute(query).first() is None:
                return 0
        with self._database.write() as connection:
            self._database.exclude_others(connection, _TELLING)
            now = self._database.moment(connection)
            rows = connection.execute(query).all()
            due = [row for row in rows if _warn_at_ms(row) <= as_millis(now)]
            for row in rows:
                _keep(connection, row, warned_at=now if row in due else None)
            ending = [row for row in due if _is_possible(row)]
            write_events(connection, tuple(_warning(row, now, actor) for row in ending))
        return len(ending)

    def _open(self) -> sa.Select[Any]:
        """Active versions that are to be told of, and those of which it is not yet known when."""
        version, rotation = KeyVersionRow, RotationRow
        since = sa.func.coalesce(millis(version.active_at), millis(version.planned_at), millis(rotation.created_at))
        columns: list[Any] = [
            *(version.id, version.rotation_id, version.number, rotation.paused, since.label("since")),
            *(millis(version.expires_at).label("ends"), millis(version.warn_at).label("warn_at")),
        ]
        return (
            sa.select(*columns)
            .join_from(version, rotation, version.rotation_id == rotation.id)
            .where(sa.text(ENDING), sa.or_(version.warn_at.is_(None), millis(version.warn_at) <= self._database.now))
            .where(rotation.removal.is_(None), rotation.removed_at.is_(None))
            .limit(_AT_ONCE)
        )


def _is_possible(row: sa.Row[Any]) -> bool:
    """Whether the moments of a row are such as a calendar has. What never was, is told of as little as it ends."""
    return all(0 <= moment <= _LATEST_MS for moment in (row.since, row.ends))


def _warn_at_ms(row: sa.Row[Any]) -> int:
    """When a successor is late. Rows that cannot be are dealt with at once."""
    if not _is_possible(row):
        return 0
    return int(row.ends - (row.ends - row.since) // LATE_AT) if row.warn_at is None else int(row.warn_at)


def _keep(connection: sa.Connection, row: sa.Row[Any], *, warned_at: datetime | None) -> None:
    found = {"warn_at": as_moment(_warn_at_ms(row)), "warned_at": warned_at}
    connection.execute(sa.update(KeyVersionRow).where(KeyVersionRow.id == row.id).values(found))


def _warning(row: sa.Row[Any], now: datetime, actor: str) -> Event:
    until = f"{as_moment(row.ends):%Y-%m-%d %H:%M} UTC"
    reason = "the schedule is paused" if row.paused else "the successor is not in service yet"
    return Event(
        at=now,
        name=EXPIRES_SOON,
        actor=actor,
        why=f"{reason}, and OpenRouter ends the key at {until}",
        rotation_id=row.rotation_id,
        version=row.number,
        detail=(("expires_at", until),),
    )
