"""What can go wrong, by what happens next.

::

    RotatorError
    ├── TryAgain              nothing was done; the same step may simply run again later
    │   ├── RateLimited           ... and the whole connection waits, as long as the other side asked
    │   ├── Unavailable           the other side could not be reached, or failed before it did anything
    │   └── DestinationBusy       ... and it was a destination, so that the provider's connection need not wait
    ├── OutcomeUnknown        the request may have taken effect: look before acting again
    │   └── TakenInPart           ... and for some of those who were told it did
    ├── OperatorNeeded        it will not pass without a person; the message carries the remedy
    │   ├── InvalidInput          a field of what a person gave us
    │   ├── NotFound              no such connection, rotation or version
    │   ├── Conflict              it clashes with what is there
    │   │   ├── NameTaken             another one has that name
    │   │   ├── InUse                 rotations use the connection
    │   │   └── NotAsSeen             it was changed since whoever asks looked at it
    │   ├── CredentialRejected    a credential of ours was refused
    │   └── Refused               the other side understood the request and said no
    ├── Broken                a promise of the code or of the other side does not hold
    │   └── CannotDecrypt         a ciphertext does not open: wrong master key, or the row was tampered with
    ├── LeaseLost             someone else has this rotation: stop, commit nothing more
    └── Overtaken             an operator changed the row since it was read: read it again, decide anew

No message ever contains key material.
"""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar


class RotatorError(Exception):
    """Base of every error that we raise on purpose.

    ``message`` says what failed and what is still safe; ``remedy`` says what to do, or is empty.
    """

    family: ClassVar[str] = "broken"

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class TryAgain(RotatorError):
    """Nothing was done; the same step may run again, not before ``retry_after`` has passed."""

    family = "try-again"

    def __init__(self, message: str, remedy: str = "", *, retry_after: timedelta | None = None) -> None:
        super().__init__(message, remedy)
        self.retry_after = retry_after


class RateLimited(TryAgain):
    """The other side asked us to slow down; it means the whole connection, not one rotation."""


class Unavailable(TryAgain):
    """The other side could not be reached, or failed before it did anything."""


class DestinationBusy(TryAgain):
    """A destination could not be read; whatever it asks for does not concern the provider."""


class OutcomeUnknown(RotatorError):
    """The request may have arrived and taken effect: look before acting again."""

    family = "outcome-unknown"


class TakenInPart(OutcomeUnknown):
    """Some of several receivers took what all were told; telling it again would tell those again."""


class OperatorNeeded(RotatorError):
    """It will not pass by itself; ``remedy`` tells a person what to do."""

    family = "operator-needed"


class InvalidInput(OperatorNeeded):
    """A field of what a person gave us is wrong; nothing was changed."""

    def __init__(self, field: str, problem: str, remedy: str = "") -> None:
        super().__init__(f"{field}: {problem}", remedy)
        self.field = field
        self.problem = problem


class NotFound(OperatorNeeded):
    """No such connection, rotation, version or destination."""


class Conflict(OperatorNeeded):
    """It clashes with what is already there; nothing was changed."""


class NameTaken(Conflict):
    """Another one has that name already."""


class Occupied(Conflict):
    """A place where the rotation with this id publishes, or did."""

    def __init__(self, message: str, remedy: str = "", *, rotation_id: str = "") -> None:
        super().__init__(message, remedy)
        self.rotation_id = rotation_id


class InUse(Conflict):
    """A connection that these ``rotations`` use."""

    def __init__(self, message: str, remedy: str = "", *, rotations: tuple[str, ...] = ()) -> None:
        super().__init__(message, remedy)
        self.rotations = rotations


class NotAsSeen(Conflict):
    """It was changed since whoever asks looked at it."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} was changed by someone else meanwhile.", "Look at it and try again.")


class CredentialRejected(OperatorNeeded):
    """A credential of ours (a management key, a destination's password) was refused."""


class Refused(OperatorNeeded):
    """The other side understood the request and said no; nothing was done."""


class Broken(RotatorError):
    """A promise of the code or of the other side does not hold."""

    family = "broken"


class CannotDecrypt(Broken):
    """A ciphertext does not open: the master key is not the one, or the row was tampered with."""


class LeaseLost(RotatorError):
    """Another worker has this rotation now: stop, and commit nothing more."""

    family = "lease-lost"


class Overtaken(RotatorError):
    """An operator changed the row since it was read; nothing was written: read it again and decide anew."""

    family = "overtaken"
