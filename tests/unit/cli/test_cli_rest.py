"""Reading the key, the state of things, the database; and what happens when something breaks."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from config.settings import Settings, settings
from tasks.rotation.errors import OperatorNeeded
from tests.unit.cli.fake import FakeOperations, FakeStore, Run
from worker.cli.guard import FAILED
from worker.health import Check, Scope

if TYPE_CHECKING:
    from tasks.operations import Operations


def test_secret_get_prints_the_key_and_nothing_else(run: Run, ops: FakeOperations) -> None:
    result = run("secret", "get", "web")
    assert result.stdout == ops.reveal_key("web").reveal()
    assert result.stderr == ""


def test_status(run: Run) -> None:
    out = run("status").stdout
    assert "last tick 4s ago" in out
    assert json.loads(run("status", "--json").stdout)["last_tick_at"] == "2026-11-21T02:59:56Z"


def test_status_and_list_name_the_rotation_that_they_cannot_show(
    run: Run, ops: FakeOperations, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = replace(ops.status(), broken=("A row of the rotation bad holds what cannot be.",))
    monkeypatch.setattr(ops, "status", lambda: view)
    for command in (("status",), ("rotation", "list")):
        result = run(*command)
        assert result.exit_code == FAILED
        assert "web" in result.stdout
        assert result.stderr == "error: A row of the rotation bad holds what cannot be.\n"


def test_reconcile(run: Run, ops: FakeOperations) -> None:
    assert "orphan_deleted" in run("reconcile").stdout
    assert run("reconcile", "prod", "--json").exit_code == 0
    assert ops.asked == [("reconcile", None), ("reconcile", "prod")]


def test_watch_in_a_pipe_prints_events_a_line(run: Run, ops: FakeOperations, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([None, KeyboardInterrupt])

    def sleep(_seconds: float) -> None:
        if (end := next(looks)) is not None:
            raise end

    monkeypatch.setattr("time.sleep", sleep)
    assert run("watch").exit_code == 0
    assert [a for a in ops.asked if a[0] == "events"] == [("events", None, 0), ("events", None, 1)]


def test_watch_paints_the_living_versions(ops: FakeOperations) -> None:
    from collections import deque

    from rich.console import Console

    from worker.cli.watch import _page

    console = Console(record=True, width=160, file=io.StringIO())
    console.print(_page(cast("Operations", ops), None, deque(ops.events())))
    text = console.export_text()
    assert "version_activated" in text
    assert "v2" in text
    assert "deleted" not in text


def test_an_empty_embedded_database_is_made_on_first_use(run: Run, ops: FakeOperations, store: FakeStore) -> None:
    store.version = None
    assert run("status").exit_code == 0
    assert store.upgrades == 1
    assert run("status").exit_code == 0
    assert store.upgrades == 1


def test_another_database_is_never_made_by_the_way(
    run: Run, ops: FakeOperations, store: FakeStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ROTATOR_DATABASE_URL", f"sqlite:///{tmp_path}/other.sqlite3")
    settings.cache_clear()
    store.version, store.outdated = None, OperatorNeeded("The schema is old.", "Run `rotator db upgrade`.")
    result = run("status")
    assert result.exit_code == 1
    assert "rotator db upgrade" in result.stderr
    assert store.upgrades == 0


def test_db_commands(run: Run, ops: FakeOperations, store: FakeStore) -> None:
    store.version = None
    assert "0001" in run("db", "upgrade").stdout
    assert run("db", "check").exit_code == 0
    assert "The schema is 0000 now. This release does not work with it" in run("db", "downgrade").stdout
    store.outdated = OperatorNeeded("The schema is old.", "Run `rotator db upgrade`.")
    assert run("db", "check").exit_code == 1
    assert run("db", "downgrade").exit_code == 1


def test_master_key_commands(run: Run, ops: FakeOperations) -> None:
    from config.master_key import parse_ring
    from config.secret import Secret

    assert len(parse_ring(Secret(run("master-key", "generate").stdout), source="test")) == 1
    assert "7 ciphertexts" in run("master-key", "rotate").stdout


def test_wrong_settings_are_all_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROTATOR_TICK_S", "soon")
    monkeypatch.setenv("ROTATOR_TIK", "1")
    result = run("status")
    assert result.exit_code == 2
    assert "ROTATOR_TICK_S" in result.stderr
    assert "ROTATOR_TIK" in result.stderr
    assert "Traceback" not in result.output


def test_a_fault_of_ours_shows_no_message_and_no_traceback(run: Run, ops: FakeOperations) -> None:
    ops.failure = KeyError("emulator-" + "5ec7e7" * 4)
    result = run("status")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: unexpected KeyError:")
    assert "ROTATOR_LOG_LEVEL=debug" in result.stderr
    assert "5ec7e7" not in result.output
    assert "Traceback" not in result.output


def test_a_fault_of_ours_shows_its_place_when_debugging_but_no_secret(
    run: Run, ops: FakeOperations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROTATOR_LOG_LEVEL", "debug")
    ops.failure = KeyError("emulator-" + "5ec7e7" * 4)
    result = run("status")
    assert "fake.py" in result.stderr
    assert "5ec7e7" not in result.output


def test_doctor_tells_each_check_and_fails_when_one_does(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Scope] = []

    def examine(_settings: Settings, scope: Scope) -> list[Check]:
        asked.append(scope)
        return [
            Check("database", ok=True, message="It answers."),
            Check("beat", scope is Scope.READY, "Silent.", "Start it."),
        ]

    monkeypatch.setattr("worker.health.examine", examine)
    result = run("doctor")
    assert result.exit_code == 1
    assert "FAILED  beat" in result.stdout
    assert "Silent. Start it." in result.stdout
    assert json.loads(run("doctor", "--ready", "--json").stdout)[1]["ok"] is True
    assert run("doctor", "--live").exit_code == 1
    assert run("doctor", "--live", "--ready").exit_code == 2
    assert asked == [Scope.ALL, Scope.READY, Scope.LIVE]
