"""What a destination can do: refuse, hang, fill up, fail after all, or be changed behind our back."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Final
from unittest.mock import patch

from tasks.rotation.errors import CredentialRejected, OutcomeUnknown, TryAgain, Unavailable
from tasks.rotation.turn import PUBLISHING_LASTS
from tests.faults.lives import Stage, meddle
from tests.faults.points import Point
from tests.faults.striking import Fault, Strike, after, around, before, calls_of, for_an_hour, raising
from tests.steered.taps import Killed

_used: Final = calls_of("publisher.")
_written: Final = calls_of("publisher.publish")


def _looked_at_later(point: Point) -> bool:
    return _used(point) and point.read_later


def _hanging(stage: Stage) -> None:
    stage.installation.clock.move(PUBLISHING_LASTS)
    raise TryAgain("it did not answer in time; nothing was changed.")


def _gone_for_an_hour(stage: Stage) -> None:
    def gone() -> Unavailable:
        return Unavailable("it cannot be reached; nothing was changed.")

    for_an_hour(stage, lambda p: p.name.startswith("publisher."), gone)
    raise gone()


def _taken_away(stage: Stage) -> None:
    path = stage.installation.file("app.env")
    if path.exists():
        path.unlink()
        stage.truth.emptied(path)


def _file_system(function: str, error: Callable[[], BaseException], *, nth: int = 1, done: bool = False) -> Strike:
    """During this one call, the ``nth`` use of a function of the system fails; with ``done`` after it did its work."""
    real: Callable[..., object] = getattr(os, function)

    def strike(stage: Stage, point: Point) -> None:
        uses = 0

        def failing(*arguments: object, **named: object) -> object:
            nonlocal uses
            uses += 1
            if uses != nth:
                return real(*arguments, **named)
            stage.struck.append(f"use {nth} of {function}")
            if done:
                real(*arguments, **named)
            raise error()

        patched = patch(f"os.{function}", failing)
        around(stage, point, patched.start, patched.stop)

    return strike


FAULTS: Final = (
    Fault("credential refused", _used, before(raising(lambda: CredentialRejected("it refused the password.")))),
    Fault("hangs", _used, before(_hanging)),
    Fault("gone for 1 h", _used, before(_gone_for_an_hour)),
    Fault("unknown outcome", _written, after(raising(lambda: OutcomeUnknown("the connection broke after the write.")))),
    Fault("disk full", _written, _file_system("fsync", lambda: OSError(errno.ENOSPC, "No space left on device"))),
    Fault("mounted read-only", _written, _file_system("replace", lambda: OSError(errno.EROFS, "Read-only"))),
    Fault("name unconfirmed", _written, _file_system("fsync", lambda: OSError(errno.EIO, "I/O error"), nth=2)),
    Fault("killed in the write", _written, _file_system("replace", Killed)),
    Fault("killed in the rename", _written, _file_system("replace", Killed, done=True)),
    Fault("changed before", _looked_at_later, before(lambda stage: meddle(stage, "app.env"))),
    Fault("changed after", _looked_at_later, after(lambda stage: meddle(stage, "app.env"))),
    Fault("taken away before", _looked_at_later, before(_taken_away)),
    Fault("taken away after", _looked_at_later, after(_taken_away)),
)
