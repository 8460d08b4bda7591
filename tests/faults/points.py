"""Where a fault can strike: the calls that a life really makes, recorded while nobody disturbs it.

Nothing is listed by hand, so a step or a call that is added later has its cells without anybody's doing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from tests.faults.lives import LIVES, Stage
from tests.steered.installation import Template, copied
from tests.steered.taps import Passing, Side
from tests.steered.truth import Truth

SETTINGS: Final = {"settle_s": 120}
"""A create that was never confirmed is given up soon, so that there are few looks."""


@dataclass(frozen=True, slots=True)
class Point:
    """One call of a life: its number there, and what it is in any life."""

    life: str
    number: int
    step: str
    name: str
    about: str
    read_later: bool
    """Whether the destinations are looked at once more after it."""
    begins: bool
    """Whether it asks the database for anything."""
    commits: bool
    """Whether something is written to the database by it."""

    @property
    def what(self) -> str:
        """The call as a row of the table: the same in every life in which the step makes it."""
        step = self.step.removeprefix("rotation.")
        return " ".join(filter(None, (step, "·", self.name, self.about.removeprefix("version_"))))

    @property
    def id(self) -> str:
        """The call as a test's name."""
        return f"{self.life}-{self.number}-{self.what}".replace(" ", "_").replace("/", "|")


def recorded(life: str, template: Template, folder: Path) -> list[Point]:
    """Every call of a life that nobody disturbs, beat's rounds at its end included."""
    heard: list[Passing] = []
    begun: set[int] = set()
    committed: set[int] = set()
    with ExitStack() as stack:
        installation = stack.enter_context(copied(template, folder, **SETTINGS))
        installation.tap.watchers.append(lambda p: heard.append(p) if p.side is Side.BEFORE else None)
        for event, seen in (("begin", begun), ("commit", committed)):
            stack.enter_context(_heeding(event, heard, seen))
        live(life, Stage(installation, Truth(installation)))
    last_look = max((p.number for p in heard if p.name == "publisher.read_back"), default=0)
    return [
        Point(
            life,
            p.number,
            p.step,
            p.name,
            "renewing" if p.name == "store.keep_lease" and p.number in committed else p.about,
            p.number < last_look,
            p.number in begun,
            p.number in committed,
        )
        for p in heard
    ]


@contextmanager
def _heeding(event: str, heard: Sequence[Passing], seen: set[int]) -> Iterator[None]:
    """Note the number of each call in which a database has such an event."""

    def heed(_connection: sa.Connection) -> None:
        seen.add(len(heard))

    sa.event.listen(sa.Engine, event, heed)
    try:
        yield
    finally:
        sa.event.remove(sa.Engine, event, heed)


def live(life: str, stage: Stage) -> None:
    """Live it to its end, with beat's rounds until they find nothing; then nothing may have been lost."""
    LIVES[life](stage)
    stage.installation.settle()
    stage.truth.excused.clear()
    stage.truth.check_rest()


def chosen(points: Sequence[Point]) -> list[Point]:
    """Of each kind of call, in the first life that makes it, the first one and the last one.

    The first one meets an empty installation, the last one a rotation with a past.
    """
    kept: dict[str, list[Point]] = {}
    for point in points:
        same = kept.setdefault(point.what, [])
        if not same:
            same.append(point)
        elif same[0].life == point.life:
            same[1:] = [point]
    return [point for same in kept.values() for point in same]
