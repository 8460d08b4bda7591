"""What there is, as an operator is shown it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from tasks.operations.changes import revision_of
from tasks.operations.connections import view as connection_view
from tasks.operations.destinations import deliveries
from tasks.operations.events import event_view
from tasks.operations.views import (
    HistoryView,
    Rotations,
    RotationView,
    StatusView,
    TimingView,
    VersionPage,
)
from tasks.rotation.errors import Broken, InvalidInput
from tasks.rotation.model import ById, Rotation, Snapshot
from tasks.rotation.policy import next_rotation_at
from tasks.rotation.schedule import Cron, Every, Schedule, upcoming
from tasks.store.connections import StoredConnection
from tasks.store.rows import possible
from tasks.wiring import Rotator

_HISTORY_EVENTS = 1000
_VERSIONS_MOST = 1000


def rotation_view(snapshot: Snapshot, connections: dict[str, str]) -> RotationView:
    """A rotation as it stands. ``connections`` are names by id. Raises ``Broken`` where its moments lead beyond the
    calendar."""
    with possible(lambda: snapshot.rotation.name):
        return _rotation_view(snapshot, connections)


def rotation_views(found: Iterable[Snapshot | Broken], connections: dict[str, str]) -> Rotations:
    """Those that can be shown; of each of the others, why not."""
    views: list[RotationView] = []
    broken: list[str] = []
    for one in found:
        try:
            views.append(rotation_view(_readable(one), connections))
        except Broken as error:
            broken.append(str(error))
    return Rotations(views, tuple(broken))


def _readable(found: Snapshot | Broken) -> Snapshot:
    if isinstance(found, Broken):
        raise found
    return found


def _rotation_view(snapshot: Snapshot, connections: dict[str, str]) -> RotationView:
    rotation, active = snapshot.rotation, snapshot.active
    return RotationView(
        id=rotation.id,
        name=rotation.name,
        connection=connections[rotation.connection_id],
        parameters=rotation.parameters,
        schedule=rotation.schedule.describe(),
        overlap=rotation.overlap,
        cooling=rotation.cooling,
        secret_name=rotation.secret_name,
        status=_status(snapshot),
        paused=rotation.paused,
        removal=rotation.removal,
        attention=rotation.attention,
        remedy=rotation.remedy,
        active_version=active.number if active else None,
        active_hash=active.key_hash if active else None,
        active_since=active.active_at if active else None,
        in_flight=snapshot.in_flight,
        last_rotated_at=rotation.last_rotated_at,
        next_rotation_at=None if _idle(rotation) else next_rotation_at(rotation, active),
        upcoming=() if _idle(rotation) else _upcoming(snapshot),
        destinations=deliveries(snapshot),
        created_at=rotation.created_at,
        updated_at=rotation.updated_at or rotation.created_at,
        connection_id=rotation.connection_id,
        description=rotation.description,
        project_id=rotation.project_id,
        environment=rotation.environment,
        secret_path=rotation.secret_path,
        timing=_timing(rotation.schedule),
        waits_until=_waits_until(snapshot),
        stopped=next((v.attempt for v in snapshot.versions if v.attempt.next_at and v.attempt.error), None),
        active=active,
        usable=tuple(v.number for v in snapshot.usable),
        revision=revision_of(snapshot),
    )


def _waits_until(snapshot: Snapshot) -> datetime | None:
    until = snapshot.connection_paused_until
    return until if until is not None and until > snapshot.now else None


def _timing(schedule: Schedule) -> TimingView:
    timing = schedule.timing
    every = timing if isinstance(timing, Every) else None
    return TimingView(
        every=every.interval if every else None,
        at=f"{every.at:%H:%M}" if every and every.at else None,
        cron=timing.expression if isinstance(timing, Cron) else None,
        timezone=schedule.timezone,
        window=schedule.window,
    )


def _status(snapshot: Snapshot) -> str:
    rotation = snapshot.rotation
    if rotation.removal is not None:
        return "removing"
    if rotation.attention is not None:
        return "needs_attention"
    if snapshot.in_flight is not None:
        return "rotating"
    return "paused" if rotation.paused else "ok"


def _idle(rotation: Rotation) -> bool:
    return rotation.paused or rotation.removal is not None


def _upcoming(snapshot: Snapshot) -> tuple[datetime, ...]:
    """The next three runs, the first one as the engine will take it: an expiry may bring it forward."""
    rotation = snapshot.rotation
    first = max(next_rotation_at(rotation, snapshot.active), snapshot.now)
    later = upcoming(rotation.schedule, last_success=first, now=first, seed=rotation.id, count=2)
    return (first, *later)


def history(rotator: Rotator, name: str | ById) -> HistoryView:
    """Every version of a rotation, and its newest events, oldest first."""
    snapshot = rotator.store.rotations.get(name)
    rotation_id = snapshot.rotation.id
    events = rotator.store.events.latest(rotation_id, limit=_HISTORY_EVENTS)
    name = snapshot.rotation.name
    names, connections = {rotation_id: name}, connection_names(rotator)
    return HistoryView(
        rotation=name,
        versions=rotator.store.rotations.versions(rotation_id),
        events=tuple(event_view(e, names, connections) for e in events),
    )


def version_page(rotator: Rotator, name: str | ById, *, before: int | None, limit: int) -> VersionPage:
    """See ``Operations.version_page``."""
    if not 1 <= limit <= _VERSIONS_MOST:
        raise InvalidInput("limit", "it is out of range", f"Ask for 1 to {_VERSIONS_MOST} versions at once.")
    rotation = rotator.store.rotations.get(name).rotation
    found = rotator.store.rotations.newest_versions(rotation.id, before=before, limit=limit + 1)
    shown = found[:limit]
    return VersionPage(
        rotation=rotation.name,
        versions=shown,
        cursor=shown[-1].number if shown else before,
        more=len(found) > len(shown),
    )


def status(rotator: Rotator) -> StatusView:
    """The state of the whole installation."""
    stored = rotator.store.connections.all()
    rotations = rotation_views(rotator.store.rotations.each(), names_by_id(stored))
    return StatusView(
        now=rotator.store.now(),
        connections=tuple(connection_view(c) for c in stored),
        rotations=tuple(rotations),
        last_tick_at=rotator.store.dispatch.last_tick_at(),
        schema=rotator.store.schema() or "",
        broken=rotations.broken,
        untold=rotator.store.outbox.failing(),
    )


def connection_names(rotator: Rotator) -> dict[str, str]:
    """Name of every connection, by id."""
    return rotator.store.connections.names()


def names_by_id(stored: tuple[StoredConnection, ...]) -> dict[str, str]:
    """Names by id."""
    return {c.id: c.name for c in stored}
