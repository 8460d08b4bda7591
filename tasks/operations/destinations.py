"""Destinations: opened from what a person wrote, and tried without a change to what they hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from config.secret import Secret
from tasks.operations.permitted import is_never_from_afar, refuse_from_afar, refuse_our_own
from tasks.operations.requests import DestinationRequest, Unset, Wanted
from tasks.operations.views import DeliveryView, DestinationKind, DestinationTrial
from tasks.publishers import StoredPublisher, about, kinds, open_publisher, split_publish
from tasks.publishers._shared.about import About
from tasks.rotation.errors import Conflict, RotatorError
from tasks.rotation.model import Destination, KeyVersion, OnDrift, Rotation, Snapshot, VersionState
from tasks.store.rotations import Held, NewDestination, holdings
from tasks.wiring import Rotator


def usable(rotator: Rotator, wanted: Wanted, secret_name: str, known: Iterable[Destination] = ()) -> NewDestination:
    """A destination that may be read and written: it was tried, and nothing there was changed. Of one that is ``known``
    all stays of which nothing is said."""
    asked = _asked(wanted)
    kind, publisher = _opened(rotator, asked.text)
    publisher.check(secret_name)
    before = next((d for d in known if d.label == publisher.label), None)
    return _new(rotator, kind, publisher, secret_name, asked, before=before)


def known_kinds(rotator: Rotator) -> tuple[DestinationKind, ...]:
    """See ``Operations.destination_kinds``."""
    told = ((kind, about(kind)) for kind in kinds())
    return tuple(
        DestinationKind(kind, a.example, a.happens.replace("`", ""))
        for kind, a in told
        if rotator.asked_here or not is_never_from_afar(_example(kind, a))
    )


def named(rotator: Rotator, text: Secret) -> tuple[str, Secret]:
    """See ``Operations.destination_named``."""
    kind, publisher = _opened(rotator, text)
    return publisher.label, Secret(f"{kind}:{publisher.target.reveal()}")


def proposed(rotator: Rotator, rotation: Rotation, wanted: tuple[Wanted, ...]) -> tuple[DestinationTrial, ...]:
    """How each destination would do for a rotation that is not stored yet. Raises ``InvalidInput`` for a text that
    is no destination at all."""
    seen: set[str] = set()
    return tuple(_propose(rotator, rotation, _asked(one), seen) for one in wanted)


def trials(rotator: Rotator, snapshot: Snapshot) -> tuple[DestinationTrial, ...]:
    """How each destination of a rotation would take a key now."""
    secret_name = snapshot.rotation.secret_name
    return tuple(_try_out(rotator, destination, secret_name) for destination in snapshot.served)


def deliveries(snapshot: Snapshot) -> tuple[DeliveryView, ...]:
    """What each destination holds, and what it still waits for."""
    held = holdings(snapshot)
    return tuple(_delivery(snapshot, d, held.get(d.id, Held())) for d in snapshot.destinations)


def _delivery(snapshot: Snapshot, destination: Destination, held: Held) -> DeliveryView:
    due = _due(snapshot, destination)
    attempt = destination.attempt if due is None else snapshot.delivery(due, destination).attempt
    return DeliveryView(
        kind=destination.kind,
        label=destination.label,
        version=held.version,
        delivered_at=held.delivered_at,
        error=attempt.error or held.error,
        remedy=attempt.remedy,
        optional=destination.optional,
        on_drift=destination.on_drift,
        leaving=destination.leaving,
        drifted_at=held.drifted_at,
        next_check_at=destination.check_at,
        due=None if due is None else due.number,
        attempts=attempt.count,
        next_attempt_at=attempt.next_at,
    )


def _due(snapshot: Snapshot, destination: Destination) -> KeyVersion | None:
    wanted = (snapshot.in_flight, snapshot.active)
    ready = (v for v in wanted if v is not None and v.state in {VersionState.PROVEN, VersionState.ACTIVE})
    return next((v for v in ready if destination in snapshot.undelivered(v)), None)


def _asked(wanted: Wanted) -> DestinationRequest:
    return DestinationRequest(wanted) if isinstance(wanted, Secret) else wanted


def _opened(rotator: Rotator, text: Secret) -> tuple[str, StoredPublisher]:
    written = text.reveal()
    kind, target = split_publish(written)
    publisher = open_publisher(kind, target)
    if not rotator.asked_here:
        refuse_from_afar(rotator.settings, written.partition(":")[2], publisher)
    refuse_our_own(rotator.settings, publisher)
    return kind, publisher


def _example(kind: str, told: About) -> StoredPublisher:
    return open_publisher(kind, Secret(told.example.partition(":")[2]))


def _new(
    rotator: Rotator,
    kind: str,
    publisher: StoredPublisher,
    secret_name: str,
    asked: DestinationRequest,
    *,
    before: Destination | None = None,
) -> NewDestination:
    optional, on_drift = (False, OnDrift.REPAIR) if before is None else (before.optional, before.on_drift)
    return NewDestination(
        id=rotator.ids.row(),
        kind=kind,
        label=publisher.label,
        target=publisher.target,
        variable=secret_name if publisher.holds_variables else None,
        optional=optional if isinstance(asked.optional, Unset) else asked.optional,
        on_drift=on_drift if isinstance(asked.on_drift, Unset) else asked.on_drift,
    )


def _propose(rotator: Rotator, rotation: Rotation, asked: DestinationRequest, seen: set[str]) -> DestinationTrial:
    kind, publisher = _opened(rotator, asked.text)

    def attempt() -> None:
        if publisher.label in seen:
            raise Conflict("It is named twice.", "Name it once.")
        seen.add(publisher.label)
        publisher.check(rotation.secret_name)
        wanted = _new(rotator, kind, publisher, rotation.secret_name, asked)
        rotator.store.rotations.refuse_occupied(rotation.id, wanted)

    return DestinationTrial(kind, publisher.label, _obstacle(attempt))


def _try_out(rotator: Rotator, destination: Destination, secret_name: str) -> DestinationTrial:
    def attempt() -> None:
        target = rotator.store.leased.target(destination.id)
        open_publisher(destination.kind, target).check(secret_name)

    return DestinationTrial(destination.kind, destination.label, _obstacle(attempt))


def _obstacle(attempt: Callable[[], None]) -> str | None:
    try:
        attempt()
    except RotatorError as error:
        return str(error)
    return None
