"""A child process that is kept running: started, labelled, restarted with back-off, and ended with its whole group."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from config.logging import get_logger
from worker.backoff import Backoff
from worker.output import LabelledOutput
from worker.switch import Switch

log = get_logger(__name__)

_POLL_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run. ``arguments`` are those of ``worker.tether`` after its descriptor."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    inherited: tuple[int, ...] = ()
    """Descriptors that the process gets as well."""
    before_start: Callable[[], None] = field(default=lambda: None)


class Child:
    """One process of a plan at a time. Not thread-safe: one thread tends it."""

    def __init__(self, plan: Plan, output: LabelledOutput, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.plan = plan
        self.starts = 0
        self._output = output
        self._monotonic = monotonic
        self._backoff = Backoff()
        self._process: subprocess.Popen[bytes] | None = None
        self._tether: int | None = None
        self._started_s = 0.0
        self._start_at_s = 0.0

    @property
    def pid(self) -> int | None:
        """The process's id while it runs."""
        return self._process.pid if self._process is not None else None

    @property
    def running_s(self) -> float:
        """How long the present process has been running; 0 when there is none."""
        return self._monotonic() - self._started_s if self._process is not None else 0.0

    def tend(self) -> None:
        """Start the process if it is time to; note when it has ended. Returns at once."""
        if self._process is None:
            if self._monotonic() >= self._start_at_s:
                self._start()
        elif (code := self._process.poll()) is not None:
            self._ended(code)

    def _start(self) -> None:
        """Start in a session of its own, so that Ctrl-C in a terminal reaches only the supervisor."""
        self.plan.before_start()
        reading, writing = os.pipe()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-P", "-m", "worker.tether", str(reading), *self.plan.arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(reading, *self.plan.inherited),
                start_new_session=True,
                env=dict(self.plan.environment),
                cwd=self.plan.folder,
            )
        finally:
            os.close(reading)
        self._tether, self._started_s, self.starts = writing, self._monotonic(), self.starts + 1
        threading.Thread(
            target=self._output.pump, args=(self.plan.name, self._process.stdout), name=self.plan.name, daemon=True
        ).start()

    def _ended(self, code: int) -> None:
        self._backoff = self._backoff.after(self.running_s)
        self._start_at_s = self._monotonic() + self._backoff.delay_s
        self._forget()
        log.warning("child_ended", child=self.plan.name, code=code, starts_again_in_s=self._backoff.delay_s)
        if self._backoff.flapping:
            log.error(
                "child_keeps_ending", child=self.plan.name, times=self._backoff.quick_ends, remedy="see its lines above"
            )

    def _forget(self) -> None:
        """Let go of an ended process, and end what is left of its group."""
        if self._process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._tether is not None:
            os.close(self._tether)
        self._process = self._tether = None

    def restart(self, *, within_s: float) -> None:
        """End the process; ``tend`` starts it again at once."""
        self.stop(within_s=within_s)
        self._start_at_s = self._monotonic()

    def stop(self, *, within_s: float, hurry: Switch | None = None) -> None:
        """Ask the process to end; after ``within_s`` seconds, or once ``hurry`` is on, kill its group.

        Returns when it is gone. Without a process it does nothing.
        """
        if self._process is None:
            return
        began_s = self._monotonic()
        deadline = began_s + max(0.0, within_s)
        self._process.terminate()
        while self._process.poll() is None and self._monotonic() < deadline and not (hurry and hurry.is_on):
            time.sleep(_POLL_S)
        if self._process.poll() is None:
            log.warning("child_killed", child=self.plan.name, waited_s=round(self._monotonic() - began_s, 1))
        self._forget()
