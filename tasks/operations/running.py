"""Rotating now, undoing, and seeing beforehand what would happen."""

from __future__ import annotations

from datetime import datetime

from tasks.operations.destinations import trials
from tasks.operations.views import DryRun, DyingKey, RotateAnswer
from tasks.rotation.engine import Advanced
from tasks.rotation.errors import Unavailable
from tasks.rotation.minting import planning
from tasks.rotation.model import OUTGOING, ById, KeyVersion, Reason, Snapshot, VersionState
from tasks.rotation.parameters import name_at_openrouter
from tasks.rotation.requests import Asked
from tasks.wiring import Rotator


def rotate(rotator: Rotator, name: str | ById, *, emergency: bool, request_id: str | None = None) -> RotateAnswer:
    """Ask for a new version and tell a worker."""
    asked = rotator.requests.rotate(name, actor=rotator.actor, emergency=emergency, request_id=request_id)
    return _answer(rotator, asked)


def undo(rotator: Rotator, name: str | ById, *, request_id: str | None = None) -> RotateAnswer:
    """Ask for the previous version back and tell a worker."""
    return _answer(rotator, rotator.requests.undo(name, actor=rotator.actor, request_id=request_id))


def tell(rotation_ids: list[str]) -> bool:
    """Tell the workers; False when there is no broker to tell them by. The work is in the database either way."""
    from tasks import jobs  # noqa: PLC0415  # brings Celery, which no command needs that only looks

    try:
        jobs.enqueue_advance(rotation_ids)
    except Unavailable:
        return False
    return True


def _answer(rotator: Rotator, asked: Asked) -> RotateAnswer:
    enqueued = tell([asked.rotation_id])
    return RotateAnswer(asked.rotation, asked.version, asked.joined, enqueued, notice(rotator, enqueued))


def notice(rotator: Rotator, enqueued: bool) -> str:
    """Who will do what was asked for, and when, for people."""
    if enqueued:
        return "A worker was told."
    tick_s = int(rotator.settings.tick_s.total_seconds())
    return (
        "The request is stored, but the broker could not be reached to tell a worker. Once worker, beat and broker run "
        f"(`rotator up`), it is picked up within {tick_s} s."
    )


def advance_here(rotator: Rotator, name: str | ById) -> Advanced:
    """Do what the rotation needs now in this process; another worker that has it keeps it."""
    return rotator.engine.advance(rotator.store.rotations.get(name).rotation.id)


def dry_run(rotator: Rotator, name: str | ById) -> DryRun:
    """What a rotation would do now. Here it only reads; each destination is tried out, its rights to write included,
    with what it holds left as it is."""
    snapshot = rotator.store.rotations.get(name)
    rotation, now = snapshot.rotation, snapshot.now
    version = snapshot.in_flight or _next(rotator, snapshot)
    life = rotation.parameters.expires_after
    return DryRun(
        rotation=rotation.name,
        version=version.number,
        name_at_openrouter=name_at_openrouter(rotation.parameters, version, version.marker or "<marker>"),
        parameters=rotation.parameters,
        expires_at=version.expires_at or (None if life is None else now + life),
        publishes_to=tuple(d.label for d in snapshot.destinations),
        secret_name=rotation.secret_name,
        dying=tuple(_dying(snapshot, v) for v in snapshot.versions if v.state in {*OUTGOING, VersionState.ACTIVE}),
        obstacles=tuple(_obstacles(rotator, snapshot)),
    )


def _next(rotator: Rotator, snapshot: Snapshot) -> KeyVersion:
    """The version that a request would put in line."""
    change = planning(
        snapshot.rotation,
        at=snapshot.now,
        version_id=rotator.ids.row(),
        reason=Reason.MANUAL,
        actor=rotator.actor,
    )
    return change.versions[0][1]


def _dying(snapshot: Snapshot, version: KeyVersion) -> DyingKey:
    rotation, now = snapshot.rotation, snapshot.now
    disabled_at = version.retire_at or now + rotation.overlap
    if version.state is VersionState.DISABLED:
        disabled_at = version.disabled_at or now
    deleted_at = version.delete_at or max(disabled_at, now) + rotation.cooling
    return DyingKey(version.number, version.key_hash, disabled_at, deleted_at)


def _obstacles(rotator: Rotator, snapshot: Snapshot) -> list[str]:
    rotation = snapshot.rotation
    found = []
    if rotation.removal is not None:
        found.append("The rotation is being deleted.")
    current = snapshot.in_flight
    if current is not None:
        found.append(f"Version {current.number} is {current.state} already; a request would join it.")
    paused: datetime | None = snapshot.connection_paused_until
    if paused is not None and paused > snapshot.now:
        found.append(f"OpenRouter asked this connection to wait until {paused:%Y-%m-%d %H:%M:%S} UTC.")
    if rotation.attention is not None:
        found.append(f"It needs attention: {rotation.attention}")
    found += [f"{t.label}: {t.obstacle}" for t in trials(rotator, snapshot) if t.obstacle is not None]
    return found
