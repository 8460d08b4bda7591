"""Telling from the audit log, as the database keeps it: who is told by whom, how far, and what failed.

A claim is a conditional update on the database's clock. The moment until which it holds is what its owner is known
by: every write asks for it, so that a worker that was frozen past its claim can move nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from config.secret import Secret
from tasks.rotation.model import Attempt, Event
from tasks.rotation.notifying import Claimed
from tasks.rotation.telling import Names
from tasks.store.cipher import Cipher
from tasks.store.columns import Moment, is_over, millis
from tasks.store.database import Database
from tasks.store.events import EventFilter, Events, StoredEvent
from tasks.store.notice_targets import NO_FAILURE, level_of, rotations_of
from tasks.store.refusals import told_of
from tasks.store.sealed import open_notice_url
from tasks.store.tables import ConnectionRow, EventRow, NoticeTargetRow, RotationRow

_CLAIMED_FOR_MS: Final = 120_000
"""Longer than sending one notice may take. After a worker's death its target waits for so long."""
_EVERYTHING: Final = EventFilter()
_CLAIM: Final = [
    NoticeTargetRow.__table__.c[name]
    for name in ("id", "name", "level", "rotation_ids", "told_through", "attempts", "error_family", "claimed_until")
]
_TELLING: Final = 5_902_184_463
"""Lock: two that claim at once would not see each other's claims."""


class SqlOutbox:
    """``notifying.Outbox`` over a database."""

    def __init__(self, database: Database, cipher: Cipher) -> None:
        self._database = database
        self._cipher = cipher
        self._events = Events(database)

    def is_due(self) -> bool:
        """See ``notifying.Outbox``."""
        with self._database.look() as connection:
            return connection.execute(self._due().limit(1)).first() is not None

    def claim(self, *, but: Collection[str]) -> Claimed | None:
        """See ``notifying.Outbox``. Those that fail come last: each takes as long as sending may take. So does one that
        somebody claimed and never gave back, who may have died of it."""
        first = self._due().where(NoticeTargetRow.id.not_in(list(but)))
        left_behind = NoticeTargetRow.claimed_until.is_not(None)
        in_order = first.order_by(NoticeTargetRow.attempts, left_behind, NoticeTargetRow.told_through)
        chosen = in_order.limit(1).with_for_update(skip_locked=True)
        statement = (
            sa.update(NoticeTargetRow)
            .where(NoticeTargetRow.id == chosen.scalar_subquery())
            .values(claimed_until=self._for_a_while())
            .returning(*_CLAIM)
        )
        with self._database.write() as connection:
            self._database.exclude_others(connection, _TELLING)
            row = connection.execute(statement).one_or_none()
        return None if row is None else _claimed(row)

    def page(self, after: int, *, limit: int) -> tuple[StoredEvent, ...]:
        """See ``notifying.Outbox``."""
        return self._events.page(_EVERYTHING, after=after, limit=limit)

    def names(self, events: Collection[Event]) -> Names:
        """See ``notifying.Outbox``."""
        of_rotations, of_connections = {e.rotation_id for e in events}, {e.connection_id for e in events}
        rotations = sa.select(RotationRow.id, RotationRow.name, RotationRow.attention, RotationRow.remedy).where(
            RotationRow.id.in_(of_rotations - {None})
        )
        connections = sa.select(ConnectionRow.id, ConnectionRow.name).where(
            ConnectionRow.id.in_(of_connections - {None}), ConnectionRow.deleted_at.is_(None)
        )
        with self._database.read() as connection:
            known = connection.execute(rotations).all()
            connected = connection.execute(connections).all()
        return Names(
            rotations={row.id: row.name for row in known},
            connections={row.id: row.name for row in connected},
            remedies={(row.id, row.attention): row.remedy for row in known if row.attention and row.remedy},
        )

    def address(self, target_id: str) -> Secret:
        """See ``notifying.Outbox``."""
        with told_of(self._database), self._database.read() as connection:
            return open_notice_url(connection, self._cipher, target_id)

    def advance(self, claimed: Claimed, through: int) -> Claimed | None:
        """See ``notifying.Outbox``."""
        now = sa.type_coerce(self._database.now, Moment)
        values = NO_FAILURE | {"told_through": through, "told_at": now, "claimed_until": self._for_a_while()}
        statement = _held(claimed).values(values).returning(NoticeTargetRow.claimed_until)
        with self._database.write() as connection:
            until = connection.execute(statement).scalar_one_or_none()
        return None if until is None else replace(claimed, told_through=through, attempt=Attempt(), until=until)

    def release(self, claimed: Claimed, through: int) -> None:
        """See ``notifying.Outbox``."""
        with self._database.write() as connection:
            connection.execute(_held(claimed).values(told_through=through, claimed_until=None))

    def put_off(self, claimed: Claimed, attempt: Attempt, *, through: int) -> None:
        """See ``notifying.Outbox``."""
        failed = {
            "attempts": attempt.count,
            "next_attempt_at": attempt.next_at,
            "error_family": attempt.family,
            "error": attempt.error,
            "remedy": attempt.remedy,
        }
        with self._database.write() as connection:
            connection.execute(_held(claimed).values(told_through=through, claimed_until=None, **failed))

    def now(self) -> datetime:
        """See ``notifying.Outbox``."""
        with self._database.read() as connection:
            return self._database.moment(connection)

    def failing(self) -> tuple[str, ...]:
        """What keeps which target from being told, in words, by name."""
        row = NoticeTargetRow
        columns: list[Any] = [row.name, row.service, row.error, row.remedy]
        query = sa.select(*columns).where(row.error.is_not(None)).order_by(row.name)
        with self._database.read() as connection:
            return tuple(_in_words(found) for found in connection.execute(query))

    def _due(self) -> sa.Select[Any]:
        """Ids of targets that need not wait after a failure, and that are behind; none while one is being told."""
        now, row = self._database.now, NoticeTargetRow
        newest = sa.select(sa.func.max(EventRow.id)).scalar_subquery()
        waited = sa.or_(row.next_attempt_at.is_(None), millis(row.next_attempt_at) <= now)
        other = sa.orm.aliased(NoticeTargetRow)
        told_now = sa.not_(is_over(other.claimed_until, now, at_most_ms=_CLAIMED_FOR_MS))
        nobody_is = ~sa.exists().where(told_now)
        return sa.select(row.id).where(nobody_is, waited, row.told_through < newest)

    def _for_a_while(self) -> sa.ColumnElement[datetime]:
        return sa.type_coerce(self._database.now + _CLAIMED_FOR_MS, Moment)


def _held(claimed: Claimed) -> sa.Update:
    """Write to a target, if it is still claimed by who asks."""
    row = NoticeTargetRow
    mine = (row.claimed_until == claimed.until, row.told_through == claimed.told_through)
    return sa.update(row).where(row.id == claimed.id, *mine)


def _claimed(row: sa.Row[Any]) -> Claimed:
    return Claimed(
        id=row.id,
        name=row.name,
        level=level_of(row),
        rotation_ids=rotations_of(row),
        told_through=row.told_through,
        attempt=Attempt(row.attempts, family=row.error_family),
        until=row.claimed_until,
    )


def _in_words(row: sa.Row[Any]) -> str:
    return f"{row.name} ({row.service}) is not told: {row.error} {row.remedy or ''}".strip()
