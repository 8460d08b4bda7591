"""What an operator may ask, as it arrives from a person: text, not yet validated."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from config.secret import Secret


class Unset(Enum):
    """A field that an update leaves as it is (None often means "none", so it cannot say this)."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET


@dataclass(frozen=True, slots=True)
class ScheduleRequest:
    """When: ``every`` (with ``at``) or ``cron``. Spans and times as in ``tasks.rotation.schedule``."""

    every: str | None = None
    at: str | None = None
    cron: str | None = None
    timezone: str = "UTC"
    window: str | None = None


@dataclass(frozen=True, slots=True)
class RotationRequest:
    """A rotation to create. ``publish`` holds ``KIND:TARGET`` texts; a target may contain a credential.

    ``key_name`` may be None only with ``adopt_hash``, from whose key it is then inherited, like ``limit_usd``,
    ``limit_reset`` and ``workspace_id``.
    """

    name: str
    connection: str
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
    publish: tuple[Secret, ...] = ()
    adopt_hash: str | None = None
    initial: bool = True
    """Mint, prove and publish the first version at once; else it waits for the schedule."""


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
    add_publish: tuple[Secret, ...] = ()
    remove_publish: tuple[str, ...] = ()
    """Labels, as ``rotation show`` prints them."""
