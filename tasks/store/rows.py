"""Rows as models and models as rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from datetime import time, timedelta
from typing import Any, Final

from config.redaction import redact
from tasks.rotation.errors import Broken, InvalidInput, RotatorError
from tasks.rotation.local_time import require_zone
from tasks.rotation.model import (
    Attempt,
    Delivery,
    Destination,
    Event,
    KeyParameters,
    KeyVersion,
    LimitReset,
    OnDrift,
    Reason,
    Removal,
    Rotation,
    VersionState,
)
from tasks.rotation.schedule import Cron, Every, Schedule, make_cron

_WHY_MOST: Final = 200  # characters of what a database returned
_SAME_IN_ROTATION: Final = (
    "id",
    "name",
    "connection_id",
    "overlap",
    "cooling",
    "secret_name",
    "created_at",
    "paused",
    "removed_at",
    "last_rotated_at",
    "last_version",
    "attention",
    "remedy",
    "description",
    "project_id",
    "environment",
    "secret_path",
    "updated_at",
)
_SAME_IN_VERSION: Final = tuple(
    f.name for f in fields(KeyVersion) if f.name not in {"state", "reason", "attempt", "has_key", "asked"}
)


@contextmanager
def possible(rotation: Callable[[], str]) -> Iterator[None]:
    """Tell what no release writes into a row as ``Broken``; ``rotation`` finds the name of the one it belongs to."""
    try:
        yield
    except (Broken, InvalidInput, ArithmeticError, LookupError, TypeError, ValueError) as error:
        why = error.message if isinstance(error, RotatorError) else str(error)
        raise Broken(
            f"A row of the rotation {rotation()} holds what cannot be: {redact(why)[:_WHY_MOST]}",
            "Put it right in the database, or restore a backup. The rotation stands still until then; none of its "
            "keys is touched.",
        ) from error


def rotation_of(facts: Mapping[str, Any]) -> Rotation:
    """The rotation that a row of ``rotations`` holds."""
    return Rotation(
        parameters=_parameters_of(facts),
        schedule=schedule_of(facts),
        removal=Removal(facts["removal"]) if facts["removal"] else None,
        **{name: facts[name] for name in _SAME_IN_ROTATION},
    )


def _parameters_of(facts: Mapping[str, Any]) -> KeyParameters:
    return KeyParameters(
        key_name=facts["key_name"],
        limit_usd=facts["limit_usd"],
        limit_reset=LimitReset(facts["limit_reset"]) if facts["limit_reset"] else None,
        include_byok_in_limit=facts["include_byok_in_limit"],
        workspace_id=facts["workspace_id"],
        expires_after=facts.get("expires_after"),
    )


def _asked_values(asked: KeyParameters) -> dict[str, Any]:
    """As JSON; how long the key shall live is on the version itself, as the moment when it ends."""
    return {
        "key_name": asked.key_name,
        "limit_usd": asked.limit_usd,
        "limit_reset": asked.limit_reset and str(asked.limit_reset),
        "include_byok_in_limit": asked.include_byok_in_limit,
        "workspace_id": asked.workspace_id,
    }


def schedule_of(facts: Mapping[str, Any]) -> Schedule:
    """The schedule that a row of ``rotations`` holds."""
    cron = facts["cron"]
    timing = _every(facts["every"], facts["every_at"]) if cron is None else make_cron(cron)
    return Schedule(timing, require_zone(facts["timezone"], field="timezone"), facts["window"])


def _every(interval: timedelta | None, at: str | None) -> Every:
    if not interval:
        raise ValueError("an interval of zero would never stop")
    return Every(interval, time.fromisoformat(at) if at else None)


def rotation_values(rotation: Rotation) -> dict[str, Any]:
    """The columns that a rotation sets."""
    timing, parameters = rotation.schedule.timing, rotation.parameters
    every = timing if isinstance(timing, Every) else None
    return {name: getattr(rotation, name) for name in _SAME_IN_ROTATION} | {
        "key_name": parameters.key_name,
        "limit_usd": parameters.limit_usd,
        "limit_reset": parameters.limit_reset and str(parameters.limit_reset),
        "include_byok_in_limit": parameters.include_byok_in_limit,
        "workspace_id": parameters.workspace_id,
        "expires_after": parameters.expires_after,
        "every": every and every.interval,
        "every_at": every.at.isoformat() if every and every.at else None,
        "cron": timing.expression if isinstance(timing, Cron) else None,
        "timezone": rotation.schedule.timezone,
        "window": rotation.schedule.window,
        "removal": rotation.removal and str(rotation.removal),
    }


def version_of(facts: Mapping[str, Any]) -> KeyVersion:
    """The version that a row of ``key_versions`` holds, with ``has_key`` in place of its ciphertext."""
    return KeyVersion(
        state=VersionState(facts["state"]),
        reason=Reason(facts["reason"]),
        has_key=bool(facts["has_key"]),
        asked=None if facts["asked"] is None else _parameters_of(facts["asked"]),
        attempt=_attempt_of(facts),
        **{name: facts[name] for name in _SAME_IN_VERSION},
    )


def version_values(version: KeyVersion) -> dict[str, Any]:
    """The columns that a version sets, without its ciphertext."""
    return (
        {name: getattr(version, name) for name in _SAME_IN_VERSION}
        | {
            "state": str(version.state),
            "reason": str(version.reason),
            "asked": None if version.asked is None else _asked_values(version.asked),
        }
        | _attempt_values(version.attempt)
    )


def destination_of(facts: Mapping[str, Any]) -> Destination:
    """The destination that a row of ``destinations`` holds; what releases before 0004 leave empty is as usual."""
    return Destination(
        id=facts["id"],
        kind=facts["kind"],
        label=facts["label"],
        optional=bool(facts["optional"]),
        on_drift=OnDrift(facts["on_drift"] or OnDrift.REPAIR),
        leaving=bool(facts["leaving"]),
        check_at=facts["check_at"],
        attempt=_attempt_of(facts),
    )


def destination_values(destination: Destination) -> dict[str, Any]:
    """The columns that the engine sets of a destination; that it leaves is for operators to say."""
    return {"check_at": destination.check_at} | _attempt_values(destination.attempt)


def delivery_of(facts: Mapping[str, Any]) -> Delivery:
    """The delivery that a row of ``deliveries`` holds."""
    return Delivery(
        version_id=facts["version_id"],
        destination_id=facts["destination_id"],
        delivered_at=facts["delivered_at"],
        attempt=_attempt_of(facts),
        receipt=facts["receipt"],
        drifted_at=facts["drifted_at"],
    )


def delivery_values(delivery: Delivery) -> dict[str, Any]:
    """The columns that a delivery sets, beside those that it is found by."""
    return {
        "delivered_at": delivery.delivered_at,
        "receipt": delivery.receipt,
        "drifted_at": delivery.drifted_at,
    } | _attempt_values(delivery.attempt)


def _attempt_of(facts: Mapping[str, Any]) -> Attempt:
    return Attempt(
        facts["attempts"] or 0, facts["next_attempt_at"], facts["error_family"], facts["error"], facts["remedy"]
    )


def _attempt_values(attempt: Attempt) -> dict[str, Any]:
    return {
        "attempts": attempt.count,
        "next_attempt_at": attempt.next_at,
        "error_family": attempt.family,
        "error": attempt.error,
        "remedy": attempt.remedy,
    }


def event_values(event: Event) -> dict[str, Any]:
    """The columns of an event."""
    return {f.name: getattr(event, f.name) for f in fields(Event)} | {"detail": dict(event.detail)}


def difference(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What changed."""
    return {name: value for name, value in after.items() if before[name] != value}
