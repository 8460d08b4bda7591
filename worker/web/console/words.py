"""What the console says: statuses, states and events in words, and what was done."""

from __future__ import annotations

from typing import Final

from tasks.operations.views import EventView
from tasks.rotation.model import ConnectionHealth, VersionState

STATUS: Final = {
    "ok": ("good", "Fine"),
    "rotating": ("busy", "Rotating"),
    "paused": ("idle", "Paused"),
    "needs_attention": ("bad", "Needs attention"),
    "removing": ("ending", "Being deleted"),
}
"""Tone and name of a rotation's status."""
HEALTH: Final = {
    ConnectionHealth.VALID: ("good", "Valid"),
    ConnectionHealth.REJECTED: ("bad", "Rejected"),
    ConnectionHealth.ORDINARY_KEY: ("bad", "Ordinary key"),
    ConnectionHealth.RATE_LIMITED: ("idle", "Rate limited"),
    ConnectionHealth.UNREACHABLE: ("idle", "Unreachable"),
}
STATES: Final = {
    VersionState.PLANNED: "busy",
    VersionState.CREATING: "busy",
    VersionState.CREATED: "busy",
    VersionState.PROVEN: "busy",
    VersionState.ACTIVE: "good",
    VersionState.RETIRING: "idle",
    VersionState.DISABLED: "ending",
    VersionState.ABANDONED: "bad",
    VersionState.DELETED: "gone",
}
SAID: Final = {
    "connected": "The key is valid; the connection is stored.",
    "checked": "The stored key was checked just now; below is what came of it.",
    "key-replaced": "The new key is valid and has taken the old one's place.",
    "saved": "Saved.",
    "connection-deleted": "The connection and its stored key are deleted.",
    "created": "The rotation is stored. Its first key is on its way; this page follows it.",
    "waits": "The rotation is stored. Its first key is minted when the schedule says so.",
    "rotating": "A new version is on its way; this page follows it.",
    "joined": "A version was on its way already, and is tried again now; this page follows it.",
    "undoing": "The previous version is on its way back; this page follows it.",
    "paused": "Paused: the schedule rests. What is in flight finishes, and old keys are still retired.",
    "resumed": "Resumed: the schedule runs again, and what waited after a failure is tried now.",
    "emergency": "The emergency rotation is on its way; this page follows it.",
    "destination-added": "The destination is added; the current key goes there now.",
    "destination-removed": "Nothing is published there any more. What it holds was left as it is.",
    "removing": "The rotation is being deleted; this page ends when that is done.",
    "rotation-deleted": "The rotation is deleted; its history stays among the events.",
    "signed-out": "You are signed out.",
}
"""What was done, by the short name that a redirect carries: nobody else's words get onto a page by a link."""

_EVENTS: Final = {
    "connection_created": "Connection added",
    "connection_updated": "Connection changed",
    "connection_checked": "Connection checked",
    "connection_deleted": "Connection deleted",
    "rotation_created": "Rotation created",
    "rotation_updated": "Rotation changed",
    "rotation_paused": "Rotation paused",
    "rotation_resumed": "Rotation resumed",
    "rotation_requested": "Rotation asked for",
    "emergency_requested": "Emergency asked for",
    "rotation_deletion_requested": "Deletion asked for",
    "rotation_deleted": "Rotation deleted",
    "version_planned": "Version planned",
    "version_creating": "Version being minted",
    "version_created": "Version minted",
    "version_proven": "Version proven",
    "version_active": "Version active",
    "version_retiring": "Version retiring",
    "version_disabled": "Version disabled",
    "version_deleted": "Version deleted",
    "version_abandoned": "Version abandoned",
    "version_adopted": "Key adopted",
    "key_read": "Key shown",
    "key_released": "Key released",
    "orphan_deleted": "Orphan deleted",
    "drift_found": "Drift found",
    "attention_needed": "Attention needed",
    "attention_cleared": "Attention cleared",
    "token_created": "Token created",
    "token_revoked": "Token revoked",
    "key_expires_soon": "Key ends soon",
}
_ABOUT: Final = ("destination", "token", "role", "target", "service")


def event_title(event: EventView) -> str:
    """An event's name for people, with its version."""
    title = _EVENTS.get(event.name, plain_words(event.name).capitalize())
    if event.version is None:
        return title
    version = f"Version {event.version}"
    return title.replace("Version", version, 1) if "Version" in title else f"{title}: version {event.version}"


def event_about(event: EventView) -> str:
    """What else it names, where that is neither a rotation nor a connection that still has its name: a destination, a
    token."""
    return " ".join(event.detail[key] for key in _ABOUT if key in event.detail)


def event_tone(event: EventView) -> str:
    """Whether an event is good news."""
    if event.name.endswith("_failed") or event.name in {
        "attention_needed",
        "drift_found",
        "version_abandoned",
        "key_expires_soon",
    }:
        return "bad"
    if event.name in {"version_active", "attention_cleared", "connection_created"}:
        return "good"
    return "quiet"


def plain_words(name: object) -> str:
    """``needs_attention`` as ``needs attention``."""
    return str(name).replace("_", " ").replace("-", " ")


def counted(count: int, one: str, many: str | None = None) -> str:
    """``1 key``, ``2 keys``."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def usd(amount: float) -> str:
    """``$25`` or ``$12.50``."""
    return f"${amount:,.0f}" if amount == int(amount) else f"${amount:,.2f}"
