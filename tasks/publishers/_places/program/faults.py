"""What the end of an operator's program means to us, and what may be shown of its own words."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from config.redaction import redact
from config.secret import MASK, Secret
from tasks.publishers._places.program.run import Ended
from tasks.publishers._shared.checks import FIELD
from tasks.rotation.errors import (
    InvalidInput,
    OperatorNeeded,
    OutcomeUnknown,
    Refused,
    RotatorError,
    TryAgain,
    Unavailable,
)

NEWER: Final = 3
"""The exit code for: the place holds a newer publication of this rotation."""

CHANGING: Final = frozenset({"publish", "withdraw"})


@dataclass(frozen=True, slots=True)
class Fault:
    """What one end means to us. ``problem`` follows the action's name."""

    family: Callable[[str, str], RotatorError]
    problem: str
    remedy: str = ""


def _misuse(message: str, remedy: str) -> RotatorError:
    return InvalidInput(FIELD, message, remedy)


EXITS: Final[dict[int, Fault]] = {
    64: Fault(_misuse, "is not known to the program, or was asked in a way that it refuses", "Correct the program."),
    75: Fault(TryAgain, "cannot be done just now, says the program"),
    77: Fault(OperatorNeeded, "is not permitted, says the program", "Give it the rights that it needs."),
    78: Fault(OperatorNeeded, "fails because the program is not configured rightly", "Correct its configuration."),
}
"""By the exit codes of sysexits.h; every other one needs a person."""

_NO_ROOM: Final = Fault(TryAgain, "could not begin: this machine has no room for another process")
STARTS: Final[dict[int, Fault]] = {
    errno.EAGAIN: _NO_ROOM,
    errno.ENOMEM: _NO_ROOM,
    errno.EMFILE: _NO_ROOM,
    errno.ENFILE: _NO_ROOM,
    errno.ETXTBSY: Fault(TryAgain, "could not begin: somebody is writing the program"),
    errno.ENOENT: Fault(
        OperatorNeeded,
        "could not begin: the program, or what its first line names, is not there",
        "Install what stands behind #! in it.",
    ),
    errno.ENOEXEC: Fault(
        OperatorNeeded, "could not begin: the program is in no format that this system runs", "Begin a script with #!."
    ),
}
"""Why a program may not start; every other reason needs a person, and is told in the system's words."""

_LINES: Final = 5
_LONGEST: Final = 400
_PIECE: Final = 8
"""So many characters of a key in a row are not shown, wherever they stand."""
_LOOKS_RANDOM: Final = re.compile(r"[\w+=-]{32,}", re.ASCII)
"""A key in whatever encoding, or another credential: few are shorter, and few words are as long."""


def not_started(error: OSError, label: str, action: str) -> RotatorError:
    """Why nothing was run."""
    unknown = Fault(OperatorNeeded, f"could not begin: {error.strerror}", "See that the worker's user may run it.")
    fault = STARTS.get(error.errno or 0, unknown)
    return fault.family(f"{label}: {action} {fault.problem}. Nothing was changed.", fault.remedy)


def failure(ended: Ended, label: str, action: str, *, timeout_s: float, hidden: Secret | None) -> RotatorError:
    """What an end means that was not exit code 0. ``hidden`` is cut out of the program's words."""
    fault = _fault(ended.status, action, timeout_s)
    said = shown(ended.said, hidden)
    words = f" It said: {said}" if said else ""
    return fault.family(f"{label}: {action} {fault.problem}. {_what_is_safe(ended, action)}{words}", fault.remedy)


def shown(said: bytes, hidden: Secret | None) -> str:
    """The first lines of what it said, without control characters and all that could be (a part of) a key."""
    lines = ("".join(filter(str.isprintable, line)).strip() for line in said.decode(errors="replace").splitlines())
    text = " / ".join([line for line in lines if line][:_LINES])
    if hidden is not None:
        text = _without(text, hidden.reveal())
    return _LOOKS_RANDOM.sub(MASK, redact(text))[:_LONGEST]


def _without(text: str, key: str) -> str:
    """``text`` with each run of characters masked that is a piece of the key."""
    size = min(_PIECE, len(key))
    pieces = {re.escape(key[at : at + size]) for at in range(len(key) - size + 1)}
    starts = (found.start() for found in re.finditer(f"(?={'|'.join(pieces)})", text))
    covered = {start + n for start in starts for n in range(size)}
    marked = "".join("\0" if at in covered else character for at, character in enumerate(text))
    return re.sub("\0+", MASK, marked)


def _fault(status: int | None, action: str, timeout_s: float) -> Fault:
    lost = OutcomeUnknown if action in CHANGING else Unavailable
    if status is None:
        return Fault(lost, f"did not end within {timeout_s:g} s; it was killed, with what it had started")
    if status < 0:
        return Fault(lost, f"was ended by signal {-status}")
    if status == 64 and action == "withdraw":  # noqa: PLR2004 - see EXITS
        return Fault(Refused, "is not known to the program", "Take the key away by hand.")
    return EXITS.get(
        status, Fault(OperatorNeeded, f"ended with exit code {status}", "Correct the program or its place.")
    )


def _what_is_safe(ended: Ended, action: str) -> str:
    if action not in CHANGING:
        return "Nothing was changed."
    if ended.status is None or ended.status < 0:
        return "It may have done its work; doing it again is safe."
    return "What the place held should be there still; doing it again is safe."
