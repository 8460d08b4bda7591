"""Connections as an operator sees and changes them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from config.secret import Secret
from tasks.rotation.errors import Conflict, NotFound
from tasks.rotation.model import ConnectionHealth, Event
from tasks.rotation.ports import CheckResult
from tasks.store.cipher import Cipher
from tasks.store.database import Database
from tasks.store.desk import wake_connection
from tasks.store.sealed import management_key_place
from tasks.store.tables import ConnectionRow, RotationRow
from tasks.store.writing import write_events


@dataclass(frozen=True, slots=True)
class StoredConnection:
    """A connection without its key."""

    id: str
    name: str
    app: str
    method: str
    description: str | None
    key_revision: int
    fingerprint: str
    health: ConnectionHealth
    health_message: str
    checked_at: datetime
    paused_until: datetime | None
    created_at: datetime
    updated_at: datetime
    rotations: tuple[str, ...]


class Connections:
    """The table of connections."""

    def __init__(self, database: Database, cipher: Cipher) -> None:
        self._database = database
        self._cipher = cipher

    def all(self) -> tuple[StoredConnection, ...]:
        """Every connection, by name."""
        with self._database.read() as connection:
            rows = connection.execute(_select()).all()
            users = _users(connection)
        return tuple(_stored(row, users) for row in rows)

    def get(self, name: str) -> StoredConnection:
        """One connection. Raises ``NotFound``."""
        with self._database.read() as connection:
            row = connection.execute(_select().where(ConnectionRow.name == name)).one_or_none()
            users = _users(connection)
        if row is None:
            raise NotFound(f"There is no connection {name}.", "`rotator connection list` shows them.")
        return _stored(row, users)

    def refuse_taken(self, name: str) -> None:
        """Raise ``Conflict`` when the name is in use."""
        with self._database.read() as connection:
            if connection.execute(sa.select(ConnectionRow.id).where(ConnectionRow.name == name)).first():
                raise _taken(name)

    def insert(
        self, id_: str, name: str, key: Secret, *, description: str | None, app: str, result: CheckResult, actor: str
    ) -> None:
        """Store a proven key. Raises ``Conflict`` when the name was taken meanwhile."""
        with self._database.write() as connection:
            now = self._database.moment(connection)
            values = {
                "id": id_,
                "name": name,
                "app": app,
                "method": "api-key",
                "description": description,
                "key_sealed": self._cipher.seal(key, management_key_place(id_, 1)),
                "key_revision": 1,
                "fingerprint": self._cipher.fingerprint(key),
                "health": str(result.health),
                "health_message": result.message,
                "checked_at": now,
                "binds_keys": True,
                "created_at": now,
                "updated_at": now,
            }
            try:
                connection.execute(sa.insert(ConnectionRow).values(values))
            except sa.exc.IntegrityError:
                raise _taken(name) from None
            write_events(connection, (_event("connection_created", id_, name, now, actor),))

    def update(
        self,
        stored: StoredConnection,
        *,
        description: str | None,
        key: Secret | None,
        result: CheckResult | None,
        actor: str,
    ) -> None:
        """Change the description and, when ``key`` is given with its proof, the key.

        Raises ``Conflict`` when someone else replaced the key, or deleted the connection, meanwhile.
        """
        with self._database.write() as connection:
            now = self._database.moment(connection)
            values: dict[str, Any] = {"description": description, "updated_at": now}
            if key is not None and result is not None:
                wake_connection(connection, self._database, stored.id)
                values |= self._replaced(stored, key, result, now)
            guard = (
                ConnectionRow.id == stored.id,
                ConnectionRow.key_revision == stored.key_revision,
                ConnectionRow.deleted_at.is_(None),
            )
            if connection.execute(sa.update(ConnectionRow).where(*guard).values(values)).rowcount != 1:
                raise Conflict(f"{stored.name} was changed by someone else meanwhile.", "Look at it and try again.")
            changed = "key replaced" if key is not None else "description changed"
            write_events(connection, (_event("connection_updated", stored.id, stored.name, now, actor, why=changed),))

    def _replaced(self, stored: StoredConnection, key: Secret, result: CheckResult, now: datetime) -> dict[str, Any]:
        revision = stored.key_revision + 1
        return {
            "key_sealed": self._cipher.seal(key, management_key_place(stored.id, revision)),
            "key_revision": revision,
            "fingerprint": self._cipher.fingerprint(key),
            "health": str(result.health),
            "health_message": result.message,
            "checked_at": now,
            "binds_keys": True,
        }

    def delete(self, name: str, *, actor: str) -> None:
        """Delete a connection that no rotation uses, and its ciphertext with it. Raises ``NotFound``, ``Conflict``.

        Rotations that were deleted keep their history; it stays, and with it a row whose ciphertext is shredded.
        """
        stored = self.get(name)
        if stored.rotations:
            raise Conflict(
                f"{name} is used by {', '.join(stored.rotations)}.",
                "Delete those rotations first: `rotator rotation delete NAME`.",
            )
        with self._database.write() as connection:
            now = self._database.moment(connection)
            self._shred(connection, stored)
            write_events(connection, (_event("connection_deleted", stored.id, name, now, actor),))

    def _shred(self, connection: sa.Connection, stored: StoredConnection) -> None:
        connection.execute(sa.select(ConnectionRow.id).where(ConnectionRow.id == stored.id).with_for_update())
        used_now = sa.select(RotationRow.id).where(
            RotationRow.connection_id == stored.id, RotationRow.removed_at.is_(None)
        )
        if connection.execute(used_now).first():
            raise Conflict(f"{stored.name} was taken into use meanwhile.", "`rotator rotation list` shows by which.")
        used_once = sa.select(RotationRow.id).where(RotationRow.connection_id == stored.id)
        one = ConnectionRow.id == stored.id
        if connection.execute(used_once).first():
            tombstone = {"name": f"{stored.name} (deleted {stored.id})", "key_sealed": b"", "fingerprint": ""}
            connection.execute(
                sa.update(ConnectionRow).where(one).values(deleted_at=self._database.moment(connection), **tombstone)
            )
        else:
            connection.execute(sa.delete(ConnectionRow).where(one))


def _select() -> sa.Select[Any]:
    columns = [c for c in ConnectionRow.__table__.c if c.name != "key_sealed"]
    return sa.select(*columns).where(ConnectionRow.deleted_at.is_(None)).order_by(ConnectionRow.name)


def _users(connection: sa.Connection) -> dict[str, tuple[str, ...]]:
    query = (
        sa.select(RotationRow.connection_id, RotationRow.name)
        .where(RotationRow.removed_at.is_(None))
        .order_by(RotationRow.name)
    )
    users: dict[str, tuple[str, ...]] = {}
    for connection_id, name in connection.execute(query):
        users[connection_id] = (*users.get(connection_id, ()), name)
    return users


def _stored(row: sa.Row[Any], users: dict[str, tuple[str, ...]]) -> StoredConnection:
    facts = {k: v for k, v in row._mapping.items() if k not in {"deleted_at", "binds_keys"}}
    facts["health"] = ConnectionHealth(facts["health"])
    return StoredConnection(**facts, rotations=users.get(row.id, ()))


def _taken(name: str) -> Conflict:
    return Conflict(
        f"There is a connection {name} already.",
        "Choose another name, or replace its key: `rotator connection update`.",
    )


def _event(event: str, id_: str, name: str, now: datetime, actor: str, *, why: str = "") -> Event:
    return Event(at=now, name=event, actor=actor, why=why, connection_id=id_, detail=(("connection", name),))
