"""Rotations as an operator sees and changes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Final

import sqlalchemy as sa

from config.secret import Secret
from tasks.rotation.errors import Broken, Conflict, NameTaken, NotAsSeen, NotFound, Overtaken
from tasks.rotation.model import ById, Event, KeyVersion, OnDrift, Rotation, Snapshot, VersionState
from tasks.rotation.ports import Change
from tasks.store.cipher import Cipher
from tasks.store.columns import Moment
from tasks.store.database import Database
from tasks.store.desk import apply, lock_rotation
from tasks.store.naming import meant
from tasks.store.refusals import told_of
from tasks.store.rows import possible, rotation_values
from tasks.store.sealed import open_key, target_place
from tasks.store.snapshots import load_each, load_snapshot, name_of, select_versions, version_in
from tasks.store.tables import ConnectionRow, DeliveryRow, DestinationRow, KeyVersionRow, RotationRow
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
    optional: bool = False
    on_drift: OnDrift = OnDrift.REPAIR


class Rotations:
    """The tables of rotations, destinations and versions."""

    def __init__(self, database: Database, cipher: Cipher) -> None:
        self._database = database
        self._cipher = cipher

    # --- reading -----------------------------------------------------------------------------------------------

    def each(self) -> tuple[Snapshot | Broken, ...]:
        """Every rotation that is not removed, by name; in place of one that cannot be read, why."""
        with self._database.read() as connection:
            return load_each(connection, self._database)

    def get(self, name: str | ById) -> Snapshot:
        """One rotation. Raises ``NotFound``."""
        query = sa.select(RotationRow.id).where(meant(RotationRow, name), RotationRow.removed_at.is_(None))
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

    def refuse_occupied(self, rotation_id: str, wanted: NewDestination) -> None:
        """Raise ``Conflict`` when another rotation publishes to this place."""
        with self._database.read() as connection:
            owner = _occupant(connection, wanted, rotation_id)
        if owner is not None:
            raise _occupied(wanted, owner)

    def versions(self, rotation_id: str) -> tuple[KeyVersion, ...]:
        """Every version, deleted ones included, by number."""
        with self._database.read() as connection:
            return _versions(connection, rotation_id)

    def newest_versions(self, rotation_id: str, *, before: int | None, limit: int) -> tuple[KeyVersion, ...]:
        """So many versions with numbers below ``before``, the highest first, deleted ones included."""
        query = select_versions().where(KeyVersionRow.rotation_id == rotation_id).order_by(None)
        if before is not None:
            query = query.where(KeyVersionRow.number < before)
        with self._database.read() as connection, possible(partial(name_of, connection, rotation_id)):
            rows = connection.execute(query.order_by(KeyVersionRow.number.desc()).limit(limit))
            return tuple(version_in(row) for row in rows)

    def version(self, rotation_id: str, number: int) -> KeyVersion:
        """One version. Raises ``NotFound``."""
        with self._database.read() as connection:
            found = _versions(connection, rotation_id, KeyVersionRow.number == number)
        if not found:
            raise NotFound(f"There is no version {number}.")
        return found[0]

    def active(self, name: str | ById) -> tuple[Rotation, KeyVersion]:
        """A rotation and its active version. Raises ``NotFound`` when it has none."""
        snapshot = self.get(name)
        if snapshot.active is None:
            name = snapshot.rotation.name
            raise NotFound(f"{name} has no active key yet.", f"`rotator rotation show {name}` says why.")
        return snapshot.rotation, snapshot.active

    def active_key(self, name: str | ById, *, actor: str) -> Secret:
        """The active version's key; that it was read leaves an event. Raises ``NotFound``."""
        rotation, active = self.active(name)
        with told_of(self._database, actor=actor), self._database.write() as connection:
            key = open_key(connection, self._cipher, active.id)
            now = self._database.moment(connection)
            read = Event(at=now, name="key_read", actor=actor, rotation_id=rotation.id, version=active.number)
            write_events(connection, (read,))
        return key

    def usable_keys(self, name: str | ById, *, actor: str) -> tuple[tuple[KeyVersion, Secret], ...]:
        """Every key that still works and whose text is stored, by version; that each was read leaves an event."""
        snapshot = self.get(name)
        with told_of(self._database, actor=actor), self._database.write() as connection:
            keys = tuple(self._still_there(connection, snapshot.usable))
            now = self._database.moment(connection)
            read = Event(at=now, name="key_read", actor=actor, rotation_id=snapshot.rotation.id)
            write_events(connection, tuple(replace(read, version=v.number) for v, _ in keys))
        return keys

    def _still_there(
        self, connection: sa.Connection, versions: Iterable[KeyVersion]
    ) -> Iterator[tuple[KeyVersion, Secret]]:
        for version in versions:
            with suppress(NotFound):  # deleted a moment ago
                yield version, open_key(connection, self._cipher, version.id)

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
            self._store_destinations(connection, rotation, destinations, {})
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
        decide: Callable[[Snapshot], Change],
    ) -> None:
        """Store an order that was changed from what was ``seen``, and what ``decide`` says of all that belongs to it,
        from how that stands then. Destinations are added, or changed where they are known and not forgotten.

        Raises ``NotFound``, ``NameTaken``, ``Conflict`` for a destination that is named twice or another rotation's,
        and ``NotAsSeen`` when someone else changed the rotation since.
        """
        with self._database.write() as connection:
            locked = lock_rotation(connection, self._database, ById(seen.rotation.id))
            if locked.revision != seen.revision + 1:
                raise NotAsSeen(seen.rotation.name)
            self._write_order(connection, changed)
            change = decide(locked)
            apply(connection, self._cipher, locked, change)
            known = {d.label: d.id for d in locked.destinations if d not in change.forgotten}
            self._store_destinations(connection, changed, add, known)

    def _write_order(self, connection: sa.Connection, changed: Rotation) -> None:
        owned = {"last_version", "last_rotated_at", "attention", "remedy", "removed_at", "removal"}
        values = {k: v for k, v in rotation_values(changed).items() if k not in owned}
        try:
            connection.execute(sa.update(RotationRow).where(RotationRow.id == changed.id).values(values))
        except sa.exc.IntegrityError:
            raise _taken(changed.name) from None

    def _hold_connection(self, connection: sa.Connection, rotation: Rotation) -> None:
        """Keep the rotation's connection from being deleted, or changed, until the caller's transaction ends."""
        alive = (ConnectionRow.id == rotation.connection_id, ConnectionRow.deleted_at.is_(None))
        query = sa.select(ConnectionRow.id).where(*alive).with_for_update()
        if connection.execute(query).first() is None:
            raise NotFound("The connection was deleted meanwhile.", "`rotator connection list` shows those there are.")

    def _store_destinations(
        self, connection: sa.Connection, rotation: Rotation, wanted: Iterable[NewDestination], known: Mapping[str, str]
    ) -> None:
        """Those that are known, by label, are changed, and get the current version anew."""
        self._database.exclude_others(connection, _PUBLISHING)
        named: set[str] = set()
        for destination in wanted:
            self._refuse_occupied(connection, rotation, destination)
            if destination.label in named:
                raise Conflict(f"{destination.label} is named twice.", "Name it once.")
            named.add(destination.label)
            if destination.label in known:
                self._change_destination(connection, known[destination.label], destination)
            else:
                self._insert_destination(connection, rotation, destination)

    def _insert_destination(self, connection: sa.Connection, rotation: Rotation, wanted: NewDestination) -> None:
        values = self._order_values(wanted.id, wanted) | {
            "id": wanted.id,
            "rotation_id": rotation.id,
            "kind": wanted.kind,
            "label": wanted.label,
            "created_at": sa.type_coerce(self._database.now, Moment),
        }
        connection.execute(sa.insert(DestinationRow).values(values))

    def _change_destination(self, connection: sa.Connection, known_id: str, wanted: NewDestination) -> None:
        values = self._order_values(known_id, wanted) | {"check_at": None, "attempts": 0, "next_attempt_at": None}
        values |= {"error_family": None, "error": None, "remedy": None}
        if (
            connection.execute(sa.update(DestinationRow).where(DestinationRow.id == known_id).values(values)).rowcount
            != 1
        ):
            raise Overtaken(f"{wanted.label} was removed meanwhile")
        connection.execute(sa.delete(DeliveryRow).where(DeliveryRow.destination_id == known_id))

    def _order_values(self, destination_id: str, wanted: NewDestination) -> dict[str, Any]:
        """What an operator says of a destination."""
        return {
            "target_sealed": self._cipher.seal(wanted.target, target_place(destination_id)),
            "optional": wanted.optional,
            "on_drift": str(wanted.on_drift),
            "leaving": False,
        }

    def _refuse_occupied(self, connection: sa.Connection, rotation: Rotation, wanted: NewDestination) -> None:
        owner = _occupant(connection, wanted, rotation.id)
        if owner is not None:
            raise _occupied(wanted, owner)


