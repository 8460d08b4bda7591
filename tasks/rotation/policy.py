"""What comes next, decided from a snapshot alone: no I/O, no clock, no chance.

``next_step`` lists every piece of work that a rotation has, each with the moment from which it may be done, in
order of urgency; the first that may be done now is the step, and if there is none, the earliest moment is when
to look again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tasks.rotation.errors import Broken, OperatorNeeded, RotatorError, TryAgain
from tasks.rotation.model import (
    OUTGOING,
    Attempt,
    Destination,
    KeyVersion,
    Removal,
    Rotation,
    Snapshot,
    VersionState,
)
from tasks.rotation.schedule import next_run

# --- steps -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Plan:
    """Write down that a new version is wanted."""


@dataclass(frozen=True, slots=True)
class Mint:
    """Write the intention, ask for the key, write down what came."""

    version: KeyVersion


@dataclass(frozen=True, slots=True)
class Abandon:
    """Give a version in flight up; whatever there is of it at the provider will be removed."""

    version: KeyVersion
    why: str


@dataclass(frozen=True, slots=True)
class Look:
    """Search for the key of a create whose outcome is unknown, and delete what is found."""

    version: KeyVersion


@dataclass(frozen=True, slots=True)
class Prove:
    """Ask the new key what it is, and attach what was bound to its predecessor."""

    version: KeyVersion


@dataclass(frozen=True, slots=True)
class Deliver:
    """Publish to the destinations whose turn it is, read back, and activate once no more are needed."""

    version: KeyVersion
    destinations: tuple[Destination, ...]


@dataclass(frozen=True, slots=True)
class Check:
    """Look whether these destinations still hold the active version."""

    version: KeyVersion
    destinations: tuple[Destination, ...]


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Take the key away from a destination that an operator removed, and forget it."""

    destination: Destination


@dataclass(frozen=True, slots=True)
class Disable:
    """Read the destinations once more, then disable a replaced key."""

    version: KeyVersion


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete a key for good."""

    version: KeyVersion


@dataclass(frozen=True, slots=True)
class Finish:
    """Everything that an operator's delete asked for is done: close the rotation."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do before ``until``; None means until an operator asks for something."""

    until: datetime | None


Work = Plan | Mint | Abandon | Look | Prove | Deliver | Check | Withdraw | Disable | Delete | Finish
Step = Work | Wait


# --- policy ----------------------------------------------------------------------------------------------------


_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Policy:
    """The numbers that decisions depend on; see the settings of the same names."""

    settle: timedelta = timedelta(minutes=15)
    retry_base: timedelta = timedelta(seconds=5)
    retry_max: timedelta = timedelta(minutes=10)
    attempts: int = 8
    attention_pace: timedelta = timedelta(hours=1)
    drift_every: timedelta | None = timedelta(hours=1)
    """None: nobody looks between rotations."""
    proof_attempts: int = 4
    """How often a new key may be refused before it is given up: a provider may need a moment to know it."""


def next_step(snapshot: Snapshot, policy: Policy) -> Step:
    """The one thing to do now, or how long there is nothing to do."""
    if snapshot.rotation.removed_at is not None:
        return Wait(None)
    soonest: datetime | None = None
    for due, step in _work(snapshot, policy):
        if due <= snapshot.now:
            return step
        soonest = due if soonest is None else min(soonest, due)
    return Wait(soonest)


_Agenda = Iterator[tuple[datetime, Work]]


def _work(snapshot: Snapshot, policy: Policy) -> _Agenda:
    """Every piece of work with its moment, the most urgent kind first."""
    yield from _execute(snapshot)
    yield from _clean_up(snapshot, policy)
    yield from _carry_forward(snapshot)
    yield from _deliver_again(snapshot)
    yield from _withdraw(snapshot)
    yield from _start(snapshot)
    yield from _retire(snapshot)
    yield from _look_after(snapshot, policy)
    yield from _remove(snapshot)


def _execute(snapshot: Snapshot) -> _Agenda:
    """Keys that an emergency condemned, before anything else; their successor was in service when it did."""
    if snapshot.rotation.removal is None:
        for version in _in_state(snapshot, *OUTGOING):
            if version.doomed:
                yield _due(snapshot, version), Delete(version)


def _clean_up(snapshot: Snapshot, policy: Policy) -> _Agenda:
    """Abandoned versions: delete what is known by hash, look for what is not."""
    for version in _in_state(snapshot, VersionState.ABANDONED):
        if version.settles_at is None:
            yield _due(snapshot, version), Delete(version)
        else:
            yield _due(snapshot, version, next_look_at(version, policy)), Look(version)


