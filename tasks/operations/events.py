"""The audit log, as an operator asks for it."""

from __future__ import annotations

from typing import Final

from tasks.operations.requests import EventsRequest
from tasks.operations.views import EventPage, EventView
from tasks.rotation.errors import InvalidInput, NotFound
from tasks.store.events import EventFilter, StoredEvent
from tasks.wiring import Rotator

_MOST: Final = 1000
_LAST_POSITION: Final = 2**63 - 1


def page(rotator: Rotator, request: EventsRequest) -> EventPage:
    """See ``Operations.find_events``."""
    _validate(request)
    found = rotator.store.events.page(
        _chosen(rotator, request),
        after=request.after,
        before=request.before,
        newest_first=request.newest_first,
        limit=request.limit + 1,
    )
    shown = found[: request.limit]
    names, connections = rotator.store.rotations.names(), rotator.store.connections.names()
    start = request.before if request.newest_first else request.after
    return EventPage(
        events=tuple(event_view(e, names, connections) for e in shown),
        cursor=shown[-1].id if shown else start,
        more=len(found) > len(shown),
    )


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


def _validate(request: EventsRequest) -> None:
    if not 1 <= request.limit <= _MOST:
        raise InvalidInput("limit", "it is out of range", f"Ask for 1 to {_MOST} events at once.")
    for field, position in (("after", request.after), ("before", request.before)):
        if position is not None and not 0 <= position <= _LAST_POSITION:
            raise InvalidInput(field, "it is no position", "Give the id of an event, or 0.")
    if request.since is not None and request.until is not None and request.since > request.until:
        raise InvalidInput("until", "it is before `since`", "Give the earlier moment as `since`.")


def _chosen(rotator: Rotator, request: EventsRequest) -> EventFilter:
    return EventFilter(
        rotation_ids=_rotation_ids(rotator, request.rotation),
        connection_id=None if request.connection is None else rotator.store.connections.get(request.connection).id,
        name=request.name,
        actor=request.actor,
        since=request.since,
        until=request.until,
    )


def _rotation_ids(rotator: Rotator, name: str | None) -> tuple[str, ...] | None:
    """Every rotation that ever had this name: the log of one that was deleted stays."""
    if name is None:
        return None
    ids = tuple(id_ for id_, known in rotator.store.rotations.names().items() if known == name)
    if not ids:
        raise NotFound(f"There is no rotation {name}.", "`rotator rotation list` shows them.")
    return ids
