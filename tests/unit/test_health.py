"""What `rotator doctor` finds, on a SQLite installation without a broker."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from config.secret import Secret
from config.settings import Settings, read_settings
from tasks.providers.openrouter.emulator import EmulatorServer
from tasks.rotation.model import Attempt
from tasks.rotation.wording import Level
from tasks.wiring import Rotator, open_rotator
from worker.health import SKEW_ALLOWED, Check, Scope, all_well, clock_check, examine

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    environment = {"DATA_DIR": str(tmp_path), "OPENROUTER_BASE_URL": "http://127.0.0.1:9/api/v1", "TICK_S": "5"}
    return read_settings({f"ROTATOR_{name}": value for name, value in environment.items()})


@pytest.fixture
def rotator(settings: Settings) -> Iterator[Rotator]:
    opened = open_rotator(settings)
    opened.store.upgrade()
    yield opened
    opened.close()


def _found(settings: Settings, scope: Scope = Scope.ALL) -> dict[str, Check]:
    return {check.name: check for check in examine(settings, scope)}


def test_before_the_first_start_it_says_what_to_run_and_makes_nothing(settings: Settings, tmp_path: Path) -> None:
    found = _found(settings)
    assert found["master key"].ok
    assert not found["database"].ok
    assert "rotator up" in found["database"].remedy
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("rotator")
def test_without_broker_and_beat_each_is_named_with_its_remedy(settings: Settings) -> None:
    found = _found(settings)
    assert {name for name, check in found.items() if not check.ok} == {"broker", "beat", "clock"}
    assert all(check.remedy for check in found.values() if not check.ok)
    assert not any(check.remedy for check in found.values() if check.ok)


@pytest.mark.parametrize("url", ["redis://:canary[@h/0", "redis://:canary/x@h:1/0", "redis://:canary@h/x"])
def test_a_broker_url_that_no_library_takes_is_a_finding(settings: Settings, rotator: Rotator, url: str) -> None:
    """The settings refuse such a URL before; the examination does not count on it."""
    broker = _found(settings.model_copy(update={"broker_url": Secret(url)}), Scope.READY)["broker"]
    assert not broker.ok
    assert "canary" not in broker.message + broker.remedy


def test_a_fresh_tick_is_life_and_an_old_one_is_not(settings: Settings, rotator: Rotator) -> None:
    rotator.store.record_tick()
    assert all_well(examine(settings, Scope.LIVE))
    moved = "UPDATE heartbeats SET at = at - 60000"
    with sqlite3.connect(settings.data_dir / "rotator.sqlite3") as database:
        database.execute(moved)
    database.close()
    assert not all_well(examine(settings, Scope.LIVE))


def test_one_who_cannot_be_told_is_mentioned(settings: Settings, rotator: Rotator) -> None:
    targets = rotator.store.notice_targets
    targets.insert("ops", "slack", Secret("slack://canary"), level=Level.INFO, rotation_ids=None, actor="test")
    assert _found(settings)["notices"].ok
    claimed = rotator.store.outbox.claim(but=())
    assert claimed is not None
    rotator.store.outbox.put_off(claimed, Attempt(1, None, "try-again", "slack was not reached.", "Wait."), through=0)
    notices = _found(settings)["notices"]
    assert not notices.ok
    assert notices.message == "ops (slack) is not told: slack was not reached. Wait."
    assert "rotator notify test" in notices.remedy


def test_ready_asks_neither_beat_nor_openrouter(settings: Settings, rotator: Rotator) -> None:
    assert set(_found(settings, Scope.READY)) == {"master key", "broker", "database", "schema"}


def test_an_older_schema_names_the_upgrade(settings: Settings) -> None:
    open_rotator(settings).close()
    (settings.data_dir / "rotator.sqlite3").touch()
    assert "rotator db upgrade" in _found(settings)["schema"].remedy


def test_a_broken_master_key_stops_the_examination(settings: Settings, rotator: Rotator) -> None:
    (settings.data_dir / "master.key").write_text("not a key")
    found = _found(settings)
    assert set(found) == {"master key"}
    assert not found["master key"].ok


def test_another_master_key_is_found_out(settings: Settings, rotator: Rotator) -> None:
    from config.master_key import generate_master_key

    (settings.data_dir / "master.key").write_text(generate_master_key().reveal())
    found = _found(settings)
    assert found["database"].ok
    assert not found["schema"].ok


def test_openrouters_clock_is_read_from_any_answer(settings: Settings, rotator: Rotator) -> None:
    with EmulatorServer() as emulator:
        found = _found(settings.model_copy(update={"openrouter_base_url": emulator.base_url}))
    assert found["clock"].ok


@pytest.mark.parametrize(
    ("skew", "ok", "words"),
    [
        (timedelta(0), True, "agree"),
        (SKEW_ALLOWED, True, "agree"),
        (SKEW_ALLOWED + timedelta(seconds=1), False, "31 s ahead of"),
        (-SKEW_ALLOWED - timedelta(seconds=1), False, "31 s behind"),
    ],
)
def test_how_far_clocks_may_be_apart(skew: timedelta, ok: bool, words: str) -> None:
    check = clock_check(NOW, NOW + skew)
    assert check.ok is ok
    assert words in check.message


def test_a_time_without_a_zone_is_taken_as_utc() -> None:
    assert clock_check(NOW.replace(tzinfo=None), NOW).ok
