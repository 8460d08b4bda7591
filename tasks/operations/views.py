"""What an operator is shown: plain data for tables and JSON. Never key material."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from tasks.rotation.model import ConnectionHealth, KeyParameters, KeyVersion, Removal


@dataclass(frozen=True, slots=True)
class ConnectionView:
    """A connection, its key shown only as a keyed fingerprint."""

    id: str
    name: str
    app: str
    method: str
    description: str | None
    fingerprint: str
    health: ConnectionHealth
    message: str
    checked_at: datetime
    paused_until: datetime | None
    rotations: tuple[str, ...]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class DestinationView:
    """A destination and how the newest delivery to it stands."""

    kind: str
    label: str
    version: int | None
    """The newest version that was read back from there."""
    delivered_at: datetime | None
    error: str | None


@dataclass(frozen=True, slots=True)
class RotationView:
    """A rotation as it stands."""

    id: str
    name: str
    connection: str
    parameters: KeyParameters
    schedule: str
    """In words, as ``schedule.describe`` gives it."""
    overlap: timedelta
    cooling: timedelta
    secret_name: str
    status: str
    """``ok``, ``rotating``, ``paused``, ``needs_attention`` or ``removing``."""
    paused: bool
    removal: Removal | None
    attention: str | None
    remedy: str | None
    active_version: int | None
    active_hash: str | None
    active_since: datetime | None
    in_flight: KeyVersion | None
    last_rotated_at: datetime | None
    next_rotation_at: datetime | None
    upcoming: tuple[datetime, ...]
    """The next three times; empty while paused."""
    destinations: tuple[DestinationView, ...]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class EventView:
    """One line of the audit log."""

    id: int
    at: datetime
    name: str
    actor: str
    why: str
    rotation: str | None
    connection: str | None
    version: int | None
    detail: dict[str, str]


@dataclass(frozen=True, slots=True)
class HistoryView:
    """Every version of a rotation by number, with the events that tell its life."""

    rotation: str
    versions: tuple[KeyVersion, ...]
    events: tuple[EventView, ...]


@dataclass(frozen=True, slots=True)
class RotateAnswer:
    """What became of a request to rotate or undo. Two people who ask at once get the same ``version``."""

    rotation: str
    version: int
    joined: bool
    """The version was already on its way."""
    enqueued: bool
    """A worker was told; otherwise beat's next tick picks it up, and ``notice`` says so."""
    notice: str


@dataclass(frozen=True, slots=True)
class DyingKey:
    """A key that a rotation would retire, and when (UTC, if the rotation ran now)."""

    version: int
    key_hash: str | None
    disabled_at: datetime
    deleted_at: datetime


@dataclass(frozen=True, slots=True)
class DryRun:
    """Exactly what a rotation would do now. To find out, destinations were tried; no value there was changed."""

    rotation: str
    version: int
    name_at_openrouter: str
    """With ``<marker>`` in place of the marker, which is drawn when the key is minted."""
    parameters: KeyParameters
    expires_at: datetime | None
    publishes_to: tuple[str, ...]
    secret_name: str
    dying: tuple[DyingKey, ...]
    obstacles: tuple[str, ...]
    """What would stop or delay it: a paused connection, a version in flight, a destination that refuses."""


@dataclass(frozen=True, slots=True)
class StatusView:
    """The state of the whole installation."""

    now: datetime
    connections: tuple[ConnectionView, ...]
    rotations: tuple[RotationView, ...]
    last_tick_at: datetime | None
    schema: str
    broken: tuple[str, ...] = ()
    """What is wrong with the rotations that are missing here, because their rows cannot be read."""


@dataclass(frozen=True, slots=True)
class CurrentKey:
    """Which version is current, without its text."""

    rotation: str
    version: int
    secret_name: str
