"""Answers to requests that may come twice: claimed before the request is served, kept when it was served well."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from tasks.store.database import Database
from tasks.store.tables import AnswerRow

KEPT_FOR: Final = timedelta(days=7)
"""As long as the desk remembers which version answered a request."""
CLAIMED_FOR: Final = timedelta(minutes=1)
"""How long a claim without an answer is believed. Its process is dead, most likely; if it is only slow, both serve the
request, and what they do is safe to do twice: rotations know their request, names are unique, checks change nothing."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to serve a request. Whoever takes it over has another."""

    token_id: str
    key_hash: bytes
    at: datetime


@dataclass(frozen=True, slots=True)
class Kept:
    """The answer that was given."""

    status: int
    body: str


@dataclass(frozen=True, slots=True)
class Running:
    """Another process, or thread, is serving the request."""


@dataclass(frozen=True, slots=True)
class Other:
    """The key belongs to another request."""


class Answers:
    """The table of claims and answers. ``key_hash`` and ``request_hash`` are the caller's digests."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(self, token_id: str, key_hash: bytes, request_hash: bytes) -> Claim | Kept | Running | Other:
        """Claim a request, or learn what became of it. Answers that are old enough are forgotten on the way."""
        row = AnswerRow.__table__.c
        mine = (row.token_id == token_id, row.key_hash == key_hash)
        with self._database.write() as connection:
            now = self._database.moment(connection)
            connection.execute(sa.delete(AnswerRow).where(AnswerRow.at < now - KEPT_FOR))
            values = {"token_id": token_id, "key_hash": key_hash, "request_hash": request_hash, "at": now}
            if _insert(connection, values):
                return Claim(token_id, key_hash, now)
            found = connection.execute(sa.select(AnswerRow.__table__).where(*mine).with_for_update()).one_or_none()
            if found is None:
                return Running()  # it was released between the two statements: the next call finds it free
            if found.request_hash != request_hash:
                return Other()
            if found.status is not None:
                return Kept(found.status, found.body or "")
            if found.at > now - CLAIMED_FOR:
                return Running()
            connection.execute(sa.update(AnswerRow).where(*mine).values(at=now))
            return Claim(token_id, key_hash, now)

    def finish(self, claim: Claim, *, status: int, body: str) -> None:
        """Keep the answer. Where the claim was taken over, the other's counts."""
        with self._database.write() as connection:
            connection.execute(sa.update(AnswerRow).where(*_still(claim)).values(status=status, body=body))

    def release(self, claim: Claim) -> None:
        """Give the claim back: the request may be tried again."""
        with self._database.write() as connection:
            connection.execute(sa.delete(AnswerRow).where(*_still(claim)))


def _insert(connection: sa.Connection, values: dict[str, Any]) -> bool:
    """Insert unless there is such a row; whether it was inserted."""
    insert = postgresql_insert if connection.dialect.name == "postgresql" else sqlite_insert
    statement = insert(AnswerRow).values(values).on_conflict_do_nothing().returning(AnswerRow.at)
    return connection.execute(statement).one_or_none() is not None


def _still(claim: Claim) -> tuple[sa.ColumnElement[bool], ...]:
    row = AnswerRow.__table__.c
    return (
        row.token_id == claim.token_id,
        row.key_hash == claim.key_hash,
        row.status.is_(None),
        row.at == claim.at,
    )
