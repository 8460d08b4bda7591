"""What the demo is going to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

ROTATION: Final = "demo"
CONNECTION: Final = "demo"
VARIABLE: Final = "OPENROUTER_API_KEY"

_STARTUP_S: Final = 60.0  # a cold, loaded machine compiles and imports everything first
_SLOWNESS: Final = 3.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How often and how fast; ``overlap_s`` and ``cooling_s`` together fit between two rotations."""

    rotations: int
    every_s: int
    overlap_s: int
    cooling_s: int

    @classmethod
    def of(cls, rotations: int, *, every_s: int) -> Plan:
        """A plan whose old keys are gone before the next ones follow them: two fifths of the time for each part."""
        part = max(1, every_s * 2 // 5)
        return cls(rotations, every_s, overlap_s=part, cooling_s=part)

    @property
    def versions(self) -> int:
        """Version 1, and one more for each rotation."""
        return self.rotations + 1

    @property
    def patience_s(self) -> float:
        """When to give up and judge what there is."""
        return _STARTUP_S + _SLOWNESS * (self.rotations * self.every_s + self.overlap_s + self.cooling_s)