def _occupant(connection: sa.Connection, wanted: NewDestination, rotation_id: str) -> str | None:
    """Two rotations at one place would overwrite each other's key, and retire what the other still publishes."""
    query = (
        sa.select(RotationRow.name)
        .join(DestinationRow, DestinationRow.rotation_id == RotationRow.id)
        .where(DestinationRow.kind == wanted.kind, DestinationRow.label == wanted.label)
        .where(RotationRow.id != rotation_id, RotationRow.removed_at.is_(None))
    )
    if wanted.variable is not None:
        query = query.where(RotationRow.secret_name == wanted.variable)
    return connection.execute(query).scalars().first()


def _occupied(wanted: NewDestination, owner: str) -> Conflict:
    held = f"{wanted.variable} of {wanted.label}" if wanted.variable else wanted.label
    return Conflict(
        f"The rotation {owner} publishes to {held} already.",
        "Publish elsewhere, or remove it there with `rotator rotation update --unpublish`.",
    )


def _versions(connection: sa.Connection, rotation_id: str, *chosen: sa.ColumnElement[bool]) -> tuple[KeyVersion, ...]:
    query = select_versions().where(KeyVersionRow.rotation_id == rotation_id, *chosen)
    with possible(partial(name_of, connection, rotation_id)):
        return tuple(map(version_in, connection.execute(query)))


