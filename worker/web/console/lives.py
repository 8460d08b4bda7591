"""The picture of key lives: a bar for each version on one time axis, what is planned behind what has happened.

Pure: versions and plans in, places in percent out; the template draws them. The same stages fill the table beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Final

from tasks.rotation.model import KeyVersion, Reason, VersionState
from worker.plain import moment, span
from worker.web.console.axis import Axis, Tick

SHOWN: Final = 6
"""So many versions, unless all are asked for."""
_NARROWEST: Final = 0.7
"""In percent: what lasts seconds on an axis of months is still seen."""
_MARGIN: Final = 0.03
_ROOM: Final = 0.08
"""Of the axis at least, for a version that has not begun yet."""
_SHORTEST_AXIS: Final = timedelta(minutes=2)


class Stage(StrEnum):
    """A part of a key's life, as the picture tells them apart."""

    PLANNED = "planned"
    MINTED = "minted"
    PROVEN = "proven"
    ACTIVE = "active"
    RETIRING = "retiring"
    DISABLED = "disabled"
    ABANDONED = "abandoned"
    DELETED = "deleted"


MEANING: Final = {
    Stage.PLANNED: "in line; no key exists yet",
    Stage.MINTED: "exists at OpenRouter, not yet proven",
    Stage.PROVEN: "does what was asked; on its way to the destinations",
    Stage.ACTIVE: "what applications read",
    Stage.RETIRING: "replaced, still accepted: the overlap",
    Stage.DISABLED: "refused, but can be brought back: the cooling",
    Stage.ABANDONED: "never became active; on its way out",
    Stage.DELETED: "gone for good",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What comes next, as the schedule and the spans say."""

    overlap: timedelta
    cooling: timedelta
    runs: tuple[datetime, ...] = ()
    """The coming rotations; none while paused."""


@dataclass(frozen=True, slots=True)
class Step:
    """A stage that a version entered, or will."""

    stage: Stage
    at: datetime
    planned: bool = False


@dataclass(frozen=True, slots=True)
class Life:
    """A version's steps in order; ``version`` is None for one that does not exist yet."""

    number: int
    steps: tuple[Step, ...]
    version: KeyVersion | None = None

    def entered(self, stage: Stage) -> Step | None:
        """The last time it entered ``stage``."""
        return next((s for s in reversed(self.steps) if s.stage is stage), None)


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a bar, in percent of the width."""

    stage: Stage
    x: float
    width: float
    planned: bool
    title: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A version's row. ``gone`` is where its deletion stands."""

    number: int
    state: str
    segments: tuple[Segment, ...]
    gone: Segment | None


@dataclass(frozen=True, slots=True)
class Picture:
    """All there is to draw."""

    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    now: float
    summary: str
    hidden: int
    """How many older versions are not shown."""


_S = VersionState
_STEPS: Final = (
    (Stage.MINTED, "created_at"),
    (Stage.PROVEN, "proven_at"),
    (Stage.ACTIVE, "active_at"),
    (Stage.RETIRING, "retiring_at"),
    (Stage.DISABLED, "disabled_at"),
    (Stage.ABANDONED, "abandoned_at"),
    (Stage.DELETED, "deleted_at"),
)


def lives(versions: Sequence[KeyVersion], plan: Plan, now: datetime) -> tuple[Life, ...]:
    """Each version's life by number, with what is planned for it, and the next version."""
    told = [Life(v.number, _to_come(v, tuple(_happened(v, now)), plan, now), v) for v in versions]
    coming = _next(versions, plan, now)
    return (*told, coming) if coming is not None else tuple(told)


def draw(told: Sequence[Life], now: datetime, *, shown: int | None = SHOWN) -> Picture:
    """The picture of the last ``shown`` versions (None: all), the next one beside them."""
    existing = [life for life in told if life.version is not None]
    hidden = 0 if shown is None else max(0, len(existing) - shown)
    seen = told[hidden:]
    axis = _axis(seen, now)
    bars = tuple(_bar(life, axis, now) for life in reversed(seen))
    return Picture(bars, axis.ticks(), axis.x(now), _summary(existing, told, now), hidden)


# --- what happened and what will ---------------------------------------------------------------------------------


def _happened(version: KeyVersion, now: datetime) -> Iterator[Step]:
    """The steps that were taken, in time. An undo stamps proven and active anew; what it stood in before, stays."""
    stamped = [(stage, at) for stage, field in _STEPS if (at := getattr(version, field)) is not None]
    if version.reason is Reason.ADOPTED or _was_undone(version):
        stamped = [(stage, at) for stage, at in stamped if stage is not Stage.MINTED]
        if version.reason is not Reason.ADOPTED and version.created_at is not None:
            stamped.append((Stage.ACTIVE, version.created_at))
    elif version.created_at is None:
        stamped.append((Stage.PLANNED, version.planned_at or now))
    yield from (Step(stage, at) for stage, at in sorted(stamped, key=lambda step: step[1]))


def _was_undone(version: KeyVersion) -> bool:
    """Whether its active_at tells of a second time in service."""
    ended = [at for at in (version.retiring_at, version.disabled_at) if at is not None]
    return version.proven_at is not None and any(at < version.proven_at for at in ended)


def _to_come(version: KeyVersion, steps: tuple[Step, ...], plan: Plan, now: datetime) -> tuple[Step, ...]:
    coming: tuple[Step, ...] = ()
    match version.state:
        case _S.ACTIVE if plan.runs:
            coming = _ending(plan.runs[0], plan)
        case _S.RETIRING:
            retires = version.retire_at or now
            coming = _ending(retires, plan)[1:] if version.doomed else _disabling(max(retires, now), plan)
        case _S.DISABLED:
            coming = (Step(Stage.DELETED, max(version.delete_at or now, now), planned=True),)
        case _:
            pass
    return steps + coming


def _ending(replaced_at: datetime, plan: Plan) -> tuple[Step, ...]:
    return (Step(Stage.RETIRING, replaced_at, planned=True), *_disabling(replaced_at + plan.overlap, plan))


def _disabling(at: datetime, plan: Plan) -> tuple[Step, ...]:
    return (Step(Stage.DISABLED, at, planned=True), Step(Stage.DELETED, at + plan.cooling, planned=True))


def _next(versions: Sequence[KeyVersion], plan: Plan, now: datetime) -> Life | None:
    if not plan.runs:
        return None
    number = max((v.number for v in versions), default=0) + 1
    begins = max(plan.runs[0], now)
    ending = _ending(plan.runs[1], plan) if len(plan.runs) > 1 else ()
    return Life(number, (Step(Stage.ACTIVE, begins, planned=True), *ending))


# --- where it stands ---------------------------------------------------------------------------------------------


def _axis(seen: Sequence[Life], now: datetime) -> Axis:
    """From the first step shown to the end of the last version that exists; the next one is cut off there."""
    times = [s.at for life in seen for s in life.steps if life.version is not None] + [now]
    begins = [life.steps[0].at for life in seen]
    first, last = min([*times, *begins]), max([*times, *begins])
    last = max(last, first + _SHORTEST_AXIS, *(at + (last - first) * _ROOM for at in begins))
    margin = (last - first) * _MARGIN
    return Axis(first - margin, last + margin)


def _bar(life: Life, axis: Axis, now: datetime) -> Bar:
    segments: list[Segment] = []
    cursor, gone = 0.0, None
    for step, until in pairwise((*life.steps, None)):
        assert step is not None  # noqa: S101 - only the last of the pairs lacks a successor, in second place
        if step.at >= axis.ends_at:
            break
        if step.stage is Stage.DELETED:
            gone = Segment(
                step.stage, min(100.0, max(cursor, axis.x(step.at))), 0, step.planned, _title(life, step, None)
            )
            break
        for part in _split(life, step, None if until is None else until.at, axis, now):
            x = min(100 - _NARROWEST, max(cursor, axis.x(part[0])))
            width = max(axis.x(part[1]) - x, _NARROWEST)
            segments.append(Segment(step.stage, round(x, 3), round(width, 3), part[2], _title(life, step, until)))
            cursor = x + width
    return Bar(life.number, "next" if life.version is None else str(life.version.state), tuple(segments), gone)


def _split(
    life: Life, step: Step, until: datetime | None, axis: Axis, now: datetime
) -> Iterator[tuple[datetime, datetime, bool]]:
    """A stage's past and its future: (from, to, planned)."""
    if step.planned:
        yield step.at, until or axis.ends_at, True
        return
    if until is None and life.version is not None and life.version.state is _S.DELETED:
        return
    end = until or (axis.ends_at if step.stage is Stage.ACTIVE else now)
    yield step.at, max(step.at, min(end, now)), False
    if end > now:
        yield now, end, True


def _title(life: Life, step: Step, until: Step | None) -> str:
    """What a hover tells."""
    will = "planned to be " if step.planned else ""
    if step.stage is Stage.DELETED:
        return f"Version {life.number}: {will}deleted {moment(step.at)}"
    end = "" if until is None else f" until {moment(until.at)} ({span(until.at - step.at)})"
    return f"Version {life.number}: {will}{step.stage} from {moment(step.at)}{end}"


def _summary(existing: Sequence[Life], told: Sequence[Life], now: datetime) -> str:
    """The picture in words, for who cannot see it."""
    counted = f"{len(existing)} key version{'s' if len(existing) != 1 else ''}"
    parts = [f"Lives of {counted} on a time axis"]
    for life in existing:
        if life.version is not None and life.version.state not in {_S.DELETED}:
            parts.append(f"version {life.number} is {life.version.state}")
    coming = next((life for life in told if life.version is None), None)
    if coming is not None:
        parts.append(f"version {coming.number} is planned for {moment(max(coming.steps[0].at, now))}")
    return "; ".join(parts) + "."
