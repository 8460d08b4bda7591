"""What becomes of destinations that an operator removes, decided on the locked row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tasks.rotation.delivering import summed
from tasks.rotation.model import Attempt, Destination, KeyVersion, Snapshot
from tasks.rotation.policy import Policy
from tasks.rotation.ports import Change
from tasks.rotation.requests import rotation_event


def removed(snapshot: Snapshot, destinations: tuple[Destination, ...], *, withdraw: bool, actor: str) -> Change:
    """They are forgotten at once, also while one is being withdrawn from; or, to be withdrawn, they leave, and what
    was tried before counts no more. Each is told."""
    why = "its value is to be withdrawn" if withdraw else "it keeps what it holds"
    event = rotation_event(snapshot, "destination_removed", actor=actor, why=why)
    told = Change(events=tuple(replace(event, detail=(("destination", d.label),)) for d in destinations))
    if not withdraw:
        return replace(told, forgotten=destinations)
    return replace(told, leaving=tuple(replace(d, leaving=True, attempt=Attempt()) for d in destinations))


def relieved(snapshot: Snapshot, destinations: tuple[Destination, ...], *, policy: Policy) -> Change:
    """What failed at these destinations, which are removed, keeps no version waiting any more."""
    return Change(versions=tuple(_relieved(snapshot, {d.id for d in destinations}, policy.attempts)))


def _relieved(snapshot: Snapshot, gone: set[str], most: int) -> Iterator[tuple[KeyVersion, KeyVersion]]:
    for version in snapshot.versions:
        theirs = (d for d in snapshot.deliveries if d.version_id == version.id and d.destination_id in gone)
        if version.attempt.error and version.attempt.error in {d.attempt.error for d in theirs}:
            rest = [d for d in snapshot.undelivered(version) if d.id not in gone]
            waiting = [(d, snapshot.delivery(version, d).attempt) for d in rest]
            yield version, replace(version, attempt=summed(waiting, most))