def _carry_forward(snapshot: Snapshot) -> _Agenda:
    """The version in flight."""
    version = snapshot.in_flight
    if version is None:
        return
    if snapshot.rotation.removal is not None:
        if version not in _kept(snapshot):
            yield snapshot.now, Abandon(version, "the rotation is being deleted")
        return
    match version.state:
        case VersionState.PLANNED:
            if not _unlooked(snapshot):
                yield _due(snapshot, version), Mint(version)
        case VersionState.CREATING:
            yield snapshot.now, Abandon(version, "the create was interrupted before its answer was stored")
        case VersionState.CREATED:
            yield _due(snapshot, version), Prove(version)
        case _:
            yield from _deliveries(snapshot, version)


def _unlooked(snapshot: Snapshot) -> bool:
    """Whether the outcome of an earlier create has not been looked at even once."""
    return any(v.settles_at and v.looked_at is None for v in _in_state(snapshot, VersionState.ABANDONED))


def _deliver_again(snapshot: Snapshot) -> _Agenda:
    """The active version, where a destination was added or no longer holds it. Not while another is on its way there:
    it may have arrived, and would be overwritten."""
    active = snapshot.active
    if _in_state(snapshot, VersionState.PROVEN):
        return
    if active and active.has_key and snapshot.undelivered(active) and snapshot.rotation.removal is None:
        yield from _deliveries(snapshot, active)


def _deliveries(snapshot: Snapshot, version: KeyVersion) -> _Agenda:
    """The destinations that lack a version, each in its own time; and its activation, when all that it waits for may
    do without it for now."""
    tried = {d: snapshot.delivery(version, d).attempt.next_at for d in snapshot.undelivered(version)}
    waiting = {d: moment or snapshot.now for d, moment in tried.items()}
    due = _in_turn({d: tried[d] for d, moment in waiting.items() if moment <= snapshot.now})
    if due or (version.state is VersionState.PROVEN and all(d.optional for d in waiting)):
        yield snapshot.now, Deliver(version, due)
    else:
        yield min(waiting.values()), Deliver(version, ())


def _in_turn(moments: Mapping[Destination, datetime | None]) -> tuple[Destination, ...]:
    """Those that were not tried yet first, and of them those that others wait for; then whichever waits longest. A step
    may end before it comes to the last one, which is then among the first of the next."""
    return tuple(sorted(moments, key=lambda d: (moments[d] or datetime.min.replace(tzinfo=UTC), d.optional)))


def _withdraw(snapshot: Snapshot) -> _Agenda:
    """What operators removed, and shall not keep the key."""
    for destination in snapshot.destinations:
        if destination.leaving:
            yield destination.attempt.next_at or snapshot.now, Withdraw(destination)


def _look_after(snapshot: Snapshot, policy: Policy) -> _Agenda:
    """Every destination that should hold the active key, now and then; not while another version is on its way there,
    since then none can be expected to: what drifts meanwhile is found once that one is in service, and nothing dies
    before."""
    active = snapshot.active
    if active is None or not active.has_key or policy.drift_every is None or snapshot.rotation.removal is not None:
        return
    if _in_state(snapshot, VersionState.PROVEN):
        return
    lacking = snapshot.undelivered(active)
    moments = {d: _next_check_at(snapshot, active, d, policy.drift_every) for d in snapshot.served if d not in lacking}
    due = _in_turn({d: moment for d, moment in moments.items() if moment <= snapshot.now})
    if moments:
        yield min(moments.values()), Check(active, due)


def _next_check_at(snapshot: Snapshot, active: KeyVersion, destination: Destination, every: timedelta) -> datetime:
    """As was set at the last look, but no sooner than a span after the delivery, which looked too."""
    delivered_at = snapshot.delivery(active, destination).delivered_at or snapshot.now
    after_delivery = delivered_at + jittered(every, destination.id)
    return max(after_delivery, destination.check_at or after_delivery)


def _start(snapshot: Snapshot) -> _Agenda:
    """The next version, when the schedule says so."""
    rotation = snapshot.rotation
    if rotation.paused or rotation.removal or snapshot.in_flight:
        return
    yield next_rotation_at(rotation, snapshot.active), Plan()


def _retire(snapshot: Snapshot) -> _Agenda:
    """Replaced versions: disable after the overlap, delete after the cooling.

    None dies while a delivery is under way: until that is through, no destination can be expected to hold the
    active key.
    """
    active = snapshot.active
    if active is None or snapshot.rotation.removal is not None:
        return
    for version in _in_state(snapshot, VersionState.RETIRING, VersionState.DISABLED):
        if version.doomed or snapshot.undelivered(active) or _in_state(snapshot, VersionState.PROVEN):
            continue
        if version.state is VersionState.RETIRING:
            yield _due(snapshot, version, version.retire_at), Disable(version)
        else:
            yield _due(snapshot, version, version.delete_at), Delete(version)


