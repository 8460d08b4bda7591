"""What a person may ask of a rotation at any time: decided on the locked row, then left to the engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from tasks.rotation.errors import Conflict
from tasks.rotation.machine import together, told, transition
from tasks.rotation.minting import planning
from tasks.rotation.model import (
    OUTGOING,
    Attempt,
    ById,
    Event,
    KeyVersion,
    Reason,
    Rotation,
    Snapshot,
    VersionState,
)
from tasks.rotation.ports import Change, Desk
from tasks.rotation.turn import Ids


@dataclass(frozen=True, slots=True)
class Asked:
    """What became of a request: the version that will answer it, and whether it was on its way already."""

    rotation_id: str
    rotation: str
    version: int
    joined: bool


class Requests:
    """Requests for a new version, or for the previous one. Each is one transaction; the engine does the rest."""

    def __init__(self, desk: Desk, ids: Ids) -> None:
        self._desk = desk
        self._ids = ids

    def rotate(
        self,
        name: str | ById,
        *,
        actor: str,
        emergency: bool = False,
        reason: Reason = Reason.MANUAL,
        request_id: str | None = None,
    ) -> Asked:
        """Ask for a new version. Whoever asks while one is in flight joins it and gets the same answer.

        A version that waits after failures is tried again at once, and an undo that is under way is given up.
        The same ``request_id`` gets the same answer, also when that version is active by then: a message that
        the broker repeats makes no second rotation.
        Raises ``NotFound``, and ``Conflict`` when the rotation is being deleted.
        """
        wanted = Reason.EMERGENCY if emergency else reason

        def decide(snapshot: Snapshot) -> tuple[int, bool, Change]:
            if snapshot.answered is not None:
                return snapshot.answered, True, Change()
            return _rotate(snapshot, actor=actor, reason=wanted, version_id=self._ids.row(), emergency=emergency)

        return self._ask(name, decide, request_id=request_id)

    def undo(self, name: str | ById, *, actor: str, request_id: str | None = None) -> Asked:
        """Ask for the previous version back: re-enabled, proven, published, and active again.

        The same ``request_id`` gets the same answer, as with ``rotate``: repeated, it undoes nothing else.
        Raises ``NotFound``, and ``Conflict`` when there is none left or another version is on its way.
        """

        def decide(snapshot: Snapshot) -> tuple[int, bool, Change]:
            if snapshot.answered is not None:
                return snapshot.answered, True, Change()
            return _undo(snapshot, actor=actor)

        return self._ask(name, decide, request_id=request_id)

    def _ask(
        self,
        name: str | ById,
        decide: Callable[[Snapshot], tuple[int, bool, Change]],
        *,
        request_id: str | None = None,
    ) -> Asked:
        answers: list[tuple[int, bool]] = []

        def deciding(snapshot: Snapshot) -> Change:
            number, joined, change = decide(snapshot)
            answers.append((number, joined))
            return replace(change, answers=number)

        rotation = self._desk.change(name, deciding, request_id=request_id).rotation
        return Asked(rotation.id, rotation.name, *answers[-1])


def _rotate(
    snapshot: Snapshot, *, actor: str, reason: Reason, version_id: str, emergency: bool
) -> tuple[int, bool, Change]:
    rotation = _not_removed(snapshot)
    current = snapshot.in_flight
    if current is not None and not current.reviving:
        return current.number, True, _hurry(snapshot, current, actor=actor, emergency=emergency)
    planned = planning(
        rotation, at=snapshot.now, version_id=version_id, reason=reason, actor=actor, emergency=emergency
    )
    return rotation.last_version + 1, False, together(undo_given_up(snapshot, actor=actor), planned)


def undo_given_up(snapshot: Snapshot, *, actor: str) -> Change:
    """Send a version that an undo was bringing back to where it came from; nothing when there is none.

    Destinations that hold it already get the active key again before it is disabled.
    """
    current = snapshot.in_flight
    if current is None or not current.reviving:
        return Change()
    back = transition(
        current,
        VersionState.RETIRING,
        at=snapshot.now,
        actor=actor,
        why="the undo was given up",
        reviving=False,
        retire_at=snapshot.now,
    )
    return together(back, delivered_again(snapshot, current))


def delivered_again(snapshot: Snapshot, given_up: KeyVersion) -> Change:
    """The active key is delivered once more, where a version that is given up may have been delivered already: not
    every destination can show what it holds."""
    if snapshot.active is None or given_up.state is not VersionState.PROVEN:
        return Change()
    return Change(deliveries=snapshot.deliveries_anew(snapshot.active))


def hurried(snapshot: Snapshot, *versions: KeyVersion) -> Change:
    """What waits after a failure of these versions, their deliveries too, may be tried at once."""
    ids = {v.id for v in versions}
    waiting = (d for d in snapshot.deliveries if d.version_id in ids and d.attempt.next_at)
    return Change(
        versions=tuple((v, replace(v, attempt=replace(v.attempt, next_at=None))) for v in versions),
        deliveries=tuple(replace(d, attempt=replace(d.attempt, next_at=None)) for d in waiting),
    )


def _hurry(snapshot: Snapshot, current: KeyVersion, *, actor: str, emergency: bool) -> Change:
    """Whoever joins a version that waits after a failure wants it tried now; an emergency makes it one."""
    change = hurried(snapshot, current)
    (_, after), *_ = change.versions
    name = "emergency_requested" if emergency else "rotation_requested"
    return replace(
        change,
        events=(told(current, name, at=snapshot.now, actor=actor, why="it was on its way already"),),
        versions=((current, replace(after, emergency=current.emergency or emergency)),),
    )


def _undo(snapshot: Snapshot, *, actor: str) -> tuple[int, bool, Change]:
    rotation = _not_removed(snapshot)
    current = snapshot.in_flight
    if current is not None and current.reviving:
        return current.number, True, Change()
    if current is not None and (current.emergency or current.state is not VersionState.PLANNED):
        what = "an emergency" if current.emergency else "on its way to active"
        raise Conflict(
            f"Version {current.number} of {rotation.name} is {current.state}: {what}.", "Let it finish, then undo it."
        )
    previous = _previous(snapshot)
    why = "an operator brings it back"
    revived = transition(
        previous,
        VersionState.CREATED,
        at=snapshot.now,
        actor=actor,
        why=why,
        created_at=previous.created_at,
        reviving=True,
        emergency=False,
        retire_at=None,
        delete_at=None,
        attempt=Attempt(),
    )
    # What it was delivered to in its first life holds its successor now.
    unpublished = Change(deliveries=snapshot.deliveries_anew(previous))
    if current is None:
        return previous.number, False, together(revived, unpublished)
    cancelled = transition(
        current,
        VersionState.ABANDONED,
        VersionState.DELETED,
        at=snapshot.now,
        actor=actor,
        why=f"an undo to version {previous.number} took its place",
    )
    return previous.number, False, together(cancelled, revived, unpublished)


def _previous(snapshot: Snapshot) -> KeyVersion:
    """The version that was last in service before the active one and can come back."""
    candidates = [v for v in snapshot.versions if v.state in OUTGOING and v.has_key and not v.doomed]
    if not candidates:
        raise Conflict(
            f"{snapshot.rotation.name} has no previous key to bring back: there is none, it is deleted, an emergency "
            "condemned it, or it was adopted, so that its text is not known.",
            "Use `rotator rotate` for a new key.",
        )
    return max(candidates, key=lambda v: (v.active_at or snapshot.rotation.created_at, v.number))


def _not_removed(snapshot: Snapshot) -> Rotation:
    if snapshot.rotation.removal is not None:
        raise Conflict(f"{snapshot.rotation.name} is being deleted.", "`rotator status` shows when it is done.")
    return snapshot.rotation


def rotation_event(snapshot: Snapshot, name: str, *, actor: str, why: str = "") -> Event:
    """An event of the rotation as a whole, caused by a person."""
    return Event(at=snapshot.now, name=name, actor=actor, why=why, rotation_id=snapshot.rotation.id)
