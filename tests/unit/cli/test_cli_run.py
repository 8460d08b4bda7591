"""`rotator run` with real child processes."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tasks.rotation.errors import Unavailable
from tests.unit.cli.fake import FakeOperations, Run

WAIT_S = 20.0


def test_the_child_gets_the_key_and_its_exit_code_is_ours(
    run: Run, ops: FakeOperations, capfd: pytest.CaptureFixture[str]
) -> None:
    script = "import os; print(os.environ['OPENROUTER_API_KEY'], flush=True); raise SystemExit(7)"
    assert run("run", "--rotation", "web", "--", sys.executable, "-c", script).exit_code == 7
    assert capfd.readouterr().out == f"{ops.reveal_key('web').reveal()}\n"


def test_the_only_rotation_need_not_be_named(run: Run, ops: FakeOperations) -> None:
    assert run("run", "--", "true").exit_code == 0
    ops.names = ("api", "web")
    result = run("run", "--", "true")
    assert result.exit_code == 2
    assert "one of api, web" in result.stderr


def test_beside_one_that_cannot_be_read_it_must_be_named(run: Run, ops: FakeOperations) -> None:
    ops.broken = ("A row of the rotation bad holds what cannot be.",)
    result = run("run", "--", "true")
    assert result.exit_code == 2
    assert "one of web" in result.stderr


def test_two_rotations_with_one_variable_are_refused(run: Run) -> None:
    assert run("run", "--rotation", "web", "--rotation", "api", "--", "true").exit_code == 2


@pytest.mark.parametrize(("command", "code"), [("/does/not/exist", 127), ("/", 126)])
def test_a_command_that_cannot_start(run: Run, command: str, code: int) -> None:
    result = run("run", "--", command)
    assert result.exit_code == code
    assert f"cannot start {command}" in result.stderr


def test_a_child_ended_by_a_signal(run: Run) -> None:
    script = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert run("run", "--", sys.executable, "-c", script).exit_code == 128 + signal.SIGKILL


def test_an_unknown_signal_is_misuse(run: Run) -> None:
    assert run("run", "--signal", "HUPP", "--", "true").exit_code == 2


def test_our_secrets_are_not_passed_on(
    run: Run, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("ROTATOR_BROKER_URL", "redis://:hunter2@localhost/0")
    script = "import os; print(sorted(name for name in os.environ if name.startswith('ROTATOR_')))"
    assert run("run", "--", sys.executable, "-c", script).exit_code == 0
    assert capfd.readouterr().out == "['ROTATOR_DATA_DIR']\n"


def test_a_new_version_restarts_the_child(run: Run, ops: FakeOperations, tmp_path: Path) -> None:
    script = _writer(tmp_path, "log.write(os.environ['OPENROUTER_API_KEY'] + '\\n')")
    with _meanwhile(lambda: _lines(tmp_path, 1), lambda: setattr(ops, "current", 3), lambda: _lines(tmp_path, 2), _end):
        code = run("run", "--poll", "0.1", "--", sys.executable, "-c", script).exit_code
    assert code == 128 + signal.SIGTERM
    assert [line.rsplit("-", 1)[1] for line in _lines(tmp_path, 2)] == ["2", "3"]


def test_a_child_that_ignores_sigterm_is_killed_after_the_grace(run: Run, ops: FakeOperations, tmp_path: Path) -> None:
    script = _writer(tmp_path, "signal.signal(signal.SIGTERM, signal.SIG_IGN); log.write('started\\n')")

    def kill() -> None:
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)

    with _meanwhile(lambda: _lines(tmp_path, 1), lambda: setattr(ops, "current", 3), lambda: _lines(tmp_path, 2), kill):
        run("run", "--poll", "0.1", "--grace", "0.2", "--", sys.executable, "-c", script)
    assert len(_lines(tmp_path, 2)) == 2


def test_a_new_version_sends_the_signal_instead(run: Run, ops: FakeOperations, tmp_path: Path) -> None:
    heard = "signal.signal(signal.SIGHUP, lambda *_: (log.write('heard\\n'), log.flush()))"
    script = _writer(tmp_path, f"{heard}; log.write('started\\n')")
    with _meanwhile(lambda: _lines(tmp_path, 1), lambda: setattr(ops, "current", 3), lambda: _lines(tmp_path, 2), _end):
        run("run", "--poll", "0.1", "--signal", "HUP", "--", sys.executable, "-c", script)
    assert _lines(tmp_path, 2) == ["started", "heard"]


def test_a_database_that_is_away_leaves_the_child_alone(run: Run, ops: FakeOperations, tmp_path: Path) -> None:
    script = _writer(tmp_path, "log.write('started\\n')")

    def look_thrice() -> bool:
        return len([a for a in ops.asked if a[0] == "current_key"]) > 3

    def away() -> None:
        ops.failure = Unavailable("The database failed.")

    with _meanwhile(lambda: _lines(tmp_path, 1), away, look_thrice, _end):
        result = run("run", "--poll", "0.1", "--", sys.executable, "-c", script)
    assert result.exit_code == 128 + signal.SIGTERM
    assert result.stderr.count("cannot look for a new key") == 1
    assert _lines(tmp_path, 1) == ["started"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_signals_are_passed_on(run: Run, tmp_path: Path, number: signal.Signals) -> None:
    script = _writer(tmp_path, f"signal.signal({int(number)}, lambda *_: os._exit(5)); log.write('started\\n')")
    with _meanwhile(lambda: _lines(tmp_path, 1), lambda: _signal_us(number)):
        assert run("run", "--", sys.executable, "-c", script).exit_code == 5


def test_handlers_are_ours_only_for_the_time_being(run: Run) -> None:
    before = signal.getsignal(signal.SIGTERM)
    run("run", "--", "true")
    assert signal.getsignal(signal.SIGTERM) is before


def _writer(folder: Path, action: str) -> str:
    """A program that does something with a log file, also leaves its pid there for us, and then sleeps."""
    log, pid = folder / "log", folder / "pid"
    return (
        "import os, pathlib, signal, time\n"
        f"log = open({str(log)!r}, 'a')\n"
        f"pathlib.Path({str(pid)!r}).write_text(str(os.getpid()))\n"
        f"{action}\n"
        "log.flush()\n"
        "while True: time.sleep(0.05)\n"
    )


def _lines(folder: Path, at_least: int) -> list[str]:
    log = folder / "log"
    lines = log.read_text().splitlines() if log.exists() else []
    return lines if len(lines) >= at_least else []


def _end() -> None:
    """Ask us, and so the child, to end."""
    _signal_us(signal.SIGTERM)


def _signal_us(number: int) -> None:
    """Only while we listen: otherwise it would end the test run."""
    if signal.getsignal(number) not in {signal.SIG_DFL, signal.SIG_IGN}:
        os.kill(os.getpid(), number)


@contextmanager
def _meanwhile(*steps: Callable[[], object]) -> Iterator[None]:
    """In a thread, one step after the other; a step that gives something empty is repeated until it does not."""

    def work() -> None:
        for step in steps:
            give_up_at = time.monotonic() + WAIT_S
            while (done := step()) is not None and not done and time.monotonic() < give_up_at:
                time.sleep(0.02)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield
    thread.join(WAIT_S)
