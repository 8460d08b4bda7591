"""The database itself: one engine a process, the same behaviour on SQLite and PostgreSQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from config.secret import Secret
from tasks.rotation.errors import InvalidInput, OperatorNeeded, Unavailable
from tasks.store.columns import as_moment

_BUSY_MS: Final = 10_000
_CONNECT_S: Final = 5
_STATEMENT_MS: Final = 15_000
_IDLE_MS: Final = 30_000
"""After this long PostgreSQL takes the locks from a process that froze within a transaction; none pauses in one."""


def make_engine(url: Secret, *, pool_size: int = 2) -> sa.Engine:
    """An engine for ``url``. SQLite: write-ahead log, every commit durable, writers queue instead of failing.

    Raises ``InvalidInput`` for a URL that is none.
    """
    try:
        parsed = sa.make_url(url.reveal())
        if parsed.get_backend_name() == "sqlite":
            return _sqlite(parsed)
        return sa.create_engine(
            parsed,
            hide_parameters=True,
            pool_size=pool_size,
            max_overflow=4,
            pool_pre_ping=True,
            pool_timeout=_CONNECT_S,
            connect_args={
                "connect_timeout": _CONNECT_S,
                "options": f"-c statement_timeout={_STATEMENT_MS} -c lock_timeout={_BUSY_MS} "
                f"-c idle_in_transaction_session_timeout={_IDLE_MS} -c timezone=UTC",
                "application_name": "openrouter-rotator",
            },
        )
    except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError, ValueError):  # ValueError: of a port that is no number
        raise InvalidInput(
            "ROTATOR_DATABASE_URL", "it is no database URL", "Use postgresql://USER:PASSWORD@HOST/NAME."
        ) from None


def _sqlite(url: sa.URL) -> sa.Engine:
    path = Path(url.database or "")
    if not path.is_absolute():
        raise InvalidInput("ROTATOR_DATABASE_URL", "a SQLite path must be absolute", "Use sqlite:////var/lib/...")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            path.touch(mode=0o600)
    except OSError as error:
        raise InvalidInput("ROTATOR_DATABASE_URL", f"cannot make {path}: {error.strerror}") from None
    arguments = {"timeout": _BUSY_MS / 1000, "check_same_thread": False}
    engine = sa.create_engine(url, hide_parameters=True, connect_args=arguments)
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_immediate)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={_BUSY_MS}", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_immediate(connection: sa.Connection) -> None:
    """Take the write lock at the start: a read that turns into a write fails at once, whatever the timeout."""
    reading = connection.get_execution_options().get("reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


class Database:
    """Transactions. ``now`` is the clock as an SQL expression, in milliseconds."""

    def __init__(self, engine: sa.Engine, now: sa.ColumnElement[int]) -> None:
        self.engine = engine
        self.now = now

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction that commits at its end. Raises ``Unavailable`` when the database fails."""
        with _translated(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A transaction that only reads, from one snapshot."""
        options = {"isolation_level": "REPEATABLE READ"} if self.engine.dialect.name == "postgresql" else {}
        with _translated(), self.engine.connect().execution_options(reading=True, **options) as connection:
            yield connection

    @contextmanager
    def look(self) -> Iterator[sa.Connection]:
        """Statements that read, each of which sees what was committed before it; for a single one the cheapest way. On
        SQLite they share one snapshot."""
        alone = {"isolation_level": "AUTOCOMMIT"} if self.engine.dialect.name == "postgresql" else {}
        with _translated(), self.engine.connect().execution_options(reading=True, **alone) as connection:
            yield connection

    def exclude_others(self, connection: sa.Connection, lock: int) -> None:
        """Let no other transaction that asks for the same ``lock`` go on beside the caller's.

        ``lock`` is any number that nothing else in the same PostgreSQL database locks; on SQLite writing transactions
        exclude each other anyway.
        """
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(lock)))

    def moment(self, connection: sa.Connection) -> datetime:
        """The clock, read in the caller's transaction."""
        return as_moment(connection.execute(sa.select(self.now)).scalar_one())

    def close(self) -> None:
        """Close every connection of this process."""
        self.engine.dispose()


_PASSES: Final = (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError, sa.exc.InternalError)


@contextmanager
def _translated() -> Iterator[None]:
    """Database failures as ours. Statements and their values, which may be ciphertext, are left out."""
    failure: Exception | None = None
    try:
        yield
    except _PASSES as error:
        failure = _explained(error)
    except sa.exc.DatabaseError as error:
        if isinstance(error, sa.exc.IntegrityError):
            raise
        failure = _explained(error)
    if failure is not None:
        raise failure from None  # a caller is still handling the foreign error, which shows the statement


_NO_SUCH: Final = frozenset({"42P01", "42703"})
"""PostgreSQL's codes of a table and of a column that there is not."""
_NO_SUCH_WORDS: Final = ("no such table", "no such column", "has no column named")


def _explained(error: Any) -> Exception:
    cause = getattr(error, "orig", None)
    what = str(cause or type(error).__name__).strip().splitlines()[0][:200]
    if getattr(cause, "sqlstate", None) in _NO_SUCH or any(words in what for words in _NO_SUCH_WORDS):
        return OperatorNeeded(
            f"The database's schema is not the one this release needs ({what}).", "Run `rotator db upgrade`."
        )
    return Unavailable(f"The database failed ({what}); nothing was changed.", "Check that it runs and is reachable.")
