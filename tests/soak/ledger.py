"""What the database tells while the soak runs and afterwards: how much is complete, and how soon after what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Final

import psycopg

from tests.soak.chaos import Struck

_MILLIS: Final = 1000
_MOMENTS: Final = "SELECT rotation_id, planned_at, active_at FROM key_versions WHERE active_at IS NOT NULL"
_REST: Final = """
SELECT (SELECT count(*) FROM key_versions WHERE state = 'active') = (SELECT count(*) FROM rotations)
   AND NOT EXISTS (SELECT FROM key_versions WHERE state NOT IN ('active', 'deleted'))
"""


class Ledger:
    """Questions to a database that may be away: then the answer is that nothing is known."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.Connection[tuple[object, ...]] | None = None

    def recovered(self, since: float) -> bool:
        """Whether a rotation that was begun after ``since`` (``time.time()``) is complete."""
        query = "SELECT EXISTS (SELECT FROM key_versions WHERE planned_at >= %s AND active_at IS NOT NULL)"
        return bool(self._ask(query, int(since * _MILLIS)))

    def completed(self) -> int:
        """How many versions became active, ever."""
        return int(str(self._ask("SELECT count(*) FROM key_versions WHERE active_at IS NOT NULL") or 0))

    def serving(self) -> int:
        """How many rotations have a key in service."""
        return int(str(self._ask("SELECT count(*) FROM key_versions WHERE state = 'active'") or 0))

    def at_rest(self) -> bool:
        """Whether nothing is left to do: an active version each, and else only deleted ones."""
        return bool(self._ask(_REST))

    def attention(self) -> int:
        """How often a rotation asked for a person."""
        return int(str(self._ask("SELECT count(*) FROM events WHERE name = 'attention_needed'") or 0))

    def moments(self) -> list[tuple[str, float, float]]:
        """(rotation, planned, active) of each version that became active, in ``time.time()``."""
        with psycopg.connect(self._url) as connection:
            return [(r, planned / _MILLIS, active / _MILLIS) for r, planned, active in connection.execute(_MOMENTS)]

    def _ask(self, query: str, *values: object) -> object:
        """The first column of the first row; None when the database is away."""
        try:
            if self._connection is None:
                options = "-c statement_timeout=5000"
                self._connection = psycopg.connect(self._url, autocommit=True, connect_timeout=3, options=options)
            row = self._connection.execute(query.encode(), values or None).fetchone()
        except psycopg.Error:
            self.close()
            return None
        return None if row is None else row[0]

    def close(self) -> None:
        """Let go of the connection; the next question makes another."""
        with suppress(psycopg.Error):
            if self._connection is not None:
                self._connection.close()
        self._connection = None


def recoveries(struck: Iterable[Struck], moments: Sequence[tuple[str, float, float]]) -> dict[Struck, float | None]:
    """Seconds from each disturbance's end until a rotation that was begun after it was complete; None for never."""
    return {s: _first([active for _, planned, active in moments if planned >= s.ended_at], s) for s in struck}


def _first(completed: Sequence[float], struck: Struck) -> float | None:
    return min(completed) - struck.ended_at if completed else None


def longest_by_kind(found: Mapping[Struck, float | None]) -> dict[str, float]:
    """The longest recovery of each kind of disturbance."""
    longest: dict[str, float] = defaultdict(float)
    for struck, seconds in found.items():
        longest[struck.what] = round(max(longest[struck.what], seconds or 0.0), 2)
    return dict(longest)


def longest_stall(moments: Sequence[tuple[str, float, float]], *, ended_at: float) -> float:
    """The longest time that any one rotation went without a new version, until the soak was calmed."""
    by_rotation: dict[str, list[float]] = defaultdict(list)
    for rotation, _, active in moments:
        by_rotation[rotation].append(active)
    series = [[*sorted(moment for moment in each if moment < ended_at), ended_at] for each in by_rotation.values()]
    return max((b - a for each in series for a, b in pairwise(each)), default=0.0)
