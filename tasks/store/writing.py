"""Writing a ``Change``: every version guarded by its previous state, every event beside its cause."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from config.secret import Secret
from tasks.rotation.errors import Conflict, Overtaken
from tasks.rotation.model import Delivery, Destination, Event, KeyVersion
from tasks.rotation.ports import Change
from tasks.store.cipher import Cipher
from tasks.store.columns import as_millis
from tasks.store.rows import delivery_values, destination_values, difference, event_values, version_values
from tasks.store.sealed import key_place
from tasks.store.tables import (
    ConnectionRow,
    DeliveryRow,
    DestinationRow,
    EventRow,
    HeartbeatRow,
    KeyVersionRow,
    RotationRow,
)


def write_change(connection: sa.Connection, cipher: Cipher, change: Change) -> None:
    """Write everything of ``change`` but the rotation's own row.

    Raises ``Overtaken`` when a version is no longer in the state that the change was decided from, or when
    another version took its number or its place in line; ``Conflict`` when another rotation holds its key. The caller's
    transaction then rolls back.
    """
    for before, after in sorted(change.versions, key=lambda pair: pair[0] is None):
        if before is None:
            _insert_version(connection, after)
        else:
            _update_version(connection, before, after)
    for version_id, key in change.keys.items():
        _store_key(connection, cipher, version_id, key)
    for delivery in change.deliveries:
        _store_delivery(connection, delivery)
    _write_destinations(connection, change)
    write_events(connection, change.events)


def _write_destinations(connection: sa.Connection, change: Change) -> None:
    for destination in change.destinations:
        chosen = sa.update(DestinationRow).where(*_as_seen(destination))
        connection.execute(chosen.values(destination_values(destination)))
    for destination in change.leaving:
        chosen = sa.update(DestinationRow).where(DestinationRow.id == destination.id)
        connection.execute(chosen.values(destination_values(destination) | {"leaving": True}))
    for destination in change.forgotten:
        if connection.execute(sa.delete(DestinationRow).where(*_as_seen(destination))).rowcount != 1:
            raise Overtaken("a destination was changed meanwhile")


def _as_seen(destination: Destination) -> tuple[sa.ColumnElement[bool], ...]:
    """The destination, if it leaves or stays as was seen."""
    leaves = sa.func.coalesce(DestinationRow.leaving, sa.false())
    return DestinationRow.id == destination.id, leaves.is_(destination.leaving)


def write_events(connection: sa.Connection, events: tuple[Event, ...]) -> None:
    """Append to the audit log."""
    if events:
        connection.execute(sa.insert(EventRow), [event_values(e) for e in events])


def _insert_version(connection: sa.Connection, version: KeyVersion) -> None:
    try:
        connection.execute(sa.insert(KeyVersionRow).values(version_values(version)))
    except sa.exc.IntegrityError:
        if version.key_hash is not None:
            raise _held(version) from None
        raise Overtaken(f"version {version.number} was planned by someone else meanwhile") from None


def _update_version(connection: sa.Connection, before: KeyVersion, after: KeyVersion) -> None:
    values = difference(version_values(before), version_values(after))
    if before.has_key and not after.has_key:
        values["key_sealed"] = None
    guard = (KeyVersionRow.id == before.id, KeyVersionRow.state == str(before.state))
    try:
        if values and connection.execute(sa.update(KeyVersionRow).where(*guard).values(values)).rowcount != 1:
            raise Overtaken(f"version {before.number} is no longer {before.state}")
    except sa.exc.IntegrityError:
        if "key_hash" not in values:
            raise
        raise _held(after) from None


def _held(version: KeyVersion) -> Conflict:
    """What the key's holder does with it is not to be touched: least of all may who comes second delete it."""
    return Conflict(
        f"Another rotation holds the key {version.key_hash} already.",
        "`rotator rotation list` shows them; adopt another.",
    )


def _store_key(connection: sa.Connection, cipher: Cipher, version_id: str, key: Secret) -> None:
    sealed = cipher.seal(key, key_place(version_id))
    connection.execute(sa.update(KeyVersionRow).where(KeyVersionRow.id == version_id).values(key_sealed=sealed))


def _store_delivery(connection: sa.Connection, delivery: Delivery) -> None:
    try:
        upsert(
            connection,
            DeliveryRow,
            {"version_id": delivery.version_id, "destination_id": delivery.destination_id},
            delivery_values(delivery),
        )
    except sa.exc.IntegrityError:
        raise Overtaken("a destination was removed meanwhile") from None


def upsert(
    connection: sa.Connection,
    row: type[DeliveryRow | HeartbeatRow],
    key: dict[str, Any],
    values: dict[str, Any],
) -> None:
    """Insert, or update what is there."""
    insert = postgresql_insert if connection.dialect.name == "postgresql" else sqlite_insert
    statement = insert(row).values(key | values)
    connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=values))


def pause_connection(connection: sa.Connection, rotation_id: str, change: Change) -> None:
    """Let every rotation of the connection wait; a longer pause that is there already stays."""
    if change.pause_connection_until is None:
        return
    until = change.pause_connection_until
    its_connection = sa.select(RotationRow.connection_id).where(RotationRow.id == rotation_id).scalar_subquery()
    shorter = sa.or_(
        ConnectionRow.paused_until.is_(None),
        sa.type_coerce(ConnectionRow.paused_until, sa.BigInteger) < as_millis(until),
    )
    connection.execute(
        sa.update(ConnectionRow).where(ConnectionRow.id == its_connection, shorter).values(paused_until=until)
    )
