"""Rotations as an operator sees and changes them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

import sqlalchemy as sa

from config.secret import Secret
from tasks.rotation.errors import Broken, Conflict, NotFound
from tasks.rotation.model import Event, KeyVersion, Rotation, Snapshot, VersionState
from tasks.rotation.ports import Change
from tasks.store.cipher import Cipher
from tasks.store.columns import Moment
from tasks.store.database import Database
from tasks.store.desk import lock_rotation
from tasks.store.leased import load_snapshot, name_of, select_versions
from tasks.store.refusals import told_of
from tasks.store.rows import possible, rotation_values, version_of
from tasks.store.sealed import open_key, target_place
from tasks.store.tables import ConnectionRow, DestinationRow, EventRow, KeyVersionRow, RotationRow
from tasks.store.writing import write_change, write_events

_PUBLISHING: Final = 7_035_921_449
"""Lock: two rotations that take the same place at once would not see each other."""


@dataclass(frozen=True, slots=True)
class NewDestination:
    """A destination to store."""

    id: str
    kind: str
    label: str
    target: Secret
    variable: str | None = None
    """The secret name that it takes up there; None when the place has room for one rotation only."""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One line of the audit log, with its position."""

    id: int
    event: Event


class Rotations:
    """The tables of rotations, destinations, versions and events."""

    def __init__(self, database: Database, cipher: Cipher) -> None:
        self._database = database
        self._cipher = cipher

    # --- reading -----------------------------------------------------------------------------------------------

    def all(self) -> tuple[Snapshot, ...]:
        """Every rotation that is not removed, by name. Raises ``Broken`` for the first that cannot be read."""
        found = self.each()
        for broken in found:
            if isinstance(broken, Broken):
                raise broken
        return tuple(s for s in found if isinstance(s, Snapshot))

    def each(self) -> tuple[Snapshot | Broken, ...]:
        """Every rotation that is not removed, by name; in place of one that cannot be read, why."""
        query = sa.select(RotationRow.id).where(RotationRow.removed_at.is_(None)).order_by(RotationRow.name)
        with self._database.read() as connection:
            ids = connection.execute(query).scalars().all()
            return tuple(_snapshot_or_why(connection, self._database, id_) for id_ in ids)

    def get(self, name: str) -> Snapshot:
        """One rotation. Raises ``NotFound``."""
        query = sa.select(RotationRow.id).where(RotationRow.name == name, RotationRow.removed_at.is_(None))
        with self._database.read() as connection:
            rotation_id = connection.execute(query).scalar_one_or_none()
            if rotation_id is None:
                raise NotFound(f"There is no rotation {name}.", "`rotator rotation list` shows them.")
            return load_snapshot(connection, self._database, rotation_id)

    def refuse_taken(self, name: str) -> None:
        """Raise ``Conflict`` when the name is in use."""
        query = sa.select(RotationRow.id).where(RotationRow.name == name, RotationRow.removed_at.is_(None))
        with self._database.read() as connection:
            if connection.execute(query).first():
                raise _taken(name)

    def refuse_known(self, key_hash: str) -> None:
        """Raise ``Conflict`` when a rotation has this key already."""
        query = (
            sa.select(RotationRow.name)
            .join(KeyVersionRow, KeyVersionRow.rotation_id == RotationRow.id)
            .where(KeyVersionRow.key_hash == key_hash, RotationRow.removed_at.is_(None))
        )
        with self._database.read() as connection:
            owner = connection.execute(query).scalars().first()
        if owner is not None:
            raise Conflict(f"That key belongs to the rotation {owner} already.", "Adopt another one.")

    def refuse_unsettled(self, marker: str) -> None:
        """Raise ``Conflict`` when a version waits for the key with this marker: to use it, or to delete it."""
        waits = KeyVersionRow.state.in_([VersionState.CREATING, VersionState.ABANDONED])
        query = (
            sa.select(RotationRow.name, KeyVersionRow.number)
            .join(KeyVersionRow, KeyVersionRow.rotation_id == RotationRow.id)
            .where(KeyVersionRow.marker == marker, waits)
        )
        with self._database.read() as connection:
            found = connection.execute(query).first()
        if found is not None:
            raise Conflict(f"That key is being made for {found.name} (version {found.number}).", "Adopt another one.")

    def versions(self, rotation_id: str) -> tuple[KeyVersion, ...]:
        """Every version, deleted ones included, by number."""
        with self._database.read() as connection:
            return _versions(connection, rotation_id)

    def version(self, rotation_id: str, number: int) -> KeyVersion:
        """One version. Raises ``NotFound``."""
        with self._database.read() as connection:
            found = _versions(connection, rotation_id, KeyVersionRow.number == number)
        if not found:
            raise NotFound(f"There is no version {number}.")
        return found[0]

    def active(self, name: str) -> tuple[Rotation, KeyVersion]:
        """A rotation and its active version. Raises ``NotFound`` when it has none."""
        snapshot = self.get(name)
        if snapshot.active is None:
            raise NotFound(f"{name} has no active key yet.", f"`rotator rotation show {name}` says why.")
        return snapshot.rotation, snapshot.active

    def active_key(self, name: str, *, actor: str) -> Secret:
        """The active version's key; that it was read leaves an event. Raises ``NotFound``."""
        rotation, active = self.active(name)
        with told_of(self._database, actor=actor), self._database.write() as connection:
            key = open_key(connection, self._cipher, active.id)
            now = self._database.moment(connection)
            read = Event(at=now, name="key_read", actor=actor, rotation_id=rotation.id, version=active.number)
            write_events(connection, (read,))
        return key

    def events(self, *, rotation_id: str | None, after: int, limit: int) -> tuple[StoredEvent, ...]:
        """The audit log from position ``after`` on, oldest first."""
        query = sa.select(EventRow.__table__).where(EventRow.id > after).order_by(EventRow.id).limit(limit)
        if rotation_id is not None:
            query = query.where(EventRow.rotation_id == rotation_id)
        with self._database.read() as connection:
            return tuple(_stored_event(row) for row in connection.execute(query))

    def latest_events(self, rotation_id: str, *, limit: int) -> tuple[StoredEvent, ...]:
        """The newest lines about one rotation, oldest first."""
        query = sa.select(EventRow.__table__).where(EventRow.rotation_id == rotation_id)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(EventRow.id.desc()).limit(limit)).all()
        return tuple(_stored_event(row) for row in reversed(rows))

    def names(self) -> dict[str, str]:
        """Name of every rotation ever, by id."""
        with self._database.read() as connection:
            return {row.id: row.name for row in connection.execute(sa.select(RotationRow.id, RotationRow.name))}

    # --- writing -----------------------------------------------------------------------------------------------

    def insert(self, rotation: Rotation, change: Change, destinations: Iterable[NewDestination]) -> None:
        """Store a new rotation with what comes with it, awake.

        Raises ``Conflict`` when the name is taken or another rotation holds an adopted key, ``NotFound`` when its
        connection was deleted meanwhile.
        """
        with self._database.write() as connection:
            self._hold_connection(connection, rotation)
            values = rotation_values(rotation) | {
                "revision": 0,
                "lease_fence": 0,
                "wake_at": sa.type_coerce(self._database.now, Moment),
            }
            try:
                connection.execute(sa.insert(RotationRow).values(values))
            except sa.exc.IntegrityError:
                raise _taken(rotation.name) from None
            self._insert_destinations(connection, rotation, destinations)
            self._let_go(connection, change)
            write_change(connection, self._cipher, change)
            # It may bring a workspace, or an adopted key, that the last look for bindings did not see.
            its_connection = sa.update(ConnectionRow).where(ConnectionRow.id == rotation.connection_id)
            connection.execute(its_connection.values(binds_keys=True))

    def _let_go(self, connection: sa.Connection, change: Change) -> None:
        """Mark keys as released whose rotation the release before closed, which does not do it itself."""
        adopted = [new.key_hash for _, new in change.versions if new.key_hash]
        closed = sa.select(RotationRow.removed_at).where(RotationRow.id == KeyVersionRow.rotation_id).scalar_subquery()
        left = (KeyVersionRow.key_hash.in_(adopted), KeyVersionRow.released_at.is_(None), closed.is_not(None))
        alive = KeyVersionRow.state != str(VersionState.DELETED)
        if adopted:
            connection.execute(sa.update(KeyVersionRow).where(*left, alive).values(released_at=closed))

    def update(
        self,
        seen: Snapshot,
        changed: Rotation,
        *,
        add: Iterable[NewDestination],
        remove: Iterable[str],
        event: Event,
    ) -> None:
        """Store an order that was changed from what was ``seen``; destinations are added and, by label, removed.

        Raises ``NotFound``, and ``Conflict`` when someone else changed the rotation since.
        """
        rotation = seen.rotation
        with self._database.write() as connection:
            locked = lock_rotation(connection, self._database, rotation.name)
            if (locked.rotation.id, locked.revision) != (rotation.id, seen.revision + 1):
                raise Conflict(f"{rotation.name} was changed by someone else meanwhile.", "Look at it and try again.")
            owned = {"last_version", "last_rotated_at", "attention", "remedy", "removed_at", "removal", "paused"}
            values = {k: v for k, v in rotation_values(changed).items() if k not in owned}
            connection.execute(sa.update(RotationRow).where(RotationRow.id == rotation.id).values(values))
            for label in remove:
                self._remove_destination(connection, rotation, label)
            self._insert_destinations(connection, rotation, add)
            write_events(connection, (event,))

    def _hold_connection(self, connection: sa.Connection, rotation: Rotation) -> None:
        """Keep the rotation's connection from being deleted, or changed, until the caller's transaction ends."""
        alive = (ConnectionRow.id == rotation.connection_id, ConnectionRow.deleted_at.is_(None))
        query = sa.select(ConnectionRow.id).where(*alive).with_for_update()
        if connection.execute(query).first() is None:
            raise NotFound("The connection was deleted meanwhile.", "`rotator connection list` shows those there are.")

    def _insert_destinations(
        self, connection: sa.Connection, rotation: Rotation, destinations: Iterable[NewDestination]
    ) -> None:
        self._database.exclude_others(connection, _PUBLISHING)
        for destination in destinations:
            self._refuse_occupied(connection, rotation, destination)
            values = {
                "id": destination.id,
                "rotation_id": rotation.id,
                "kind": destination.kind,
                "label": destination.label,
                "target_sealed": self._cipher.seal(destination.target, target_place(destination.id)),
                "created_at": sa.type_coerce(self._database.now, Moment),
            }
            try:
                connection.execute(sa.insert(DestinationRow).values(values))
            except sa.exc.IntegrityError:
                raise Conflict(f"{rotation.name} publishes to {destination.label} already.") from None

    def _refuse_occupied(self, connection: sa.Connection, rotation: Rotation, wanted: NewDestination) -> None:
        """Two rotations at one place would overwrite each other's key, and retire what the other still publishes."""
        query = (
            sa.select(RotationRow.name)
            .join(DestinationRow, DestinationRow.rotation_id == RotationRow.id)
            .where(DestinationRow.kind == wanted.kind, DestinationRow.label == wanted.label)
            .where(RotationRow.id != rotation.id, RotationRow.removed_at.is_(None))
        )
        if wanted.variable is not None:
            query = query.where(RotationRow.secret_name == wanted.variable)
        owner = connection.execute(query).scalars().first()
        if owner is not None:
            held = f"{wanted.variable} of {wanted.label}" if wanted.variable else wanted.label
            raise Conflict(
                f"The rotation {owner} publishes to {held} already.",
                "Publish elsewhere, or remove it there with `rotator rotation update --unpublish`.",
            )

    def _remove_destination(self, connection: sa.Connection, rotation: Rotation, label: str) -> None:
        statement = sa.delete(DestinationRow).where(
            DestinationRow.rotation_id == rotation.id, DestinationRow.label == label
        )
        if connection.execute(statement).rowcount != 1:
            raise NotFound(
                f"{rotation.name} does not publish to {label}.", f"`rotator rotation show {rotation.name}` lists where."
            )


