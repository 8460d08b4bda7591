"""The matrix: every point that a life has, times every fault that can happen there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.faults import broker_faults, database_faults, destination_faults, openrouter_faults, process_faults
from tests.faults.lives import LIVES
from tests.faults.points import Point, chosen, recorded
from tests.faults.striking import Fault
from tests.steered.installation import make_template

GROUPS: Final = {
    "process": process_faults.FAULTS,
    "OpenRouter": openrouter_faults.FAULTS,
    "database": database_faults.FAULTS,
    "destination": destination_faults.FAULTS,
    "broker": broker_faults.FAULTS,
}
EVERYWHERE: Final = bool(os.environ.get("ROTATOR_TEST_EVERY_POINT"))
"""Whether each call of each life is struck, and not only the first and the last of its kind."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One fault at one point."""

    point: Point
    group: str
    fault: Fault

    @property
    def column(self) -> str:
        """Its column of the table."""
        where = " (PostgreSQL)" if self.fault.on == "postgresql" else ""
        return f"{self.group}: {self.fault.title}{where}"

    @property
    def id(self) -> str:
        """Its name as a test."""
        return f"{self.point.id}-{self.column}".replace(" ", "_")


@cache
def all_points() -> tuple[Point, ...]:
    """Every call of every life, recorded once in a process."""
    with TemporaryDirectory(prefix="lives-") as folder:
        template = make_template(Path(folder) / "template")
        return tuple(p for life in LIVES for p in recorded(life, template, Path(folder) / life))


@cache
def cells() -> tuple[Cell, ...]:
    """Every cell of the matrix."""
    return tuple(_cells(all_points() if EVERYWHERE else chosen(all_points())))


def _cells(points: tuple[Point, ...] | list[Point]) -> Iterator[Cell]:
    for point in points:
        for group, faults in GROUPS.items():
            yield from (Cell(point, group, fault) for fault in faults if fault.fits(point))
