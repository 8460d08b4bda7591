"""What a request for a new rotation would make, told before anything is stored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

from tasks.operations import destinations, rotations
from tasks.operations.requests import RotationRequest
from tasks.operations.views import DyingKey, RotationPreview
from tasks.rotation.minting import planning
from tasks.rotation.model import ConnectionHealth, Reason, Rotation
from tasks.rotation.parameters import name_at_openrouter
from tasks.rotation.ports import RemoteKey
from tasks.rotation.schedule import upcoming
from tasks.store.connections import StoredConnection
from tasks.wiring import Rotator


def preview(rotator: Rotator, request: RotationRequest) -> RotationPreview:
    """See ``Operations.preview_rotation``."""
    designed, adopted = rotations.design(rotator, request)
    connection = rotator.store.connections.get(request.connection)
    rotation = replace(designed, last_version=0 if adopted is None else 1)
    now, life = rotation.created_at, rotation.parameters.expires_after
    runs = _runs(rotation)
    starts = (now, *runs) if request.initial else runs
    return RotationPreview(
        rotation=rotation.name,
        connection=connection.name,
        version=rotation.last_version + 1,
        name_at_openrouter=_name(rotator, rotation),
        parameters=rotation.parameters,
        expires_at=None if life is None else starts[0] + life,
        schedule=rotation.schedule.describe(),
        overlap=rotation.overlap,
        cooling=rotation.cooling,
        secret_name=rotation.secret_name,
        minted_at=starts[0],
        upcoming=runs,
        dying=tuple(_dying(rotation, adopted, starts)),
        destinations=destinations.proposed(rotator, rotation, request.publish),
        obstacles=tuple(_obstacles(connection, now)),
    )


def _runs(rotation: Rotation) -> tuple[datetime, ...]:
    """The next three, without the window's delay: that depends on the id, which the rotation gets when it is stored."""
    punctual = replace(rotation.schedule, window=timedelta(0))
    return upcoming(punctual, last_success=rotation.created_at, now=rotation.created_at, seed=rotation.id)


def _name(rotator: Rotator, rotation: Rotation) -> str:
    change = planning(
        rotation, at=rotation.created_at, version_id=rotation.id, reason=Reason.INITIAL, actor=rotator.actor
    )
    return name_at_openrouter(rotation.parameters, change.versions[0][1], "<marker>")


def _dying(rotation: Rotation, adopted: RemoteKey | None, starts: tuple[datetime, ...]) -> Iterator[DyingKey]:
    """Each key goes when the next one is in service: first it is disabled, then deleted."""
    first = rotation.last_version + 1
    if adopted is not None:
        yield _ending(rotation, 1, adopted.key_hash, starts[0])
    for number, (_, replaced_at) in enumerate(pairwise(starts), start=first):
        yield _ending(rotation, number, None, replaced_at)


def _ending(rotation: Rotation, version: int, key_hash: str | None, replaced_at: datetime) -> DyingKey:
    disabled_at = replaced_at + rotation.overlap
    return DyingKey(version, key_hash, disabled_at, disabled_at + rotation.cooling)


def _obstacles(connection: StoredConnection, now: datetime) -> Iterator[str]:
    if connection.paused_until is not None and connection.paused_until > now:
        yield f"OpenRouter asked this connection to wait until {connection.paused_until:%Y-%m-%d %H:%M:%S} UTC."
    if connection.health is not ConnectionHealth.VALID:
        yield f"The connection {connection.name} was last found {connection.health}: {connection.health_message}"
