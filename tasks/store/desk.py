"""The operator's side of the state: changes without a lease, on a locked row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from tasks.rotation.errors import NotFound
from tasks.rotation.model import ById, ConnectionHealth, Event, Snapshot, VersionState
from tasks.rotation.ports import Change, CheckResult, KnownVersion
from tasks.store.cipher import Cipher
from tasks.store.columns import Moment, as_millis
from tasks.store.database import Database
from tasks.store.naming import meant
from tasks.store.rows import difference, rotation_values
from tasks.store.snapshots import load_snapshot
from tasks.store.tables import ConnectionRow, KeyVersionRow, RequestRow, RotationRow
from tasks.store.writing import write_change, write_events

_ANSWERS_LAST: Final = timedelta(days=7)
_CHECKING: Final = 6_318_447_902
"""Lock: of two checks of one connection that end at once, one tells what changed."""
"""How long a repeated request is known; a broker repeats after minutes."""


class SqlDesk:
    """``ports.Desk`` over a database."""

    def __init__(self, database: Database, cipher: Cipher) -> None:
        self._database = database
        self._cipher = cipher

    def change(
        self, name: str | ById, decide: Callable[[Snapshot], Change], *, request_id: str | None = None
    ) -> Snapshot:
        """See ``ports.Desk``."""
        with self._database.write() as connection:
            snapshot = lock_rotation(connection, self._database, name)
            if request_id is not None:
                snapshot = replace(snapshot, answered=_answer(connection, snapshot, request_id))
            change = decide(snapshot)
            apply(connection, self._cipher, snapshot, change)
            if request_id is not None and snapshot.answered is None and change.answers is not None:
                _remember(connection, snapshot, request_id, change.answers)
        return snapshot

    def connection_names(self) -> tuple[tuple[str, str], ...]:
        """See ``ports.Desk``."""
        alive = ConnectionRow.deleted_at.is_(None)
        query = sa.select(ConnectionRow.id, ConnectionRow.name).where(alive).order_by(ConnectionRow.name)
        with self._database.read() as connection:
            return tuple((row.id, row.name) for row in connection.execute(query))

    def workspaces(self, connection_id: str) -> tuple[str | None, ...]:
        """See ``ports.Desk``."""
        query = sa.select(RotationRow.workspace_id).where(RotationRow.connection_id == connection_id).distinct()
        with self._database.read() as connection:
            return tuple({None, *connection.execute(query).scalars()})

    def known_versions(self, connection_id: str) -> tuple[KnownVersion, ...]:
        """See ``ports.Desk``."""
        version, rotation = KeyVersionRow.__table__.c, RotationRow.__table__.c
        query = (
            sa.select(
                version.rotation_id,
                version.number,
                version.state,
                version.marker,
                version.key_hash,
                version.error,
                rotation.name.label("rotation_name"),
                rotation.removed_at,
            )
            .join_from(KeyVersionRow, RotationRow, version.rotation_id == rotation.id)
            .where(rotation.connection_id == connection_id)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return tuple(
            KnownVersion(
                rotation_id=row.rotation_id,
                rotation_name=row.rotation_name,
                number=row.number,
                state=VersionState(row.state) if row.state in set(VersionState) else None,
                marker=row.marker,
                key_hash=row.key_hash,
                error=row.error,
                released=row.removed_at is not None and row.state != VersionState.DELETED,
            )
            for row in rows
        )

    def record_check(self, connection_id: str, result: CheckResult, *, actor: str) -> None:
        """See ``ports.Desk``."""
        alive = (ConnectionRow.id == connection_id, ConnectionRow.deleted_at.is_(None))
        with self._database.write() as connection:
            self._database.exclude_others(connection, _CHECKING)
            now = self._database.moment(connection)
            row = connection.execute(sa.select(ConnectionRow.health, ConnectionRow.name).where(*alive)).one_or_none()
            if row is None:
                raise NotFound("The connection was deleted meanwhile.")
            if result.health is ConnectionHealth.VALID and row.health != ConnectionHealth.VALID:
                wake_connection(connection, self._database, connection_id)
            found = {
                "health": str(result.health),
                "health_message": f"{result.message} {result.remedy}".strip(),
                "checked_at": now,
            }
            if connection.execute(sa.update(ConnectionRow).where(*alive).values(found)).rowcount != 1:
                raise NotFound("The connection was deleted meanwhile.")
            event = Event(
                at=now,
                name="connection_checked",
                actor=actor,
                why=result.message,
                connection_id=connection_id,
                detail=(("health", str(result.health)), ("before", row.health), ("connection", row.name)),
            )
            write_events(connection, (event,))

    def record_look(self, connection_id: str, *, binds_keys: bool) -> None:
        """See ``ports.Desk``."""
        statement = sa.update(ConnectionRow).where(ConnectionRow.id == connection_id).values(binds_keys=binds_keys)
        with self._database.write() as connection:
            connection.execute(statement)

    def append(self, *events: Event) -> None:
        """See ``ports.Desk``."""
        with self._database.write() as connection:
            write_events(connection, events)

    def now(self) -> datetime:
        """See ``ports.Desk``."""
        with self._database.read() as connection:
            return self._database.moment(connection)


def _answer(connection: sa.Connection, snapshot: Snapshot, request_id: str) -> int | None:
    query = sa.select(RequestRow.version).where(
        RequestRow.id == request_id, RequestRow.rotation_id == snapshot.rotation.id
    )
    return connection.execute(query).scalar_one_or_none()


def _remember(connection: sa.Connection, snapshot: Snapshot, request_id: str, version: int) -> None:
    """Keep the answer, and forget those that are too old to be asked for again."""
    old = sa.type_coerce(RequestRow.at, sa.BigInteger) < as_millis(snapshot.now - _ANSWERS_LAST)
    connection.execute(sa.delete(RequestRow).where(old))
    values = {"id": request_id, "rotation_id": snapshot.rotation.id, "version": version, "at": snapshot.now}
    connection.execute(sa.insert(RequestRow).values(values))


def lock_rotation(connection: sa.Connection, database: Database, name: str | ById) -> Snapshot:
    """The rotation that is meant, locked until the transaction ends, awake, and marked as changed."""
    statement = (
        sa.update(RotationRow)
        .where(meant(RotationRow, name), RotationRow.removed_at.is_(None))
        .values(
            revision=RotationRow.revision + 1,
            wake_at=sa.type_coerce(database.now, Moment),
            dispatched_until=None,
        )
        .returning(RotationRow.id)
    )
    rotation_id = connection.execute(statement).scalar_one_or_none()
    if rotation_id is None:
        raise NotFound(f"There is no rotation {name}.", "`rotator rotation list` shows them.")
    return load_snapshot(connection, database, rotation_id)


def apply(connection: sa.Connection, cipher: Cipher, snapshot: Snapshot, change: Change) -> None:
    """Write ``change``, which was decided from the locked ``snapshot``."""
    if change.rotation is not None:
        before, after = change.rotation
        values = difference(rotation_values(before), rotation_values(after))
        if values:
            target = sa.update(RotationRow).where(RotationRow.id == snapshot.rotation.id)
            connection.execute(target.values(values))
    write_change(connection, cipher, change)


def wake_connection(connection: sa.Connection, database: Database, connection_id: str) -> None:
    """Let every rotation of the connection try again now, whatever it was waiting for after a failure.

    Rotations are locked first, by id, then versions, then the connection: the order in which the engine does, so
    that they wait for each other and never deadlock.
    """
    its_own = (RotationRow.connection_id == connection_id, RotationRow.removed_at.is_(None))
    ids = list(
        connection.execute(
            sa.select(RotationRow.id).where(*its_own).order_by(RotationRow.id).with_for_update()
        ).scalars()
    )
    connection.execute(
        sa.update(RotationRow)
        .where(RotationRow.id.in_(ids))
        .values(
            revision=RotationRow.revision + 1,
            wake_at=sa.type_coerce(database.now, Moment),
            dispatched_until=None,
        )
    )
    failed = (KeyVersionRow.rotation_id.in_(ids), KeyVersionRow.next_attempt_at.is_not(None))
    connection.execute(sa.update(KeyVersionRow).where(*failed).values(next_attempt_at=None))
    connection.execute(sa.update(ConnectionRow).where(ConnectionRow.id == connection_id).values(paused_until=None))
