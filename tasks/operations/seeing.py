"""What there is, as an operator is shown it."""

from __future__ import annotations

from datetime import datetime

from tasks.operations.connections import view as connection_view
from tasks.operations.views import DestinationView, EventView, HistoryView, RotationView, StatusView
from tasks.rotation.errors import Broken
from tasks.rotation.model import Rotation, Snapshot
from tasks.rotation.policy import next_rotation_at
from tasks.rotation.schedule import upcoming
from tasks.store.connections import StoredConnection
from tasks.store.rotations import StoredEvent, deliveries_of
from tasks.wiring import Rotator

_HISTORY_EVENTS = 1000


def rotation_view(snapshot: Snapshot, connections: dict[str, str]) -> RotationView:
    """A rotation as it stands. ``connections`` are names by id."""
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
        destinations=_destinations(snapshot),
        created_at=rotation.created_at,
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


def _destinations(snapshot: Snapshot) -> tuple[DestinationView, ...]:
    told = deliveries_of(snapshot)
    return tuple(DestinationView(d.kind, d.label, *told.get(d.id, (None, None, None))) for d in snapshot.destinations)


def event_view(stored: StoredEvent, rotations: dict[str, str], connections: dict[str, str]) -> EventView:
    """One line of the audit log, with names in place of ids."""
    event = stored.event
    return EventView(
        id=stored.id,
        at=event.at,
        name=event.name,
        actor=event.actor,
        why=event.why,
        rotation=rotations.get(event.rotation_id or ""),
        connection=connections.get(event.connection_id or ""),
        version=event.version,
        detail=dict(event.detail),
    )


def history(rotator: Rotator, name: str) -> HistoryView:
    """Every version of a rotation, and its newest events, oldest first."""
    snapshot = rotator.store.rotations.get(name)
    rotation_id = snapshot.rotation.id
    events = rotator.store.rotations.latest_events(rotation_id, limit=_HISTORY_EVENTS)
    names, connections = {rotation_id: name}, connection_names(rotator)
    return HistoryView(
        rotation=name,
        versions=rotator.store.rotations.versions(rotation_id),
        events=tuple(event_view(e, names, connections) for e in events),
    )


def events(rotator: Rotator, *, rotation: str | None, after: int, limit: int) -> tuple[EventView, ...]:
    """The audit log from position ``after`` on, oldest first; of one rotation or of all."""
    rotation_id = None if rotation is None else rotator.store.rotations.get(rotation).rotation.id
    stored = rotator.store.rotations.events(rotation_id=rotation_id, after=after, limit=limit)
    names, connections = rotator.store.rotations.names(), connection_names(rotator)
    return tuple(event_view(e, names, connections) for e in stored)


def status(rotator: Rotator) -> StatusView:
    """The state of the whole installation."""
    stored, found = rotator.store.connections.all(), rotator.store.rotations.each()
    names = names_by_id(stored)
    return StatusView(
        now=rotator.store.now(),
        connections=tuple(connection_view(c) for c in stored),
        rotations=tuple(rotation_view(s, names) for s in found if isinstance(s, Snapshot)),
        last_tick_at=rotator.store.dispatch.last_tick_at(),
        schema=rotator.store.schema() or "",
        broken=tuple(str(s) for s in found if isinstance(s, Broken)),
    )


def connection_names(rotator: Rotator) -> dict[str, str]:
    """Name of every connection, by id."""
    return names_by_id(rotator.store.connections.all())


def names_by_id(stored: tuple[StoredConnection, ...]) -> dict[str, str]:
    """Names by id."""
    return {c.id: c.name for c in stored}
