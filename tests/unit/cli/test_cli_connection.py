"""Connections: how the management key comes in, and that it never goes out."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from config.secret import Secret
from tasks.operations.requests import UNSET
from tasks.rotation.errors import Conflict, RotatorError, Unavailable
from tasks.rotation.model import ConnectionHealth
from tests.unit.cli.fake import FakeOperations, Run

KEY = "emulator-" + "ba5eba11" * 4


def test_key_from_hidden_prompt(run: Run, ops: FakeOperations, terminal: None) -> None:
    result = run("connection", "create", "prod", "--description", "of team A", stdin=f"{KEY}\n")
    assert result.exit_code == 0
    assert ops.asked == [("create_connection", "prod", Secret(KEY), "of team A")]
    assert KEY not in result.output
    assert "fp-1a2b" in result.stdout


def test_key_from_stdin(run: Run, ops: FakeOperations) -> None:
    assert run("connection", "create", "prod", "--api-key-stdin", stdin=f"  {KEY}\n").exit_code == 0
    assert ops.asked == [("create_connection", "prod", Secret(KEY), None)]


def test_key_from_file(run: Run, ops: FakeOperations, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    assert run("connection", "create", "prod", "--api-key-file", str(file)).exit_code == 0
    assert ops.asked == [("create_connection", "prod", Secret(KEY), None)]


def test_key_from_a_pipe_may_have_to_wait_for_a_passphrase(
    run: Run, ops: FakeOperations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("config.short_file.PATIENCE_S", 0.0)  # what a setting's file would get
    os.mkfifo(tmp_path / "pipe")
    typing = threading.Timer(0.3, (tmp_path / "pipe").write_text, [KEY])
    typing.start()
    assert run("connection", "create", "prod", "--api-key-file", str(tmp_path / "pipe")).exit_code == 0
    typing.join()
    assert ops.asked == [("create_connection", "prod", Secret(KEY), None)]


@pytest.mark.parametrize(
    ("arguments", "stdin", "said"),
    [
        (["--api-key-stdin", "--api-key-file", "x"], KEY, "exclude each other"),
        (["--api-key-stdin"], " \n", "no key in stdin"),
        (["--api-key-stdin"], KEY * 10_000, "that is no key"),
        (["--api-key-file", "/does/not/exist"], None, "cannot read /does/not/exist"),
        ([], None, "no terminal to ask"),
    ],
)
def test_misuse_of_the_key_options(
    run: Run, ops: FakeOperations, arguments: list[str], stdin: str | None, said: str
) -> None:
    result = run("connection", "create", "prod", *arguments, stdin=stdin)
    assert result.exit_code == 2
    assert said in result.stderr
    assert ops.asked == []


@pytest.mark.parametrize("given", [["--api-key", KEY], [f"--api-key={KEY}"]])
def test_key_in_argv_is_a_usage_error_that_does_not_repeat_it(run: Run, ops: FakeOperations, given: list[str]) -> None:
    result = run("connection", "create", "prod", *given)
    assert result.exit_code == 2
    assert "--api-key-stdin" in result.stderr
    assert KEY not in result.output
    assert ops.asked == []


def test_list_as_json_has_stable_keys(run: Run) -> None:
    (view,) = json.loads(run("connection", "list", "--json").stdout)
    assert view == {
        "id": "c1",
        "name": "prod",
        "app": "open-router",
        "method": "api-key",
        "description": "of team A",
        "fingerprint": "fp-1a2b",
        "health": "valid",
        "message": "It is a management key.",
        "checked_at": "2026-11-21T03:00:00Z",
        "paused_until": None,
        "rotations": ["web"],
        "created_at": "2026-11-21T03:00:00Z",
        "updated_at": "2026-11-21T03:00:00Z",
        "project_id": None,
        "revision": "",
    }


def test_list_as_table(run: Run) -> None:
    lines = run("connection", "list").stdout.splitlines()
    assert lines[0].split() == ["NAME", "HEALTH", "CHECKED", "FINGERPRINT", "ROTATIONS", "DESCRIPTION"]
    assert lines[1].split()[:2] == ["prod", "valid"]


def test_check_exits_1_when_the_key_is_refused(run: Run, ops: FakeOperations) -> None:
    assert run("connection", "check", "prod").exit_code == 0
    ops.health = ConnectionHealth.REJECTED
    result = run("connection", "check", "prod")
    assert result.exit_code == 1
    assert "rejected" in result.stdout


def test_update_asks_for_a_key_only_when_one_is_to_be_replaced(run: Run, ops: FakeOperations, terminal: None) -> None:
    assert run("connection", "update", "prod", "--description", "").exit_code == 0
    assert run("connection", "update", "prod", "--new-key", stdin=f"{KEY}\n").exit_code == 0
    assert ops.asked == [
        ("update_connection", "prod", {"api_key": None, "description": None, "rename": UNSET}),
        ("update_connection", "prod", {"api_key": Secret(KEY), "description": UNSET, "rename": UNSET}),
    ]
    assert run("connection", "update", "prod").exit_code == 2


def test_delete_wants_the_name(run: Run, ops: FakeOperations, terminal: None) -> None:
    assert run("connection", "delete", "prod", stdin="prodd\n").exit_code == 1
    assert ("delete_connection", "prod") not in ops.asked
    assert run("connection", "delete", "prod", stdin="prod\n").exit_code == 0
    assert ops.asked[-1] == ("delete_connection", "prod")


def test_delete_without_a_terminal_wants_yes(run: Run, ops: FakeOperations) -> None:
    assert run("connection", "delete", "prod").exit_code == 2
    assert run("connection", "delete", "prod", "--yes").exit_code == 0


@pytest.mark.parametrize(
    ("failure", "code"),
    [(Conflict('The name "prod" is taken.', "Choose another."), 2), (Unavailable("No answer.", "Try later."), 1)],
)
def test_expected_failures_are_one_line_and_a_remedy(
    run: Run, ops: FakeOperations, failure: RotatorError, code: int
) -> None:
    ops.failure = failure
    result = run("connection", "create", "prod", "--api-key-stdin", stdin=KEY)
    assert result.exit_code == code
    assert result.stderr == f"error: {failure.message}\n       {failure.remedy}\n"
    assert result.stdout == ""
