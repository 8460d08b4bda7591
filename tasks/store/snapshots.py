"""Rotations with all that belongs to them: one, or every one in just as many queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import sqlalchemy as sa

from tasks.rotation.errors import Broken
from tasks.rotation.model import KeyVersion, Snapshot, VersionState
from tasks.store.columns import as_moment
from tasks.store.database import Database
from tasks.store.rows import delivery_of, destination_of, possible, rotation_of, version_of
from tasks.store.shape import Shape
from tasks.store.tables import ConnectionRow, DeliveryRow, DestinationRow, KeyVersionRow, RotationRow

_HAS_KEY: Final = KeyVersionRow.key_sealed.is_not(None).label("has_key")
_ROTATION: Final = Shape(
    [*RotationRow.__table__.c, ConnectionRow.__table__.c.paused_until, ConnectionRow.__table__.c.binds_keys]
)
_VERSION: Final = Shape([*(c for c in KeyVersionRow.__table__.c if c.name != "key_sealed"), _HAS_KEY])
"""Without its ciphertext."""
_DESTINATION: Final = Shape([c for c in DestinationRow.__table__.c if c.name not in {"rotation_id", "target_sealed"}])
"""Without its ciphertext."""
_DELIVERY: Final = Shape([*DeliveryRow.__table__.c])


def load_snapshot(connection: sa.Connection, database: Database, rotation_id: str) -> Snapshot:
    """Everything that the next step is decided from, in the caller's transaction. Raises ``Broken``."""
    (found,) = _load(connection, _queries(database.now, every=False), {"rotation_id": rotation_id})
    if isinstance(found, Broken):
        raise found
    return found


def load_each(connection: sa.Connection, database: Database) -> tuple[Snapshot | Broken, ...]:
    """The same of every rotation that is not removed, by name; in place of one that cannot be read, why."""
    return _load(connection, _queries(database.now, every=True), {})


@dataclass(frozen=True, slots=True)
class _Queries:
    """For rotations, and what belongs to them; the rotation's id is each row's last column."""

    rotations: sa.Select[Any]
    versions: sa.Select[Any]
    destinations: sa.Select[Any]
    deliveries: sa.Select[Any]


@lru_cache(maxsize=16)
def _queries(now: sa.ColumnElement[int], *, every: bool) -> _Queries:
    """For every rotation that is not removed, or the one called ``:rotation_id``. Built once, asked at each step."""
    not_removed = sa.select(RotationRow.id).where(RotationRow.removed_at.is_(None))

    def chosen(ids: sa.orm.InstrumentedAttribute[str]) -> sa.ColumnElement[bool]:
        return ids.in_(not_removed) if every else ids == sa.bindparam("rotation_id")

    owner = KeyVersionRow.rotation_id.label("owner")
    alive = (chosen(KeyVersionRow.rotation_id), KeyVersionRow.state != str(VersionState.DELETED))
    return _Queries(
        rotations=sa.select(*_ROTATION.columns, now.label("now"))
        .join(ConnectionRow, ConnectionRow.id == RotationRow.connection_id)
        .where(chosen(RotationRow.id))
        .order_by(RotationRow.name),
        versions=select_versions().add_columns(owner).where(*alive),
        destinations=sa.select(*_DESTINATION.columns, DestinationRow.rotation_id)
        .where(chosen(DestinationRow.rotation_id))
        .order_by(DestinationRow.created_at, DestinationRow.label),
        deliveries=sa.select(*_DELIVERY.columns, owner)
        .join(KeyVersionRow, KeyVersionRow.id == DeliveryRow.version_id)
        .where(*alive)
        .order_by(KeyVersionRow.number, DeliveryRow.destination_id),
    )


def _load(connection: sa.Connection, queries: _Queries, values: dict[str, str]) -> tuple[Snapshot | Broken, ...]:
    rows = connection.execute(queries.rotations, values).all()
    parts = _Parts(
        _by_last(connection.execute(queries.versions, values)),
        _by_last(connection.execute(queries.destinations, values)),
        _by_last(connection.execute(queries.deliveries, values)),
    )
    return tuple(_snapshot_or_why(row, parts) for row in rows)


Rows = dict[str, list[sa.Row[Any]]]


@dataclass(frozen=True, slots=True)
class _Parts:
    """What belongs to rotations, by their ids, not yet converted."""

    versions: Rows
    destinations: Rows
    deliveries: Rows


def _by_last(rows: Iterable[sa.Row[Any]]) -> Rows:
    found: Rows = defaultdict(list)
    for row in rows:
        found[row[-1]].append(row)
    return found


def _snapshot_or_why(row: sa.Row[Any], parts: _Parts) -> Snapshot | Broken:
    try:
        with possible(lambda: row.name):
            return _snapshot(row, parts)
    except Broken as error:
        return error


def _snapshot(row: sa.Row[Any], parts: _Parts) -> Snapshot:
    facts = _ROTATION.facts(row)
    id_ = facts["id"]
    return Snapshot(
        now=as_moment(row.now),
        revision=facts["revision"],
        rotation=rotation_of(facts),
        versions=tuple(map(version_in, parts.versions.get(id_, ()))),
        destinations=tuple(destination_of(_DESTINATION.facts(d)) for d in parts.destinations.get(id_, ())),
        deliveries=tuple(delivery_of(_DELIVERY.facts(d)) for d in parts.deliveries.get(id_, ())),
        connection_paused_until=facts["paused_until"],
        binds_keys=facts["binds_keys"],
    )


def select_versions() -> sa.Select[Any]:
    """Versions by number, as ``version_in`` reads them."""
    return sa.select(*_VERSION.columns).order_by(KeyVersionRow.number)


def version_in(row: sa.Row[Any]) -> KeyVersion:
    """The version in a row of ``select_versions``. What cannot be raises as in ``Shape.facts``."""
    return version_of(_VERSION.facts(row))


def name_of(connection: sa.Connection, rotation_id: str) -> str:
    """What the rotation is called."""
    return connection.execute(sa.select(RotationRow.name).where(RotationRow.id == rotation_id)).scalar_one()
