"""Whatever is typed: done, failed or misuse, in clear words; never a traceback, a repeated key or half a change."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import pytest
from hypothesis import given
from typer.testing import CliRunner, Result

from config.settings import settings
from tests.property.command_lines import CANARY, ROOT, Given, calls, commands, odd_files
from tests.property.effort import effort
from tests.steered.installation import Template, copied, make_template
from worker.cli.app import app

COMMANDS = {" ".join(command.path): command for command in commands()}
RECORDS_WHAT_FAILED = {"connection check", "rotate", "undo", "rotation delete", "reconcile", "run"}
"""Commands that may write before they fail: what a check found, what a step came to, that a key was read."""
OTHER_CODES = {"run": {126, 127}}
"""Not found, not executable: what shells say."""
FORBIDDEN = re.compile(r"Traceback|unexpected \w+:|fault of rotator|File \"")
CLEAR = re.compile(r"(error: \S|Usage: rotator )")
MOST_LOOKS = 200
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 0.0, 366 * 86_400.0


class Bench:
    """An installation with a rotation in service, and the real command line before it. A change makes a new one."""

    def __init__(self, template: Template, folder: Path) -> None:
        self._template = template
        self._folder = folder
        self.files = odd_files(_made(folder / "odd"))
        self._stack = ExitStack()
        self._looks = 0
        self._renew()

    def _renew(self) -> None:
        self._stack.close()
        shutil.rmtree(self._folder / "installation", ignore_errors=True)
        self.installation = self._stack.enter_context(
            copied(
                self._template, _made(self._folder / "installation"), openrouter_base_url="http://127.0.0.1:1/api/v1"
            )
        )
        self.installation.create()
        self.installation.run_until_rest()
        self._fresh = self._dump()

    def close(self) -> None:
        """Leave nothing open."""
        self._stack.close()

    def run(self, given: Given) -> Result:
        """Run one command line, and check all that must hold of any."""
        self._looks = 0
        with self._everything_slow_away():
            result = CliRunner().invoke(app, list(given.words), input=given.stdin, prog_name="rotator")
        self._check(given, result)
        return result

    def _check(self, given: Given, result: Result) -> None:
        said, name, changed = f"{result.stdout}\n{result.stderr}", _name(given.words), self._dump() != self._fresh
        if changed:
            self._renew()
        assert isinstance(result.exception, SystemExit | None), result.exc_info
        assert result.exit_code in {0, 1, 2} | OTHER_CODES.get(name, set()), said
        assert not FORBIDDEN.search(said), said
        assert CANARY not in said, said
        assert "\x1b" not in said, said
        if result.exit_code == 2:
            assert CLEAR.match(result.stderr), result.stderr
        unchanged = not changed or result.exit_code == 0 or (result.exit_code != 2 and name in RECORDS_WHAT_FAILED)
        assert unchanged, said

    def _dump(self) -> list[str]:
        with sqlite3.connect(self.installation.settings.data_dir / "rotator.sqlite3") as database:
            return list(database.iterdump())

    @contextmanager
    def _everything_slow_away(self) -> Iterator[None]:
        """What would start processes, listen, or run for ever is answered at once, its arguments being judged."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ROTATOR_")}
        environment |= {
            "ROTATOR_DATA_DIR": str(self.installation.settings.data_dir),
            "ROTATOR_OPENROUTER_BASE_URL": self.installation.settings.openrouter_base_url,
        }
        with ExitStack() as stack:
            for name, stand_in in self._stand_ins().items():
                stack.enter_context(patch(name, stand_in))
            stack.enter_context(patch.dict(os.environ, environment, clear=True))
            settings.cache_clear()
            stack.callback(settings.cache_clear)
            yield

    def _stand_ins(self) -> dict[str, object]:
        here = self.installation.rotator
        opened = SimpleNamespace(
            **{name: getattr(here, name) for name in vars(here)}
            | {"check": here.check, "provider_called": here.provider_called},
            close=lambda: None,
        )
        return {
            "typer.testing._get_command": lambda _app: ROOT,
            "config.logging.configure_logging": lambda *_: None,
            "tasks.wiring.open_rotator": lambda *_, **__: opened,
            "worker.supervisor.up": lambda *_, **__: None,
            "os.execve": lambda *_: None,
            "worker.cli.demo.play.perform": lambda _plan: 0,
            "tasks.providers.openrouter.emulator.__main__.run": lambda **_: None,
            "worker.cli.child.subprocess": SimpleNamespace(Popen=_no_such_command),
            "worker.cli.progress.time": SimpleNamespace(sleep=self._worker_goes_on),
            "worker.cli.watch.time": SimpleNamespace(sleep=_interrupted),
        }

    def _worker_goes_on(self, _seconds: float) -> None:
        """While somebody waits, a worker works."""
        self._looks += 1
        assert self._looks < MOST_LOOKS, "it waits without end"
        self.installation.run_for(timedelta(seconds=10))


