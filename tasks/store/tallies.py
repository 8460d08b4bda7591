"""Numbers that every process adds to, for the metrics.

A process counts in memory and stores its sums a few seconds later, beside its work and never as a part of it. What it
counted since is lost with it when it is killed; what cannot be stored is kept, and stored later.
"""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from config.logging import get_logger
from tasks.store.database import Database
from tasks.store.tables import TallyRow

STORED_AFTER_S: Final = 10.0
"""The most that a process which is killed has counted and not stored."""
BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 45.0)
"""Of durations; the last is the longest that a call to a provider may take."""
CALLS: Final = "openrouter_calls"
CALL_SECONDS: Final = "openrouter_call_seconds"

Tallied = tuple[str, tuple[tuple[str, str], ...]]
"""What is counted: a name, and labels that are sorted."""
log = get_logger(__name__)


class Tallies:
    """The table of tallies."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, amounts: Mapping[Tallied, float]) -> None:
        """Add to what is there, in one statement; sorted, so that two processes which do it at once do not deadlock."""
        rows = [
            {"name": name, "labels": json.dumps(dict(labels)), "amount": amount}
            for (name, labels), amount in sorted(amounts.items())
        ]
        with self._database.write() as connection:
            insert = postgresql_insert if connection.dialect.name == "postgresql" else sqlite_insert
            statement = insert(TallyRow).values(rows)
            added = {"amount": TallyRow.amount + statement.excluded.amount}
            connection.execute(statement.on_conflict_do_update(index_elements=["name", "labels"], set_=added))

    def all(self) -> dict[Tallied, float]:
        """What all processes stored so far."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(TallyRow.name, TallyRow.labels, TallyRow.amount)).all()
        return {(row.name, tuple(sorted(json.loads(row.labels).items()))): row.amount for row in rows}


class Tally:
    """What one process counted and did not store yet. Any thread may add; nothing here raises.

    ``store`` is called ten seconds after the first addition, in a thread of its own. An answer that it loses makes what
    it stored count twice.
    """

    def __init__(self, store: Callable[[Mapping[Tallied, float]], None], *, after_s: float = STORED_AFTER_S) -> None:
        self._store = store
        self._after_s = after_s
        self._amounts: dict[Tallied, float] = defaultdict(float)
        self._counting = threading.Lock()
        self._storing = threading.Lock()
        self._alarm: threading.Timer | None = None
        self._closed = False

    def add(self, name: str, labels: Mapping[str, str], amount: float = 1) -> None:
        """Count something."""
        with self._counting:
            self._amounts[name, tuple(sorted(labels.items()))] += amount
            self._set_alarm()

    def observe(self, name: str, labels: Mapping[str, str], seconds: float) -> None:
        """Count a duration: its bucket, and the sum."""
        self.add(f"{name}_bucket", {**labels, "le": bucket_of(seconds)})
        self.add(f"{name}_sum", labels, seconds)

    def flush(self) -> None:
        """Store what was counted. What cannot be stored is kept, and tried again later."""
        with self._storing:
            taken = self._take()
            if not taken:
                return
            try:
                self._store(taken)
            except Exception as error:  # noqa: BLE001 - counting must never cost a rotation anything
                log.debug("tally_not_stored", error=type(error).__name__)
                self._put_back(taken)

    def close(self) -> None:
        """Store what is left. What cannot be stored now is lost."""
        self._closed = True
        self.flush()

    def _take(self) -> dict[Tallied, float]:
        with self._counting:
            if self._alarm is not None:
                self._alarm.cancel()
            self._alarm = None
            taken, self._amounts = self._amounts, defaultdict(float)
        return taken

    def _put_back(self, taken: Mapping[Tallied, float]) -> None:
        with self._counting:
            for what, amount in taken.items():
                self._amounts[what] += amount
            self._set_alarm()

    def _set_alarm(self) -> None:
        if self._alarm is None and not self._closed:
            alarm = threading.Timer(self._after_s, self.flush)
            alarm.daemon = True
            with suppress(RuntimeError):  # no more threads now; the next addition tries again
                alarm.start()
                self._alarm = alarm


def bucket_of(seconds: float) -> str:
    """The upper bound of the bucket that a duration belongs to."""
    return next((str(bound) for bound in BUCKETS_S if seconds <= bound), "+Inf")


def by_bucket(counts: Mapping[str, float]) -> list[tuple[str, float]]:
    """Counts by upper bound as a histogram wants them: rising, each with all below it, ``+Inf`` last."""
    bounds = sorted({*map(str, BUCKETS_S), *counts, "+Inf"}, key=float)
    sums = [sum(counts.get(b, 0) for b in bounds[: place + 1]) for place in range(len(bounds))]
    return list(zip(bounds, sums, strict=True))
