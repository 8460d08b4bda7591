"""Taking a key away from a destination that an operator removed.

Nothing waits for it but the end of a rotation that is being deleted: a destination that is leaving is not read before
an old key dies, so that one which is down meanwhile may be left with a key that OpenRouter accepts no more.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from config.secret import Secret
from tasks.rotation.errors import RotatorError
from tasks.rotation.model import Destination, Holding, KeyVersion, Snapshot, VersionState
from tasks.rotation.ports import Change, Publication, Publisher
from tasks.rotation.turn import PUBLISHING_LASTS, Turn

_UNKNOWN: Final = Secret("withdrawn")
_NO_VERSION: Final = 0
"""A place whose stamp is of the rotation holds an earlier one, whatever the value."""
_TAKEN: Final = "the key was taken away"
_NOTHING: Final = "nothing was there any more"
_ANOTHERS: Final = "what it holds is not ours, and was left there"
_UNSEEN: Final = "it was told to take the key away; whether it did cannot be seen there"
_STAYS: Final = "it still holds the key and does not know it as ours, so that it was left there: take it away by hand"


def withdraw(turn: Turn, destination: Destination) -> None:
    """Take our value away and forget the destination; what goes wrong is stored with it, and tried again. One that an
    operator wants back meanwhile is not forgotten."""
    ended = turn.tried(lambda: _taken_away(turn, destination))
    if isinstance(ended, RotatorError):
        change = _failed(turn, destination, ended)
    else:
        event = replace(turn.event("destination_withdrawn", why=ended), detail=(("destination", destination.label),))
        change = Change(events=(event,), forgotten=(destination,))
    turn.commit(replace(change, seen_revision=turn.snapshot.revision))


def _failed(turn: Turn, destination: Destination, error: RotatorError) -> Change:
    attempt = turn.retry(destination.attempt, error, seed=destination.id)
    detail = (("destination", destination.label), ("family", error.family), ("attempt", str(attempt.count)))
    event = replace(turn.event("withdraw_failed", why=str(error)), detail=detail)
    return Change(events=(event,), destinations=(replace(destination, attempt=attempt),))


def _taken_away(turn: Turn, destination: Destination) -> str:
    """What became of the value there, in words."""
    rotation, last = turn.rotation, _last_there(turn.snapshot, destination)
    value = _UNKNOWN if last is None else turn.world.store.key(last.id)
    number = _NO_VERSION if last is None else last.number
    turn.hold(PUBLISHING_LASTS)
    publisher = turn.world.publisher(destination.kind, destination.id)
    receipts = _receipts(turn, destination)
    before = _before(turn, publisher, value, receipts)
    if before is Holding.OTHER and receipts and not _is_open(turn.snapshot, destination):
        return _ANOTHERS
    turn.hold(PUBLISHING_LASTS)
    publisher.withdraw(Publication(rotation.id, rotation.name, rotation.secret_name, number, turn.lease.fence, value))
    if before is Holding.NOTHING:
        return _NOTHING
    turn.hold(PUBLISHING_LASTS)
    after = publisher.read_back(rotation.secret_name, value)
    if after is Holding.NOTHING:
        return _TAKEN
    if receipts:
        return _UNSEEN
    return _STAYS if after in {Holding.SAME, Holding.PARTLY} else _ANOTHERS


def _last_there(snapshot: Snapshot, destination: Destination) -> KeyVersion | None:
    """The version that was written there last, as far as is recorded and its text is known."""
    coming, active = snapshot.in_flight, snapshot.active
    if coming is not None and coming.has_key and snapshot.delivery(coming, destination).delivered_at:
        return coming
    return active if active is not None and active.has_key else None


def _receipts(turn: Turn, destination: Destination) -> list[tuple[Secret, str]]:
    """Of every living version that such a place, which shows no values, took: its key and the receipt."""
    versions = ((v, turn.snapshot.delivery(v, destination).receipt) for v in turn.snapshot.versions if v.has_key)
    return [(turn.world.store.key(v.id), receipt) for v, receipt in versions if receipt is not None]


def _before(turn: Turn, publisher: Publisher, value: Secret, receipts: list[tuple[Secret, str]]) -> Holding:
    """What is there: by any of the receipts, or by the value where the place keeps none."""
    known: list[tuple[Secret, str | None]] = [*receipts] or [(value, None)]
    for expected, receipt in known:
        turn.hold(PUBLISHING_LASTS)
        found = publisher.read_back(turn.rotation.secret_name, expected, receipt)
        if found is not Holding.OTHER:
            return found
    return Holding.OTHER


def _is_open(snapshot: Snapshot, destination: Destination) -> bool:
    """Whether a version may be there that no receipt tells of: its delivery failed, or ended before it was recorded.
    Of what is neither coming nor active, a delivery that was not begun is none."""
    begun = {d.version_id for d in snapshot.deliveries if d.destination_id == destination.id}
    wanted = {v.id for v in snapshot.versions if v.state in {VersionState.PROVEN, VersionState.ACTIVE}}
    living = (v for v in snapshot.versions if v.id in begun | wanted)
    return any(snapshot.delivery(v, destination).delivered_at is None for v in living)
