"""One moment of the demo, as plain data: what the screen shows and the lines tell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

from tasks.rotation.model import KeyVersion, Reason, VersionState
from worker.cli.demo.consumer import Consumption

if TYPE_CHECKING:
    from tasks.operations.views import HistoryView, RotationView
    from worker.cli.demo.plan import Plan

LIFE: Final = (
    VersionState.PLANNED,
    VersionState.CREATING,
    VersionState.CREATED,
    VersionState.PROVEN,
    VersionState.ACTIVE,
    VersionState.RETIRING,
    VersionState.DISABLED,
    VersionState.DELETED,
)
"""A version's way, when all goes well."""


@dataclass(frozen=True, slots=True)
class Transition:
    """A version reached a state. ``order`` settles what happened at one instant: the new key comes first."""

    at: datetime
    number: int
    order: int
    state: VersionState


@dataclass(frozen=True, slots=True)
class Scene:
    """What is known at one moment; ``rotation`` is None until it was set up."""

    plan: Plan
    started_at: datetime
    now: datetime
    phase: str
    processes: tuple[tuple[str, int], ...] = ()
    rotation: RotationView | None = None
    versions: tuple[KeyVersion, ...] = ()
    consumed: Consumption = field(default_factory=Consumption)
    pulse: tuple[int, ...] = ()
    """Consumer calls per look, the newest last."""

    @property
    def rotations_done(self) -> int:
        """Versions after the first that came into service."""
        return rotations_done(self.versions)

    def number_in_use(self) -> int | None:
        """The version that the consumer read last."""
        last = self.consumed.hashes[-1] if self.consumed.hashes else None
        return next((v.number for v in self.versions if v.key_hash == last), None)


def rotations_done(versions: Iterable[KeyVersion]) -> int:
    """Versions that came into service because the schedule wanted it."""
    return sum(1 for v in versions if v.reason is Reason.SCHEDULED and v.active_at is not None)


def all_settled(history: HistoryView) -> bool:
    """Whether one version is active and every other one is deleted."""
    states = [version.state for version in history.versions]
    return states.count(VersionState.ACTIVE) == 1 and states.count(VersionState.DELETED) == len(states) - 1


def transitions(versions: Iterable[KeyVersion]) -> list[Transition]:
    """Every state that was reached, in the order of time, also those that no look fell into."""
    states = (*LIFE, VersionState.ABANDONED)
    found = [
        Transition(at, version.number, order, state)
        for version in versions
        for order, state in enumerate(states)
        if (at := reached_at(version, state)) is not None
    ]
    return sorted(found, key=lambda t: (t.at, t.order, t.number))


def reached_at(version: KeyVersion, state: VersionState) -> datetime | None:
    """When a version came into a state."""
    at: datetime | None = getattr(version, f"{state.value}_at")
    return at
