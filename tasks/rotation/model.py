"""The words of the house as data: frozen, comparable, free of I/O and of key material.

Times are aware UTC. A key's text is never in a model: the store holds its ciphertext, and ``has_key`` says
whether it does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from tasks.rotation.schedule import Schedule


@dataclass(frozen=True, slots=True)
class ById:
    """Says which connection or rotation is meant by its id, which stays when it is renamed. Where a name is asked for,
    this may stand."""

    id: str

    def __str__(self) -> str:
        return self.id


class VersionState(StrEnum):
    """Where a key version stands in its life; see ``machine.TRANSITIONS``."""

    PLANNED = "planned"
    CREATING = "creating"
    CREATED = "created"
    PROVEN = "proven"
    ACTIVE = "active"
    RETIRING = "retiring"
    DISABLED = "disabled"
    ABANDONED = "abandoned"
    DELETED = "deleted"


IN_FLIGHT = frozenset({VersionState.PLANNED, VersionState.CREATING, VersionState.CREATED, VersionState.PROVEN})
"""On the way to active. The database allows a rotation one such version at a time."""

OUTGOING = frozenset({VersionState.RETIRING, VersionState.DISABLED})
"""Replaced, but alive or revivable at the provider."""


class Reason(StrEnum):
    """Why a version came to be."""

    INITIAL = "initial"
    SCHEDULED = "scheduled"
    MANUAL = "manual"
    EMERGENCY = "emergency"
    ADOPTED = "adopted"
    REPAIR = "repair"
    """The active key was found dead at the provider."""


class Removal(StrEnum):
    """How a rotation that an operator deletes ends: its keys stay alive, or die with it."""

    KEEP_KEYS = "keep-keys"
    REVOKE_KEYS = "revoke-keys"


class LimitReset(StrEnum):
    """When OpenRouter refills a key's spending limit (midnight UTC; weeks start on Monday)."""

    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"


class ConnectionHealth(StrEnum):
    """What the last check of a management key found."""

    VALID = "valid"
    REJECTED = "rejected"
    ORDINARY_KEY = "ordinary-key"
    RATE_LIMITED = "rate-limited"
    UNREACHABLE = "unreachable"


class Holding(StrEnum):
    """What a destination was found to hold, compared with what it should."""

    SAME = "same"
    PARTLY = "partly"
    """It holds that and another value, and readers may differ in which of them they take."""
    OTHER = "other"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class KeyParameters:
    """What every key of a rotation is asked to be. Validated by ``parameters.validated``.

    ``limit_usd`` is in US dollars; ``expires_after`` counts from the moment a version is minted.
    """

    key_name: str
    limit_usd: float | None = None
    limit_reset: LimitReset | None = None
    include_byok_in_limit: bool = False
    workspace_id: str | None = None
    expires_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """How often a piece of durable work was tried, when it may be tried next, and what stopped it last."""

    count: int = 0
    next_at: datetime | None = None
    family: str | None = None
    error: str | None = None
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class KeyVersion:
    """One OpenRouter key that a rotation minted or adopted."""

    id: str
    rotation_id: str
    number: int
    state: VersionState
    reason: Reason
    actor: str
    marker: str | None = None
    key_hash: str | None = None
    has_key: bool = False
    emergency: bool = False
    doomed: bool = False
    """An emergency condemned it: deleted as soon as may be, whatever comes after, and never brought back."""
    asked: KeyParameters | None = None
    """What its key was asked to be, which the rotation's parameters may no longer say."""
    reviving: bool = False
    """An operator's undo is bringing this once active version back."""
    attempt: Attempt = field(default_factory=Attempt)
    planned_at: datetime | None = None
    creating_at: datetime | None = None
    created_at: datetime | None = None
    proven_at: datetime | None = None
    active_at: datetime | None = None
    retiring_at: datetime | None = None
    disabled_at: datetime | None = None
    abandoned_at: datetime | None = None
    deleted_at: datetime | None = None
    expires_at: datetime | None = None
    retire_at: datetime | None = None
    """When a retiring version may be disabled."""
    delete_at: datetime | None = None
    """When a disabled version may be deleted."""
    settles_at: datetime | None = None
    """Until then a create whose outcome is unknown may still land, and is looked for."""
    looked_at: datetime | None = None
    """The last look for a create whose outcome is unknown."""
    released_at: datetime | None = None
    """When its rotation was deleted and its key left alive, for another rotation to adopt."""


