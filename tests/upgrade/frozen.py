"""What each migration makes, as the database tells it: stored when the migration is written, and frozen from then on.

``python -m tests.upgrade.frozen`` stores the schemas that are not stored yet; PostgreSQL is the one that
``ROTATOR_TEST_POSTGRES_URL`` names. It changes no file that there is.
"""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from tests.upgrade.releases import migrate, revisions

FOLDER: Final = Path(__file__).with_name("schemas")


def stored(revision: str) -> dict[str, Any]:
    """What was stored of a schema, by database."""
    found: dict[str, Any] = json.loads((FOLDER / f"{revision}.json").read_text(encoding="utf-8"))
    return found


def reflected(engine: sa.Engine) -> dict[str, Any]:
    """Every table with its columns, keys and indexes, as plain data."""
    inspector = sa.inspect(engine)
    return {
        table: {
            "columns": [_plain(column, "type") for column in inspector.get_columns(table)],
            "primary key": _plain(inspector.get_pk_constraint(table)),
            "foreign keys": sorted(map(_plain, inspector.get_foreign_keys(table)), key=repr),
            "unique": sorted(map(_plain, inspector.get_unique_constraints(table)), key=repr),
            "indexes": sorted(map(_plain, inspector.get_indexes(table)), key=repr),
        }
        for table in sorted(inspector.get_table_names())
    }


def _plain(facts: Any, *as_text: str) -> dict[str, Any]:
    """The facts that say something, each as JSON can hold it."""
    told = {name: str(value) if name in as_text else value for name, value in dict(facts).items()}
    plain: dict[str, Any] = json.loads(
        json.dumps({n: v for n, v in told.items() if v not in (None, {}, [])}, default=str)
    )
    return plain


def made_by(engine: sa.Engine, revision: str) -> dict[str, Any]:
    """What the migrations up to this one make of an empty database."""
    migrate(engine, revision)
    return reflected(engine)


@contextmanager
def _empty_databases() -> Iterator[dict[str, sa.Engine]]:
    server = sa.create_engine(
        os.environ["ROTATOR_TEST_POSTGRES_URL"].replace("postgresql://", "postgresql+psycopg://"),
        isolation_level="AUTOCOMMIT",
    )
    name = f"rotator_frozen_{secrets.token_hex(6)}"
    with tempfile.TemporaryDirectory() as folder, server.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
        engines = {
            "sqlite": sa.create_engine(f"sqlite:///{folder}/frozen.sqlite3"),
            "postgresql": sa.create_engine(server.url.set(database=name)),
        }
        yield engines
        for engine in engines.values():
            engine.dispose()
        connection.exec_driver_sql(f"DROP DATABASE {name}")


def store_missing() -> None:
    """Freeze what is not frozen yet."""
    for revision in (r for r in revisions() if not (FOLDER / f"{r}.json").exists()):
        with _empty_databases() as engines:
            made = {kind: made_by(engine, revision) for kind, engine in engines.items()}
        text = json.dumps(made, indent=1, sort_keys=True)
        (FOLDER / f"{revision}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    store_missing()
