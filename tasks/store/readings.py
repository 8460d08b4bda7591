"""The state of everything as figures, for the metrics: a handful of queries, however many rotations there are."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from tasks.rotation.errors import Broken
from tasks.rotation.model import VersionState
from tasks.rotation.policy import renewed_by
from tasks.rotation.schedule import next_run
from tasks.store.database import Database
from tasks.store.event_counts import EventCounts, Happening
from tasks.store.rows import possible, schedule_of
from tasks.store.shape import Shape
from tasks.store.tables import ConnectionRow, DeliveryRow, HeartbeatRow, KeyVersionRow, NoticeTargetRow, RotationRow

_ORDER: Final = (
    *("id", "name", "every", "every_at", "cron", "timezone", "window", "paused", "removal", "attention"),
    *("last_rotated_at", "created_at"),
)
_ACTIVE: Final = ("planned_at", "active_at", "expires_at")
_ROTATION: Final = Shape(
    [*(RotationRow.__table__.c[name] for name in _ORDER), *(KeyVersionRow.__table__.c[name] for name in _ACTIVE)]
)
_CONNECTION: Final = Shape([ConnectionRow.__table__.c[name] for name in ("name", "health", "checked_at")])


@dataclass(frozen=True, slots=True)
class RotationReading:
    """A rotation. Moments are None where there is none: no active key, no end of its life, no schedule that runs."""

    name: str
    paused: bool
    needs_attention: bool
    active_since: datetime | None
    expires_at: datetime | None
    due_at: datetime | None
    versions: Mapping[str, int]
    """Those not deleted, by state."""
    deliveries_failing: int


@dataclass(frozen=True, slots=True)
class ConnectionReading:
    """A connection."""

    name: str
    health: str
    checked_at: datetime


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything, at one moment."""

    now: datetime
    rotations: tuple[RotationReading, ...]
    unreadable: int
    """Rotations whose rows hold what cannot be."""
    failing: Mapping[str, int]
    """Versions whose last attempt failed, by the error's family."""
    connections: tuple[ConnectionReading, ...]
    last_tick_at: datetime | None
    notice_targets_failing: int


class Readings:
    """What the metrics ask of the database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._events = EventCounts(database)

    def events(self) -> dict[Happening, int] | None:
        """How often each event happened so far; see ``EventCounts.counted``."""
        return self._events.counted()

    def read(self) -> Reading:
        """How everything stands now, from one snapshot."""
        with self._database.read() as connection:
            now = self._database.moment(connection)
            versions, failing = _versions(connection)
            undelivered = _undelivered(connection)
            rotations = [_readable(row, versions, undelivered) for row in connection.execute(_ROTATIONS)]
            connections = [_connection(row) for row in connection.execute(_CONNECTIONS)]
            tick = connection.execute(sa.select(HeartbeatRow.at).where(HeartbeatRow.name == "tick"))
            last_tick_at = tick.scalar_one_or_none()
            untold = connection.execute(_UNTOLD).scalar_one()
        return Reading(
            now=now,
            rotations=tuple(r for r in rotations if r is not None),
            unreadable=rotations.count(None),
            failing=failing,
            connections=tuple(c for c in connections if c is not None),
            last_tick_at=last_tick_at,
            notice_targets_failing=untold,
        )


_ROTATIONS: Final[sa.Select[Any]] = (
    sa.select(*_ROTATION.columns)
    .outerjoin(
        KeyVersionRow,
        sa.and_(KeyVersionRow.rotation_id == RotationRow.id, KeyVersionRow.state == str(VersionState.ACTIVE)),
    )
    .where(RotationRow.removed_at.is_(None))
    .order_by(RotationRow.name)
)
_CONNECTIONS: Final[sa.Select[Any]] = (
    sa.select(*_CONNECTION.columns).where(ConnectionRow.deleted_at.is_(None)).order_by(ConnectionRow.name)
)
_OPEN: Final = sa.select(RotationRow.id).where(RotationRow.removed_at.is_(None))
_VERSIONS: Final = (
    sa.select(KeyVersionRow.rotation_id, KeyVersionRow.state, KeyVersionRow.error_family, sa.func.count())
    .where(KeyVersionRow.state != str(VersionState.DELETED), KeyVersionRow.rotation_id.in_(_OPEN))
    .group_by(KeyVersionRow.rotation_id, KeyVersionRow.state, KeyVersionRow.error_family)
)
_OVER: Final = (str(VersionState.DELETED), str(VersionState.ABANDONED))
_UNDELIVERED: Final = (
    sa.select(KeyVersionRow.rotation_id, sa.func.count())
    .join(DeliveryRow, DeliveryRow.version_id == KeyVersionRow.id)
    .where(DeliveryRow.error.is_not(None), KeyVersionRow.state.not_in(_OVER), KeyVersionRow.rotation_id.in_(_OPEN))
    .group_by(KeyVersionRow.rotation_id)
)

_UNTOLD: Final = sa.select(sa.func.count()).select_from(NoticeTargetRow).where(NoticeTargetRow.error.is_not(None))


def _versions(connection: sa.Connection) -> tuple[dict[str, Counter[str]], Counter[str]]:
    """Versions by rotation and state, and those that failed by family."""
    states: dict[str, Counter[str]] = defaultdict(Counter)
    families: Counter[str] = Counter()
    for rotation_id, state, family, count in connection.execute(_VERSIONS):
        states[rotation_id][state] += count
        if family is not None:
            families[family] += count
    return states, families


def _undelivered(connection: sa.Connection) -> dict[str, int]:
    """Deliveries that failed and were not made since, by rotation."""
    return {row[0]: row[1] for row in connection.execute(_UNDELIVERED)}


def _readable(
    row: sa.Row[Any], versions: Mapping[str, Counter[str]], undelivered: Mapping[str, int]
) -> RotationReading | None:
    try:
        with possible(lambda: row.name):
            facts = _ROTATION.facts(row)
            return RotationReading(
                name=facts["name"],
                paused=facts["paused"],
                needs_attention=facts["attention"] is not None,
                active_since=facts["active_at"],
                expires_at=facts["expires_at"],
                due_at=_due_at(facts),
                versions=versions.get(facts["id"], {}),
                deliveries_failing=undelivered.get(facts["id"], 0),
            )
    except Broken:
        return None


def _due_at(facts: Mapping[str, Any]) -> datetime | None:
    """As ``policy.next_rotation_at``, from the few columns that were read."""
    if facts["paused"] or facts["removal"] is not None:
        return None
    last_success = facts["last_rotated_at"] or facts["created_at"]
    nominal = next_run(schedule_of(facts), last_success=last_success, seed=facts["id"])
    if facts["expires_at"] is None:
        return nominal
    since = facts["active_at"] or facts["planned_at"] or facts["created_at"]
    return min(nominal, renewed_by(since, facts["expires_at"]))


def _connection(row: sa.Row[Any]) -> ConnectionReading | None:
    try:
        return ConnectionReading(**_CONNECTION.facts(row))
    except (Broken, TypeError):
        return None
