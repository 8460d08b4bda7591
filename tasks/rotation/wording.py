"""The words of each event that people are told of: what happened, what is still safe, what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tasks.rotation.model import ConnectionHealth

EXPIRES_SOON: Final = "key_expires_soon"
"""The event of a key in service that ends soon, and whose successor is late."""


class Level(StrEnum):
    """How urgent a notice is."""

    INFO = "info"
    """It went as it should, or well again."""
    WARNING = "warning"
    """It passes by itself, or can wait for the morning."""
    CRITICAL = "critical"
    """A person is needed."""

    def reaches(self, least: Level) -> bool:
        """Whether it is at least as urgent as ``least``."""
        levels = tuple(Level)
        return levels.index(self) >= levels.index(least)


@dataclass(frozen=True, slots=True)
class Words:
    """How an event is told. The texts may name ``rotation``, ``version``, ``destination``, ``connection``, ``step``
    and ``expires_at``, each in braces."""

    level: Level
    title: str
    safe: str = ""
    remedy: str = "Nothing need be done."


_STAYS: Final = "What is in service stays in service."
_AGAIN: Final = "It is tried again by itself; `rotator rotation resume {rotation}` tries at once."
MEND: Final = "It will not pass by itself: see the reason. Then `rotator rotation resume {rotation}` tries at once."
_ATTEND: Final = "`rotator rotation show {rotation}` says what to do."

TOLD: Final[Mapping[str, Words]] = {
    "version_active": Words(
        Level.INFO,
        "{rotation}: version {version} is in service",
        "Every destination that must hold it was read back with it before.",
    ),
    "attention_needed": Words(
        Level.CRITICAL,
        "{rotation} needs a person",
        f"{_STAYS} No older key is deleted meanwhile, unless an operator asked for that.",
        _ATTEND,
    ),
    "attention_cleared": Words(Level.INFO, "{rotation} gets on by itself again"),
    "drift_found": Words(
        Level.WARNING,
        "{destination} does not hold the key of {rotation}",
        "The key in service stays valid, and no older key is disabled before every destination holds it.",
        "Find out what else writes there; `rotator rotation show {rotation}` tells how it stands.",
    ),
    "drift_repaired": Words(
        Level.INFO,
        "{destination} holds the key of {rotation} again: it was delivered anew",
        remedy="Find out what else writes there, or it happens again.",
    ),
    "drift_ended": Words(Level.INFO, "{destination} holds the key of {rotation} again"),
    "active_key_disabled": Words(
        Level.CRITICAL,
        "{rotation}: the key in service is disabled at OpenRouter",
        "Nothing was changed: somebody may have meant it. Meanwhile OpenRouter refuses the applications.",
        "Enable it there, or run `rotator rotate {rotation}` for a new key.",
    ),
    "active_key_enabled": Words(Level.INFO, "{rotation}: the key in service is enabled at OpenRouter again"),
    "binding_not_carried": Words(
        Level.WARNING,
        "{rotation}: something bound to the old key is not bound to version {version}",
        "The key itself is as asked.",
        "Bind it at OpenRouter by hand, if it must hold for the new key.",
    ),
    "binding_not_dropped": Words(
        Level.INFO,
        "{rotation}: a list at OpenRouter still names a deleted key",
        "Nothing depends on it.",
        "Take it out there, if you like.",
    ),
    "orphan_deleted": Words(
        Level.INFO,
        "{rotation}: a key that nobody waited for was found at OpenRouter and deleted",
        "No application had it.",
        "Nothing need be done. If it happens every hour, see what kills the workers.",
    ),
    "version_abandoned": Words(
        Level.WARNING,
        "{rotation}: version {version} was given up, and is made anew",
        f"{_STAYS} Whatever there is of it at OpenRouter is found and deleted.",
    ),
    "ciphertext_refused": Words(
        Level.CRITICAL,
        "A ciphertext in the database does not open",
        "Nothing was minted, published or deleted because of it.",
        "The reason says what to do. Find out who, or what, wrote to the database.",
    ),
    EXPIRES_SOON: Words(
        Level.CRITICAL,
        "{rotation}: the key in service ends at {expires_at}, and its successor is late",
        "It works until then.",
        "`rotator rotation show {rotation}` says what keeps the successor; `rotator rotate {rotation} --wait` tries at "
        "once.",
    ),
}
GONE: Final = Words(
    Level.CRITICAL,
    "{rotation}: the key in service is gone at OpenRouter",
    "A new one is being made and delivered by itself. Until it is there, OpenRouter refuses the applications.",
    "Find out who deleted it; `rotator rotation show {rotation}` tells how far the new one is.",
)
_REPLACE: Final = (
    "Make a management key in OpenRouter's settings, in the same account, and run "
    "`rotator connection update {connection} --new-key`."
)
_HELD_UP: Final = "Keys in use go on working; its rotations can mint, disable and delete nothing meanwhile."
HEALTH: Final[Mapping[str, Words]] = {
    ConnectionHealth.VALID: Words(Level.INFO, "The management key of {connection} is accepted again"),
    ConnectionHealth.REJECTED: Words(
        Level.CRITICAL, "OpenRouter rejects the management key of {connection}", _HELD_UP, _REPLACE
    ),
    ConnectionHealth.ORDINARY_KEY: Words(
        Level.CRITICAL, "The management key of {connection} is an ordinary key", _HELD_UP, _REPLACE
    ),
    ConnectionHealth.RATE_LIMITED: Words(
        Level.INFO, "The management key of {connection} could not be checked: too many requests", _HELD_UP
    ),
    ConnectionHealth.UNREACHABLE: Words(
        Level.WARNING,
        "The management key of {connection} could not be checked: OpenRouter is not reached",
        _HELD_UP,
        "It is checked again daily; `rotator connection check {connection}` checks now.",
    ),
}
FAILURES: Final[Mapping[str, Words]] = {
    "delivery_failed": Words(
        Level.WARNING,
        "{destination} did not take version {version} of {rotation}",
        "No older key is disabled before every destination, optional or not, holds the new one.",
        _AGAIN,
    ),
    "drift_check_failed": Words(
        Level.WARNING,
        "Whether {destination} holds the key of {rotation} could not be seen",
        "Nothing was changed.",
        "It is looked at again by itself.",
    ),
    "withdraw_failed": Words(
        Level.WARNING,
        "{destination} may still hold a key of {rotation}: it could not be taken away",
        "Nothing else waits for it.",
        _AGAIN,
    ),
}
STEP_FAILED: Final = Words(Level.WARNING, "{rotation}: {step} version {version} failed", _STAYS, _AGAIN)
STEPS: Final = {
    "mint": "minting",
    "abandon": "giving up",
    "look": "looking for the key of",
    "prove": "proving",
    "deliver": "delivering",
    "disable": "disabling",
    "delete": "deleting",
}
