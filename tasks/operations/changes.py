"""Changing a rotation's order, stopping it, and ending it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from tasks.operations.destinations import usable
from tasks.operations.permitted import refuse_renaming_from_afar
from tasks.operations.requests import UNSET, RotationUpdate, Unset
from tasks.operations.rotations import labelled, refuse_early_expiry, schedule_of, secret_name_of
from tasks.publishers import open_publisher
from tasks.rotation.attending import with_attention
from tasks.rotation.errors import Conflict, InvalidInput, NotAsSeen, NotFound
from tasks.rotation.machine import together
from tasks.rotation.model import ById, Destination, Event, KeyParameters, Removal, Rotation, Snapshot
from tasks.rotation.parameters import validated_description, validated_parameters, validated_slug
from tasks.rotation.ports import Change
from tasks.rotation.removing import relieved, removed
from tasks.rotation.requests import hurried, rotation_event, undo_given_up
from tasks.rotation.schedule import Schedule, parse_span, refuse_if_too_short
from tasks.store.rotations import NewDestination
from tasks.wiring import Rotator, policy_of

_TRIES: Final = 5
"""How often a change is decided anew, when somebody else changed the rotation while it was being decided."""
_PLACES: Final = frozenset({"add_publish", "remove_publish", "withdraw"})
"""The fields of an update that are about destinations."""


def revision_of(snapshot: Snapshot) -> str:
    """An opaque text that changes with everything that an operator changes of a rotation."""
    order = replace(snapshot.rotation, last_rotated_at=None, last_version=0, attention=None, remedy=None)
    places = sorted((d.id, d.optional, str(d.on_drift), d.leaving) for d in snapshot.destinations)
    return hashlib.sha256(repr((order, places)).encode()).hexdigest()[:32]


def _refuse_unless_seen(snapshot: Snapshot, if_revision: str | None) -> None:
    if if_revision is not None and if_revision != revision_of(snapshot):
        raise NotAsSeen(snapshot.rotation.name)


# --- updating --------------------------------------------------------------------------------------------------


def update(rotator: Rotator, name: str | ById, wanted: RotationUpdate, *, if_revision: str | None) -> str:
    """Change the order; key parameters take effect at the next version. The rotation's id."""
    if wanted == RotationUpdate():
        raise InvalidInput(
            "rotation update", "there is nothing to change", "`rotator rotation update --help` lists what can."
        )
    for _ in range(_TRIES):
        snapshot = rotator.store.rotations.get(name)
        _refuse_unless_seen(snapshot, if_revision)
        try:
            _update(rotator, snapshot, wanted)
        except NotAsSeen:
            continue
        return snapshot.rotation.id
    raise NotAsSeen(snapshot.rotation.name)


def _update(rotator: Rotator, snapshot: Snapshot, wanted: RotationUpdate) -> None:
    rotation = snapshot.rotation
    going = _going(snapshot, wanted)
    if wanted != RotationUpdate(remove_publish=wanted.remove_publish) or not all(d.leaving for d in going):
        _refuse_removed(rotation)
    changed = _changed(rotation, wanted, snapshot.now)
    if changed.secret_name != rotation.secret_name:
        _refuse_while_held(rotator, snapshot, wanted)
    staying = snapshot.destinations if wanted.withdraw else tuple(d for d in snapshot.destinations if d not in going)
    add = [usable(rotator, one, changed.secret_name, staying) for one in wanted.add_publish]
    rotator.store.rotations.update(
        snapshot, changed, add=add, decide=lambda locked: _decided(rotator, locked, changed, wanted, add)
    )


def _decided(
    rotator: Rotator, locked: Snapshot, changed: Rotation, wanted: RotationUpdate, add: list[NewDestination]
) -> Change:
    """What an update comes to, beside the order itself and what is added: what of it is told, in this order."""
    actor, again = rotator.actor, {d.label for d in add}
    going = _going(locked, wanted)
    if wanted.withdraw:
        going = tuple(d for d in going if d.label not in again)
    changes = [_reordered(locked, changed, wanted, actor=actor)]
    if changed.paused != locked.rotation.paused:
        changes.append(_pausing(locked, actor=actor, paused=changed.paused))
    policy = policy_of(rotator.settings)
    changes += [removed(locked, going, withdraw=wanted.withdraw, actor=actor), relieved(locked, going, policy=policy)]
    known = {d.label for d in locked.destinations if d not in going}
    come = Change(events=tuple(_come(locked, d, known=d.label in known, actor=actor) for d in add))
    return with_attention(locked, together(*changes, come), policy=policy, actor=actor)


