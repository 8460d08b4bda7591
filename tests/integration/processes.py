"""Real processes for integration tests: started with an environment, watched by what they print."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

Condition = Callable[[], object]
PATIENCE_S = 40.0


def wait_for(condition: Condition, what: str, *, timeout_s: float = PATIENCE_S) -> None:
    """Return once ``condition`` holds; fail the test when it does not come true."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {timeout_s:g} s in vain until {what}")
        time.sleep(0.05)


def alive(pid: int) -> bool:
    """Whether the process runs (a zombie does not)."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def command_line(process: psutil.Process) -> str:
    """Its command line; empty once it is gone."""
    with suppress(psutil.NoSuchProcess):
        return " ".join(process.cmdline())
    return ""


class Process:
    """A process of the test's own, in a session of its own, with all it prints in a file."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path, folder: Path) -> None:
        self.log = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                command,
                env={"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONUNBUFFERED": "1", **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                start_new_session=True,
            )
        self.pid = self._popen.pid

    @property
    def text(self) -> str:
        """All that it printed so far."""
        return self.log.read_text(errors="replace")

    @property
    def code(self) -> int | None:
        """The exit code, once it has ended."""
        return self._popen.poll()

    def descendants(self) -> list[psutil.Process]:
        """Its children and theirs."""
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self.pid).children(recursive=True)
        return []

    def has(self, words: str) -> bool:
        """Whether one of its descendants has these words in its command line."""
        return any(words in command_line(relative) for relative in self.descendants())

    def says(self, text: str) -> None:
        """Wait until it printed ``text``."""

        def said() -> bool:
            if self.code is not None and text not in self.text:
                pytest.fail(f"ended with {self.code} before it said {text!r}:\n{self.text[-3000:]}")
            return text in self.text

        wait_for(said, f"the process says {text!r}; it said:\n{self.text[-3000:]}")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._popen.send_signal(number)

    def terminate(self) -> None:
        """Ask it to end."""
        self._popen.terminate()

    def wait(self, timeout_s: float = PATIENCE_S) -> int:
        """Its exit code, once it ends by itself."""
        return self._popen.wait(timeout_s)

    def kill_group(self) -> None:
        """kill -9 it and all that is left of its group."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait(10)


Start = Callable[..., Process]


def celery(*arguments: str, app: str = "worker") -> list[str]:
    """The ``celery`` command of this environment."""
    return [str(Path(sys.executable).with_name("celery")), "-A", app, *arguments]


@contextmanager
def environment_of(variables: Mapping[str, str]) -> Iterator[None]:
    """Run with these variables in this process's environment."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
