"""What needs attention first, from the state of the whole installation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from tasks.operations.views import ConnectionView, RotationView, StatusView
from tasks.rotation.model import ConnectionHealth
from worker.plain import distance
from worker.web.console.words import HEALTH, counted

_PASSING: Final = {ConnectionHealth.RATE_LIMITED, ConnectionHealth.UNREACHABLE}


@dataclass(frozen=True, slots=True)
class Concern:
    """Something that a person should look at."""

    tone: str
    title: str
    reason: str
    remedy: str = ""
    href: str = ""


@dataclass(frozen=True, slots=True)
class Age:
    """How old the key of a rotation is."""

    rotation: str
    version: int
    age: str
    share: int
    """How much of the time until its replacement has passed, in percent."""
    tone: str
    next_at: datetime | None


def is_beating(view: StatusView, tick: timedelta) -> bool:
    """Whether beat and a worker were heard of lately."""
    return view.last_tick_at is not None and view.now - view.last_tick_at < silence(tick)


def silence(tick: timedelta) -> timedelta:
    """How long beat may be silent before somebody should look."""
    return max(3 * tick, timedelta(seconds=30))


def concerns(view: StatusView, tick: timedelta) -> tuple[Concern, ...]:
    """All of them, the worst first."""
    return tuple(sorted(_concerns(view, tick), key=lambda c: c.tone != "bad"))


def summary(view: StatusView, found: tuple[Concern, ...]) -> str:
    """One sentence, for who listens."""
    flying = sum(r.status == "rotating" for r in view.rotations)
    state = f"{counted(len(found), 'thing needs', 'things need')} attention" if found else "Nothing needs attention"
    return f"{state}; {counted(flying, 'rotation')} in flight."


def ages(view: StatusView) -> tuple[Age, ...]:
    """The key of each rotation, the nearest to its end first."""
    aged = (_age(r, view.now) for r in view.rotations if r.active_version is not None)
    return tuple(sorted(aged, key=lambda age: (-age.share, age.rotation)))


def _concerns(view: StatusView, tick: timedelta) -> Iterator[Concern]:
    if not is_beating(view, tick):
        heard = (
            "was never heard of"
            if view.last_tick_at is None
            else f"was last heard of {distance(view.last_tick_at, view.now)}"
        )
        yield Concern(
            "bad",
            "Nobody keeps time",
            f"Beat {heard}: no rotation starts.",
            "Start worker and beat: `rotator up`, or see what keeps them down.",
        )
    for wrong in view.broken:
        yield Concern("bad", "A rotation cannot be read", wrong)
    for rotation in view.rotations:
        if rotation.attention is not None:
            yield Concern(
                "bad", rotation.name, rotation.attention, rotation.remedy or "", f"/rotations/{rotation.name}"
            )
    yield from (_of_connection(c) for c in view.connections if c.health is not ConnectionHealth.VALID)


def _of_connection(view: ConnectionView) -> Concern:
    tone = "idle" if view.health in _PASSING else "bad"
    reason = f"{HEALTH[view.health][1]}: {view.message}"
    remedy = "It is checked again by itself." if view.health in _PASSING else "Replace its key."
    return Concern(tone, f"Connection {view.name}", reason, remedy, f"/connections/{view.name}")


def _age(view: RotationView, now: datetime) -> Age:
    since = view.active_since or view.created_at
    share = 0
    if view.next_rotation_at is not None and view.next_rotation_at > since:
        share = max(0, min(100, round(100 * ((now - since) / (view.next_rotation_at - since)))))
    overdue = view.next_rotation_at is not None and view.next_rotation_at < now
    tone = "bad" if overdue and view.attention else "idle" if overdue else "good"
    age = distance(since, now).removesuffix(" ago")
    return Age(view.name, view.active_version or 0, age, share, tone, view.next_rotation_at)
