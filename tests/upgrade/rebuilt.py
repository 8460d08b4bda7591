"""A database as an older release left it: its own migrations, our rows, as far as it had columns for them."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from psycopg.types.json import Json

from tests.upgrade.releases import migrate

Content = dict[str, list[dict[str, Any]]]
_OF_THE_SCHEMA: Final = {"alembic_version", "migrations"}


def content(engine: sa.Engine) -> Content:
    """Every row of every table that holds state, by column."""
    with engine.connect() as connection:
        return {
            table: [dict(r._mapping) for r in connection.exec_driver_sql(f'SELECT * FROM "{table}" ORDER BY 1, 2')]
            for table in sa.inspect(engine).get_table_names()
            if table not in _OF_THE_SCHEMA
        }


def rebuild(engine: sa.Engine, revision: str) -> Content:
    """Empty the database, run the migrations up to ``revision`` alone, fill in what was there; what it holds then."""
    rows = content(engine)
    _empty(engine)
    migrate(engine, revision)
    made = sa.MetaData()
    made.reflect(engine)
    with engine.begin() as connection:
        for table in (t for t in made.sorted_tables if t.name in rows):
            for row in rows[table.name]:
                _insert(connection, table, {c: v for c, v in row.items() if c in table.columns})
        _count_on(connection)
    return content(engine)


def _insert(connection: sa.Connection, table: sa.Table, row: dict[str, Any]) -> None:
    """As the driver gave it: what SQLAlchemy knows of types is left out."""
    columns = ", ".join(f'"{name}"' for name in row)
    values = tuple(Json(v) if isinstance(v, dict | list) else v for v in row.values())
    sign = "%s" if connection.dialect.name == "postgresql" else "?"
    signs = ", ".join([sign] * len(row))
    connection.exec_driver_sql(f'INSERT INTO "{table.name}" ({columns}) VALUES ({signs})', values)


def _empty(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("DROP SCHEMA public CASCADE")
            connection.exec_driver_sql("CREATE SCHEMA public")
            return
        for table in sa.inspect(connection).get_table_names():
            connection.exec_driver_sql(f'DROP TABLE "{table}"')


def _count_on(connection: sa.Connection) -> None:
    """PostgreSQL numbers events itself, and was not told of those that were filled in."""
    if connection.dialect.name == "postgresql":
        newest = "(SELECT max(id) FROM events)"
        connection.exec_driver_sql(f"SELECT setval(pg_get_serial_sequence('events', 'id'), {newest})")
