"""API tokens: who may ask over HTTP. A token is shown once; only its hash is stored."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa

from config.logging import get_logger
from config.secret import Secret
from tasks.rotation.errors import Conflict, NotFound, Unavailable
from tasks.rotation.model import Event
from tasks.store.columns import Moment, as_millis
from tasks.store.database import Database
from tasks.store.tables import SessionRow, TokenRow
from tasks.store.writing import write_events

PREFIX: Final = "rtk"
"""How a token begins, so that people and scanners of repositories recognise one: ``rtk_<id>_<43 characters>``."""
_ID_BYTES: Final = 6
_SECRET_BYTES: Final = 32
_LONGEST: Final = 200
_USE_NOTED_FOR_MS: Final = 60_000
"""The last use is exact to a minute: a write for each request would cost more than it tells."""
log = get_logger(__name__)


class Role(StrEnum):
    """What a token's holder may do; ``worker.web.access`` says which route needs which."""

    VIEWER = "viewer"
    """Sees everything but keys."""
    OPERATOR = "operator"
    """... and rotates, undoes, pauses, checks."""
    ADMIN = "admin"
    """... and creates, changes and deletes, and may see a key."""
    CONSUMER = "consumer"
    """Reads the current key of the rotations that it names, and nothing else."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token without its text."""

    id: str
    name: str
    role: Role
    rotation_ids: tuple[str, ...]
    """Whose key a consumer may read; empty for other roles, which are not bound to rotations."""
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class Tokens:
    """The table of API tokens."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._noting = threading.Lock()
        self._tried_ms: dict[str, int] = {}
        """When the last use of a token was last written, or tried to: for valid tokens only, so they are few."""

    def insert(
        self, name: str, role: Role, *, rotation_ids: tuple[str, ...], lasts: timedelta | None, actor: str
    ) -> tuple[Token, Secret]:
        """Make a token. Its text is returned here and nowhere again. Raises ``Conflict`` when the name is taken."""
        id_ = secrets.token_hex(_ID_BYTES)
        text = f"{PREFIX}_{id_}_{secrets.token_urlsafe(_SECRET_BYTES)}"
        with self._database.write() as connection:
            now = self._database.moment(connection)
            token = Token(id_, name, role, rotation_ids, now, None if lasts is None else now + lasts, None)
            values = {
                "id": id_,
                "name": name,
                "role": str(role),
                "token_hash": _hash(text),
                "rotation_ids": list(rotation_ids) or None,
                "created_at": now,
                "expires_at": token.expires_at,
            }
            try:
                connection.execute(sa.insert(TokenRow).values(values))
            except sa.exc.IntegrityError:
                raise Conflict(f"There is a token {name} already.", "Choose another name, or revoke it.") from None
            write_events(connection, (_event("token_created", token, now, actor),))
        return token, Secret(text)

    def all(self) -> tuple[Token, ...]:
        """Every token that is not revoked, by name."""
        query = sa.select(*public_columns()).where(TokenRow.revoked_at.is_(None)).order_by(TokenRow.name)
        with self._database.read() as connection:
            return tuple(token_of(row) for row in connection.execute(query))

    def revoke(self, name: str, *, actor: str) -> None:
        """End a token, and every session that began with it, at once. Raises ``NotFound``."""
        query = sa.select(*public_columns()).where(TokenRow.name == name, TokenRow.revoked_at.is_(None))
        with self._database.write() as connection:
            row = connection.execute(query.with_for_update()).one_or_none()
            if row is None:
                raise NotFound(f"There is no token {name}.", "`rotator token list` shows them.")
            now = self._database.moment(connection)
            connection.execute(sa.update(TokenRow).where(TokenRow.id == row.id).values(revoked_at=now))
            connection.execute(sa.delete(SessionRow).where(SessionRow.token_id == row.id))
            write_events(connection, (_event("token_revoked", token_of(row), now, actor),))

    def holder(self, text: str) -> Token | None:
        """The token that this text is; None when there is none, or it is revoked or expired. Compares in constant
        time, and notes the use."""
        id_ = _id_in(text)
        query = sa.select(TokenRow.__table__, self._database.now.label("now_ms")).where(TokenRow.id == id_)
        with self._database.look() as connection:  # with each request
            row = connection.execute(query).one_or_none()
        matches = hmac.compare_digest(_hash(text), row.token_hash if row is not None else bytes(32))
        if row is None or not matches or row.revoked_at is not None:
            return None
        if row.expires_at is not None and as_millis(row.expires_at) <= row.now_ms:
            return None
        if row.last_used_at is None or as_millis(row.last_used_at) < row.now_ms - _USE_NOTED_FOR_MS:
            self._note_use(row.id, row.now_ms)
        return token_of(row)

    def _note_use(self, id_: str, now_ms: int) -> None:
        """Note the use, or try to once a minute: nobody is refused because this cannot be written, and a database that
        takes no writes holds up one request and not each."""
        with self._noting:
            if abs(now_ms - self._tried_ms.get(id_, 0)) < _USE_NOTED_FOR_MS:
                return
            self._tried_ms[id_] = now_ms
        used = sa.update(TokenRow).where(TokenRow.id == id_)
        try:
            with self._database.write() as connection:
                connection.execute(used.values(last_used_at=sa.type_coerce(self._database.now, Moment)))
        except Unavailable as error:
            log.warning("token_use_not_noted", reason=str(error))


def _id_in(text: str) -> str:
    """The public part of a token; empty where it cannot be one, so that nothing is found for it."""
    prefix, _, rest = text.partition("_")
    id_, _, _ = rest.partition("_")
    return id_ if prefix == PREFIX and len(text) <= _LONGEST and id_.isascii() and id_.isalnum() else ""


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def public_columns() -> list[sa.ColumnElement[Any]]:
    """What ``token_of`` needs of a row."""
    return [c for c in TokenRow.__table__.c if c.name not in {"token_hash", "revoked_at"}]


def token_of(row: sa.Row[Any]) -> Token:
    """The token in a row."""
    return Token(
        id=row.id,
        name=row.name,
        role=Role(row.role),
        rotation_ids=tuple(row.rotation_ids or ()),
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
    )


def _event(event: str, token: Token, now: datetime, actor: str) -> Event:
    return Event(at=now, name=event, actor=actor, detail=(("token", token.name), ("role", str(token.role))))
