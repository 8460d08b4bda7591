"""Sessions of browsers that signed in with a token. A session's cookie is stored as a hash only."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from config.logging import get_logger
from config.secret import Secret
from tasks.rotation.errors import NotFound, Unavailable
from tasks.rotation.model import Event
from tasks.store.columns import Moment
from tasks.store.database import Database
from tasks.store.tables import SessionRow, TokenRow
from tasks.store.tokens import Token, public_columns, token_of
from tasks.store.writing import write_events

LONGEST: Final = timedelta(hours=12)
"""However busy its user is, a session ends this long after it began."""
_SEEN_NOTED_FOR: Final = timedelta(minutes=1)
"""How exact a session's last use is: a write for each request would cost more than it tells."""
_COOKIE_BYTES: Final = 32
_LONGEST_COOKIE: Final = 100
log = get_logger(__name__)


class Sessions:
    """The table of sessions. Each ends ``idle`` after its last use."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def start(self, token: Token, *, idle: timedelta, instead_of: str | None = None, address: str = "") -> Secret:
        """Begin a session, with its event, in place of the one that the browser had; the text of its cookie.

        Sessions that are over are forgotten on the way. Raises ``NotFound`` for a token that was revoked meanwhile.
        """
        cookie = secrets.token_urlsafe(_COOKIE_BYTES)
        with self._database.write() as connection:
            valid = sa.select(TokenRow.id).where(TokenRow.id == token.id, TokenRow.revoked_at.is_(None))
            if connection.execute(valid.with_for_update()).one_or_none() is None:
                raise NotFound("The token was revoked meanwhile.")
            now = self._database.moment(connection)
            gone = sa.or_(SessionRow.seen_at <= now - idle, SessionRow.started_at <= now - LONGEST)
            connection.execute(sa.delete(SessionRow).where(sa.or_(gone, SessionRow.id_hash == _hash(instead_of or ""))))
            values = {"id_hash": _hash(cookie), "token_id": token.id, "started_at": now, "seen_at": now}
            connection.execute(sa.insert(SessionRow).values(values))
            write_events(connection, (_event("signed_in", token, now, address),))
        return Secret(cookie)

    def holder(self, cookie: str, *, idle: timedelta, touch: bool = True) -> Token | None:
        """Whose session this cookie is; None when it is over, or its token revoked or expired. With ``touch`` the use
        counts: the session's idle time begins anew."""
        with self._database.read() as connection:
            row = connection.execute(_found(cookie)).one_or_none()
            now = self._database.moment(connection)
        if row is None or row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= now):
            return None
        if row.seen_at <= now - idle or row.started_at <= now - LONGEST:
            return None
        if touch and row.seen_at < now - min(_SEEN_NOTED_FOR, idle / 4):
            self._touch(cookie, row.id)
        return token_of(row)

    def end(self, cookie: str, *, address: str = "") -> None:
        """End the session, with its event. One that is over already stays so."""
        with self._database.write() as connection:
            row = connection.execute(_found(cookie)).one_or_none()
            gone = connection.execute(sa.delete(SessionRow).where(SessionRow.id_hash == _hash(cookie))).rowcount
            if row is not None and gone:
                now = self._database.moment(connection)
                write_events(connection, (_event("signed_out", token_of(row), now, address),))

    def _touch(self, cookie: str, token_id: str) -> None:
        """Note the use, of the token too. Who may look is not refused because this cannot be written."""
        now = sa.type_coerce(self._database.now, Moment)
        try:
            with self._database.write() as connection:
                connection.execute(sa.update(SessionRow).where(SessionRow.id_hash == _hash(cookie)).values(seen_at=now))
                connection.execute(sa.update(TokenRow).where(TokenRow.id == token_id).values(last_used_at=now))
        except Unavailable as error:
            log.warning("session_use_not_noted", reason=str(error))


def _found(cookie: str) -> sa.Select[Any]:
    """The session and its token. What is looked for is a hash of 256 random bits: how long the search takes tells
    nothing of the cookie."""
    return (
        sa.select(SessionRow.started_at, SessionRow.seen_at, TokenRow.revoked_at, *public_columns())
        .join_from(SessionRow, TokenRow, SessionRow.token_id == TokenRow.id)
        .where(SessionRow.id_hash == _hash(cookie))
    )


def _hash(cookie: str) -> bytes:
    """Empty for what cannot be a cookie of ours, so that nothing is found."""
    if not cookie or len(cookie) > _LONGEST_COOKIE or not cookie.isascii():
        return b""
    return hashlib.sha256(cookie.encode()).digest()


def _event(name: str, token: Token, at: datetime, address: str) -> Event:
    detail = (("token", token.name), ("role", str(token.role)), ("address", address))
    return Event(at=at, name=name, actor=f"token:{token.name}", detail=tuple(d for d in detail if d[1]))
