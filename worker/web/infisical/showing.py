"""Our views in the shapes of these answers. Ids of what is a label here are made of the label, always the same ones."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from typing import Final, Literal, cast
from uuid import UUID, uuid5

from tasks.operations.views import ConnectionView, RotationView, TimingView
from tasks.rotation.model import KeyParameters, KeyVersion, Reason
from tasks.rotation.spans import format_span
from worker.web.infisical import answered
from worker.web.infisical.asked import SecretsMapping, TimeOfDay

APP: Final = "open-router"
TYPE: Final = "open-router-api-key"
_BY_HAND: Final = frozenset({Reason.INITIAL, Reason.MANUAL, Reason.EMERGENCY})
"""Creation counts, as it does there."""
_MESSAGE_MOST: Final = 1024
_DAY: Final = timedelta(days=1)


# --- connections -----------------------------------------------------------------------------------------------


def connection(view: ConnectionView, org_id: str) -> answered.AppConnection:
    """A connection, its key masked."""
    return answered.AppConnection(
        id=view.id,
        name=view.name,
        description=view.description,
        version=1,
        org_id=org_id,
        project_id=view.project_id,
        created_at=view.created_at,
        updated_at=view.updated_at,
        is_platform_managed_credentials=False,
        gateway_id=None,
        gateway_pool_id=None,
        credentials_hash=_credentials_hash(view),
        app=APP,
        method="api-key",
        credentials={},
        is_auto_rotation_enabled=False,
        project=_project(view.project_id),
        health=str(view.health),
        health_message=view.message,
        checked_at=view.checked_at,
    )


def available(view: ConnectionView, org_id: str) -> answered.AvailableConnection:
    """A connection that a rotation may use."""
    return answered.AvailableConnection(app=APP, name=view.name, id=view.id, project_id=view.project_id, org_id=org_id)


def _credentials_hash(view: ConnectionView) -> str:
    """It says whether the key was replaced by another, and nothing else: the fingerprint is keyed."""
    return hashlib.sha256(f"{view.id}:{view.fingerprint}".encode()).hexdigest()


def _project(label: str | None) -> answered.Project | None:
    return None if label is None else answered.Project(id=label, name=label, type="secret-manager", slug=label)


# --- rotations -------------------------------------------------------------------------------------------------


def rotation(view: RotationView, org_id: str) -> answered.SecretRotation:
    """A rotation, as its rows tell it."""
    folder, newest = _folder(view, org_id), view.in_flight or view.active
    return answered.SecretRotation(
        id=view.id,
        name=view.name,
        description=view.description,
        type=TYPE,
        parameters=_parameters(view.parameters),
        secrets_mapping=SecretsMapping(api_key=view.secret_name),
        is_auto_rotation_enabled=not view.paused,
        active_index=active_index(view.usable, view.active_version),
        folder_id=folder and folder.id,
        connection_id=view.connection_id,
        rotation_interval=_interval(view.timing),
        rotate_at_utc=_time_of_day(view.timing),
        rotation_status=_rotation_status(view),
        last_rotation_attempted_at=newest and _attempted_at(newest),
        last_rotated_at=view.last_rotated_at,
        last_rotation_job_id=newest and newest.id,
        last_rotation_message=_message(view),
        is_last_rotation_manual=newest is not None and newest.reason in _BY_HAND,
        next_rotation_at=view.next_rotation_at,
        created_at=view.created_at,
        updated_at=view.updated_at or view.created_at,
        project_id=view.project_id,
        connection=answered.UsedConnection(app=APP, name=view.connection, id=view.connection_id),
        environment=_environment(view, org_id),
        folder=folder,
        status=cast("Literal['ok', 'rotating', 'paused', 'needs_attention', 'removing']", view.status),
        active_version=view.active_version,
        schedule=view.schedule,
        overlap=format_span(view.overlap),
        cooling=format_span(view.cooling),
        remedy=view.remedy,
        destinations=[
            answered.Destination(
                kind=d.kind, label=d.label, version=d.version, delivered_at=d.delivered_at, error=d.error
            )
            for d in view.destinations
        ],
    )


def active_index(usable: tuple[int, ...], active: int | None) -> int:
    """Where the active version stands among those whose keys work; 0 when it does not."""
    return usable.index(active) if active in usable else 0


def _parameters(parameters: KeyParameters) -> answered.Parameters:
    return answered.Parameters(
        name=parameters.key_name,
        limit=parameters.limit_usd,
        limit_reset=parameters.limit_reset and str(parameters.limit_reset),
        include_byok_in_limit=parameters.include_byok_in_limit,
    )


def _interval(timing: TimingView | None) -> float | None:
    return None if timing is None or timing.every is None else timing.every / _DAY


def _time_of_day(timing: TimingView | None) -> TimeOfDay | None:
    if timing is None or timing.at is None or timing.timezone != "UTC":
        return None
    hours, minutes = timing.at.split(":")
    return TimeOfDay(hours=int(hours), minutes=int(minutes))


def _rotation_status(view: RotationView) -> Literal["success", "failed"] | None:
    """The last result; ``status`` tells more. What stops a rotation, or its version on the way, is a failure."""
    if view.attention is not None or (view.in_flight is not None and view.in_flight.attempt.error is not None):
        return "failed"
    return None if view.active_version is None else "success"


def _message(view: RotationView) -> str | None:
    flight = view.in_flight
    text = view.attention or (flight.attempt.error if flight is not None else None)
    return None if text is None else text[:_MESSAGE_MOST]


def _attempted_at(version: KeyVersion) -> datetime | None:
    return version.creating_at or version.created_at or version.planned_at


def _environment(view: RotationView, org_id: str) -> answered.EnvironmentOf | None:
    slug = view.environment
    if slug is None:
        return None
    return answered.EnvironmentOf(slug=slug, name=slug, id=_id_of(org_id, "environment", view.project_id, slug))


def _folder(view: RotationView, org_id: str) -> answered.Folder | None:
    path = view.secret_path
    if path is None:
        return None
    return answered.Folder(id=_id_of(org_id, "folder", view.project_id, view.environment, path), path=path)


def _id_of(org_id: str, *labels: str | None) -> str:
    """Always the same for the same labels of the same installation."""
    return str(uuid5(UUID(org_id), json.dumps(labels)))