def _going(snapshot: Snapshot, wanted: RotationUpdate) -> tuple[Destination, ...]:
    """The destinations that shall be removed. Raises ``NotFound``."""
    name, known = snapshot.rotation.name, {d.label: d for d in snapshot.destinations}
    for label in wanted.remove_publish:
        if label not in known:
            raise NotFound(f"{name} does not publish to {label}.", f"`rotator rotation show {name}` lists where.")
    return tuple(known[label] for label in dict.fromkeys(wanted.remove_publish))


def _reordered(locked: Snapshot, changed: Rotation, wanted: RotationUpdate, *, actor: str) -> Change:
    """The event that the order was changed, with the names of its fields; never their values. What becomes of
    destinations has its own."""
    named = [n for n in RotationUpdate.__dataclass_fields__ if n not in _PLACES and getattr(wanted, n) is not UNSET]
    if not named:
        return Change()
    why = "changed " + ", ".join(n.replace("_", " ") for n in named)
    event = rotation_event(locked, "rotation_updated", actor=actor, why=why)
    if changed.name != locked.rotation.name:
        event = replace(event, detail=(("before", locked.rotation.name), ("after", changed.name)))
    return Change(events=(event,))


def _come(locked: Snapshot, destination: NewDestination, *, known: bool, actor: str) -> Event:
    detail = (
        ("destination", destination.label),
        ("optional", "yes" if destination.optional else "no"),
        ("on_drift", str(destination.on_drift)),
    )
    event = rotation_event(locked, "destination_changed" if known else "destination_added", actor=actor)
    return replace(event, detail=detail)


def _changed(rotation: Rotation, wanted: RotationUpdate, now: datetime) -> Rotation:
    """The order as it shall be. Raises ``InvalidInput`` when it cannot be so."""
    schedule, overlap, cooling = _times(rotation, wanted, now)
    parameters = _parameters(rotation.parameters, wanted)
    refuse_early_expiry(parameters, schedule, overlap, now)
    changed = replace(rotation, parameters=parameters, schedule=schedule, overlap=overlap, cooling=cooling)
    return replace(_described(changed, wanted), updated_at=now)


def _times(rotation: Rotation, wanted: RotationUpdate, now: datetime) -> tuple[Schedule, timedelta, timedelta]:
    schedule = rotation.schedule if isinstance(wanted.schedule, Unset) else schedule_of(wanted.schedule)
    overlap = rotation.overlap if isinstance(wanted.overlap, Unset) else parse_span(wanted.overlap, field="--overlap")
    cooling = rotation.cooling if isinstance(wanted.cooling, Unset) else parse_span(wanted.cooling, field="--cooling")
    refuse_if_too_short(schedule, overlap=overlap, cooling=cooling, after=now)
    return schedule, overlap, cooling


def _described(rotation: Rotation, wanted: RotationUpdate) -> Rotation:
    """With what does not touch its keys: what it is called, and for whom."""

    def kept(value: str | Unset | None, current: str | None) -> str | None:
        return current if isinstance(value, Unset) else value

    described = replace(
        rotation,
        name=rotation.name if isinstance(wanted.name, Unset) else validated_slug("--rename", wanted.name),
        description=validated_description(kept(wanted.description, rotation.description)),
        paused=rotation.paused if isinstance(wanted.paused, Unset) else wanted.paused,
        secret_name=(
            rotation.secret_name if isinstance(wanted.secret_name, Unset) else secret_name_of(wanted.secret_name)
        ),
    )
    return labelled(
        described,
        project_id=kept(wanted.project_id, rotation.project_id),
        environment=kept(wanted.environment, rotation.environment),
        secret_path=kept(wanted.secret_path, rotation.secret_path),
    )


