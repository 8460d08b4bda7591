"""How soon a process that ended is started again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

FIRST_S: Final = 0.5
LONGEST_S: Final = 30.0
HEALTHY_S: Final = 60.0
"""A process that ran this long was well: its earlier ends are forgotten."""
FLAPPING: Final = 4


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often in a row a process ended early."""

    quick_ends: int = 0

    def after(self, ran_for_s: float) -> Backoff:
        """What holds after the process ended, having run for ``ran_for_s`` seconds."""
        return Backoff(1 if ran_for_s >= HEALTHY_S else self.quick_ends + 1)

    @property
    def delay_s(self) -> float:
        """How long to wait before the next start: doubling, capped."""
        return float(min(LONGEST_S, FIRST_S * 2 ** (min(self.quick_ends, 16) - 1))) if self.quick_ends else 0.0

    @property
    def flapping(self) -> bool:
        """Whether it ends so often that a person should look."""
        return self.quick_ends >= FLAPPING
