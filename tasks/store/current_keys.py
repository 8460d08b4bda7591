"""Which key of each rotation is in service, read without the rest of it; and its text, for who may have it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from config.secret import Secret
from tasks.rotation.errors import NotFound
from tasks.rotation.model import Event, VersionState
from tasks.store.cipher import Cipher
from tasks.store.database import Database
from tasks.store.refusals import told_of
from tasks.store.sealed import open_key
from tasks.store.tables import KeyVersionRow, RotationRow
from tasks.store.writing import write_events


@dataclass(frozen=True, slots=True)
class Standing:
    """What a rotation has in service; ``version`` and ``active_since`` are None while it has nothing."""

    rotation_id: str
    rotation: str
    secret_name: str
    version: int | None
    active_since: datetime | None


class CurrentKeys:
    """Active versions: a small query for many rotations at once."""

    def __init__(self, database: Database, cipher: Cipher) -> None:
        self._database = database
        self._cipher = cipher

    def called(self, name: str) -> Standing | None:
        """What the rotation of this name has in service; None when there is no such rotation."""
        with self._database.read() as connection:
            row = connection.execute(_select().where(RotationRow.name == name)).one_or_none()
        return None if row is None else _standing(row)

    def of(self, rotation_ids: Iterable[str]) -> dict[str, Standing]:
        """By id, what each of these rotations has in service; those that are gone are left out."""
        with self._database.read() as connection:
            rows = connection.execute(_select().where(RotationRow.id.in_(list(rotation_ids)))).all()
        return {row.id: _standing(row) for row in rows}

    def read(self, rotation_id: str, *, actor: str) -> tuple[Standing, Secret]:
        """The key in service, and which it is; that it was read leaves an event. Raises ``NotFound``."""
        with told_of(self._database, actor=actor), self._database.write() as connection:
            row = connection.execute(_select().where(RotationRow.id == rotation_id)).one_or_none()
            if row is None:
                raise NotFound("The rotation was deleted meanwhile.")
            if row.version_id is None:
                raise NotFound(f"{row.name} has no active key yet.", f"`rotator rotation show {row.name}` says why.")
            key = open_key(connection, self._cipher, row.version_id)
            now = self._database.moment(connection)
            read = Event(at=now, name="key_read", actor=actor, rotation_id=row.id, version=row.number)
            write_events(connection, (read,))
        return _standing(row), key


def _select() -> sa.Select[Any]:
    active = sa.and_(KeyVersionRow.rotation_id == RotationRow.id, KeyVersionRow.state == str(VersionState.ACTIVE))
    columns: list[Any] = [
        RotationRow.id,
        RotationRow.name,
        RotationRow.secret_name,
        KeyVersionRow.id.label("version_id"),
        KeyVersionRow.number,
        KeyVersionRow.active_at,
    ]
    return sa.select(*columns).join(KeyVersionRow, active, isouter=True).where(RotationRow.removed_at.is_(None))


def _standing(row: sa.Row[Any]) -> Standing:
    return Standing(row.id, row.name, row.secret_name, row.number, row.active_at)
