"""Finding out whether every destination still holds the active key, now and then and before an old key dies."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta

from tasks.rotation import policy as decide
from tasks.rotation.delivering import in_words
from tasks.rotation.errors import Broken, DestinationBusy, OperatorNeeded, RotatorError, TryAgain
from tasks.rotation.machine import together
from tasks.rotation.model import Attempt, Delivery, Destination, Holding, KeyVersion, OnDrift
from tasks.rotation.ports import Change
from tasks.rotation.turn import PUBLISHING_LASTS, TRYING_LASTS, Turn


def check(turn: Turn, active: KeyVersion, destinations: tuple[Destination, ...]) -> None:
    """Read these destinations back, and set when to look again. What one holds is an event when it changed since the
    last look; one that cannot be read is tried again, sooner than usual."""
    checked = together(*(_checked(turn, active, d) for d in turn.in_time(destinations)))
    turn.commit(replace(checked, seen_revision=turn.snapshot.revision))  # what was asked for meanwhile is not undone


def put_off(turn: Turn, destinations: tuple[Destination, ...], error: RotatorError) -> Change:
    """The whole step failed, and with it what each destination was found to hold: each is looked at again later."""
    attempts = [turn.retry(d.attempt, error, seed=d.id) for d in destinations]
    pairs = zip(destinations, attempts, strict=True)
    return Change(destinations=tuple(replace(d, check_at=a.next_at, attempt=a) for d, a in pairs))


def _checked(turn: Turn, active: KeyVersion, destination: Destination) -> Change:
    found = turn.tried(lambda: _holding(turn, active, destination))
    turn = turn.later()
    if isinstance(found, RotatorError):
        return _unreadable(turn, active, destination, found)
    span = turn.world.policy.drift_every or timedelta()
    later = turn.now + decide.jittered(span, f"{destination.id}:{turn.now}")
    looked = Change(destinations=(replace(destination, check_at=later, attempt=Attempt()),))
    return together(looked, _found(turn, active, destination, found))


def _unreadable(turn: Turn, active: KeyVersion, destination: Destination, error: RotatorError) -> Change:
    attempt = turn.retry(destination.attempt, error, seed=destination.id)
    detail = {"family": error.family, "attempt": str(attempt.count)}
    event = turn.about(active, destination, "drift_check_failed", why=str(error), **detail)
    return Change(events=(event,), destinations=(replace(destination, check_at=attempt.next_at, attempt=attempt),))


def _found(turn: Turn, active: KeyVersion, destination: Destination, holding: Holding) -> Change:
    """What it means that a destination holds this; nothing when that was known."""
    before = turn.snapshot.delivery(active, destination)
    if holding is Holding.SAME:
        if before.drifted_at is None:
            return Change()
        ended = replace(before, drifted_at=None, attempt=Attempt())
        return Change(events=(turn.about(active, destination, "drift_ended"),), deliveries=(ended,))
    if before.drifted_at is not None and destination.on_drift is OnDrift.REPORT:
        return Change()
    return _drift(turn, active, before, destination, holding)


def _drift(turn: Turn, active: KeyVersion, before: Delivery, destination: Destination, holding: Holding) -> Change:
    """Told; and stored as undelivered where it is to be put right, so that the next step delivers again."""
    repaired = destination.on_drift is OnDrift.REPAIR
    what = "the active key will be delivered again" if repaired else "it is left as it is, as was ordered"
    why = f"it holds {in_words(holding)}; {what}"
    after = replace(
        before,
        delivered_at=None if repaired else before.delivered_at,
        attempt=Attempt(error=why),
        drifted_at=before.drifted_at or turn.now,
    )
    return Change(events=(turn.about(active, destination, "drift_found", why=why),), deliveries=(after,))


def safe_without(turn: Turn, dying: KeyVersion) -> bool:
    """Look whether every destination holds the active key; False while one is to be put right first.

    What does not hold it is told at once, and unless an operator wants drift only reported it counts as undelivered, so
    that the next step delivers again. Raises what keeps a destination from being read: that delays a key's death;
    ``OperatorNeeded`` when one that is left as it is holds, or may hold, the key that shall die; and ``Overtaken`` when
    an operator asked for something while the destinations were read.
    """
    active = in_service(turn)
    looked: dict[Destination, Holding] = {}
    for destination in turn.in_time(turn.snapshot.served):
        holding = looked[destination] = _holding(turn, active, destination)
        if holding is not Holding.SAME:
            found = _found(turn.later(), active, destination, holding)
            if found.deliveries:
                turn.commit(replace(found, seen_revision=turn.snapshot.revision))
    drifted = [(d, holding) for d, holding in looked.items() if holding is not Holding.SAME]
    for destination, holding in drifted:
        if destination.on_drift is OnDrift.REPAIR:
            turn.commit(_delayed(turn.later(), dying, destination, holding))
            return False
    if len(looked) < len(turn.snapshot.served):
        raise _too_slow(looked)
    for destination, holding in drifted:
        if holding is not Holding.NOTHING:
            _refuse_unless_elsewhere(turn, dying, destination)
    turn.refuse_if_changed()
    return True


def _too_slow(looked: Collection[Destination]) -> DestinationBusy:
    """What keeps a key alive while not every destination can be read in one go."""
    return DestinationBusy(
        f"Only {len(looked)} of the destinations could be read within {TRYING_LASTS.total_seconds():g} s. The old key"
        " was left alive.",
        "See which of them take so long: `rotator rotation check-destination`; or give the rotation fewer.",
    )


def _delayed(turn: Turn, dying: KeyVersion, destination: Destination, holding: Holding) -> Change:
    """The end of a key for which a destination is put right first backs off: one that holds the active key whenever
    it was delivered, and never when it is looked at here, would else be written to without end."""
    why = f"{destination.label} held {in_words(holding)} when it was read before this key's end. The key was left alive"
    remedy = "Find out who else writes there; what is read there may also be older than what was written."
    attempt = turn.retry(dying.attempt, TryAgain(f"{why}.", remedy), seed=dying.id)
    return Change(versions=((dying, replace(dying, attempt=attempt)),))


def _refuse_unless_elsewhere(turn: Turn, dying: KeyVersion, destination: Destination) -> None:
    """Raise ``OperatorNeeded`` unless a destination that holds something else than the active key, and is left as it
    is, is seen not to hold the key that shall die. What shows no value, and answers receipts instead, is never seen
    not to: somebody may have put the old key back."""
    shows_none = any(turn.snapshot.delivery(v, destination).receipt for v in (in_service(turn), dying))
    known = dying.has_key and not shows_none
    if known and _holding(turn, dying, destination) in {Holding.OTHER, Holding.NOTHING}:
        return
    put_there = "" if shows_none else "Put the active key there, or let it be repaired"
    raise OperatorNeeded(
        f"{destination.label} {'holds' if known else 'may hold'} the key of version {dying.number} and not "
        "only that of the active version, and drift is only reported there. The old key was left alive.",
        f"{put_there or 'Let it be repaired'}: `rotator rotation publish ... --on-drift repair`.",
    )


def in_service(turn: Turn) -> KeyVersion:
    """The active version. Raises ``Broken`` unless there is one and its key is stored: else nothing may be retired."""
    active = turn.snapshot.active
    if active is None or not active.has_key:
        raise Broken("there is no active version whose key is stored, so nothing may be retired")
    return active


def _holding(turn: Turn, version: KeyVersion, destination: Destination) -> Holding:
    """What a destination holds, compared with a version's key. The receipt is of the active version's delivery, which
    was the last one there."""
    active = turn.snapshot.active or version
    receipt = turn.snapshot.delivery(active, destination).receipt
    turn.hold(PUBLISHING_LASTS)
    publisher = turn.world.publisher(destination.kind, destination.id)
    try:
        return publisher.read_back(turn.rotation.secret_name, turn.world.store.key(version.id), receipt)
    except TryAgain as error:
        raise DestinationBusy(error.message, error.remedy, retry_after=error.retry_after) from error
