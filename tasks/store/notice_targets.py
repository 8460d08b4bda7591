"""Who is told of events, as an operator makes, changes and ends them. An address is stored sealed, and never shown."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from config.secret import Secret
from tasks.rotation.errors import NameTaken, NotFound
from tasks.rotation.model import Attempt, Event
from tasks.rotation.wording import Level
from tasks.store.cipher import Cipher
from tasks.store.database import Database
from tasks.store.events import settled_through
from tasks.store.refusals import told_of
from tasks.store.sealed import notice_url_place, open_notice_url
from tasks.store.tables import EventRow, NoticeTargetRow
from tasks.store.writing import write_events

NO_FAILURE: Final[dict[str, Any]] = {
    "attempts": 0,
    "next_attempt_at": None,
    "error_family": None,
    "error": None,
    "remedy": None,
}
"""The columns of a target that was told, or may be tried at once."""


@dataclass(frozen=True, slots=True)
class NoticeTarget:
    """Somebody who is told, without the address."""

    id: str
    name: str
    service: str
    level: Level
    rotation_ids: tuple[str, ...] | None
    """Whose events are told; None for all rotations, and connections."""
    created_at: datetime
    told_at: datetime | None
    attempt: Attempt


class NoticeTargets:
    """The table of notice targets."""

    def __init__(self, database: Database, cipher: Cipher) -> None:
        self._database = database
        self._cipher = cipher

    def insert(
        self,
        name: str,
        service: str,
        address: Secret,
        *,
        level: Level,
        rotation_ids: tuple[str, ...] | None,
        actor: str,
    ) -> None:
        """Add a target, who is told what happens from now on. Raises ``NameTaken``."""
        id_ = str(uuid.uuid4())
        settled = settled_through(self._database)
        with self._database.write() as connection:
            now = self._database.moment(connection)
            values = NO_FAILURE | {
                "id": id_,
                "name": name,
                "service": service,
                "url_sealed": self._cipher.seal(address, notice_url_place(id_)),
                "level": str(level),
                "rotation_ids": None if rotation_ids is None else list(rotation_ids),
                "created_at": now,
                "told_through": _newest(connection) if settled is None else settled,
            }
            try:
                connection.execute(sa.insert(NoticeTargetRow).values(values))
            except sa.exc.IntegrityError:
                raise _taken(name) from None
            write_events(connection, (_event("notice_target_added", name, service, now, actor),))

    def all(self) -> tuple[NoticeTarget, ...]:
        """Every target, by name."""
        with self._database.read() as connection:
            return tuple(_target(row) for row in connection.execute(_select().order_by(NoticeTargetRow.name)))

    def get(self, name: str) -> NoticeTarget:
        """One target. Raises ``NotFound``."""
        with self._database.read() as connection:
            return _target(_called(connection, name))

    def address(self, name: str) -> Secret:
        """Where a target is told. Raises ``NotFound``."""
        with told_of(self._database), self._database.read() as connection:
            return open_notice_url(connection, self._cipher, _called(connection, name).id)

    def update(
        self,
        name: str,
        *,
        address: tuple[str, Secret] | None = None,
        level: Level | None = None,
        rotation_ids: tuple[str, ...] | None = None,
        actor: str,
    ) -> None:
        """Change what is given of a target; no ids at all mean all rotations. With an ``address``, and its service, it
        is tried at once. Raises ``NotFound``."""
        values: dict[str, Any] = {} if level is None else {"level": str(level)}
        if rotation_ids is not None:
            values["rotation_ids"] = list(rotation_ids) or None
        with self._database.write() as connection:
            row = _called(connection, name, locked=True)
            if address is not None:
                # Whoever tells it now, by the old address, has lost it.
                values |= NO_FAILURE | {"service": address[0], "claimed_until": None}
                values["url_sealed"] = self._cipher.seal(address[1], notice_url_place(row.id))
            if values:
                connection.execute(_its_row(row).values(values))
            now, service = self._database.moment(connection), values.get("service", row.service)
            why = _what_changes(row, values)
            write_events(connection, (_event("notice_target_updated", name, service, now, actor, why=why),))

    def try_at_once(self, name: str) -> None:
        """A test message was taken: what waits after a failure need not wait any more. Raises ``NotFound``."""
        with self._database.write() as connection:
            connection.execute(_its_row(_called(connection, name, locked=True)).values(NO_FAILURE))

    def delete(self, name: str, *, actor: str) -> None:
        """Remove a target, and the ciphertext of its address. Raises ``NotFound``."""
        with self._database.write() as connection:
            row = _called(connection, name, locked=True)
            connection.execute(sa.delete(NoticeTargetRow).where(NoticeTargetRow.id == row.id))
            now = self._database.moment(connection)
            write_events(connection, (_event("notice_target_removed", name, row.service, now, actor),))


def level_of(row: sa.Row[Any]) -> Level:
    """The least that is told. A row without a level that there is tells everything: rather too much than too little."""
    return Level(row.level) if row.level in set(Level) else Level.INFO


def attempt_of(row: sa.Row[Any]) -> Attempt:
    """How often a target was tried in vain, and when it is tried again."""
    return Attempt(row.attempts, row.next_attempt_at, row.error_family, row.error, row.remedy)


def rotations_of(row: sa.Row[Any]) -> tuple[str, ...] | None:
    """Whose events are told."""
    return None if row.rotation_ids is None else tuple(row.rotation_ids)


def _select() -> sa.Select[Any]:
    return sa.select(*(c for c in NoticeTargetRow.__table__.c if c.name != "url_sealed"))


def _called(connection: sa.Connection, name: str, *, locked: bool = False) -> sa.Row[Any]:
    query = _select().where(NoticeTargetRow.name == name)
    row = connection.execute(query.with_for_update() if locked else query).one_or_none()
    if row is None:
        raise NotFound(f"There is no notice target {name}.", "`rotator notify list` shows them.")
    return row


def _its_row(row: sa.Row[Any]) -> sa.Update:
    return sa.update(NoticeTargetRow).where(NoticeTargetRow.id == row.id)


def _target(row: sa.Row[Any]) -> NoticeTarget:
    return NoticeTarget(
        id=row.id,
        name=row.name,
        service=row.service,
        level=level_of(row),
        rotation_ids=rotations_of(row),
        created_at=row.created_at,
        told_at=row.told_at,
        attempt=attempt_of(row),
    )


def _newest(connection: sa.Connection) -> int:
    return connection.execute(sa.select(sa.func.max(EventRow.id))).scalar() or 0


def _what_changes(row: sa.Row[Any], values: dict[str, Any]) -> str:
    words = {"url_sealed": "address replaced", "level": "level changed", "rotation_ids": "rotations changed"}
    changed = [word for name, word in words.items() if name in values and values[name] != getattr(row, name, None)]
    return ", ".join(changed) or "nothing changed"


def _taken(name: str) -> NameTaken:
    return NameTaken(
        f"There is a notice target {name} already.",
        "Choose another name, or give that one a new address: `rotator notify update`.",
    )


def _event(event: str, name: str, service: str, now: datetime, actor: str, *, why: str = "") -> Event:
    return Event(at=now, name=event, actor=actor, why=why, detail=(("target", name), ("service", service)))
