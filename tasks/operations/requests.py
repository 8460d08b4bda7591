"""What an operator may ask, as it arrives from a person: text, not yet validated."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final

from config.secret import Secret
from tasks.rotation.model import ById, OnDrift


class Unset(Enum):
    """A field that an update leaves as it is (None often means "none", so it cannot say this)."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET


@dataclass(frozen=True, slots=True)
class ConnectionUpdate:
    """What to change of a connection; ``UNSET`` fields stay."""

    api_key: Secret | None = None
    description: str | Unset | None = UNSET
    name: str | Unset = UNSET


@dataclass(frozen=True, slots=True)
class ScheduleRequest:
    """When: ``every`` (with ``at``) or ``cron``. Spans and times as in ``tasks.rotation.schedule``."""

    every: str | None = None
    at: str | None = None
    cron: str | None = None
    timezone: str = "UTC"
    window: str | None = None


@dataclass(frozen=True, slots=True)
class DestinationRequest:
    """Where to publish: ``KIND:TARGET``, which may contain a credential."""

    text: Secret
    optional: bool | Unset = UNSET
    """A new version becomes active without it."""
    on_drift: OnDrift | Unset = UNSET
    """``UNSET`` leaves both as they are; a new one is needed by every version, and put right when it drifts."""


Wanted = Secret | DestinationRequest
"""The same; only the text where nothing else is said."""


@dataclass(frozen=True, slots=True)
class RotationRequest:
    """A rotation to create.

    ``key_name`` may be None only with ``adopt_hash``, from whose key it is then inherited, like ``limit_usd``,
    ``limit_reset`` and ``workspace_id``.
    """

    name: str
    connection: str | ById
    schedule: ScheduleRequest
    key_name: str | None = None
    limit_usd: float | None = None
    limit_reset: str | None = None
    include_byok_in_limit: bool | None = None
    workspace_id: str | None = None
    expires_after: str | None = None
    overlap: str = "24h"
    cooling: str = "24h"
    secret_name: str = "OPENROUTER_API_KEY"  # noqa: S105  # a variable's name
    publish: tuple[Wanted, ...] = ()
    adopt_hash: str | None = None
    initial: bool = True
    """Mint, prove and publish the first version at once; else it waits for the schedule."""
    paused: bool = False
    """The schedule is stopped from the beginning; an initial version is minted all the same."""
    description: str | None = None
    project_id: str | None = None
    environment: str | None = None
    secret_path: str | None = None
    """These three are labels; nothing depends on them."""


@dataclass(frozen=True, slots=True)
class RotationUpdate:
    """What to change of a rotation; ``UNSET`` fields stay. Key parameters take effect at the next version."""

    key_name: str | Unset = UNSET
    limit_usd: float | Unset | None = UNSET
    limit_reset: str | Unset | None = UNSET
    include_byok_in_limit: bool | Unset = UNSET
    expires_after: str | Unset | None = UNSET
    schedule: ScheduleRequest | Unset = UNSET
    overlap: str | Unset = UNSET
    cooling: str | Unset = UNSET
    add_publish: tuple[Wanted, ...] = ()
    """One that it publishes to already is changed: its credential, or what becomes of it when it fails or drifts. One
    that is removed as well begins anew, or, with ``withdraw``, is only changed."""
    remove_publish: tuple[str, ...] = ()
    """Labels, as ``rotation show`` prints them."""
    withdraw: bool = False
    """What is removed loses the key too; else it keeps what it holds, also what was to be withdrawn before."""
    name: str | Unset = UNSET
    description: str | Unset | None = UNSET
    paused: bool | Unset = UNSET
    secret_name: str | Unset = UNSET
    """Only where no destination holds the key under the old name."""
    project_id: str | Unset | None = UNSET
    environment: str | Unset | None = UNSET
    secret_path: str | Unset | None = UNSET


@dataclass(frozen=True, slots=True)
class EventsRequest:
    """A page of the audit log. What is not given does not restrict it; positions are ids of events."""

    rotation: str | None = None
    """Also one that was deleted."""
    connection: str | None = None
    name: str | None = None
    actor: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    after: int = 0
    before: int | None = None
    limit: int = 100
    newest_first: bool = False
