"""What comes next, decided from a snapshot alone: no I/O, no clock, no chance.

``next_step`` lists every piece of work that a rotation has, each with the moment from which it may be done, in
order of urgency; the first that may be done now is the step, and if there is none, the earliest moment is when
to look again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from tasks.rotation.errors import Broken, OperatorNeeded, RotatorError, TryAgain
from tasks.rotation.model import OUTGOING, Attempt, KeyVersion, Removal, Rotation, Snapshot, VersionState
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
    """Publish to every destination that lacks it, read back, and activate."""

    version: KeyVersion


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


Work = Plan | Mint | Abandon | Look | Prove | Deliver | Disable | Delete | Finish
Step = Work | Wait


# --- policy ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Policy:
    """The numbers that decisions depend on; see the settings of the same names."""

    settle: timedelta = timedelta(minutes=15)
    retry_base: timedelta = timedelta(seconds=5)
    retry_max: timedelta = timedelta(minutes=10)
    attempts: int = 8
    attention_pace: timedelta = timedelta(hours=1)
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
    yield from _start(snapshot)
    yield from _retire(snapshot)
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
            yield version.attempt.next_at or snapshot.now, Deliver(version)


def _unlooked(snapshot: Snapshot) -> bool:
    """Whether the outcome of an earlier create has not been looked at even once."""
    return any(v.settles_at and v.looked_at is None for v in _in_state(snapshot, VersionState.ABANDONED))


def _deliver_again(snapshot: Snapshot) -> _Agenda:
    """The active version, where a destination was added or no longer holds it."""
    active = snapshot.active
    if active and active.has_key and snapshot.undelivered(active) and snapshot.rotation.removal is None:
        yield active.attempt.next_at or snapshot.now, Deliver(active)


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
    if len(_kept(snapshot)) == len(snapshot.versions):
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
    since = active.active_at or active.planned_at or rotation.created_at
    return min(nominal, active.expires_at - (active.expires_at - since) / 10)


def next_look_at(version: KeyVersion, policy: Policy) -> datetime | None:
    """When to search again for a create whose outcome is unknown: at once, then ever more rarely, and at last
    when a request in flight can no longer land."""
    if version.looked_at is None or version.abandoned_at is None or version.settles_at is None:
        return None
    later = version.looked_at + max(policy.retry_base, version.looked_at - version.abandoned_at)
    return min(later, max(version.settles_at, version.looked_at))


# --- failures --------------------------------------------------------------------------------------------------


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


def _pause(count: int, seed: str, policy: Policy) -> timedelta:
    digest = hashlib.sha256(f"{seed}:{count}".encode()).digest()
    jitter = 0.5 + int.from_bytes(digest[:4]) / 2**33
    doubled = policy.retry_base * float(2 ** min(count - 1, 20))
    return min(doubled, policy.retry_max) * jitter


def attention(versions: tuple[KeyVersion, ...], policy: Policy) -> tuple[str, str] | None:
    """Why a rotation needs a person, and the remedy; None while it gets on by itself."""
    for version in versions:
        attempt = version.attempt
        if attempt.error and (attempt.family in {"operator-needed", "broken"} or attempt.count >= policy.attempts):
            return f"version {version.number} ({version.state}): {attempt.error}", attempt.remedy or ""
    return None
