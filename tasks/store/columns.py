"""Column types and the clock: the same meaning on SQLite and PostgreSQL.

Moments are stored as milliseconds since 1970 UTC and spans as milliseconds, both BIGINT. The clock is the
database's own, so that workers on machines with different clocks agree.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from tasks.rotation.errors import Broken
from tasks.rotation.spans import LONGEST_SPAN

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_REMEDY = "Put the row right, or restore a backup."
NO_LEASE_LASTS_MS = 15 * 60_000
"""A lease that ends later than this was written before the clock was set back; it counts as none. Should its
holder still be alive, the fence keeps it from writing."""


def as_millis(moment: datetime) -> int:
    """Milliseconds since 1970 UTC, rounded down."""
    return (moment - _EPOCH) // _MILLISECOND


def as_moment(millis: int) -> datetime:
    """The moment, aware UTC."""
    return _EPOCH + millis * _MILLISECOND


class Moment(sa.TypeDecorator[datetime]):
    """An aware UTC moment."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> int | None:
        """To milliseconds."""
        return None if value is None else as_millis(value)

    def process_result_value(self, value: Any | None, dialect: sa.Dialect) -> datetime | None:
        """From milliseconds."""
        return None if value is None else self.converted(value)

    def converted(self, millis: int) -> datetime:
        """The moment that is stored. Raises ``Broken``."""
        try:
            return as_moment(millis)
        except OverflowError:
            raise Broken(f"A stored moment, {millis} ms after 1970, is beyond the calendar.", _REMEDY) from None


class Span(sa.TypeDecorator[timedelta]):
    """A span of time."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: timedelta | None, dialect: sa.Dialect) -> int | None:
        """To milliseconds."""
        return None if value is None else value // _MILLISECOND

    def process_result_value(self, value: Any | None, dialect: sa.Dialect) -> timedelta | None:
        """From milliseconds."""
        return None if value is None else self.converted(value)

    def converted(self, millis: int) -> timedelta:
        """The span that is stored. Raises ``Broken``."""
        if not 0 <= millis <= LONGEST_SPAN // _MILLISECOND:
            raise Broken(f"A stored span, {millis} ms, is none that can be asked for.", _REMEDY)
        return millis * _MILLISECOND


class database_now(FunctionElement[int]):  # noqa: N801  # a SQL function, spelt like one
    """The database's clock in milliseconds, at the moment that the statement runs."""

    type = sa.BigInteger()
    inherit_cache = True


@compiles(database_now, "postgresql")
def _postgresql_now(element: database_now, compiler: Any, **options: Any) -> str:
    return "(extract(epoch from clock_timestamp()) * 1000)::bigint"


@compiles(database_now, "sqlite")
def _sqlite_now(element: database_now, compiler: Any, **options: Any) -> str:
    return "CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER)"


def millis(
    column: sa.orm.InstrumentedAttribute[datetime] | sa.orm.InstrumentedAttribute[datetime | None],
) -> sa.ColumnElement[int]:
    """A moment's column as the number that it holds, to be compared with the clock."""
    return sa.type_coerce(column, sa.BigInteger)


def is_over(
    column: sa.orm.InstrumentedAttribute[datetime | None], now: sa.ColumnElement[int], *, at_most_ms: int
) -> sa.ColumnElement[bool]:
    """Whether a moment is past, or so far off that the clock must have been set back since it was written."""
    return sa.or_(column.is_(None), millis(column) < now, millis(column) > now + at_most_ms)
