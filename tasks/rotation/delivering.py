"""Putting a version where applications read it: published, read back, and active once every place holds it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tasks.rotation import policy as decide
from tasks.rotation.errors import Occupied, RotatorError, TryAgain
from tasks.rotation.machine import together, told, transition
from tasks.rotation.model import OUTGOING, Attempt, Delivery, Destination, Holding, KeyVersion, VersionState
from tasks.rotation.ports import Change, Publication
from tasks.rotation.turn import PUBLISHING_LASTS, Turn


def deliver(turn: Turn, version: KeyVersion, destinations: tuple[Destination, ...]) -> None:
    """Publish ``version`` to these destinations; it becomes active once all hold it that are not optional.

    Each has its own attempts: one that fails keeps none of the others from being served, and those for which no time
    is left stay due. The deliveries and the activation are one commit; what is counted from it, such as the overlap,
    counts from when all that was tried.
    """
    tried = [_deliver_one(turn, version, d) for d in turn.in_time(destinations)]
    turn = turn.later()
    waiting = _waiting(turn, version, [d for d, _ in tried])
    failed = any(delivery.delivered_at is None for delivery, _ in tried)
    told_of = _failure(turn, version, waiting) if failed else Change()
    attempt = summed(waiting, turn.world.policy.attempts)
    if version.state is VersionState.ACTIVE or any(not d.optional for d, _ in waiting):
        _store(turn, tried, together(told_of, Change(versions=((version, replace(version, attempt=attempt)),))))
    else:
        everything = (change for _, change in tried)
        turn.commit(together(*everything, told_of, _activation(turn, version, attempt)))


def _store(turn: Turn, tried: list[tuple[Delivery, Change]], outcome: Change) -> None:
    """What failed counts whatever operators do meanwhile. What was delivered counts unless one changed something: a
    destination that was changed wants another delivery than this one."""
    failed = together(*(change for delivery, change in tried if delivery.delivered_at is None))
    arrived = together(*(change for delivery, change in tried if delivery.delivered_at is not None))
    if failed.events:
        turn.commit(together(failed, outcome))
        outcome = Change()
    if arrived.events or not failed.events:
        turn.commit(replace(together(arrived, outcome), seen_revision=turn.snapshot.revision))


def put_off(turn: Turn, version: KeyVersion, destinations: tuple[Destination, ...], error: RotatorError) -> Change:
    """The whole step failed, and with it what was found out at each destination: each is tried again later."""
    known = [_so_far(turn, version, d) for d in destinations]
    attempts = [turn.retry(d.attempt, error, seed=f"{version.id}:{d.destination_id}") for d in known]
    return Change(deliveries=tuple(replace(d, attempt=a) for d, a in zip(known, attempts, strict=True)))


_Waiting = list[tuple[Destination, Attempt]]


def _waiting(turn: Turn, version: KeyVersion, tried: list[Delivery]) -> _Waiting:
    """The destinations that still lack ``version``, and how often that was tried."""
    now = {d.destination_id: d for d in tried}
    known = [(d, now.get(d.id) or turn.snapshot.delivery(version, d)) for d in turn.snapshot.undelivered(version)]
    return [(d, delivery.attempt) for d, delivery in known if delivery.delivered_at is None]


def summed(waiting: _Waiting, most: int) -> Attempt:
    """One attempt for all that wait: what a person should know first, and the soonest moment to go on. ``most`` is how
    many attempts may fail before a person is asked.

    Of several that are as urgent it is the first destination's, and not of whichever failed last: a person who is
    told of one is not told of it anew each time that another one fails.
    """
    if not waiting:
        return Attempt()
    attempts = [attempt for _, attempt in waiting]
    worst = max(attempts, key=lambda a: (a.family in decide.NEEDS_A_PERSON, a.count >= most, a.count > 0))
    moments = [attempt.next_at for _, attempt in waiting]
    known = [moment for moment in moments if moment is not None]
    return replace(worst, next_at=min(known) if len(known) == len(moments) else None)


def _deliver_one(turn: Turn, version: KeyVersion, destination: Destination) -> tuple[Delivery, Change]:
    before = _so_far(turn, version, destination)
    receipt = turn.tried(lambda: _published(turn, version, destination))
    turn = turn.later()
    if isinstance(receipt, RotatorError):
        attempt = turn.retry(before.attempt, receipt, seed=f"{version.id}:{destination.id}")
        after = replace(before, delivered_at=None, attempt=attempt)
        detail = {"family": receipt.family, "attempt": str(attempt.count)}
        names, why = ["delivery_failed"], str(receipt)
    else:
        after = replace(before, delivered_at=turn.now, attempt=Attempt(), receipt=receipt, drifted_at=None)
        detail, why = {}, ""
        names = ["delivered", "drift_repaired"] if before.drifted_at else ["delivered"]
    events = (turn.about(version, destination, name, why=why, **detail) for name in names)
    return after, Change(events=tuple(events), deliveries=(after,))


def _so_far(turn: Turn, version: KeyVersion, destination: Destination) -> Delivery:
    """How far that delivery is. A destination that the version before never reached goes on counting from there: each
    version in turn would else be new to a place that has been down all along."""
    own, active = turn.snapshot.delivery(version, destination), turn.snapshot.active
    if own.attempt.count or active is None:
        return own
    last = turn.snapshot.delivery(active, destination)
    return own if last.delivered_at else replace(own, attempt=last.attempt)


def _published(turn: Turn, version: KeyVersion, destination: Destination) -> str | None:
    """Publish to one destination and read it back: its receipt."""
    rotation = turn.rotation
    publisher = turn.world.publisher(destination.kind, destination.id)
    value = turn.world.store.key(version.id)
    turn.hold(PUBLISHING_LASTS)
    publication = Publication(rotation.id, rotation.name, rotation.secret_name, version.number, turn.lease.fence, value)
    try:
        receipt = publisher.publish(publication)
    except Occupied as occupied:
        if not turn.world.store.is_over(occupied.rotation_id):
            raise
        turn.hold(PUBLISHING_LASTS)
        receipt = publisher.publish(replace(publication, heir_of=occupied.rotation_id))
    turn.hold(PUBLISHING_LASTS)
    holding = publisher.read_back(rotation.secret_name, value, receipt)
    if holding is not Holding.SAME:
        raise TryAgain(f"{destination.label} was written, but holds {in_words(holding)} when read back.")
    return receipt


def _failure(turn: Turn, version: KeyVersion, waiting: _Waiting) -> Change:
    """The event that the version is not everywhere, with what a person should know first."""
    first = summed(waiting, turn.world.policy.attempts)
    why = f"{first.error or ''} {first.remedy or ''}".strip()
    detail = {"family": first.family or "", "attempt": str(first.count)}
    return Change(events=(told(version, "deliver_failed", at=turn.now, actor=turn.actor, why=why, **detail),))


def _activation(turn: Turn, version: KeyVersion, attempt: Attempt) -> Change:
    """``version`` takes over, and its predecessor's overlap begins; an emergency leaves older keys none. ``attempt``
    is of the optional destinations that still lack it."""
    changes = [_succeeded(turn, turn.snapshot.active, version)] if turn.snapshot.active else []
    if version.emergency:
        older = [v for v in turn.snapshot.versions if v.state in OUTGOING]
        changes += [Change(versions=((v, replace(v, doomed=True, attempt=Attempt())),)) for v in older]
    active = transition(
        version,
        VersionState.ACTIVE,
        at=turn.now,
        actor=turn.actor,
        why=str(version.reason),
        reviving=False,
        attempt=attempt,
    )
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


def in_words(holding: Holding) -> str:
    """What a destination holds that is not the key alone."""
    return _IN_WORDS[holding]


_IN_WORDS: Final = {
    Holding.NOTHING: "nothing",
    Holding.OTHER: "another value",
    Holding.PARTLY: "another value beside the key",
}
