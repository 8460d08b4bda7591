"""A figure: the product beside a floor, measured in turns, so that whatever else goes on there hits both.

Nothing here passes or fails on a time: another machine has other times. What must be none (errors) is checked.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from statistics import median
from typing import Final, Protocol

QUICK: Final = os.environ.get("BENCH") == "quick"
ROUNDS: Final = 3 if QUICK else 5
"""How often each side has its turn."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn measured: the figure, whatever else is worth telling, and what went wrong."""

    value: float
    beside: Mapping[str, float] = field(default_factory=dict)
    errors: int = 0


class Sides(Protocol):
    """Both sides, set up and warm."""

    def floor(self) -> Turn:
        """Measure what there would be without what the figure is about."""

    def product(self) -> Turn:
        """Measure with it."""


@dataclass(frozen=True, slots=True)
class Figure:
    """What is measured, in which unit, and how. ``floor`` and ``product`` name the sides in a few words."""

    name: str
    unit: str
    floor: str
    product: str
    staged: Callable[[], AbstractContextManager[Sides]]


@dataclass(frozen=True, slots=True)
class Side:
    """All turns of one side."""

    what: str
    turns: tuple[Turn, ...]

    @property
    def middle(self) -> float:
        """The median."""
        return median(turn.value for turn in self.turns)

    @property
    def spread(self) -> tuple[float, float]:
        """The least and the greatest."""
        values = [turn.value for turn in self.turns]
        return min(values), max(values)

    @property
    def errors(self) -> int:
        """What went wrong in all turns."""
        return sum(turn.errors for turn in self.turns)

    def beside(self) -> dict[str, float]:
        """Medians of what else was told."""
        names = {name for turn in self.turns for name in turn.beside}
        return {n: median(turn.beside[n] for turn in self.turns if n in turn.beside) for n in sorted(names)}


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure's outcome. ``ratio`` is the product's part of the floor."""

    figure: Figure
    floor: Side
    product: Side

    @property
    def ratio(self) -> float:
        """Of the medians."""
        return self.product.middle / self.floor.middle if self.floor.middle else 0.0

    def as_json(self) -> dict[str, object]:
        """For comparison with other runs."""
        sides = {"floor": self.floor, "product": self.product}
        return {
            "figure": self.figure.name,
            "unit": self.figure.unit,
            "ratio": round(self.ratio, 4),
            **{name: _side_as_json(side) for name, side in sides.items()},
        }


def _side_as_json(side: Side) -> dict[str, object]:
    return {
        "what": side.what,
        "median": side.middle,
        "turns": [turn.value for turn in side.turns],
        "errors": side.errors,
        "beside": side.beside(),
    }


def measure(figure: Figure, *, rounds: int = ROUNDS) -> Measured:
    """Let the sides take turns, and begin with the other one each time."""
    floor: list[Turn] = []
    product: list[Turn] = []
    with figure.staged() as sides:
        for number in range(rounds):
            if number % 2 == 0:
                floor.append(sides.floor())
            product.append(sides.product())
            if number % 2 == 1:
                floor.append(sides.floor())
    return Measured(figure, Side(figure.floor, tuple(floor)), Side(figure.product, tuple(product)))


def table(outcomes: Sequence[Measured]) -> str:
    """For people: a block for each figure."""
    lines = [f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"]
    for outcome in outcomes:
        lines += ["", f"{outcome.figure.name} ({outcome.figure.unit})"]
        for side in (outcome.floor, outcome.product):
            least, most = side.spread
            lines.append(f"  {side.what:<44} {side.middle:10.2f}   {least:.2f} to {most:.2f}   {side.errors} errors")
            lines += [f"      {name:<40} {value:10.2f}" for name, value in side.beside().items()]
        lines.append(f"  {'ratio':<44} {outcome.ratio:10.2f}")
    return "\n".join(lines)
