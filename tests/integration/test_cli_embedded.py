"""The command line on a real database, against the emulator, with no worker and no broker anywhere."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from config.settings import settings
from tasks.providers.openrouter.emulator import Account, EmulatorServer, FaultBook
from worker.cli.app import app

KEY = "emulator-" + "ba5eba11" * 4
ROTATOR = str(Path(sys.executable).with_name("rotator"))
TIMEOUT_S = 60
_LOCAL_FLAGS = 3  # of what tcgetattr gives


@pytest.fixture
def emulator() -> Iterator[EmulatorServer]:
    with EmulatorServer(Account(), FaultBook()) as server:
        yield server


@pytest.fixture
def environment(tmp_path: Path, emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Settings of this test alone, for this process and those it starts."""
    for name in [name for name in os.environ if name.startswith("ROTATOR_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ROTATOR_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("ROTATOR_OPENROUTER_BASE_URL", emulator.base_url)
    monkeypatch.setattr("config.logging.configure_logging", lambda settings: None)  # pytest's own stays in place
    settings.cache_clear()
    yield dict(os.environ)
    settings.cache_clear()


class Cli:
    """Runs commands as a person does, but in this process: starting one takes longer than most commands."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def __call__(self, *arguments: str, stdin: str | None = None, code: int = 0) -> str:
        done = CliRunner().invoke(app, arguments, input=stdin, prog_name="rotator")
        self.told += [done.stdout, done.stderr]
        assert done.exit_code == code, done.output
        assert "Traceback" not in done.output
        return done.stdout


@pytest.fixture
def rotator(environment: dict[str, str]) -> Cli:
    return Cli()


@pytest.fixture
def with_rotation(rotator: Cli, tmp_path: Path) -> Cli:
    """A rotation whose first version is in service."""
    rotator("connection", "create", "prod", "--api-key-stdin", stdin=KEY)
    create = ("rotation", "create", "web", "--connection", "prod", "--key-name", "web", "--every", "30d")
    rotator(*create, "--publish", f"dotenv:{tmp_path / 'app.env'}")
    rotator("rotate", "web", "--local", "--wait")
    return rotator


def test_from_nothing_to_a_rotated_key(with_rotation: Cli, tmp_path: Path) -> None:
    rotator = with_rotation
    first = rotator("secret", "get", "web")
    assert f"OPENROUTER_API_KEY={first}" in (tmp_path / "app.env").read_text().replace('"', "").replace("'", "")

    rotator("rotate", "web", "--local", "--wait")
    second = rotator("secret", "get", "web")
    assert second != first
    assert second in (tmp_path / "app.env").read_text()

    versions = json.loads(rotator("rotation", "history", "web", "--json"))["versions"]
    assert [(v["number"], v["state"]) for v in versions] == [(1, "retiring"), (2, "active")]
    rotator("undo", "web", "--local", "--wait")
    assert rotator("secret", "get", "web") == first

    shown = "".join(text for text in rotator.told if text not in {first, second})
    assert first not in shown
    assert second not in shown
    assert KEY not in shown


def test_every_listing_is_json(with_rotation: Cli) -> None:
    for command in (
        ("connection", "list"),
        ("connection", "show", "prod"),
        ("rotation", "list"),
        ("rotation", "show", "web"),
        ("rotation", "history", "web"),
        ("rotate", "web", "--dry-run"),
        ("status",),
        ("reconcile",),
    ):
        json.loads(with_rotation(*command, "--json"))
        assert with_rotation(*command) != ""


def test_mistakes_are_told_from_failures(with_rotation: Cli, emulator: EmulatorServer) -> None:
    rotator = with_rotation
    rotator("rotation", "show", "wbe", code=2)
    rotator("connection", "create", "prod", "--api-key-stdin", stdin=KEY, code=2)
    rotator("connection", "delete", "prod", "--yes", code=2)
    rotator("rotation", "create", "x", "--connection", "prod", "--key-name", "x", "--every", "1h", code=2)
    emulator.account.revoke_management_key(KEY)
    rotator("connection", "check", "prod", code=1)
    rotator("connection", "create", "other", "--api-key-stdin", stdin=KEY, code=1)
    rotator("doctor", "--ready", code=1)  # there is no broker
    assert [text for text in rotator.told if text.startswith("error: ")] != []


def test_a_rotation_is_deleted_here_when_no_worker_runs(with_rotation: Cli, emulator: EmulatorServer) -> None:
    with_rotation("rotation", "delete", "web", "--revoke-keys", "--yes", "--local")
    assert json.loads(with_rotation("rotation", "list", "--json")) == []
    assert emulator.account.live() == frozenset()


def test_without_a_broker_a_deletion_says_so(with_rotation: Cli) -> None:
    with_rotation("rotation", "delete", "web", "--keep-keys", "--yes")
    assert "the broker could not be reached" in with_rotation.told[-1]


def test_master_key_and_schema(with_rotation: Cli) -> None:
    before = with_rotation("secret", "get", "web")
    with_rotation("master-key", "rotate")
    assert with_rotation("secret", "get", "web") == before
    with_rotation("db", "upgrade")
    with_rotation("db", "check")


def test_run_restarts_the_command_with_the_new_key(
    with_rotation: Cli, environment: dict[str, str], tmp_path: Path
) -> None:
    rotator, log = with_rotation, tmp_path / "log"
    script = (
        "import os, sys, time; open(sys.argv[1], 'a').write(os.environ['OPENROUTER_API_KEY'] + '\\n'); time.sleep(60)"
    )
    command = [ROTATOR, "run", "--poll", "0.2", "--", sys.executable, "-c", script, str(log)]
    first = rotator("secret", "get", "web")
    with subprocess.Popen(command, env=environment) as keeper:
        _await_lines(log, 1)
        rotator("rotate", "web", "--local", "--wait")
        second = rotator("secret", "get", "web")
        lines = _await_lines(log, 2)
        keeper.send_signal(signal.SIGTERM)
        assert keeper.wait(TIMEOUT_S) == 128 + signal.SIGTERM
    assert lines == [first, second]


def test_the_prompt_does_not_echo(environment: dict[str, str]) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(ROTATOR, [ROTATOR, "connection", "create", "prod"], environment)
    shown = _read_until(terminal, "hidden")
    while termios.tcgetattr(terminal)[_LOCAL_FLAGS] & termios.ECHO:
        time.sleep(0.01)  # the prompt is there a moment before the echo is off, and what was typed is then dropped
    os.write(terminal, f"{KEY}\n".encode())
    shown += _read_until(terminal, None)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(terminal)
    assert KEY not in shown
    assert "fingerprint" in shown


def _read_until(terminal: int, awaited: str | None) -> str:
    shown = ""
    while awaited is None or awaited not in shown:
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # Linux says so when the other side is closed
            break
        if not piece:
            break
        shown += piece.decode()
    return shown


def _await_lines(log: Path, count: int) -> list[str]:
    give_up_at = time.monotonic() + TIMEOUT_S
    while time.monotonic() < give_up_at:
        lines = log.read_text().splitlines() if log.exists() else []
        if len(lines) >= count:
            return lines
        time.sleep(0.05)
    pytest.fail(f"the command was not started {count} times")
