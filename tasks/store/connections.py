"""Connections as an operator sees and changes them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from config.secret import Secret
from tasks.rotation.errors import InUse, NameTaken, NotAsSeen, NotFound
from tasks.rotation.model import ById, ConnectionHealth, Event
from tasks.rotation.ports import CheckResult
from tasks.store.cipher import Cipher
from tasks.store.database import Database
from tasks.store.desk import wake_connection
from tasks.store.naming import meant
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
    project_id: str | None
    rotations: tuple[str, ...]

    @property
    def revision(self) -> str:
        """Changes with everything that an operator changes of it."""
        return revision_of(self)


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

    def get(self, name: str | ById) -> StoredConnection:
        """One connection. Raises ``NotFound``."""
        with self._database.read() as connection:
            row = connection.execute(_select().where(meant(ConnectionRow, name))).one_or_none()
            users = _users(connection)
        if row is None:
            raise NotFound(f"There is no connection {name}.", "`rotator connection list` shows them.")
        return _stored(row, users)

    def names(self) -> dict[str, str]:
        """Name of every connection, by id."""
        query = sa.select(ConnectionRow.id, ConnectionRow.name).where(ConnectionRow.deleted_at.is_(None))
        with self._database.read() as connection:
            return {row.id: row.name for row in connection.execute(query)}

    def refuse_taken(self, name: str) -> None:
        """Raise ``Conflict`` when the name is in use."""
        with self._database.read() as connection:
            if connection.execute(sa.select(ConnectionRow.id).where(ConnectionRow.name == name)).first():
                raise _taken(name)

    def insert(
        self,
        id_: str,
        name: str,
        key: Secret,
        *,
        description: str | None,
        app: str,
        result: CheckResult,
        actor: str,
        project_id: str | None = None,
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
                "project_id": project_id,
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
        name: str | None = None,
    ) -> None:
        """Change the description, the name where one is given and, when ``key`` is given with its proof, the key.

        Raises ``NotAsSeen`` when someone else changed the connection, or deleted it, meanwhile; ``NameTaken``.
        """
        values: dict[str, Any] = {"description": description, "name": name or stored.name}
        with self._database.write() as connection:
            now = self._database.moment(connection)
            if key is not None and result is not None:
                wake_connection(connection, self._database, stored.id)
                values |= self._replaced(stored, key, result, now)
            _lock_as_seen(connection, stored)
            try:
                its_row = sa.update(ConnectionRow).where(ConnectionRow.id == stored.id)
                connection.execute(its_row.values(values | {"updated_at": now}))
            except sa.exc.IntegrityError:
                raise _taken(str(name)) from None
            write_events(connection, (_updated(stored, values, now, actor),))

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

    def delete(self, stored: StoredConnection, *, actor: str) -> None:
        """Delete a connection that no rotation uses, and its ciphertext with it. Raises ``InUse``, and ``NotAsSeen``
        when someone else changed it since.

        Rotations that were deleted keep their history; it stays, and with it a row whose ciphertext is shredded.
        """
        with self._database.write() as connection:
            now = self._database.moment(connection)
            _lock_as_seen(connection, stored)
            self._shred(connection, stored)
            write_events(connection, (_event("connection_deleted", stored.id, stored.name, now, actor),))

    def _shred(self, connection: sa.Connection, stored: StoredConnection) -> None:
        if users := _users(connection).get(stored.id):
            remedy = "Delete those rotations first: `rotator rotation delete NAME`."
            raise InUse(f"{stored.name} is used by {', '.join(users)}.", remedy, rotations=users)
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


def revision_of(stored: StoredConnection | sa.Row[Any]) -> str:
    """An opaque text that changes with everything that an operator changes of a connection."""
    facts = (stored.id, stored.name, stored.description, stored.project_id, stored.key_revision, stored.updated_at)
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:32]


def _lock_as_seen(connection: sa.Connection, stored: StoredConnection) -> None:
    """Keep everybody else from changing a connection until the caller's transaction ends, if nobody did since it was
    read. Raises ``NotAsSeen``."""
    found = connection.execute(_select().where(ConnectionRow.id == stored.id).with_for_update()).one_or_none()
    if found is None or revision_of(found) != stored.revision:
        raise NotAsSeen(stored.name)


def _updated(stored: StoredConnection, values: dict[str, Any], now: datetime, actor: str) -> Event:
    facts = (("key_revision", "key replaced"), ("name", "renamed"), ("description", "description changed"))
    changed = [word for name, word in facts if name in values and values[name] != getattr(stored, name)]
    why = ", ".join(changed) or "nothing changed"
    event = _event("connection_updated", stored.id, values["name"], now, actor, why=why)
    if values["name"] == stored.name:
        return event
    return replace(event, detail=(*event.detail, ("before", stored.name)))


def _taken(name: str) -> NameTaken:
    return NameTaken(
        f"There is a connection {name} already.",
        "Choose another name, or replace its key: `rotator connection update`.",
    )


def _event(event: str, id_: str, name: str, now: datetime, actor: str, *, why: str = "") -> Event:
    return Event(at=now, name=event, actor=actor, why=why, connection_id=id_, detail=(("connection", name),))
