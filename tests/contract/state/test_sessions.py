"""Sessions of the console, and the use of tokens, as the database keeps them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa

from config.secret import Secret
from tasks.operations import Operations
from tasks.rotation.errors import NotFound
from tasks.store.sessions import LONGEST
from tasks.store.tokens import Token
from tasks.wiring import Rotator
from tests.contract.state.scene import Clock, Rows, at_once

IDLE = timedelta(minutes=30)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def text(operations: Operations) -> str:
    """A token's text."""
    return operations.create_token("ops", "operator", expires="2d")[1].reveal()


@pytest.fixture
def token(rotator: Rotator, text: str) -> Token:
    found = rotator.store.tokens.holder(text)
    assert found is not None
    return found


@pytest.fixture
def start(rotator: Rotator, token: Token) -> Callable[..., str]:
    """Begin a session; its cookie."""
    return lambda **more: rotator.store.sessions.start(token, idle=IDLE, **more).reveal()


def _holder(rotator: Rotator, cookie: str, *, touch: bool = True) -> str | None:
    found = rotator.store.sessions.holder(cookie, idle=IDLE, touch=touch)
    return None if found is None else found.name


def test_a_session_is_its_tokens_and_no_other_text_opens_it(rotator: Rotator, start: Callable[..., str]) -> None:
    cookie = start()
    assert _holder(rotator, cookie) == "ops"
    for wrong in ("", cookie[:-1], cookie + "a", cookie.swapcase(), "é" * 43, "a" * 100_000, "\x00"):
        assert _holder(rotator, wrong) is None


def test_the_cookie_is_stored_nowhere(rows: Rows, start: Callable[..., str]) -> None:
    assert start() not in repr(rows.all())


def test_an_unused_session_ends_and_a_used_one_goes_on(
    rotator: Rotator, clock: Clock, start: Callable[..., str]
) -> None:
    used, unused = start(), start()
    for _ in range(4):
        clock.advance(IDLE / 3)
        assert _holder(rotator, used) == "ops"
    assert _holder(rotator, unused) is None
    clock.advance(IDLE)
    assert _holder(rotator, used) is None


def test_a_page_that_asks_by_itself_keeps_no_session_alive(
    rotator: Rotator, clock: Clock, start: Callable[..., str]
) -> None:
    cookie = start()
    for _ in range(2):
        clock.advance(IDLE / 3)
        assert _holder(rotator, cookie, touch=False) == "ops"
    clock.advance(IDLE / 3)
    assert _holder(rotator, cookie, touch=False) is None


def test_the_busiest_session_ends_after_twelve_hours(rotator: Rotator, clock: Clock, start: Callable[..., str]) -> None:
    cookie, lasted = start(), timedelta()
    while _holder(rotator, cookie) is not None:
        clock.advance(IDLE / 2)
        lasted += IDLE / 2
    assert lasted == LONGEST


def test_a_session_ends_with_its_token(
    rotator: Rotator, operations: Operations, rows: Rows, start: Callable[..., str]
) -> None:
    cookie = start()
    operations.revoke_token("ops")
    assert _holder(rotator, cookie) is None
    assert rows.one("SELECT count(*) FROM sessions") == 0


def test_a_session_does_not_outlive_an_expired_token(rotator: Rotator, operations: Operations, clock: Clock) -> None:
    brief = rotator.store.tokens.holder(operations.create_token("brief", "viewer", expires="1h")[1].reveal())
    assert brief is not None
    cookie = rotator.store.sessions.start(brief, idle=LONGEST).reveal()
    clock.advance(timedelta(hours=1))
    assert rotator.store.sessions.holder(cookie, idle=LONGEST) is None


def test_no_session_begins_with_a_revoked_token(
    rotator: Rotator, operations: Operations, start: Callable[..., str]
) -> None:
    operations.revoke_token("ops")
    with pytest.raises(NotFound):
        start()


def test_signing_in_again_ends_the_session_that_was(rotator: Rotator, start: Callable[..., str]) -> None:
    before = start()
    after = start(instead_of=before)
    assert (_holder(rotator, before), _holder(rotator, after)) == (None, "ops")


def test_signing_in_and_out_leave_events_and_a_session_ends_once(
    rotator: Rotator, rows: Rows, start: Callable[..., str]
) -> None:
    cookie = start(address="192.0.2.7")
    for _ in range(2):
        rotator.store.sessions.end(cookie, address="192.0.2.7")
    assert _holder(rotator, cookie) is None
    told = rows.ask("SELECT name, actor FROM events WHERE name LIKE 'signed%' ORDER BY id")
    assert [tuple(row) for row in told] == [("signed_in", "token:ops"), ("signed_out", "token:ops")]


def test_sessions_that_are_over_are_forgotten(clock: Clock, rows: Rows, start: Callable[..., str]) -> None:
    for _ in range(3):
        start()
    clock.advance(IDLE)
    start()
    assert rows.one("SELECT count(*) FROM sessions") == 1


def test_a_use_is_written_once_a_minute(rotator: Rotator, clock: Clock, rows: Rows, start: Callable[..., str]) -> None:
    cookie = start()
    seen = []
    for _ in range(5):
        clock.advance(MINUTE / 2)
        _holder(rotator, cookie)
        seen.append(rows.one("SELECT seen_at FROM sessions"))
    assert len(set(seen)) == 2


def test_many_uses_at_once_are_fine(rotator: Rotator, clock: Clock, start: Callable[..., str]) -> None:
    cookie = start()
    clock.advance(2 * MINUTE)
    assert at_once(8, lambda _: _holder(rotator, cookie)) == ["ops"] * 8


def test_who_may_look_may_look_when_nothing_can_be_written(
    rotator: Rotator, clock: Clock, text: str, start: Callable[..., str]
) -> None:
    """A database that became read-only, or a standby of one."""
    cookie = start()
    clock.advance(timedelta(minutes=5))
    _take_no_writes(rotator.store.tokens._database.engine)
    assert _holder(rotator, cookie) == "ops"
    assert rotator.store.tokens.holder(text) is not None
    assert rotator.store.tokens.holder(Secret("rtk_wrong").reveal()) is None


def _take_no_writes(engine: sa.Engine) -> None:
    def refuse(connection: sa.Connection) -> None:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA query_only=ON")
        else:
            connection.exec_driver_sql("SET TRANSACTION READ ONLY")

    sa.event.listen(engine, "begin", refuse)