def _snapshot_or_why(connection: sa.Connection, database: Database, rotation_id: str) -> Snapshot | Broken:
    try:
        return load_snapshot(connection, database, rotation_id)
    except Broken as error:
        return error


def _versions(connection: sa.Connection, rotation_id: str, *chosen: sa.ColumnElement[bool]) -> tuple[KeyVersion, ...]:
    query = select_versions().where(KeyVersionRow.rotation_id == rotation_id, *chosen)
    with possible(partial(name_of, connection, rotation_id)):
        return tuple(version_of(row) for row in connection.execute(query))


def deliveries_of(snapshot: Snapshot) -> dict[str, tuple[int | None, datetime | None, str | None]]:
    """For each destination: the newest version read back from it and when, and what last went wrong."""
    numbers = {v.id: v.number for v in snapshot.versions if v.state is not VersionState.ABANDONED}
    told: dict[str, tuple[int | None, datetime | None, str | None]] = {}
    for delivery in sorted(snapshot.deliveries, key=lambda d: numbers.get(d.version_id, 0)):
        version, at, _ = told.get(delivery.destination_id, (None, None, None))
        if delivery.delivered_at is not None:
            version, at = numbers.get(delivery.version_id), delivery.delivered_at
        told[delivery.destination_id] = (version, at, delivery.error)
    return told


def _stored_event(row: sa.Row[Any]) -> StoredEvent:
    event = Event(
        at=row.at,
        name=row.name,
        actor=row.actor,
        why=row.why,
        rotation_id=row.rotation_id,
        connection_id=row.connection_id,
        version=row.version,
        detail=tuple(row.detail.items()),
    )
    return StoredEvent(row.id, event)


def _taken(name: str) -> Conflict:
    return Conflict(f"There is a rotation {name} already.", "Choose another name.")
