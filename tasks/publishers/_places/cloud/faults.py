"""How a cloud vendor's failure is told: as what happens next, in our words only.

Imports requests, which only the vendors' clients bring: import this file inside ``needed``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from tasks.publishers._places.cloud import bounded
from tasks.rotation.errors import Broken, OperatorNeeded, OutcomeUnknown, RotatorError, TryAgain, Unavailable

LONGEST_WAIT_S: Final = 3600
_DIGITS: Final = 10


@dataclass(frozen=True, slots=True)
class Fault:
    """What one foreign exception means to us."""

    family: type[RotatorError]
    problem: str
    remedy: str = ""
    lost: bool = False
    """Behind a request that was sent, it says nothing about its effect."""

    def told(self, label: str, *, changes: bool, retry_after: timedelta | None = None) -> RotatorError:
        """The error to raise. ``changes``: the request would have changed something."""
        if changes and self.lost:
            return OutcomeUnknown(
                f"{label}: {self.problem} What was asked may have been done nevertheless.",
                "It is tried again by itself; doing it twice is safe.",
            )
        said = f"{label}: {self.problem} That request changed nothing."
        if issubclass(self.family, TryAgain):
            return self.family(said, self.remedy, retry_after=retry_after)
        return self.family(said, self.remedy)


STOPPED: Final[dict[type[Exception], Fault]] = {
    bounded.Unreached: Fault(
        Unavailable,
        "the server, or the proxy in front of it, cannot be reached.",
        "Look at name resolution, firewalls and HTTPS_PROXY.",
    ),
    bounded.Untrusted: Fault(
        OperatorNeeded,
        "the server's TLS certificate is not trusted, or the certificates that we trust cannot be read.",
        "Behind a proxy that opens TLS, name its authority in REQUESTS_CA_BUNDLE.",
    ),
    bounded.OutOfTime: Fault(Unavailable, f"it took longer than {bounded.BUDGET_S:g} s."),
    bounded.SentBefore: Fault(Unavailable, "the server failed.", lost=True),
    bounded.Lost: Fault(Unavailable, f"no whole answer came within {bounded.TIMEOUT_S:g} s.", lost=True),
    bounded.TooLarge: Fault(
        Broken, "the answer is larger than any that belongs here.", "Look at what is in between.", lost=True
    ),
    bounded.Redirected: Fault(
        OperatorNeeded,
        "it answers that it is elsewhere, and credentials are not taken there.",
        "Look at the address, and at the proxy in between.",
    ),
}
"""Every way in which a request can end without a usable answer; a test fails when there is one more."""

GARBAGE: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError)
"""What the clients raise for an answer that is none: not JSON, or JSON of other types than promised."""

UNREADABLE: Final = Fault(Broken, "the answer could not be understood.", "Look at what is in between.", lost=True)
"""Such an answer."""


def waiting_time(header: object) -> timedelta | None:
    """What ``Retry-After`` asks for, if it is a sensible number of seconds."""
    text = str(header).strip()
    sensible = text.isascii() and text.isdigit() and len(text) < _DIGITS
    return timedelta(seconds=min(int(text), LONGEST_WAIT_S)) if sensible else None
