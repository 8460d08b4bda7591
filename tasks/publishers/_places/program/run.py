"""Runs a program of the operator: whether it may be trusted, and what came of it. Its time and its words are bounded.

It begins in a session and process group of its own, in ``/``, with umask 077 and no descriptor of ours but the three
standard ones. When its time is up it is killed with all that is still in that group. What it leaves running when it
ends by itself is its own affair, and not waited for. It outlives us when we are killed: then it is late, as any stale
worker, which its lock and the sequence are for.
"""

from __future__ import annotations

import os
import selectors
import signal
import stat
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, cast

from tasks.rotation.errors import Broken, OperatorNeeded

LONGEST_INPUT: Final = 4096
"""So many bytes a pipe takes before anybody reads, on every system."""
MOST_OUTPUT: Final = 65_536
"""So much is kept of what it prints, on either stream; the rest is read and forgotten, so that it need not wait."""

_TICK_S: Final = 0.05
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended. What it printed may be a key, and is not shown."""

    status: int | None
    """Its exit code; below zero the signal that ended it; None when its time was up, or we could listen no longer."""
    printed: bytes = field(repr=False)
    said: bytes = field(repr=False)
    """What it wrote to standard error."""


def run(path: Path, action: str, *, given: bytes, environment: Mapping[str, str], timeout_s: float) -> Ended:
    """Run ``path action`` with ``given`` as its standard input, and nothing else in its environment.

    Raises ``OSError`` when it cannot be started, ``Broken`` for more input than it may be given.
    """
    give_up_at = time.monotonic() + timeout_s
    with _holding(given) as stdin:
        process = subprocess.Popen(  # noqa: S603 - named by the operator, and `refuse_untrusted` looked at it
            [path, action], stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
            cwd="/", env=environment, umask=0o077, start_new_session=True,
        )  # fmt: skip
    try:
        printed, said = _heard(process, give_up_at)
        return Ended(_status(process, give_up_at), printed, said)
    except OSError:  # it began, so that this is not the error of one that could not be started
        return Ended(None, b"", b"")
    finally:
        _end(process)


@contextmanager
def _holding(given: bytes) -> Iterator[int]:
    """The end to read of a pipe in which ``given`` waits, and which nobody writes to any more."""
    if len(given) > LONGEST_INPUT:
        raise Broken(f"the key to publish is longer than {LONGEST_INPUT} bytes; nothing was written.")
    reading, writing = os.pipe()
    try:
        with os.fdopen(writing, "wb", buffering=0) as pipe:
            pipe.write(given)
        yield reading
    finally:
        os.close(reading)


def _heard(process: subprocess.Popen[bytes], give_up_at: float) -> tuple[bytes, bytes]:
    """What it prints until it closes both streams, ends, or its time is up."""
    heard = {cast(IO[bytes], stream): bytearray() for stream in (process.stdout, process.stderr)}
    with selectors.DefaultSelector() as listening:
        for stream in heard:
            listening.register(stream, selectors.EVENT_READ)
        ended = False
        while listening.get_map() and not ended and time.monotonic() < give_up_at:
            ended = process.poll() is not None  # then its last words are in the pipes already
            for key, _ in listening.select(0 if ended else _TICK_S):
                piece = os.read(key.fd, MOST_OUTPUT)
                kept = heard[cast(IO[bytes], key.fileobj)]
                kept += piece[: MOST_OUTPUT - len(kept)]
                if not piece:
                    listening.unregister(key.fileobj)
    printed, said = heard.values()
    return bytes(printed), bytes(said)


def _status(process: subprocess.Popen[bytes], give_up_at: float) -> int | None:
    with suppress(subprocess.TimeoutExpired):
        return process.wait(max(0.0, give_up_at - time.monotonic()))
    return None


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill it, and its group, if it still runs: nobody has waited for it yet, so the number is still its own."""
    try:
        if process.poll() is None:
            with suppress(ProcessLookupError, PermissionError):  # setuid: it is somebody else's now, and goes on
                os.killpg(process.pid, signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):  # the kernel holds it, in a dead network file system perhaps
                process.wait(1)
    finally:
        for stream in (process.stdout, process.stderr):
            cast(IO[bytes], stream).close()


def refuse_untrusted(path: Path) -> None:
    """Raise ``OperatorNeeded`` unless it is an executable file that nobody but root and this process's user can change
    or replace. It is looked at before each run; nothing is run."""
    try:
        fault = _untrusted(path)
    except OSError as error:
        fault = f"it cannot be looked at ({error.strerror})"
    if fault:
        raise OperatorNeeded(
            f"the program was not run: {fault}.",
            "It must be an executable file of root or of the worker's user, in a folder of theirs, and neither may be"
            " writable by group or others: chmod go-w.",
        )


def _untrusted(path: Path) -> str:
    """What speaks against it, first of all; empty if nothing does."""
    real = Path(os.path.realpath(path, strict=True))
    if not stat.S_ISREG(real.stat().st_mode):
        return "it is not a regular file"
    if not os.access(real, os.X_OK):
        return "it is not executable by this user"
    for what, place in (("it", real), ("its folder", real.parent)):
        facts = place.stat()
        if facts.st_uid not in {0, os.geteuid()}:
            return f"{what} belongs to another user"
        if facts.st_mode & _OTHERS_WRITE:
            return f"{what} is writable by group or others"
    above = {*real.parents, *path.parents}
    return "a folder above it is writable by group or others" if any(map(_replaceable, above)) else ""


def _replaceable(folder: Path) -> bool:
    """Whether others may rename what is in it. In a sticky folder, such as /tmp, only owners may."""
    mode = folder.stat().st_mode
    return bool(mode & _OTHERS_WRITE) and not mode & stat.S_ISVTX
