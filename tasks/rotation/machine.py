"""The life of a key version: the only door through which a state changes, and its event with it.

::

    planned -> creating -> created -> proven -> active -> retiring -> disabled -> deleted
                     \\-> abandoned ------------------------------------------> deleted

Beside the straight line: a create that was refused, or that never left this machine, goes back to planned; an
undo brings a retiring or disabled version back in line as created, and giving the undo up sends it back to
retiring; an emergency, or a key that is found gone, skips disabled; and a version in flight may be abandoned from
wherever it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from tasks.rotation.errors import Broken
from tasks.rotation.model import Attempt, Event, KeyVersion, VersionState
from tasks.rotation.ports import Change

_S = VersionState

TRANSITIONS: Final[Mapping[VersionState, frozenset[VersionState]]] = {
    _S.PLANNED: frozenset({_S.CREATING, _S.ABANDONED}),
    _S.CREATING: frozenset({_S.CREATED, _S.PLANNED, _S.ABANDONED}),
    _S.CREATED: frozenset({_S.PROVEN, _S.ABANDONED, _S.RETIRING}),
    _S.PROVEN: frozenset({_S.ACTIVE, _S.ABANDONED, _S.RETIRING}),
    _S.ACTIVE: frozenset({_S.RETIRING}),
    _S.RETIRING: frozenset({_S.DISABLED, _S.DELETED, _S.CREATED}),
    _S.DISABLED: frozenset({_S.DELETED, _S.CREATED}),
    _S.ABANDONED: frozenset({_S.DELETED}),
    _S.DELETED: frozenset(),
}


def record(version: KeyVersion, to: VersionState, *, at: datetime, **facts: Any) -> KeyVersion:
    """``version`` in its next state, stamped, with a fresh attempt unless ``facts`` bring one.

    Raises ``Broken`` for a transition that the life of a version does not have.
    """
    if to not in TRANSITIONS[version.state]:
        raise Broken(f"version {version.number} cannot go from {version.state} to {to}")
    changed: dict[str, Any] = {"state": to, f"{to}_at": at, "attempt": Attempt()}
    if to is _S.DELETED:
        changed["has_key"] = False
    return replace(version, **changed | facts)


def transition(
    version: KeyVersion,
    *path: VersionState,
    at: datetime,
    actor: str,
    why: str = "",
    detail: Mapping[str, str] | None = None,
    **facts: Any,
) -> Change:
    """One commit that takes ``version`` along ``path``, with an event for each state on it, which says ``detail``."""
    after = version
    events = []
    for to in path:
        after = record(after, to, at=at, **(facts if to is path[-1] else {}))
        events.append(told(after, f"version_{to}", at=at, actor=actor, why=why, **(detail or {})))
    return Change(events=tuple(events), versions=((version, after),))


def told(version: KeyVersion, name: str, *, at: datetime, actor: str, why: str = "", **detail: str) -> Event:
    """The event that ``name`` happened to ``version``."""
    facts = {"key_hash": version.key_hash or "", "reason": str(version.reason)} | detail
    return Event(
        at=at,
        name=name,
        actor=actor,
        why=why,
        rotation_id=version.rotation_id,
        version=version.number,
        detail=tuple((k, v) for k, v in facts.items() if v),
    )


def together(*changes: Change) -> Change:
    """One commit of several changes. At most one of them may change the rotation's own row."""
    keys: dict[str, Any] = {}
    for change in changes:
        keys |= change.keys
    return Change(
        events=tuple(e for c in changes for e in c.events),
        versions=tuple(v for c in changes for v in c.versions),
        keys=keys,
        deliveries=tuple(d for c in changes for d in c.deliveries),
        destinations=tuple(d for c in changes for d in c.destinations),
        leaving=tuple(d for c in changes for d in c.leaving),
        forgotten=tuple(d for c in changes for d in c.forgotten),
        rotation=next((c.rotation for c in changes if c.rotation is not None), None),
        seen_revision=next((c.seen_revision for c in changes if c.seen_revision is not None), None),
        answers=next((c.answers for c in changes if c.answers is not None), None),
        pause_connection_until=next((c.pause_connection_until for c in changes if c.pause_connection_until), None),
    )
