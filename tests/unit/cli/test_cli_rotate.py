"""Rotating now, waiting for it, taking it back."""

from __future__ import annotations

import json

import pytest

from tasks.operations.views import HistoryView
from tasks.rotation.model import KeyVersion, Reason, VersionState
from tests.unit.cli.fake import FakeOperations, Run


def version(number: int, state: VersionState) -> KeyVersion:
    return KeyVersion(f"v{number}", "r", number, state, Reason.EMERGENCY, "cli")


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.cli.progress._LOOK_EVERY_S", 0)


def test_rotate_asks_once_for_each_name(run: Run, ops: FakeOperations) -> None:
    ops.names = ("api", "web")
    result = run("rotate", "web", "api", "web")
    assert result.exit_code == 0
    assert ops.asked == [("rotate", "web", False), ("rotate", "api", False)]
    assert result.stdout == "web: version 3 is on its way.\napi: version 3 is on its way.\n"


def test_all_leaves_out_what_is_paused(run: Run, ops: FakeOperations) -> None:
    ops.names, ops.paused = ("api", "web"), ("api",)
    result = run("rotate", "--all")
    assert [a for a in ops.asked if a[0] == "rotate"] == [("rotate", "web", False)]
    assert "api: left out" in result.stderr


@pytest.mark.parametrize("how", [(), ("--dry-run",)])
def test_all_names_what_cannot_be_read_and_goes_on_with_the_others(
    run: Run, ops: FakeOperations, how: tuple[str, ...]
) -> None:
    ops.names, ops.broken = ("web",), ("A row of the rotation bad holds what cannot be.",)
    result = run("rotate", "--all", *how)
    assert result.exit_code == 1
    assert result.stderr.count("error: A row of the rotation bad holds what cannot be.\n") == 1
    assert "web" in result.stdout


@pytest.mark.parametrize("arguments", ["", "web --all", "web --dry-run --wait", "--all --dry-run --emergency"])
def test_misuse(run: Run, ops: FakeOperations, arguments: str) -> None:
    assert run("rotate", *arguments.split()).exit_code == 2
    assert ops.asked == []


def test_one_failure_stops_no_other_and_gives_the_exit_code(run: Run, ops: FakeOperations) -> None:
    """Not that of misuse, which says that nothing was changed, unless nothing was."""
    ops.bad_names = ("wbe",)
    assert run("rotate", "wbe").exit_code == 2
    result = run("rotate", "wbe", "web")
    assert result.exit_code == 1
    assert 'There is no rotation "wbe"' in result.stderr
    assert "web: version 3" in result.stdout


def test_wait_shows_each_state_until_it_is_active(run: Run, ops: FakeOperations) -> None:
    ops.states = [VersionState.PLANNED, VersionState.PLANNED, VersionState.CREATED, VersionState.ACTIVE]
    result = run("rotate", "web", "--wait")
    assert result.exit_code == 0
    assert result.stderr.splitlines() == ["web v3: planned", "web v3: created", "web v3: active"]


def test_wait_ends_when_a_person_is_needed(run: Run, ops: FakeOperations) -> None:
    ops.states, ops.status_word = [VersionState.PROVEN], "needs_attention"
    result = run("rotate", "web", "--wait")
    assert result.exit_code == 1
    assert "error: web: The file is read-only." in result.stderr
    assert "Fix it." in result.stderr


def test_wait_ends_when_the_version_was_given_up(run: Run, ops: FakeOperations) -> None:
    ops.states = [VersionState.ABANDONED]
    result = run("rotate", "web", "--wait")
    assert result.exit_code == 1
    assert "still the one before it" in result.stderr


def test_local_does_the_work_here(run: Run, ops: FakeOperations) -> None:
    ops.states = [VersionState.ACTIVE]
    assert run("rotate", "web", "--local").exit_code == 0
    assert ("advance_here", "web") in ops.asked


def test_local_without_wait_gives_up_after_one_round(run: Run, ops: FakeOperations) -> None:
    ops.states = [VersionState.CREATING]
    result = run("rotate", "web", "--local")
    assert result.exit_code == 1
    assert "not finished" in result.stderr


def test_emergency_asks(run: Run, ops: FakeOperations, terminal: None) -> None:
    assert run("rotate", "web", "--emergency", stdin="n\n").exit_code == 1
    assert ops.asked == []
    result = run("rotate", "web", "--emergency", stdin="y\n")
    assert result.exit_code == 0
    assert ops.asked == [("rotate", "web", True)]


def test_emergency_with_yes(run: Run, ops: FakeOperations) -> None:
    assert run("rotate", "web", "--emergency").exit_code == 2
    assert run("rotate", "web", "--emergency", "--yes").exit_code == 0


def test_waiting_for_an_emergency_ends_when_every_older_key_is_deleted(
    run: Run, ops: FakeOperations, monkeypatch: pytest.MonkeyPatch
) -> None:
    ops.states, ops.emergency = [VersionState.ACTIVE], True
    two_live = HistoryView("web", (version(2, VersionState.DISABLED), version(3, VersionState.ACTIVE)), ())
    none_live = HistoryView("web", (version(2, VersionState.DELETED), version(3, VersionState.ACTIVE)), ())
    looks = iter([two_live, two_live, none_live])
    monkeypatch.setattr(ops, "history", lambda name: next(looks))
    assert run("rotate", "web", "--emergency", "--yes", "--wait").exit_code == 0
    assert next(looks, None) is None


def test_dry_run_changes_nothing(run: Run, ops: FakeOperations) -> None:
    result = run("rotate", "web", "--dry-run")
    assert ops.asked == [("dry_run", "web")]
    assert "v2 hash2: disabled 2026-11-22 03:00:00Z, deleted 2026-11-23 03:00:00Z" in result.stdout
    (view,) = json.loads(run("rotate", "web", "--dry-run", "--json").stdout)
    assert view["dying"][0]["key_hash"] == "hash2"


def test_rotate_as_json(run: Run) -> None:
    assert json.loads(run("rotate", "web", "--json").stdout) == [
        {"rotation": "web", "version": 3, "joined": False, "enqueued": True, "notice": ""}
    ]


def test_undo(run: Run, ops: FakeOperations) -> None:
    ops.states = [VersionState.ACTIVE]
    assert run("undo", "web", "--wait").exit_code == 0
    assert ops.asked[0] == ("undo", "web")
