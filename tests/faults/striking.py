"""What a fault is, and the ways to let one strike at a point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from tests.faults.lives import Stage
from tests.faults.points import Point
from tests.steered.taps import Passing, Side

HOUR: Final = timedelta(hours=1)
"""How long an outage lasts: longer than every pause of the first attempts, and than a lease."""

Strike = Callable[[Stage, Point], None]


@dataclass(frozen=True, slots=True)
class Fault:
    """A column of the table. ``fits`` says at which points it can happen, ``strike`` lets it happen at one."""

    title: str
    fits: Callable[[Point], bool]
    strike: Strike
    on: str = "sqlite"
    """The database that it needs."""


def before(act: Callable[[Stage], object]) -> Strike:
    """Let something happen right before the call is made; what it raises is what the caller gets."""
    return lambda stage, point: _when(stage, point, Side.BEFORE, lambda: _struck(stage, act))


def after(act: Callable[[Stage], object]) -> Strike:
    """Let something happen right after the call took effect; what it raises is what the caller gets."""
    return lambda stage, point: _when(stage, point, Side.AFTER, lambda: _struck(stage, act))


def around(stage: Stage, point: Point, start: Callable[[], object], stop: Callable[[], object]) -> None:
    """Lie in wait for as long as the call lasts. Whoever does, notes in ``stage.struck`` that it found something."""
    _when(stage, point, Side.BEFORE, start)
    _when(stage, point, Side.AFTER, stop)
    stage.installation.on_close(stop)


def _struck(stage: Stage, act: Callable[[Stage], object]) -> None:
    stage.struck.append("the call")
    act(stage)


def raising(error: Callable[[], BaseException]) -> Callable[[Stage], None]:
    """An act that raises."""

    def act(_stage: Stage) -> None:
        raise error()

    return act


def _when(stage: Stage, point: Point, side: Side, act: Callable[[], object]) -> None:
    def matches(passing: Passing) -> bool:
        if (passing.number, passing.side) != (point.number, side):
            return False
        assert passing.name == point.name, f"{passing} is not the call that was recorded: {point.what}"
        return True

    stage.installation.tap.when(matches, act)


def calls_of(*prefixes: str) -> Callable[[Point], bool]:
    """Whether a point is a call of these kinds."""
    return lambda point: point.name.startswith(prefixes)


def for_an_hour(stage: Stage, affected: Callable[[Passing], bool], error: Callable[[], Exception]) -> None:
    """From now on every such call fails before it is made, until an hour has passed."""

    def fail(passing: Passing) -> None:
        if passing.side is Side.BEFORE and affected(passing):
            raise error()

    tap = stage.installation.tap
    tap.watchers.append(fail)
    stage.installation.clock.later(HOUR, lambda: tap.watchers.remove(fail))
