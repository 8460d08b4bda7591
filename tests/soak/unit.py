"""A process that is kept running as a supervisor would keep it, and can be killed, frozen and kept down."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

RESTART_S: Final = 1.0
"""How long a supervisor waits before it starts again what has ended; systemd and container engines do likewise."""
_END_S: Final = 20.0
_POLL_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to run, with all that it prints in ``log``. ``user`` is who runs it; None for whoever runs us."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    folder: Path
    user: str | None = None


def run_as(user: str | None) -> dict[str, Any]:
    """Options of ``subprocess`` that give every right of ours up for those of ``user``; none for None."""
    return {} if user is None else {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


class Unit:
    """One process of a recipe at a time. Thread-safe: chaos strikes from one thread, another tends it."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.starts = 0
        self.started_at = 0.0
        """``time.time()`` of the last start."""
        self._lock = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._not_before_s = 0.0
        self._frozen: list[psutil.Process] = []

    @property
    def name(self) -> str:
        """What the report calls it."""
        return self.recipe.name

    @property
    def running(self) -> bool:
        """Whether its process is there, frozen or not."""
        with self._lock:
            return self._process is not None and self._process.poll() is None

    @property
    def frozen(self) -> bool:
        """Whether it was stopped and not yet continued."""
        with self._lock:
            return bool(self._frozen)

    def family(self) -> list[psutil.Process]:
        """Its process and all descendants, the oldest first; none while it is down."""
        with self._lock, suppress(psutil.NoSuchProcess):
            if self._process is not None and self._process.poll() is None:
                main = psutil.Process(self._process.pid)
                return [main, *main.children(recursive=True)]
        return []

    def tend(self) -> None:
        """Start it if it is time to; reap it when it has ended. Returns at once."""
        with self._lock:
            if self._process is not None and self._process.poll() is not None:
                self._reap()
            if self._process is None and time.monotonic() >= self._not_before_s:
                self._start()

    def _start(self) -> None:
        recipe = self.recipe
        with recipe.log.open("ab") as output:
            self._process = subprocess.Popen(
                recipe.command,
                env=dict(recipe.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=recipe.folder,
                start_new_session=True,
                **run_as(recipe.user),
            )
        self.starts += 1
        self.started_at = time.time()

    def _reap(self) -> None:
        """Let go of an ended process, and end what is left of its group, as a supervisor does."""
        if self._process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process, self._frozen = None, []
        self._not_before_s = max(self._not_before_s, time.monotonic() + RESTART_S)

    def send(self, number: signal.Signals) -> None:
        """Send its main process a signal; nothing when it is down."""
        with self._lock:
            if self._process is not None:
                self._process.send_signal(number)

    def stay_down(self, seconds: float) -> None:
        """Do not start it again for so long."""
        with self._lock:
            self._not_before_s = time.monotonic() + seconds

    def kill_family(self) -> None:
        """kill -9 of all its processes in one go."""
        for process in self.family():
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def freeze(self) -> None:
        """SIGSTOP, all its processes, the main one first so that it replaces none of them."""
        with self._lock:
            self._frozen = self.family()
            for process in self._frozen:
                with suppress(psutil.NoSuchProcess):
                    process.suspend()

    def thaw(self) -> None:
        """SIGCONT to those that were frozen; nothing when none was."""
        with self._lock:
            for process in self._frozen:
                with suppress(psutil.NoSuchProcess):
                    process.resume()
            self._frozen = []

    def end(self) -> None:
        """Ask it to end and wait; kill it when it does not. It does not come back."""
        self.stay_down(float("inf"))
        self.thaw()
        with self._lock:
            process, family = self._process, self.family()
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_END_S)
        for relative in family:
            with suppress(psutil.NoSuchProcess):
                relative.kill()
        process.wait()


class Supervisor:
    """Keeps units running, by a thread of its own, until it is left; then all are ended, the last one first."""

    def __init__(self) -> None:
        self._units: list[Unit] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._tend, name="supervisor", daemon=True)

    def keep(self, recipe: Recipe) -> Unit:
        """Run a recipe from now on."""
        unit = Unit(recipe)
        self._units.append(unit)
        unit.tend()
        return unit

    def _tend(self) -> None:
        while not self._stop.wait(_POLL_S):
            for unit in tuple(self._units):
                unit.tend()

    def __enter__(self) -> Supervisor:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        for unit in reversed(self._units):
            unit.end()


def wait_until(what: str, holds: Callable[[], object], *, timeout_s: float) -> None:
    """Return once ``holds()`` is true. Raises TimeoutError, which says what was waited for."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout_s:g} s in vain until {what}")
        time.sleep(_POLL_S)
