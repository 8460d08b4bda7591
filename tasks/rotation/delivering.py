"""Putting a version where applications read it, and finding out whether it is still there."""

from __future__ import annotations

from dataclasses import replace

from tasks.rotation.errors import Broken, LeaseLost, OutcomeUnknown, Overtaken, RotatorError, TryAgain
from tasks.rotation.machine import together, told, transition
from tasks.rotation.model import OUTGOING, Attempt, Delivery, Destination, Holding, KeyVersion, VersionState
from tasks.rotation.ports import Change, Publication
from tasks.rotation.turn import PUBLISHING_LASTS, Turn


def deliver(turn: Turn, version: KeyVersion) -> None:
    """Publish ``version`` wherever it was not yet read back from; when all hold it, it becomes active.

    One destination that fails does not keep the others from being served. The deliveries and the activation are
    one commit.
    """
    outcomes = [(d, _deliver_one(turn, version, d)) for d in turn.snapshot.undelivered(version)]
    delivered = together(*(_delivery(turn, version, d, error) for d, error in outcomes))
    error = _soonest([error for _, error in outcomes if error is not None])
    if error is not None:
        turn.commit(together(delivered, turn.failure(version, error, step="deliver")))
    elif version.state is VersionState.ACTIVE:
        healed = Change(versions=((version, replace(version, attempt=Attempt())),))
        turn.commit(together(delivered, healed))
    else:
        turn.commit(together(delivered, _activation(turn, version)))


def _deliver_one(turn: Turn, version: KeyVersion, destination: Destination) -> RotatorError | None:
    """Publish to one destination and read it back. What goes wrong is the answer, so that the others go on."""
    rotation = turn.rotation
    try:
        publisher = turn.world.publisher(destination.kind, destination.id)
        value = turn.world.store.key(version.id)
        turn.hold(PUBLISHING_LASTS)
        publisher.publish(
            Publication(rotation.id, rotation.name, rotation.secret_name, version.number, turn.lease.fence, value)
        )
        holding = publisher.read_back(rotation.secret_name, value)
    except (LeaseLost, Overtaken):
        raise
    except RotatorError as error:
        return error
    if holding is not Holding.SAME:
        return TryAgain(f"{destination.label} was written, but holds {_in_words(holding)} when read back.")
    return None


def _delivery(turn: Turn, version: KeyVersion, destination: Destination, error: RotatorError | None) -> Change:
    name, why = ("delivered", "") if error is None else ("delivery_failed", str(error))
    return Change(
        events=(told(version, name, at=turn.now, actor=turn.actor, why=why, destination=destination.label),),
        deliveries=(Delivery(version.id, destination.id, turn.now if error is None else None, why or None),),
    )


def _activation(turn: Turn, version: KeyVersion) -> Change:
    """``version`` takes over, and its predecessor's overlap begins; an emergency leaves older keys none."""
    changes = [_succeeded(turn, turn.snapshot.active, version)] if turn.snapshot.active else []
    if version.emergency:
        older = [v for v in turn.snapshot.versions if v.state in OUTGOING]
        changes += [Change(versions=((v, replace(v, doomed=True, attempt=Attempt())),)) for v in older]
    why = str(version.reason)
    active = transition(version, VersionState.ACTIVE, at=turn.now, actor=turn.actor, why=why, reviving=False)
    success = Change(
        rotation=(turn.rotation, replace(turn.rotation, last_rotated_at=turn.now)),
        seen_revision=turn.snapshot.revision,
    )
    return together(*changes, active, success)


def _succeeded(turn: Turn, old: KeyVersion, new: KeyVersion) -> Change:
    return transition(
        old,
        VersionState.RETIRING,
        at=turn.now,
        actor=turn.actor,
        why=f"replaced by version {new.number}",
        retire_at=turn.now if new.emergency else turn.now + turn.rotation.overlap,
        doomed=new.emergency,
    )


def all_hold_the_active_key(turn: Turn) -> bool:
    """Read every destination now. One that does not hold the active key is stored as undelivered, so that the
    next step delivers again. Raises what keeps a destination from being read: that delays a key's death."""
    active = in_service(turn)
    drifted = [(d, h) for d in turn.snapshot.destinations if (h := _holding(turn, active, d)) is not Holding.SAME]
    if drifted:
        turn.commit(together(*(_drift(turn, active, d, holding) for d, holding in drifted)))
    return not drifted


def in_service(turn: Turn) -> KeyVersion:
    """The active version. Raises ``Broken`` unless there is one and its key is stored: else nothing may be retired."""
    active = turn.snapshot.active
    if active is None or not active.has_key:
        raise Broken("there is no active version whose key is stored, so nothing may be retired")
    return active


def _holding(turn: Turn, active: KeyVersion, destination: Destination) -> Holding:
    turn.hold(PUBLISHING_LASTS)
    publisher = turn.world.publisher(destination.kind, destination.id)
    return publisher.read_back(turn.rotation.secret_name, turn.world.store.key(active.id))


def _drift(turn: Turn, active: KeyVersion, destination: Destination, holding: Holding) -> Change:
    why = f"it holds {_in_words(holding)}; the active key will be delivered again"
    return Change(
        events=(told(active, "drift_found", at=turn.now, actor=turn.actor, why=why, destination=destination.label),),
        deliveries=(Delivery(active.id, destination.id, None, why),),
    )


def _in_words(holding: Holding) -> str:
    return "nothing" if holding is Holding.NOTHING else "another value"


def _soonest(errors: list[RotatorError]) -> RotatorError | None:
    """The error to go by: one that passes by itself, if there is any, so that no destination waits for another."""
    return min(errors, key=lambda e: not isinstance(e, TryAgain | OutcomeUnknown), default=None)
