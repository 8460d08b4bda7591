"""What a database can do to one transaction, or to all of an hour.

PostgreSQL's errors are real: the server is made to raise them. So is SQLite's refusal to write.

A transaction is struck through SQLAlchemy's events, during the one call of the store that the point names.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, Final

import psycopg
import sqlalchemy as sa

from tasks.rotation.errors import Unavailable
from tests.faults.lives import Stage
from tests.faults.points import Point
from tests.faults.striking import Fault, Strike, around, before, calls_of, for_an_hour

_stored: Final = calls_of("store.", "desk.", "tick.")

Blow = Callable[[sa.Connection], None]


def _asked(point: Point) -> bool:
    return _stored(point) and point.begins


def _written(point: Point) -> bool:
    return _stored(point) and point.commits


def _during(moment: str, blow: Blow) -> Strike:
    """Strike once, at a ``moment`` of the first transaction that this call begins: its begin, its commit."""

    def strike(stage: Stage, point: Point) -> None:
        spent = False

        def struck(connection: sa.Connection) -> None:
            nonlocal spent
            if not spent and connection.engine is not stage.installation.database.engine:
                spent = True
                stage.struck.append(f"the database, at {moment}")
                blow(connection)

        def start() -> None:
            sa.event.listen(sa.Engine, moment, struck)

        def stop() -> None:
            if sa.event.contains(sa.Engine, moment, struck):
                sa.event.remove(sa.Engine, moment, struck)

        around(stage, point, start, stop)

    return strike


# --- SQLite -----------------------------------------------------------------------------------------------------


def _sqlite_says(words: str) -> Blow:
    """The driver's error as SQLAlchemy passes it on."""

    def blow(_connection: sa.Connection) -> None:
        raise sa.exc.OperationalError("a statement", None, sqlite3.OperationalError(words))

    return blow


def _committed_and_then(error: Callable[[], Exception]) -> Blow:
    """The commit is done, and its answer does not arrive."""

    def blow(connection: sa.Connection) -> None:
        driver: Any = connection.connection.dbapi_connection
        driver.commit()
        raise sa.exc.OperationalError("COMMIT", None, error())

    return blow


def _query_only(stage: Stage, point: Point) -> None:
    """SQLite itself refuses to write, for as long as this call lasts."""
    drivers: list[Any] = []

    def blow(connection: sa.Connection) -> None:
        drivers.append(connection.connection.dbapi_connection)
        drivers[-1].execute("PRAGMA query_only=ON")

    def over() -> None:
        while drivers:
            drivers.pop().execute("PRAGMA query_only=OFF")

    _during("begin", blow)(stage, point)
    around(stage, point, lambda: None, over)


def _gone_for_an_hour(stage: Stage) -> None:
    def gone() -> Unavailable:
        return Unavailable("The database failed (it cannot be reached); nothing was changed.")

    for_an_hour(stage, lambda p: p.name.startswith(("store.", "desk.", "tick.")), gone)
    raise gone()


# --- PostgreSQL -------------------------------------------------------------------------------------------------


def _server_raises(sqlstate: str) -> Blow:
    """The server itself ends the transaction with this code."""

    def blow(connection: sa.Connection) -> None:
        connection.exec_driver_sql(f"DO $$ BEGIN RAISE EXCEPTION 'struck' USING ERRCODE = '{sqlstate}'; END $$")

    return blow


def _terminated(connection: sa.Connection) -> None:
    """An administrator ends the session; PostgreSQL says the same when it is restarted."""
    connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")


def _read_only_server(connection: sa.Connection) -> None:
    """As after a failover to a standby."""
    connection.exec_driver_sql("SET TRANSACTION READ ONLY")


def _answer_lost() -> Exception:
    return psycopg.OperationalError("consuming input failed: server closed the connection unexpectedly")


FAULTS: Final = (
    Fault("I/O error", _asked, _during("begin", _sqlite_says("disk I/O error"))),
    Fault("locked", _asked, _during("begin", _sqlite_says("database is locked"))),
    Fault("read-only", _written, _query_only),
    Fault("full", _written, _during("commit", _sqlite_says("database or disk is full"))),
    Fault(
        "commit unknown",
        _written,
        _during("commit", _committed_and_then(lambda: sqlite3.OperationalError("disk I/O error"))),
    ),
    Fault("down for 1 h", _stored, before(_gone_for_an_hour)),
    Fault("terminated at begin", _asked, _during("begin", _terminated), on="postgresql"),
    Fault("terminated at commit", _written, _during("commit", _terminated), on="postgresql"),
    Fault("read-only", _written, _during("begin", _read_only_server), on="postgresql"),
    Fault("disk full", _written, _during("commit", _server_raises("53100")), on="postgresql"),
    Fault("deadlock", _written, _during("commit", _server_raises("40P01")), on="postgresql"),
    Fault("serialization", _written, _during("commit", _server_raises("40001")), on="postgresql"),
    Fault("too many connections", _asked, _during("begin", _server_raises("53300")), on="postgresql"),
    Fault("commit unknown", _written, _during("commit", _committed_and_then(_answer_lost)), on="postgresql"),
)