def _refuse_while_held(rotator: Rotator, snapshot: Snapshot, wanted: RotationUpdate) -> None:
    """What holds the key under the old name would keep it there, and applications would go on reading it."""
    for destination in snapshot.destinations:
        if destination.label in wanted.remove_publish and not wanted.withdraw:
            continue
        publisher = open_publisher(destination.kind, rotator.store.leased.target(destination.id))
        if not rotator.asked_here:
            refuse_renaming_from_afar(destination.label, publisher)
        if publisher.holds_variables:
            raise Conflict(
                f"{destination.label} holds the key as {snapshot.rotation.secret_name}, where applications read it.",
                "Stop publishing there first, then publish there again under the new name.",
            )


def _parameters(parameters: KeyParameters, wanted: RotationUpdate) -> KeyParameters:
    life = wanted.expires_after
    expires_after = parameters.expires_after if isinstance(life, Unset) else None
    if isinstance(life, str):
        expires_after = parse_span(life, field="--expires-after")
    limit = parameters.limit_usd if isinstance(wanted.limit_usd, Unset) else wanted.limit_usd
    reset = parameters.limit_reset if isinstance(wanted.limit_reset, Unset) else wanted.limit_reset
    if limit is None and isinstance(wanted.limit_reset, Unset):
        reset = None
    return validated_parameters(
        key_name=parameters.key_name if isinstance(wanted.key_name, Unset) else wanted.key_name,
        limit_usd=limit,
        limit_reset=reset,
        include_byok_in_limit=(
            parameters.include_byok_in_limit
            if isinstance(wanted.include_byok_in_limit, Unset)
            else wanted.include_byok_in_limit
        ),
        workspace_id=parameters.workspace_id,
        expires_after=expires_after,
    )


# --- stopping and ending ---------------------------------------------------------------------------------------


def pause(rotator: Rotator, name: str | ById, *, paused: bool) -> str:
    """Stop or resume the schedule. What is in flight finishes, and old keys are still retired. Resuming also
    tries at once what waits after a failure. The rotation's id."""

    def decide(snapshot: Snapshot) -> Change:
        _refuse_removed(snapshot.rotation)
        changed = replace(snapshot.rotation, paused=paused, updated_at=snapshot.now)
        return replace(_pausing(snapshot, actor=rotator.actor, paused=paused), rotation=(snapshot.rotation, changed))

    return rotator.store.desk.change(name, decide).rotation.id


def _pausing(snapshot: Snapshot, *, actor: str, paused: bool) -> Change:
    waiting = () if paused else tuple(v for v in snapshot.versions if v.attempt.next_at)
    event = rotation_event(snapshot, "rotation_paused" if paused else "rotation_resumed", actor=actor)
    leaving = () if paused else tuple(d for d in snapshot.destinations if d.leaving and d.attempt.next_at)
    at_once = tuple(replace(d, attempt=replace(d.attempt, next_at=None)) for d in leaving)
    return replace(hurried(snapshot, *waiting), events=(event,), destinations=at_once)


def _refuse_removed(rotation: Rotation) -> None:
    if rotation.removal is not None:
        raise Conflict(f"{rotation.name} is being deleted.", "`rotator status` shows when it is done.")


def delete(rotator: Rotator, name: str | ById, removal: Removal, *, withdraw: bool, if_revision: str | None) -> str:
    """Ask for the rotation's end; the engine does it and forgets no key on the way, and no value at a destination from
    which it is to be withdrawn. Asked again without ``withdraw``, and also when a destination was leaving before, it
    waits for no withdrawal any more: what is there stays. The rotation's id."""

    def decide(snapshot: Snapshot) -> Change:
        _refuse_unless_seen(snapshot, if_revision)
        given_up = undo_given_up(snapshot, actor=rotator.actor)
        waiting = [v for v in snapshot.versions if v.attempt.next_at and not v.reviving]
        asked = replace(
            hurried(snapshot, *waiting),
            events=(rotation_event(snapshot, "rotation_deletion_requested", actor=rotator.actor, why=str(removal)),),
            rotation=(snapshot.rotation, replace(snapshot.rotation, removal=removal, updated_at=snapshot.now)),
        )
        going = snapshot.destinations if withdraw else tuple(d for d in snapshot.destinations if d.leaving)
        places = removed(snapshot, going, withdraw=withdraw, actor=rotator.actor)
        change = together(given_up, asked, places)
        return with_attention(snapshot, change, policy=policy_of(rotator.settings), actor=rotator.actor)

    return rotator.store.desk.change(name, decide).rotation.id
