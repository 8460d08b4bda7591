"""Whether a rotation needs a person: worked out anew with every change that may alter it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from tasks.rotation.model import Attempt, Destination, Event, KeyVersion, Rotation, Snapshot, VersionState
from tasks.rotation.policy import NEEDS_A_PERSON, Policy
from tasks.rotation.ports import Change


def with_attention(snapshot: Snapshot, change: Change, *, policy: Policy, actor: str) -> Change:
    """The change, and with it what it means for whether a person is needed."""
    versions = {v.id: v for v in snapshot.versions} | {new.id: new for _, new in change.versions}
    alive = tuple(v for v in versions.values() if v.state is not VersionState.DELETED)
    before, rotation = change.rotation or (snapshot.rotation, snapshot.rotation)
    text, remedy = attention(rotation, alive, _destinations(snapshot, change), policy) or (None, None)
    if (rotation.attention, rotation.remedy) == (text, remedy):
        return change
    event = Event(
        at=snapshot.now,
        name="attention_cleared" if text is None else "attention_needed",
        actor=actor,
        why=text or "",
        rotation_id=rotation.id,
    )
    changed = replace(rotation, attention=text, remedy=remedy)
    return replace(change, rotation=(before, changed), events=(*change.events, event))


def _destinations(snapshot: Snapshot, change: Change) -> tuple[Destination, ...]:
    known = {d.id: d for d in (*snapshot.destinations, *change.destinations, *change.leaving)}
    forgotten = {d.id for d in change.forgotten}
    return tuple(d for id_, d in known.items() if id_ not in forgotten)


def attention(
    rotation: Rotation, versions: Iterable[KeyVersion], destinations: Iterable[Destination], policy: Policy
) -> tuple[str, str] | None:
    """Why a rotation needs a person, and the remedy; None while it gets on by itself. The end of one that is being
    deleted waits for its destinations first of all."""
    reasons = [*_of_versions(versions, policy)], [*_of_destinations(rotation, destinations, policy)]
    keys, places = reasons
    return next(iter(keys + places if rotation.removal is None else places + keys), None)


def _of_versions(versions: Iterable[KeyVersion], policy: Policy) -> Iterator[tuple[str, str]]:
    for version in versions:
        if _needs_a_person(version.attempt, policy):
            yield f"version {version.number} ({version.state}): {version.attempt.error}", version.attempt.remedy or ""


def _of_destinations(
    rotation: Rotation, destinations: Iterable[Destination], policy: Policy
) -> Iterator[tuple[str, str]]:
    """Those whose key cannot be taken away, and those that cannot be read, as long as somebody looks."""
    looked_after = rotation.removal is None and policy.drift_every is not None
    for destination in destinations:
        attempt = destination.attempt
        if not _needs_a_person(attempt, policy):
            continue
        if destination.leaving:
            let_go = f"Or leave it what it holds: `rotator rotation unpublish {rotation.name} {destination.label}`."
            yield (
                f"{destination.label} may still hold a key: {attempt.error}",
                f"{attempt.remedy or ''} {let_go}".strip(),
            )
        elif looked_after:
            yield f"{destination.label} cannot be read: {attempt.error}", attempt.remedy or ""


def _needs_a_person(attempt: Attempt, policy: Policy) -> bool:
    return bool(attempt.error) and (attempt.family in NEEDS_A_PERSON or attempt.count >= policy.attempts)
