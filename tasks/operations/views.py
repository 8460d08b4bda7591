"""What an operator is shown: plain data for tables and JSON. Never key material."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from config.secret import Secret
from tasks.rotation.model import Attempt, ConnectionHealth, KeyParameters, KeyVersion, OnDrift, Removal


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
    project_id: str | None = None
    revision: str = ""
    """Opaque; it changes with everything that an operator changes."""


@dataclass(frozen=True, slots=True)
class DeliveryView:
    """A destination: what it holds, as far as is recorded, and what is still to come there."""

    kind: str
    label: str
    version: int | None
    """The newest version that was read back from there."""
    delivered_at: datetime | None
    error: str | None
    """What last went wrong there."""
    remedy: str | None
    optional: bool
    """A new version becomes active without it."""
    on_drift: OnDrift
    leaving: bool
    """It was removed, and its value is being withdrawn."""
    drifted_at: datetime | None
    """Since when it is known to hold something else than it should."""
    next_check_at: datetime | None
    due: int | None
    """The version that is still to be delivered there."""
    attempts: int
    """How often that, or to look or to withdraw, was tried in vain."""
    next_attempt_at: datetime | None


@dataclass(frozen=True, slots=True)
class TimingView:
    """A schedule in its parts: an interval, with or without a time of day, or a cron expression."""

    every: timedelta | None
    at: str | None
    """Like ``03:00``."""
    cron: str | None
    timezone: str
    window: timedelta


@dataclass(frozen=True, slots=True)
class RevealedKey:
    """A key that still works, and which version it is."""

    version: int
    key_hash: str
    active: bool
    key: Secret


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
    destinations: tuple[DeliveryView, ...]
    created_at: datetime
    updated_at: datetime | None = None
    """When an operator last changed it."""
    connection_id: str = ""
    description: str | None = None
    project_id: str | None = None
    environment: str | None = None
    secret_path: str | None = None
    timing: TimingView | None = None
    """The schedule in its parts."""
    waits_until: datetime | None = None
    """OpenRouter asked its connection to wait until then."""
    stopped: Attempt | None = None
    """The attempt that failed last and is tried again, of whichever version."""
    active: KeyVersion | None = None
    usable: tuple[int, ...] = ()
    """The versions whose key still works and can be read here."""
    revision: str = ""
    """Opaque; it changes with everything that an operator changes, and with nothing that the engine does."""


class Rotations(tuple[RotationView, ...]):
    """Rotations by name, and what is wrong with those that are missing because their rows cannot be read."""

    broken: tuple[str, ...]

    def __new__(cls, views: Iterable[RotationView], broken: tuple[str, ...] = ()) -> Self:
        """Those that can be shown, and what is wrong with the others."""
        made = super().__new__(cls, views)
        made.broken = broken
        return made


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
class EventPage:
    """Some lines of the audit log, in the order that was asked for."""

    events: tuple[EventView, ...]
    cursor: int | None
    """The id of the last: what to give as ``after`` (oldest first) or ``before`` (newest first) for the next page.
    None where there is nothing to go on from."""
    more: bool
    """Whether the next page has something now."""


@dataclass(frozen=True, slots=True)
class HistoryView:
    """Every version of a rotation by number, with the events that tell its life."""

    rotation: str
    versions: tuple[KeyVersion, ...]
    events: tuple[EventView, ...]


@dataclass(frozen=True, slots=True)
class VersionPage:
    """Some versions of a rotation, the newest first."""

    rotation: str
    versions: tuple[KeyVersion, ...]
    cursor: int | None
    """The lowest number: what to give as ``before`` for the next page."""
    more: bool
    """Whether there are versions with lower numbers."""


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
class DestinationKind:
    """A kind of place that can be published to."""

    kind: str
    example: str
    """How one is written, ``KIND:TARGET``."""
    happens: str
    """What happens there."""


@dataclass(frozen=True, slots=True)
class DestinationTrial:
    """A destination that was tried, its rights to write included; no value there was changed."""

    kind: str
    label: str
    obstacle: str | None
    """Why a key could not be published there now; None when it could."""


@dataclass(frozen=True, slots=True)
class RotationPreview:
    """What a request for a new rotation would make. Nothing is stored; destinations were tried for it."""

    rotation: str
    connection: str
    version: int
    """The first that would be minted: 2 where version 1 is an adopted key."""
    name_at_openrouter: str
    """With ``<marker>`` in place of the marker, which is drawn when the key is minted."""
    parameters: KeyParameters
    expires_at: datetime | None
    """When that key would expire."""
    schedule: str
    overlap: timedelta
    cooling: timedelta
    secret_name: str
    minted_at: datetime
    """When that version would be minted: now, or with the first run."""
    upcoming: tuple[datetime, ...]
    """The next three runs; with a window, each up to that much later."""
    dying: tuple[DyingKey, ...]
    """The adopted key and the versions that these runs would replace, and when each would end."""
    destinations: tuple[DestinationTrial, ...]
    obstacles: tuple[str, ...]
    """What else would stop or delay it: a connection that is paused, or whose key was refused."""


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
    untold: tuple[str, ...] = ()
    """What keeps which notice target from being told."""


@dataclass(frozen=True, slots=True)
class ComingRotation:
    """A rotation that the schedule will start."""

    rotation: str
    at: datetime
    is_last_told: bool = False
    """More follow within the time that was asked about: it rotates more than once a day."""


@dataclass(frozen=True, slots=True)
class CurrentKey:
    """Which version is current, without its text."""

    rotation: str
    version: int
    secret_name: str


@dataclass(frozen=True, slots=True)
class TokenView:
    """An API token, without its text."""

    name: str
    id: str
    """The public part of the token's text."""
    role: str
    rotations: tuple[str, ...]
    """Whose key a consumer may read."""
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    """To the minute."""
