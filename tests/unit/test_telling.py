"""What people are told: every event of the code is decided, once for each streak, in words that say what to do."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from tasks.rotation.model import ConnectionHealth, Event
from tasks.rotation.telling import Names, Notice, is_decided, may_be_told, notice_of
from tasks.rotation.wording import Level
from tests.unit.event_names import event_names

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
NAMES = Names({"r1": "web"}, {"c1": "prod"}, {("r1", "version 5: refused"): "Ask for the right to write."})
DETAIL = {
    "destination": "redis:cache.internal:6379/0#key",
    "attempt": "1",
    "family": "try-again",
    "reason": "repair",
    "health": "rejected",
    "before": "valid",
    "expires_at": "2026-11-30 03:00 UTC",
}
"""What the details of some event hold, so that any can be made of it."""


def _event(name: str, *, why: str = "the reason", detail: Mapping[str, str] | None = None) -> Event:
    facts = DETAIL if detail is None else detail
    return Event(NOON, name, "worker:host:1", why, "r1", "c1", 5, tuple(facts.items()))


def _notice(name: str, *, why: str = "the reason", detail: Mapping[str, str] | None = None) -> Notice:
    notice = notice_of(_event(name, why=why, detail=detail), NAMES)
    assert notice is not None
    return notice


def test_every_event_that_the_code_can_write_is_decided() -> None:
    names = event_names()
    assert {"version_active", "any_failed", "attention_needed", "signed_out"} <= names
    assert len(names) > 40
    assert [name for name in sorted(names) if not is_decided(name)] == []


def test_an_event_that_nobody_decided_is_not_told_and_is_found_out() -> None:
    assert not is_decided("moon_landed")
    assert notice_of(_event("moon_landed"), NAMES) is None


TOLD = {
    "version_active": Level.INFO,
    "attention_needed": Level.CRITICAL,
    "attention_cleared": Level.INFO,
    "drift_found": Level.WARNING,
    "drift_repaired": Level.INFO,
    "drift_ended": Level.INFO,
    "drift_check_failed": Level.WARNING,
    "delivery_failed": Level.WARNING,
    "mint_failed": Level.WARNING,
    "withdraw_failed": Level.WARNING,
    "something_failed": Level.WARNING,
    "active_key_disabled": Level.CRITICAL,
    "active_key_enabled": Level.INFO,
    "binding_not_carried": Level.WARNING,
    "binding_not_dropped": Level.INFO,
    "orphan_deleted": Level.INFO,
    "version_planned": Level.CRITICAL,
    "version_abandoned": Level.WARNING,
    "ciphertext_refused": Level.CRITICAL,
    "connection_checked": Level.CRITICAL,
    "key_expires_soon": Level.CRITICAL,
}
ABOUT_NO_ROTATION = {"connection_checked", "ciphertext_refused"}


@pytest.mark.parametrize("name", TOLD)
def test_what_is_told_says_what_happened_where_why_and_what_to_do(name: str) -> None:
    notice = _notice(name)
    assert (notice.kind, notice.level) == (name, TOLD[name])
    assert notice.title
    assert "web" in notice.title or name in ABOUT_NO_ROTATION
    lines = notice.body.splitlines()
    assert lines[0].startswith("Rotation web, version 5; destination redis:cache.internal:6379/0#key; connection prod")
    assert "Why: the reason" in lines
    assert any(line.startswith("To do: ") and len(line) > 15 for line in lines)
    assert lines[-1] == "2026-11-21 12:00:00 UTC, by worker:host:1"
    assert not re.search(r"[{}]", notice.title + notice.body)


def test_every_one_that_is_told_is_tried_here() -> None:
    """Whoever adds words for an event adds it above, too."""
    told = {name for name in event_names() if may_be_told(_event(name))} - {"any_failed"}
    assert told <= set(TOLD)


@pytest.mark.parametrize("name", [name for name in TOLD if TOLD[name] is not Level.INFO])
def test_bad_news_says_what_is_still_safe(name: str) -> None:
    assert "\nStill safe: " in _notice(name).body


@pytest.mark.parametrize("name", ["mint_failed", "delivery_failed", "drift_check_failed", "version_abandoned"])
@pytest.mark.parametrize(("attempt", "told"), [("1", True), ("2", False), ("17", False), (None, False)])
def test_a_failure_is_told_once_and_not_at_each_retry(name: str, attempt: str | None, told: bool) -> None:
    detail = {} if attempt is None else {"attempt": attempt}
    event = _event(name, detail=detail)
    assert may_be_told(event) is told
    assert (notice_of(event, NAMES) is not None) is told


@pytest.mark.parametrize(
    ("family", "words"),
    [("try-again", "by itself"), ("outcome-unknown", "by itself"), ("operator-needed", "will not pass by itself")],
)
def test_whether_a_failure_passes_is_told_by_its_family(family: str, words: str) -> None:
    body = _notice("mint_failed", detail={"attempt": "1", "family": family}).body
    assert words in body
    assert "rotator rotation resume web" in body


def test_a_delivery_that_failed_is_told_of_its_destination_and_not_once_more_of_its_version() -> None:
    """The step fails by itself only before any destination was asked; then it says what kind of error that was."""
    of_destinations = {"attempt": "1", "family": "try-again"}
    assert notice_of(_event("deliver_failed", detail=of_destinations), NAMES) is None
    assert "delivering version 5 failed" in _notice("deliver_failed", detail=of_destinations | {"kind": "Broken"}).title


@pytest.mark.parametrize("health", ConnectionHealth)
def test_a_management_key_is_told_once_per_change(health: ConnectionHealth) -> None:
    unchanged = _event("connection_checked", detail={"health": health, "before": health, "connection": "prod"})
    assert notice_of(unchanged, NAMES) is None
    before = ConnectionHealth.REJECTED if health is ConnectionHealth.VALID else ConnectionHealth.VALID
    notice = _notice("connection_checked", detail={"health": health, "before": before, "connection": "prod"})
    needs_a_person = health in {ConnectionHealth.REJECTED, ConnectionHealth.ORDINARY_KEY}
    assert (notice.level is Level.CRITICAL) is needs_a_person
    assert ("rotator connection update prod --new-key" in notice.body) is needs_a_person


def test_a_health_that_there_is_not_is_not_told() -> None:
    assert notice_of(_event("connection_checked", detail={"health": "odd", "before": "valid"}), NAMES) is None


def test_a_version_is_told_of_when_it_replaces_a_dead_key_and_else_when_it_is_in_service() -> None:
    assert "gone" in _notice("version_planned").title
    for reason in ("scheduled", "manual", "initial", "emergency"):
        assert notice_of(_event("version_planned", detail={"reason": reason}), NAMES) is None


def test_who_is_needed_is_told_the_remedy_that_the_rotation_shows() -> None:
    assert "To do: Ask for the right to write." in _notice("attention_needed", why="version 5: refused").body
    assert "rotator rotation show web" in _notice("attention_needed", why="an older reason").body


def test_what_is_gone_has_a_name_all_the_same() -> None:
    event = Event(NOON, "drift_found", "a", rotation_id="unknown", connection_id="unknown")
    notice = notice_of(event, NAMES)
    assert notice is not None
    assert notice.title == "a destination does not hold the key of a deleted rotation"
    assert notice.body.splitlines()[0] == "Rotation a deleted rotation; connection a deleted connection"


def test_no_secret_and_nothing_that_steers_a_terminal_is_told() -> None:
    secret = secrets.token_hex(24)
    why = f"sk-or-v1-{secret} rtk_0a1b_{secret} https://user:{secret}@host/ Bearer {secret}\x1b[31m\nUTC, by nobody"
    notice = _notice("mint_failed", why=why, detail=DETAIL | {"destination": f"redis:redis://u:{secret}@h/0#k"})
    assert secret not in notice.title + notice.body
    assert "\x1b" not in notice.body
    assert len(notice.body.splitlines()) == 5


def test_no_text_is_endless() -> None:
    notice = _notice("delivery_failed", why="x" * 100_000, detail={"attempt": "1", "destination": "d" * 5000})
    assert len(notice.title) <= 200
    assert len(notice.body) < 7500


def test_levels_reach_those_below_them() -> None:
    assert [[a.reaches(b) for b in Level] for a in Level] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]
