"""State under a lease: what the engine reads and writes.

A lease is a conditional update on the database's clock. Its fence grows with every lease, and every write is
guarded by it, so that a worker that was frozen past its lease can write nothing.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from config.secret import Secret
from tasks.rotation.errors import LeaseLost, NotFound, Overtaken
from tasks.rotation.model import Snapshot
from tasks.rotation.ports import Change, Lease
from tasks.store import schema, sealed
from tasks.store.cipher import Cipher
from tasks.store.columns import NO_LEASE_LASTS_MS, Moment
from tasks.store.database import Database
from tasks.store.refusals import told_of
from tasks.store.rows import difference, rotation_values
from tasks.store.snapshots import load_snapshot
from tasks.store.tables import ConnectionRow, RotationRow
from tasks.store.writing import pause_connection, write_change

_MARGIN = timedelta(seconds=2)
"""How much earlier than the database we take a lease to have run out."""
_SPARE = timedelta(seconds=5)
"""How much longer than was asked for a lease is renewed, so that not each of many short calls writes."""


class LeasedStore:
    """``ports.Store`` over a database."""

    def __init__(self, database: Database, cipher: Cipher, *, lease: timedelta) -> None:
        self._database = database
        self._cipher = cipher
        self._span = lease

    # --- lease -------------------------------------------------------------------------------------------------

    def take_lease(self, rotation_id: str, owner: str) -> Lease | None:
        """See ``ports.Store``."""
        asked_at_s = time.monotonic()
        until, now = _millis(RotationRow.lease_until), self._database.now
        free = sa.or_(RotationRow.lease_until.is_(None), until < now, until > now + NO_LEASE_LASTS_MS)
        statement = (
            sa.update(RotationRow)
            .where(RotationRow.id == rotation_id, RotationRow.removed_at.is_(None), free)
            .values(
                lease_owner=owner,
                lease_fence=RotationRow.lease_fence + 1,
                lease_until=self._until(self._span),
                dispatched_until=None,
            )
            .returning(RotationRow.lease_fence)
        )
        with self._database.write() as connection:
            fence = connection.execute(statement).scalar_one_or_none()
            schema.record_work(connection, now)
        return None if fence is None else Lease(rotation_id, owner, fence, asked_at_s + self._span.total_seconds())

    def keep_lease(self, lease: Lease, needed: timedelta) -> None:
        """See ``ports.Store``."""
        wanted = needed + _MARGIN
        if lease.ends_at_s - time.monotonic() < wanted.total_seconds():
            with self._database.write() as connection:
                ends_at_s = self._renew(connection, lease, {}, span=max(self._span, wanted + _SPARE))
            lease.ends_at_s = ends_at_s

    def is_as_seen(self, lease: Lease, revision: int) -> bool:
        """See ``ports.Store``."""
        query = sa.select(RotationRow.revision).where(RotationRow.id == lease.rotation_id)
        with self._database.read() as connection:
            return connection.execute(query).scalar_one_or_none() == revision

    def release_lease(self, lease: Lease, *, wake_at: datetime | None, seen_revision: int) -> bool:
        """See ``ports.Store``."""
        statement = (
            sa.update(RotationRow)
            .where(
                RotationRow.id == lease.rotation_id,
                RotationRow.lease_fence == lease.fence,
                RotationRow.revision == seen_revision,
            )
            .values(lease_owner=None, lease_until=None, wake_at=wake_at, dispatched_until=None)
        )
        with self._database.write() as connection:
            if connection.execute(statement).rowcount == 1:
                return True
            ends_at_s = self._renew(connection, lease, {})
        lease.ends_at_s = ends_at_s
        return False

    def _renew(
        self, connection: sa.Connection, lease: Lease, values: dict[str, Any], *, span: timedelta | None = None
    ) -> float:
        """Renew in the caller's transaction; when the lease ends then, to be believed only once that is committed."""
        asked_at_s, span = time.monotonic(), span or self._span
        statement = (
            sa.update(RotationRow)
            .where(
                RotationRow.id == lease.rotation_id,
                RotationRow.lease_fence == lease.fence,
                _millis(RotationRow.lease_until) >= self._database.now,
            )
            .values(lease_until=self._until(span), **values)
        )
        if connection.execute(statement).rowcount != 1:
            raise LeaseLost("the lease ran out, and with it the right to write")
        return asked_at_s + span.total_seconds()

    def _until(self, span: timedelta) -> sa.ColumnElement[datetime]:
        millis = span // timedelta(milliseconds=1)
        return sa.type_coerce(self._database.now + millis, Moment)

    # --- state -------------------------------------------------------------------------------------------------

    def load(self, lease: Lease) -> Snapshot:
        """See ``ports.Store``."""
        with self._database.read() as connection:
            return load_snapshot(connection, self._database, lease.rotation_id)

    def commit(self, lease: Lease, change: Change) -> None:
        """See ``ports.Store``."""
        values: dict[str, Any] = {}
        if change.rotation is not None:
            before, after = change.rotation
            values = difference(rotation_values(before), rotation_values(after))
        with self._database.write() as connection:
            ends_at_s = self._renew(connection, lease, values)
            _refuse_if_overtaken(connection, lease, change)
            write_change(connection, self._cipher, change)
            pause_connection(connection, lease.rotation_id, change)
        lease.ends_at_s = ends_at_s

    def management_key(self, connection_id: str) -> Secret:
        """See ``ports.Store``."""
        with told_of(self._database), self._database.read() as connection:
            return sealed.open_management_key(connection, self._cipher, connection_id)

    def provider_name(self, connection_id: str) -> str:
        """See ``ports.Store``."""
        query = sa.select(ConnectionRow.app).where(ConnectionRow.id == connection_id)
        with self._database.read() as connection:
            return connection.execute(query).scalar_one()

    def key(self, version_id: str) -> Secret:
        """See ``ports.Store``."""
        with told_of(self._database), self._database.read() as connection:
            return sealed.open_key(connection, self._cipher, version_id)

    def is_over(self, rotation_id: str) -> bool:
        """See ``ports.Store``."""
        over = sa.select(RotationRow.id).where(RotationRow.id == rotation_id, RotationRow.removed_at.is_not(None))
        with self._database.read() as connection:
            return connection.execute(over).first() is not None

    def target(self, destination_id: str) -> Secret:
        """See ``ports.Store``."""
        try:
            with told_of(self._database), self._database.read() as connection:
                return sealed.open_target(connection, self._cipher, destination_id)
        except NotFound:
            raise Overtaken("a destination was removed meanwhile") from None


def _refuse_if_overtaken(connection: sa.Connection, lease: Lease, change: Change) -> None:
    """On the row that this transaction has locked: whether an operator changed something since the snapshot."""
    if change.seen_revision is None:
        return
    query = sa.select(RotationRow.revision).where(RotationRow.id == lease.rotation_id)
    if connection.execute(query).scalar_one() != change.seen_revision:
        raise Overtaken("an operator changed the rotation meanwhile")


def _millis(column: sa.orm.InstrumentedAttribute[datetime | None]) -> sa.ColumnElement[int]:
    return sa.type_coerce(column, sa.BigInteger)
