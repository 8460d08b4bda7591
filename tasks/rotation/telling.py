"""What people are told, decided from an event alone: whether, how urgently, and in which words.

``wording`` has the words of each event that is told, ``_NOT_TOLD`` names the others: a test finds every name that the
code can write, and insists that it is in one of them. A step that fails, fails again and again: it is told when it
fails first, and the next news of it is that a person is needed, or that it succeeded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from config.redaction import redact
from tasks.rotation.model import Event, Reason
from tasks.rotation.wording import FAILURES, GONE, HEALTH, MEND, STEP_FAILED, STEPS, TOLD, Level, Words

LATE_AT: Final = 20
"""A successor is late when a twentieth of the life of the key in service is left: it was due at a tenth."""
_TITLE_MOST: Final = 200
_WHY_MOST: Final = 1500


@dataclass(frozen=True, slots=True)
class Notice:
    """What one person is told at once: plain text without key material. ``kind`` is the event's name."""

    kind: str
    level: Level
    title: str
    body: str


@dataclass(frozen=True, slots=True)
class Names:
    """What ids are called now; and by a rotation's id and what is wrong with it now, what to do about that."""

    rotations: Mapping[str, str]
    connections: Mapping[str, str]
    remedies: Mapping[tuple[str, str], str]


_FAILED: Final = "_failed"
_NOT_TOLD: Final = frozenset(
    {
        # On the way of every rotation; its end is told.
        *("version_creating", "version_created", "version_proven", "version_retiring", "version_disabled"),
        *("version_deleted", "delivered", "binding_carried"),
        # What a person did, and knows.
        *("rotation_created", "rotation_updated", "rotation_paused", "rotation_resumed", "rotation_requested"),
        *("emergency_requested", "rotation_deletion_requested", "rotation_deleted", "key_released", "version_adopted"),
        *("destination_added", "destination_changed", "destination_removed", "destination_withdrawn"),
        *("connection_created", "connection_updated", "connection_deleted", "token_created", "token_revoked"),
        *("signed_in", "signed_out", "key_read"),
        *("notice_target_added", "notice_target_updated", "notice_target_removed"),
        # In place of what cannot be read.
        "unreadable",
    }
)


def is_decided(name: str) -> bool:
    """Whether it is settled if events of this name are told."""
    return name in TOLD or name in _NOT_TOLD or name in _BY_ITSELF or name.endswith(_FAILED)


def may_be_told(event: Event) -> bool:
    """Whether ``notice_of`` may have something to say, found out without any names."""
    return _words_of(event) is not None


def notice_of(event: Event, names: Names) -> Notice | None:
    """What is told of an event; None when it is not told."""
    words = _words_of(event)
    if words is None:
        return None
    facts = _facts(event, names)
    why = event.why[:_WHY_MOST]
    remedy = _remedy(event, names) or words.remedy.format_map(facts)
    lines = (
        _where(event, facts),
        f"Why: {why}" if why else "",
        f"Still safe: {words.safe}" if words.safe else "",
        f"To do: {remedy}",
        f"{event.at:%Y-%m-%d %H:%M:%S} UTC, by {event.actor}",
    )
    title = words.title.format_map(facts)[:_TITLE_MOST]
    return Notice(event.name, words.level, _clean(title), "\n".join(_clean(line) for line in lines if line))


def _words_of(event: Event) -> Words | None:
    if event.name in _BY_ITSELF:
        return _BY_ITSELF[event.name](event)
    if event.name.endswith(_FAILED):
        return _failure(event)
    return TOLD.get(event.name)


def _failure(event: Event) -> Words | None:
    """The first failure in a row; what is tried again and fails again is not news."""
    if not _is_first(event):
        return None
    words = FAILURES.get(event.name, STEP_FAILED)
    if dict(event.detail).get("family") in {"operator-needed", "broken"}:
        return replace(words, remedy=MEND)
    return words


def _is_first(event: Event) -> bool:
    return dict(event.detail).get("attempt") == "1"


def _delivering(event: Event) -> Words | None:
    """Each destination that did not take it is told by itself; what is told here failed before any was asked."""
    return _failure(event) if "kind" in dict(event.detail) else None


def _abandoned(event: Event) -> Words | None:
    return TOLD["version_abandoned"] if _is_first(event) else None


def _planned(event: Event) -> Words | None:
    return GONE if dict(event.detail).get("reason") == Reason.REPAIR else None


def _checked(event: Event) -> Words | None:
    detail = dict(event.detail)
    return None if detail.get("before") == detail.get("health") else HEALTH.get(detail.get("health", ""))


_BY_ITSELF: Final[Mapping[str, Callable[[Event], Words | None]]] = {
    "version_planned": _planned,
    "version_abandoned": _abandoned,
    "deliver_failed": _delivering,
    "connection_checked": _checked,
}
"""Events that are told or not by what is in them."""


def _facts(event: Event, names: Names) -> dict[str, str]:
    detail = dict(event.detail)
    connection = detail.get("connection") or names.connections.get(event.connection_id or "", "a deleted connection")
    return {
        "rotation": names.rotations.get(event.rotation_id or "", "a deleted rotation"),
        "connection": connection,
        "destination": detail.get("destination", "a destination"),
        "version": "-" if event.version is None else str(event.version),
        "step": STEPS.get(event.name.removesuffix(_FAILED), f"{event.name.removesuffix(_FAILED)} of"),
        "expires_at": detail.get("expires_at", "a moment unknown"),
    }


def _where(event: Event, facts: Mapping[str, str]) -> str:
    version = f", version {event.version}" if event.version is not None else ""
    parts = (
        f"Rotation {facts['rotation']}{version}" if event.rotation_id else "",
        f"destination {facts['destination']}" if "destination" in dict(event.detail) else "",
        f"connection {facts['connection']}" if event.connection_id else "",
    )
    return "; ".join(part for part in parts if part)


def _remedy(event: Event, names: Names) -> str:
    """What an operator is shown as the way out, while the rotation still needs one for this very reason."""
    return names.remedies.get((event.rotation_id or "", event.why), "") if event.name == "attention_needed" else ""


def _clean(line: str) -> str:
    """One line, without what looks like a key or would steer a terminal."""
    return redact("".join(c if c.isprintable() else " " for c in line))
