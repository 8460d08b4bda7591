"""The audit log, read in pages.

PostgreSQL gives an event its id when it is written and shows it when its transaction ends, so that a lower id may
appear after a higher one was read. A page therefore ends where ids may still be missing: see ``settled_through``.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa

from tasks.rotation.errors import Broken
from tasks.rotation.model import Event
from tasks.store.columns import as_millis
from tasks.store.database import Database
from tasks.store.shape import Shape
from tasks.store.tables import EventRow

_LOOKS: Final = 10
_PAUSE_S: Final = 0.005
"""A transaction lasts for milliseconds; most readers look once."""
_LOOKED_BACK: Final = 10_000
"""So many newer events would have to be committed beside one open transaction for a gap not to be found."""
_WRITERS: Final = sa.text(
    "SELECT virtualtransaction FROM pg_locks WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND granted "
    "AND relation = to_regclass('events') "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
"""The open transactions that wrote an event, or are about to: the lock comes before the id."""
_EVENT: Final = Shape([*EventRow.__table__.c])
_NO_MOMENT: Final = datetime(1970, 1, 1, tzinfo=UTC)
UNREADABLE: Final = "unreadable"
"""In place of an event whose row holds what no release writes; it hides none of the others."""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One line of the audit log, with its position."""

    id: int
    event: Event


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events; what is None does not restrict them. ``since`` and ``until`` are included."""

    rotation_ids: tuple[str, ...] | None = None
    connection_id: str | None = None
    name: str | None = None
    actor: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class Events:
    """The table of events."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(
        self,
        chosen: EventFilter,
        *,
        limit: int,
        after: int = 0,
        before: int | None = None,
        newest_first: bool = False,
    ) -> tuple[StoredEvent, ...]:
        """The first ``limit`` events between two positions, both exclusive, in the order asked for. None that lies
        between those of two pages appears later."""
        settled = settled_through(self._database)
        query = sa.select(*_EVENT.columns).where(EventRow.id > after, *_conditions(chosen)).limit(limit)
        if before is not None:
            query = query.where(EventRow.id < before)
        if settled is not None:
            query = query.where(EventRow.id <= settled)
        order = EventRow.id.desc() if newest_first else EventRow.id.asc()
        with self._database.read() as connection:
            return tuple(_stored_event(row) for row in connection.execute(query.order_by(order)))

    def latest(self, rotation_id: str, *, limit: int) -> tuple[StoredEvent, ...]:
        """The newest lines about one rotation, oldest first."""
        query = sa.select(*_EVENT.columns).where(EventRow.rotation_id == rotation_id)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(EventRow.id.desc()).limit(limit)).all()
        return tuple(_stored_event(row) for row in reversed(rows))


def settled_through(database: Database) -> int | None:
    """The position up to which a reader that starts now sees every event that there will ever be; None for all.

    SQLite lets one transaction write at a time, so ids appear in order. On PostgreSQL the ids up to the newest visible
    one are settled once every transaction that was writing events has ended; one that takes its time lets the page end
    before the first id that is missing.
    """
    if database.engine.dialect.name != "postgresql":
        return None
    with database.look() as connection:
        newest: int = connection.execute(sa.select(sa.func.max(EventRow.id))).scalar() or 0
        writing = _writers(connection)
        for _ in range(_LOOKS):
            if not writing:
                return newest
            time.sleep(_PAUSE_S)
            writing &= _writers(connection)
        return _before_first_gap(connection, newest) if writing else newest


def _writers(connection: sa.Connection) -> set[str]:
    return set(connection.execute(_WRITERS).scalars())


def _before_first_gap(connection: sa.Connection, newest: int) -> int:
    previous = sa.func.lag(EventRow.id).over(order_by=EventRow.id).label("previous")
    recent = sa.select(EventRow.id, previous).where(EventRow.id > newest - _LOOKED_BACK, EventRow.id <= newest)
    rows = recent.subquery()
    found: int | None = connection.execute(
        sa.select(sa.func.min(rows.c.previous)).where(rows.c.id != rows.c.previous + 1)
    ).scalar()
    return newest if found is None else found


def _conditions(chosen: EventFilter) -> list[sa.ColumnElement[bool]]:
    at = sa.type_coerce(EventRow.at, sa.BigInteger)
    equal = (
        (EventRow.connection_id, chosen.connection_id),
        (EventRow.name, chosen.name),
        (EventRow.actor, chosen.actor),
    )
    conditions = [column == wanted for column, wanted in equal if wanted is not None]
    if chosen.rotation_ids is not None:
        conditions.append(EventRow.rotation_id.in_(chosen.rotation_ids))
    if chosen.since is not None:
        conditions.append(at >= as_millis(chosen.since))
    if chosen.until is not None:
        conditions.append(at <= as_millis(chosen.until))
    return conditions


def _stored_event(row: sa.Row[Any]) -> StoredEvent:
    try:
        return StoredEvent(row.id, _event(row, _EVENT.facts(row)))
    except (Broken, ArithmeticError, TypeError, ValueError):
        why = "The row of this event holds what cannot be; nothing else depends on it."
        return StoredEvent(row.id, Event(_NO_MOMENT, UNREADABLE, "", why))


def _event(row: sa.Row[Any], facts: dict[str, Any]) -> Event:
    if not isinstance(facts["detail"], dict) or {type(row.name), type(row.actor), type(row.why)} != {str}:
        raise TypeError
    return Event(
        at=facts["at"],
        name=row.name,
        actor=row.actor,
        why=row.why,
        rotation_id=row.rotation_id,
        connection_id=row.connection_id,
        version=row.version,
        detail=tuple(facts["detail"].items()),
    )
