"""A token that comes very often is not looked up each time; every other one is, so that revoking it ends it at once."""

from __future__ import annotations

from datetime import UTC, datetime

from tasks.store.tokens import Role, Token
from worker.web.access.lookups import BUSY_PER_S, LASTS_S, Lookups

TOKEN = Token("id", "me", Role.VIEWER, (), datetime(2026, 1, 1, tzinfo=UTC), None, None)


class _Stage:
    """A clock, and a database that knows one token until it is revoked."""

    def __init__(self) -> None:
        self.now, self.looks, self.revoked = 100.0, 0, False
        self.lookups = Lookups(self._look, lambda: self.now)

    def _look(self, text: str) -> Token | None:
        self.looks += 1
        return TOKEN if text == "good" and not self.revoked else None

    def ask(self, text: str = "good") -> Token | None:
        return self.lookups.remembered(text) or self.lookups.holder(text)


def test_who_asks_now_and_then_is_looked_up_each_time() -> None:
    stage = _Stage()
    for _ in range(5 * BUSY_PER_S):
        assert stage.ask() == TOKEN
        stage.now += 1.01 / BUSY_PER_S
    assert stage.looks == 5 * BUSY_PER_S
    stage.revoked = True
    assert stage.ask() is None


def test_who_asks_hundreds_of_times_a_second_is_looked_up_twice_a_second_and_ends_within_half_of_one() -> None:
    stage = _Stage()
    for _ in range(600):
        assert stage.ask() == TOKEN
        stage.now += 1 / 200
    assert stage.looks < 2 * BUSY_PER_S
    stage.revoked = True
    stage.now += LASTS_S
    assert stage.ask() is None
    assert stage.ask() is None


def test_a_wrong_one_is_never_remembered() -> None:
    stage = _Stage()
    assert not any(stage.ask("wrong") for _ in range(100))
    assert stage.looks == 100