@dataclass(frozen=True, slots=True)
class Held:
    """What a destination holds, as far as is recorded, and what last went wrong."""

    version: int | None = None
    delivered_at: datetime | None = None
    error: str | None = None
    drifted_at: datetime | None = None


def holdings(snapshot: Snapshot) -> dict[str, Held]:
    """By destination: the version last read back from it. After an undo that is not the newest: what is active, or on
    its way to be, was delivered last."""
    numbers = {v.id: v.number for v in snapshot.versions if v.state is not VersionState.ABANDONED}
    late = {v.id: rank for rank, v in ((1, snapshot.active), (2, snapshot.in_flight)) if v is not None}
    held: dict[str, Held] = {}
    for delivery in sorted(
        snapshot.deliveries, key=lambda d: (late.get(d.version_id, 0), numbers.get(d.version_id, 0))
    ):
        before = held.get(delivery.destination_id, Held())
        after = replace(before, error=delivery.attempt.error, drifted_at=delivery.drifted_at)
        if delivery.delivered_at is not None:
            after = replace(after, version=numbers.get(delivery.version_id), delivered_at=delivery.delivered_at)
        held[delivery.destination_id] = after
    return held


def _taken(name: str) -> NameTaken:
    return NameTaken(f"There is a rotation {name} already.", "Choose another name.")