class OnDrift(StrEnum):
    """What becomes of a destination that holds something else than it should."""

    REPAIR = "repair"
    """The active key is delivered again."""
    REPORT = "report"
    """It is told, and left as it is."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A place where applications read the key. ``label`` is safe to print; its target is with the store."""

    id: str
    kind: str
    label: str
    optional: bool = False
    """A new version becomes active without it, and is delivered there as soon as may be."""
    on_drift: OnDrift = OnDrift.REPAIR
    leaving: bool = False
    """An operator removed it: its value is withdrawn, then it is forgotten. Nothing is delivered there any more."""
    check_at: datetime | None = None
    """When to look next whether it still holds the key; None before the first time."""
    attempt: Attempt = field(default_factory=Attempt)
    """Of looking after it, or of withdrawing."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One version going to one destination; ``delivered_at`` is set once it was read back from there."""

    version_id: str
    destination_id: str
    delivered_at: datetime | None = None
    attempt: Attempt = field(default_factory=Attempt)
    """Of delivering, and why it is not delivered."""
    receipt: str | None = None
    """What the destination answered to the last delivery that succeeded there."""
    drifted_at: datetime | None = None
    """Since when it is known to hold something else."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """The standing order."""

    id: str
    name: str
    connection_id: str
    parameters: KeyParameters
    schedule: Schedule
    overlap: timedelta
    cooling: timedelta
    secret_name: str
    created_at: datetime
    paused: bool = False
    removal: Removal | None = None
    removed_at: datetime | None = None
    last_rotated_at: datetime | None = None
    """When a version last became active."""
    last_version: int = 0
    attention: str | None = None
    """Why it needs a person, or None."""
    remedy: str | None = None
    description: str | None = None
    project_id: str | None = None
    environment: str | None = None
    secret_path: str | None = None
    """These three are labels: kept, shown and filtered by for other people's scripts; nothing depends on them."""
    updated_at: datetime | None = None
    """When an operator last changed it."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that the next step is decided from, read in one transaction.

    ``versions`` are those not yet deleted, by number; ``revision`` changes with every operator's change.
    """

    now: datetime
    revision: int
    rotation: Rotation
    versions: tuple[KeyVersion, ...]
    destinations: tuple[Destination, ...]
    deliveries: tuple[Delivery, ...]
    connection_paused_until: datetime | None = None
    answered: int | None = None
    """The version that answered the very request that is being decided, when it was made before."""
    binds_keys: bool = True
    """Whether something at the provider may name keys of this connection; False only after a recent look."""

    @property
    def in_flight(self) -> KeyVersion | None:
        """The version on its way to active."""
        return next((v for v in self.versions if v.state in IN_FLIGHT), None)

    @property
    def active(self) -> KeyVersion | None:
        """The version that destinations hold."""
        return next((v for v in self.versions if v.state is VersionState.ACTIVE), None)

    @property
    def usable(self) -> tuple[KeyVersion, ...]:
        """The versions whose key still works and whose text is stored, by number."""
        working = {VersionState.ACTIVE, VersionState.RETIRING}
        return tuple(v for v in self.versions if v.state in working and v.has_key)

    @property
    def served(self) -> tuple[Destination, ...]:
        """The destinations that hold the key, or shall: those that no operator removed."""
        return tuple(d for d in self.destinations if not d.leaving)

    def undelivered(self, version: KeyVersion) -> tuple[Destination, ...]:
        """The destinations that were not yet read back with ``version``."""
        done = {d.destination_id for d in self.deliveries if d.version_id == version.id and d.delivered_at}
        return tuple(d for d in self.served if d.id not in done)

    def deliveries_anew(self, version: KeyVersion) -> tuple[Delivery, ...]:
        """Nothing of ``version`` is delivered: every destination holds, or may hold, another one."""
        return tuple(Delivery(version.id, d.id) for d in self.served)

    def delivery(self, version: KeyVersion, destination: Destination) -> Delivery:
        """How far that delivery is; a new one when it was never tried."""
        wanted = (version.id, destination.id)
        known = (d for d in self.deliveries if (d.version_id, d.destination_id) == wanted)
        return next(known, Delivery(*wanted))


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the append-only audit log: who, what, when, why. Never key material."""

    at: datetime
    name: str
    actor: str
    why: str = ""
    rotation_id: str | None = None
    connection_id: str | None = None
    version: int | None = None
    detail: tuple[tuple[str, str], ...] = ()
