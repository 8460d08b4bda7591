"""What a soak came to: a small table for people, JSON for everything else, and whether it was good."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from tests.soak.applications import Tally
from tests.soak.verdict_at_rest import Figures

GROWTH_ALLOWED: Final = 1.10
GROWTH_ALLOWED_MB: Final = 12.0
SHORTEST_TREND_S: Final = 240.0
"""Between the two looks at memory; in less time a growth says nothing."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What a unit's processes took together, in resident megabytes: after it was warm, and at the end."""

    start_mb: float
    end_mb: float
    apart_s: float
    ours: bool

    @property
    def flat(self) -> bool | None:
        """Whether it stayed within a tenth and 12 MB; None when that cannot be told."""
        if self.apart_s < SHORTEST_TREND_S or not self.ours:
            return None
        return self.end_mb <= self.start_mb * GROWTH_ALLOWED + GROWTH_ALLOWED_MB


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that is reported. ``recoveries`` are seconds by disturbance, the longest of each kind."""

    seed: int
    minutes: float
    rotations: int
    figures: Figures
    tally: Tally
    disturbances: Mapping[str, int]
    faults: int
    management_calls: int
    recoveries: Mapping[str, float]
    unrecovered: int
    longest_stall_s: float
    rest_s: float | None
    orphans_before_reconcile: int
    reconciled: bool
    attention: int
    leaks: tuple[str, ...]
    searched: Mapping[str, int]
    blind: tuple[str, ...]
    """Places that were to be searched, and where there was nothing to search."""
    memory: Mapping[str, Memory]
    memory_series: Mapping[str, list[tuple[int, int, int]]]
    """(second, megabytes, processes), to see how it went."""

    @property
    def failures(self) -> tuple[str, ...]:
        """All that must be none."""
        return tuple(self._failures())

    def _failures(self) -> Iterator[str]:
        yield from self.figures.wrong
        if not self.figures.balanced:
            yield "the account does not balance: a key is neither deleted nor live"
        yield from self.tally.failures
        if self.tally.refused or self.tally.emptied or self.tally.unanswered:
            yield "the applications were not served without a gap"
        if not self.tally.calls or not self.tally.rounds:
            yield "the applications did not use every destination"
        if self.orphans_before_reconcile:
            yield f"{self.orphans_before_reconcile} orphans were left to the hourly reconcile"
        if self.rest_s is None:
            yield "it did not come to rest"
        if not self.reconciled:
            yield "no worker reconciled at the end"
        if self.unrecovered:
            yield f"{self.unrecovered} disturbances were not recovered from"
        yield from (f"leak: {leak}" for leak in self.leaks)
        yield from (f"not searched: {place} was empty" for place in self.blind)
        yield from (f"memory: {name} grew" for name, memory in self.memory.items() if memory.flat is False)

    def write(self, path: Path) -> None:
        """As JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        facts = asdict(self) | {"failures": self.failures, "good": not self.failures}
        path.write_text(json.dumps(facts, indent=2) + "\n")

    def table(self) -> str:
        """As a small table."""
        return "\n".join((*(f"{value:>16}  {name}" for name, value in self._rows()), *self._memory_rows()))

    def _rows(self) -> Iterator[tuple[str, str]]:
        figures, tally = self.figures, self.tally
        longest = max(self.recoveries.items(), key=lambda item: item[1], default=("nothing", 0.0))
        yield "seed", str(self.seed)
        yield (
            f"rotations completed, of {self.rotations} standing orders in {self.minutes:g} min",
            f"{figures.completed}",
        )
        yield "keys minted", str(figures.minted)
        yield "= deleted + live", f"{figures.deleted} + {figures.live}"
        yield "orphans at rest", str(figures.orphans)
        yield "orphans left to the hourly reconcile", str(self.orphans_before_reconcile)
        yield "lost versions", str(figures.lost_versions)
        yield f"consumer calls; each destination was read {tally.rounds} times or more", str(tally.calls)
        yield "consumer failures", str(tally.refused + tally.emptied + tally.unanswered)
        yield "keys used later than the overlap, and refused", str(tally.too_slow)
        yield "looks at a destination's server that was down", str(tally.unreadable)
        yield f"faults injected, of {self.management_calls} management calls", str(self.faults)
        for what, count in sorted(self.disturbances.items()):
            yield f"x {what}; longest recovery {self.recoveries.get(what, 0.0):.1f} s", str(count)
        yield f"longest time to recover ({longest[0]})", f"{longest[1]:.1f} s"
        yield "longest time of one rotation without a new version", f"{self.longest_stall_s:.1f} s"
        yield "from calm to rest", "never" if self.rest_s is None else f"{self.rest_s:.1f} s"
        yield "times that a rotation asked for attention (and went on by itself)", str(self.attention)
        yield f"leaks, in {sum(self.searched.values()) >> 20} MB of {len(self.searched)} places", str(len(self.leaks))

    def _memory_rows(self) -> Iterator[str]:
        words = {True: "flat", False: "GREW", None: "not judged"}
        for name, memory in self.memory.items():
            yield f"{memory.start_mb:>7.1f} -{memory.end_mb:>7.1f}  MB, {name}: {words[memory.flat]}"