def _no_such_command(command: list[str], **_: object) -> None:
    raise FileNotFoundError(2, os.strerror(2), command[0])


def _interrupted(seconds: float) -> None:
    """In place of ``time.sleep``, which refuses what is no time; then somebody presses Ctrl-C."""
    assert SHORTEST_PAUSE_S <= seconds <= LONGEST_PAUSE_S
    raise KeyboardInterrupt


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _name(words: tuple[str, ...]) -> str:
    """Which command it is, if any."""
    return next((name for name in COMMANDS if words[: len(name.split())] == tuple(name.split())), "")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    made = Bench(make_template(tmp_path_factory.mktemp("template")), tmp_path_factory.mktemp("bench"))
    yield made
    made.close()


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_with_anything_behind_it_is_done_failed_or_misuse(bench: Bench, name: str) -> None:
    @effort(25)
    @given(calls(COMMANDS[name], bench.files))
    def whatever(given: Given) -> None:
        bench.run(given)

    whatever()


FOUND = [
    (("connection", "create", "prod", CANARY), b"", "Got unexpected extra argument(s) (sk-or-"),
    (("connection", "show", CANARY), b"", "There is no connection sk-or-"),
    ((f"--{CANARY}",), b"", "No such option: --sk-or-"),
    ((CANARY,), b"", "No such command 'sk-or-"),
    (("rotation", "show", "\x1b[31mred"), b"", "There is no rotation \\x1b[31mred"),
    (("connection", "create", "prod", "--api-key-stdin"), b"\xff\xfe", "what came in on stdin is not UTF-8 text"),
    (("emulator", "--latency", "inf"), b"", "Input should be less than or equal to 3600"),
    (("emulator", "--fault", '{"kind": "latency", "seconds": -1}'), b"", "--fault: not a fault rule: seconds"),
    (("watch", "--every", "inf"), b"", "Input should be less than or equal to 86400"),
    (("run", "--poll", "inf", "--", "true"), b"", "Input should be less than or equal to 86400"),
    (("run", "--grace", "inf", "--", "true"), b"", "Input should be less than or equal to 86400"),
]
"""What was repeated, crashed later, or was called a fault of ours, when this test was written."""


@pytest.mark.parametrize(("words", "stdin", "said"), FOUND, ids=[str(number) for number in range(len(FOUND))])
def test_what_was_once_answered_wrongly_is_misuse(
    bench: Bench, words: tuple[str, ...], stdin: bytes, said: str
) -> None:
    result = bench.run(Given(words, stdin))
    assert result.exit_code == 2
    assert said in result.stderr


def test_one_that_is_asked_for_beside_one_that_is_not_there_is_no_misuse_for_something_was_changed(
    bench: Bench,
) -> None:
    result = bench.run(Given(("rotate", "nobody", "web"), b""))
    assert result.exit_code == 1
    assert "There is no rotation nobody" in result.stderr
