"""Who is told, on the command line: an address comes in hidden and is never shown."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from config.secret import Secret
from tasks.operations.requests import UNSET
from tasks.rotation.errors import InvalidInput, OperatorNeeded, RotatorError, Unavailable
from tests.unit.cli.fake import CANARY, FakeOperations, Run
from worker.cli.guard import DONE, FAILED, MISUSE

ADDRESS = f"slack://{CANARY}/a/b"


def test_an_address_comes_from_stdin_and_is_not_shown(run: Run, ops: FakeOperations) -> None:
    result = run("notify", "add", "ops", "--url-stdin", stdin=f"{ADDRESS}\n")
    assert result.exit_code == DONE
    assert ops.asked == [
        ("add_notice_target", "ops", Secret(ADDRESS), {"level": "info", "rotations": (), "test": False})
    ]
    assert "slack" in result.stdout
    assert CANARY not in result.output


def test_everything_that_can_be_said_of_a_target(run: Run, ops: FakeOperations, tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text(f"{ADDRESS}\n")
    options = ["--level", "critical", "--rotation", "web", "--rotation", "batch", "--test", "--json"]
    result = run("notify", "add", "night", "--url-file", str(file), *options)
    ((_, name, address, wanted),) = ops.asked
    assert (name, address) == ("night", Secret(ADDRESS))
    assert wanted == {"level": "critical", "rotations": ("web", "batch"), "test": True}
    made = json.loads(result.stdout)
    assert (made["service"], made["rotations"], made["level"]) == ("slack", None, "info")


@pytest.mark.usefixtures("terminal")
def test_without_an_option_it_is_asked_for_hidden(run: Run, ops: FakeOperations) -> None:
    result = run("notify", "add", "ops", stdin=f"{ADDRESS}\n")
    assert result.exit_code == DONE
    assert "Apprise URL (hidden)" in result.stderr
    assert CANARY not in result.output
    assert ops.asked[0][2] == Secret(ADDRESS)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("add", "ops"), "no terminal to ask for the address: use --url-stdin or --url-file PATH"),
        (("add", "ops", "--url-stdin", "--url-file", "x"), "exclude each other"),
        (("add", "ops", "--url-stdin"), "there is no address in stdin"),
        (("add", "ops", "--url-file", "/nowhere/at/all"), "--url-file: cannot read"),
        (("update", "ops"), "nothing to change"),
        (("update", "ops", "--rotation", "web", "--all-rotations"), "exclude each other"),
    ],
)
def test_what_cannot_work_is_misuse(run: Run, ops: FakeOperations, arguments: tuple[str, ...], said: str) -> None:
    result = run("notify", *arguments, stdin="")
    assert result.exit_code == MISUSE
    assert said in result.stderr
    assert ops.asked == []


def test_the_list_shows_who_fails_and_why(run: Run) -> None:
    out = run("notify", "list").stdout
    _, ops_line, team_line, *rest = out.splitlines()
    assert ops_line.split()[:4] == ["ops", "slack", "info", "all"]
    assert ops_line.split()[-1] == "ok"
    assert team_line.split()[:5] == ["team", "mailtos", "critical", "web", "never"]
    assert "failed 3x" in team_line
    assert [line.strip() for line in rest if line] == ["team: It is away.", "Wait."]
    listed = json.loads(run("notify", "list", "--json").stdout)
    assert [one["next_attempt_at"] for one in listed] == [None, "2026-11-21T04:00:00Z"]
    assert "url" not in json.dumps(listed)


def test_an_empty_list_says_what_to_do(run: Run, ops: FakeOperations, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops, "list_notice_targets", lambda: ())
    assert "rotator notify add NAME" in run("notify", "list").stdout


def test_a_failing_one_is_shown_whole(run: Run, ops: FakeOperations, monkeypatch: pytest.MonkeyPatch) -> None:
    *_, failing = ops.list_notice_targets()
    monkeypatch.setattr(ops, "update_notice_target", lambda *_, **__: failing)
    out = run("notify", "update", "team", "--level", "info").stdout
    for text in ("team", "mailtos", "critical", "failed 3x", "It is away.", "Wait.", "2026-11-21 04:00:00Z"):
        assert text in out


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        (("--level", "warning"), {"address": None, "level": "warning", "rotations": UNSET}),
        (("--rotation", "web"), {"address": None, "level": UNSET, "rotations": ("web",)}),
        (("--all-rotations",), {"address": None, "level": UNSET, "rotations": ()}),
        (("--url-stdin",), {"address": Secret(ADDRESS), "level": UNSET, "rotations": UNSET}),
    ],
)
def test_only_what_is_named_is_changed(
    run: Run, ops: FakeOperations, options: tuple[str, ...], changes: dict[str, object]
) -> None:
    assert run("notify", "update", "ops", *options, stdin=ADDRESS).exit_code == DONE
    assert ops.asked == [("update_notice_target", "ops", changes)]


@pytest.mark.usefixtures("terminal")
def test_a_new_address_is_asked_for(run: Run, ops: FakeOperations) -> None:
    assert run("notify", "update", "ops", "--new-url", stdin=f"{ADDRESS}\n").exit_code == DONE
    assert ops.asked[0][2] == {"address": Secret(ADDRESS), "level": UNSET, "rotations": UNSET}


def test_a_test_message_that_is_taken_is_said_to_be(run: Run, ops: FakeOperations) -> None:
    result = run("notify", "test", "ops")
    assert (result.exit_code, result.stdout) == (DONE, "")
    assert result.stderr == "ops (slack) took a test message.\n"
    assert json.loads(run("notify", "test", "ops", "--json").stdout)["name"] == "ops"


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (Unavailable("slack was not reached.", "Wait."), FAILED),
        (OperatorNeeded("It is not installed here.", "pip install 'openrouter-rotator[notify]'"), FAILED),
        (InvalidInput("the address", "it is no URL that Apprise can use", "See there."), MISUSE),
    ],
)
def test_what_goes_wrong_is_said_with_what_to_do(
    run: Run, ops: FakeOperations, failure: RotatorError, code: int
) -> None:
    ops.failure = failure
    result = run("notify", "add", "ops", "--url-stdin", "--test", stdin=ADDRESS)
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr == f"error: {failure.message}\n       {failure.remedy}\n"


def test_one_who_is_removed_is_said_to_be(run: Run, ops: FakeOperations) -> None:
    result = run("notify", "remove", "ops")
    assert (result.exit_code, result.stdout) == (DONE, "")
    assert "not told any more" in result.stderr
    assert ops.asked == [("remove_notice_target", "ops")]


def test_status_mentions_who_is_not_told(run: Run, ops: FakeOperations, monkeypatch: pytest.MonkeyPatch) -> None:
    view = replace(ops.status(), untold=("ops (slack) is not told: It is away.",))
    monkeypatch.setattr(ops, "status", lambda: view)
    result = run("status")
    assert result.exit_code == DONE
    assert "ops (slack) is not told: It is away." in result.stdout
    assert json.loads(run("status", "--json").stdout)["untold"] == ["ops (slack) is not told: It is away."]
