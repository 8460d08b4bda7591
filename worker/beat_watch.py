"""Notices a beat that is alive but silent."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

_INTERVALS: Final = 3
_LEAST_S: Final = 10.0
"""Processes take some seconds to start, however short the tick."""


@dataclass(frozen=True, slots=True)
class BeatWatch:
    """Since when no tick was seen. All moments are seconds of one monotonic clock.

    A tick's age by the database's clock jumps when that clock is set. So an age only says "there was a tick since I
    looked last"; how long there has been none is counted here.
    """

    tick: timedelta
    looked_s: float
    seen_s: float

    def look(self, age: timedelta | None, now_s: float) -> BeatWatch:
        """What holds after the last tick was found to be ``age`` old (None: there never was one)."""
        fresh = age is not None and age.total_seconds() <= now_s - self.looked_s
        return replace(self, looked_s=now_s, seen_s=now_s if fresh else self.seen_s)

    def restarted(self, now_s: float) -> BeatWatch:
        """Give a new beat its time."""
        return replace(self, seen_s=now_s)

    def silent(self, now_s: float) -> bool:
        """Whether no tick came for three intervals."""
        return now_s - self.seen_s > max(_LEAST_S, _INTERVALS * self.tick.total_seconds())
