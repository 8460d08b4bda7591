"""How often each event happened: the log is counted once, then only what is new in it."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from tasks.store.database import Database
from tasks.store.events import settled_through
from tasks.store.tables import EventRow

_AT_ONCE: Final = 50_000
_STEPS: Final = 20
"""So that who asks first waits a second or two, and not for a log of many years."""


@dataclass(frozen=True, slots=True)
class Happening:
    """A kind of event: its name, and of its details the family of an error and the reason of a version."""

    name: str
    family: str
    reason: str


class EventCounts:
    """Counts that only grow, the same in every process. Threads take turns."""

    def __init__(self, database: Database, *, at_once: int = _AT_ONCE, steps: int = _STEPS) -> None:
        self._database = database
        self._at_once, self._steps = at_once, steps
        self._counts: Counter[Happening] = Counter()
        self._through = 0
        self._turn = threading.Lock()

    def counted(self) -> dict[Happening, int] | None:
        """How often each kind happened so far; None while a long log is still being counted, a part at each call."""
        with self._turn:
            settled = settled_through(self._database)
            newest = self._newest() if settled is None else settled
            for _ in range(self._steps):
                if self._through >= newest:
                    return dict(self._counts)
                self._count(min(self._through + self._at_once, newest))
            return None

    def _newest(self) -> int:
        with self._database.read() as connection:
            return connection.execute(sa.select(sa.func.max(EventRow.id))).scalar() or 0

    def _count(self, through: int) -> None:
        family, reason = (EventRow.detail[name].as_string() for name in ("family", "reason"))
        query = (
            sa.select(EventRow.name, family, reason, sa.func.count())
            .where(EventRow.id > self._through, EventRow.id <= through)
            .group_by(EventRow.name, family, reason)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        for name, of_family, of_reason, count in rows:
            self._counts[Happening(name, of_family or "", of_reason or "")] += count
        self._through = through
