"""One child process: started with keys in its environment, signalled, replaced, and its exit code handed on."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Final

import typer

from worker.cli.guard import note

if TYPE_CHECKING:
    from config.secret import Secret
    from worker.cli.keys import Keys

NOT_EXECUTABLE: Final = 126
NOT_FOUND: Final = 127
_BY_SIGNAL: Final = 128  # codes 126 to 128 + N are what shells give, so wrappers understand them
_FROM_KEYBOARD: Final = (signal.SIGINT, signal.SIGQUIT)
_ENDING: Final = (signal.SIGTERM, *_FROM_KEYBOARD)
_PASSED_ON: Final = (*_ENDING, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


class Child:
    """The command, started again for every new set of keys. ``stopping`` once somebody asked us to end."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], *, grace_s: float) -> None:
        self._command = list(command)
        self._environment = _without_our_secrets(environment)
        self._grace_s = grace_s
        self._process: subprocess.Popen[bytes] | None = None
        self.stopping = False

    def start(self, keys: Mapping[str, Secret]) -> None:
        """Start the command. Ends with 127 when there is no such command, 126 when it cannot be executed."""
        environment = {**self._environment, **{name: key.reveal() for name, key in keys.items()}}
        try:
            self._process = subprocess.Popen(self._command, env=environment)  # noqa: S603 - running it is the purpose
        except OSError as error:
            note(f"error: cannot start {self._command[0]}: {error.strerror}")
            raise typer.Exit(NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE) from None

    def exit_code(self) -> int | None:
        """The code that a shell would give, or None while it runs."""
        code = None if self._process is None else self._process.poll()
        return _BY_SIGNAL - code if code is not None and code < 0 else code

    def send(self, number: int) -> None:
        """Send a signal; one that comes too late does nothing."""
        if self._process is not None:
            self._process.send_signal(number)

    def stop(self) -> None:
        """SIGTERM, the grace, SIGKILL; returns when it is gone."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(self._grace_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def on_signal(self, number: int, _frame: FrameType | None) -> None:
        """Pass a signal on, unless the keyboard made it: then the child, which shares our terminal, has it already."""
        self.stopping = self.stopping or number in _ENDING
        if number not in _FROM_KEYBOARD or not _in_foreground():
            self.send(number)


def keep_current(child: Child, keys: Keys, *, poll_s: float, signal_number: int | None) -> int:
    """Run the child until it ends by itself; return its exit code. A new version restarts or signals it."""
    first = keys.fetch()
    with _woken_by_signals(child) as wakeup:
        try:
            child.start(first)
            return _watch(child, keys, wakeup, poll_s, signal_number)
        finally:
            if child.exit_code() is None:  # only when we fail ourselves: a command must not outlive its keeper
                child.stop()


def _watch(child: Child, keys: Keys, wakeup: int, poll_s: float, signal_number: int | None) -> int:
    look_at = time.monotonic() + poll_s
    while (code := child.exit_code()) is None:
        _sleep(wakeup, until=look_at)
        if time.monotonic() < look_at or child.stopping:
            continue
        look_at = time.monotonic() + poll_s
        fresh = keys.fetch_if_changed()
        if fresh is not None:
            _renew(child, fresh, signal_number)
    return code


def _renew(child: Child, fresh: Mapping[str, Secret], signal_number: int | None) -> None:
    if signal_number is not None:
        child.send(signal_number)
        return
    child.stop()
    if not child.stopping:
        child.start(fresh)


def _sleep(wakeup: int, *, until: float) -> None:
    """Sleep until a signal comes (the child's end makes one) or the monotonic time is reached."""
    ready, _, _ = select.select([wakeup], [], [], max(0.0, until - time.monotonic()))
    if ready:
        os.read(wakeup, 4096)


@contextmanager
def _woken_by_signals(child: Child) -> Iterator[int]:
    """A descriptor that becomes readable with every signal. What we were told to ignore (nohup) stays ignored."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    heard = [number for number in _PASSED_ON if signal.getsignal(number) is not signal.SIG_IGN]
    woken = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    before = {number: signal.signal(number, child.on_signal) for number in heard}
    before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
    try:
        yield reading
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(woken)
        os.close(reading)
        os.close(writing)


def _in_foreground() -> bool:
    """Whether our process group owns a terminal, whose Ctrl-C then reaches all of the group."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def _without_our_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """The command gets its keys, not the master key and passwords that protect everybody's."""
    from config.environment import PREFIX
    from config.settings import holds_secret

    def ours(name: str) -> bool:
        return name.startswith(PREFIX) and holds_secret(name.removeprefix(PREFIX).lower())

    return {name: value for name, value in environment.items() if not ours(name)}
