"""A ciphertext that does not open leaves a trace in the audit log: someone may have been at the rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from tasks.rotation.errors import Unavailable
from tasks.rotation.model import Event
from tasks.store.cipher import DoesNotOpen
from tasks.store.columns import as_millis
from tasks.store.database import Database
from tasks.store.tables import ConnectionRow, DestinationRow, EventRow, KeyVersionRow
from tasks.store.writing import write_events

REFUSED: Final = "ciphertext_refused"
_TOLD_AGAIN_AFTER: Final = timedelta(hours=1)
"""Who looks for a key every few seconds, as `rotator run` does, must not fill the log."""
_LOOKED_THROUGH: Final = 10_000
"""How many of the newest events are searched for it: nobody else writes meanwhile, and the log only grows."""


@contextmanager
def told_of(database: Database, *, actor: str = "store") -> Iterator[None]:
    """Write the event of a ciphertext that is refused inside the block, and let the error go on.

    The block encloses its transaction, which has ended by then. The same is told once an hour, or
    again when very much was told since.
    """
    try:
        yield
    except DoesNotOpen as refused:
        with suppress(Unavailable):
            _tell(database, refused, actor)
        raise


def _tell(database: Database, refused: DoesNotOpen, actor: str) -> None:
    with database.write() as connection:
        now = database.moment(connection)
        event = Event(at=now, name=REFUSED, actor=actor, why=str(refused))
        if not _is_told(connection, event, since=now - _TOLD_AGAIN_AFTER):
            write_events(connection, (_about(connection, event, refused),))


def _is_told(connection: sa.Connection, event: Event, *, since: datetime) -> bool:
    same = (EventRow.name == event.name, EventRow.why == event.why)
    newest = sa.select(sa.func.max(EventRow.id)).scalar_subquery()
    recent = (EventRow.id > newest - _LOOKED_THROUGH, sa.type_coerce(EventRow.at, sa.BigInteger) > as_millis(since))
    return connection.execute(sa.select(EventRow.id).where(*same, *recent).limit(1)).first() is not None


def _about(connection: sa.Connection, event: Event, refused: DoesNotOpen) -> Event:
    """The event, with what the ciphertext belongs to."""
    table, id_ = refused.place.table, refused.place.row
    if table == ConnectionRow.__tablename__:
        return replace(event, connection_id=id_)
    if table == DestinationRow.__tablename__:
        query = sa.select(DestinationRow.rotation_id).where(DestinationRow.id == id_)
        return replace(event, rotation_id=connection.execute(query).scalar_one_or_none())
    version = sa.select(KeyVersionRow.rotation_id, KeyVersionRow.number).where(KeyVersionRow.id == id_)
    row = connection.execute(version).one_or_none()
    return event if row is None else replace(event, rotation_id=row.rotation_id, version=row.number)