def _remove(snapshot: Snapshot) -> _Agenda:
    """What an operator's delete leaves to do."""
    if snapshot.rotation.removal is None:
        return
    if snapshot.rotation.removal is Removal.REVOKE_KEYS:
        for version in _in_state(snapshot, VersionState.ACTIVE, VersionState.RETIRING, VersionState.DISABLED):
            yield _due(snapshot, version), Delete(version)
    leaving = any(d.leaving for d in snapshot.destinations)
    if len(_kept(snapshot)) == len(snapshot.versions) and not leaving:
        yield snapshot.now, Finish()


def _kept(snapshot: Snapshot) -> tuple[KeyVersion, ...]:
    """The versions whose keys outlive the rotation: all that some destination may hold. A proven one may have
    reached one already."""
    if snapshot.rotation.removal is Removal.REVOKE_KEYS:
        return ()
    held = (VersionState.PROVEN, VersionState.ACTIVE, VersionState.RETIRING, VersionState.DISABLED)
    return _in_state(snapshot, *held)


def _in_state(snapshot: Snapshot, *states: VersionState) -> tuple[KeyVersion, ...]:
    return tuple(v for v in snapshot.versions if v.state in states)


def _due(snapshot: Snapshot, version: KeyVersion, planned: datetime | None = None) -> datetime:
    """When work at the provider may be done: planned, not backed off, its connection not paused."""
    moments = (planned, version.attempt.next_at, snapshot.connection_paused_until, snapshot.now)
    wanted = [m for m in moments if m is not None]
    return max(wanted)


# --- moments ---------------------------------------------------------------------------------------------------


def next_rotation_at(rotation: Rotation, active: KeyVersion | None) -> datetime:
    """When the schedule wants the next version: counted from the last success, and before the key expires."""
    last_success = rotation.last_rotated_at or rotation.created_at
    nominal = next_run(rotation.schedule, last_success=last_success, seed=rotation.id)
    if active is None or active.expires_at is None:
        return nominal
    return min(nominal, renewed_by(active.active_at or active.planned_at or rotation.created_at, active.expires_at))


def renewed_by(since: datetime, expires_at: datetime) -> datetime:
    """When a key that is in service ``since`` then needs its successor: a tenth of its life before it expires."""
    return expires_at - (expires_at - since) / 10


def next_look_at(version: KeyVersion, policy: Policy) -> datetime | None:
    """When to search again for a create whose outcome is unknown: at once, then ever more rarely, and at last
    when a request in flight can no longer land."""
    if version.looked_at is None or version.abandoned_at is None or version.settles_at is None:
        return None
    later = version.looked_at + max(policy.retry_base, version.looked_at - version.abandoned_at)
    return min(later, max(version.settles_at, version.looked_at))


# --- failures --------------------------------------------------------------------------------------------------

NEEDS_A_PERSON = frozenset({OperatorNeeded.family, Broken.family})
"""The families that do not pass by themselves."""


def after_failure(attempt: Attempt, error: RotatorError, *, seed: str, now: datetime, policy: Policy) -> Attempt:
    """The attempt that follows one that ended in ``error``: doubling pauses with jitter, never before a
    ``retry_after``, at a slow pace once a person is needed. ``seed`` makes the jitter repeatable."""
    count = attempt.count + 1
    pause = _pause(count, seed, policy)
    if isinstance(error, OperatorNeeded | Broken) or count >= policy.attempts:
        pause = policy.attention_pace
    if isinstance(error, TryAgain) and error.retry_after is not None:
        pause = max(pause, error.retry_after)
    return Attempt(count, now + pause, error.family, error.message, error.remedy)


def jittered(span: timedelta, seed: str) -> timedelta:
    """A tenth more or less, so that what began together does not stay together. ``seed`` makes it repeatable. Whole
    milliseconds, like every moment that is stored: an alarm that is rounded down would come before its work is due."""
    return span * (0.9 + 0.2 * _chance(seed)) // _MILLISECOND * _MILLISECOND


def _chance(seed: str) -> float:
    """From 0 to 1, always the same for one seed."""
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4]) / 2**32


def _pause(count: int, seed: str, policy: Policy) -> timedelta:
    jitter = 0.5 + _chance(f"{seed}:{count}") / 2
    doubled = policy.retry_base * float(2 ** min(count - 1, 20))
    return min(doubled, policy.retry_max) * jitter
