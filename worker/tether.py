"""Processes that end when their parent does, however it ends: kill -9 included.

The parent keeps the writing end of a pipe, and nobody else has it. When the parent is gone, the system closes it, and
whoever reads the other end knows. That works on Linux and macOS alike, needs no polling, and misses no early death.

    python -P -m worker.tether FD celery ARGUMENT...      run the celery command in this process
    python -P -m worker.tether FD exec COMMAND ARG...     run a command that knows nothing of the pipe, and watch it
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

GRACE_S: Final = 15.0
"""How long an orphan may take to end by itself before its whole process group is killed."""
_PR_SET_PDEATHSIG: Final = 1


def main(arguments: Sequence[str]) -> int:
    """Run what the module's docstring says; the exit code is the command's."""
    descriptor, mode, *command = arguments
    os.set_inheritable(int(descriptor), False)
    if mode == "celery":
        return _run_celery(int(descriptor), command)
    return _run_command(int(descriptor), command)


def when_parent_is_gone(descriptor: int, act: Callable[[], None]) -> None:
    """Call ``act`` in a thread of its own once the other end of the pipe is closed."""

    def wait() -> None:
        while os.read(descriptor, 1):
            """Nothing is ever written; a byte would mean nothing."""
        act()

    threading.Thread(target=wait, name="tether", daemon=True).start()


def _run_celery(descriptor: int, command: Sequence[str]) -> int:
    when_parent_is_gone(descriptor, _end_own_group)
    from celery.__main__ import main as celery  # noqa: PLC0415 - the watch begins before the long import

    sys.argv = ["celery", *command]
    celery()
    return 0


def _end_own_group() -> None:
    """Ask this process to end as for SIGTERM; kill its group when it does not. Only for a group leader.

    Whoever read what it prints is gone too, and Celery's handlers print first: a broken pipe would stop them.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for standard in (1, 2):
        os.dup2(nowhere, standard)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os.killpg(os.getpid(), signal.SIGKILL)


def _run_command(descriptor: int, command: Sequence[str]) -> int:
    """Start the command and pass signals on; the descriptors above 2 that we were given are for it."""
    child = subprocess.Popen(command, close_fds=False, preexec_fn=_die_with_parent)  # noqa: PLW1509, S603 - one thread
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: child.send_signal(signal.SIGTERM))
    when_parent_is_gone(descriptor, lambda: _end_child(child))
    code = child.wait()
    return code if code >= 0 else 128 - code


def _end_child(child: subprocess.Popen[bytes]) -> None:
    child.send_signal(signal.SIGTERM)
    time.sleep(GRACE_S)
    child.kill()


def _die_with_parent() -> None:
    """On Linux the command also ends when this small process is killed; elsewhere its successor ends it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
