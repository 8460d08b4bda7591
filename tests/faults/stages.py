"""An installation for each cell: SQLite from a copied folder, PostgreSQL from one database that is put back."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from config.master_key import generate_master_key
from config.secret import Secret
from tasks.store.tables import Base
from tests.faults.lives import Stage
from tests.faults.points import SETTINGS
from tests.steered.installation import CONNECTION, Template, copied, steered
from tests.steered.truth import Truth


@contextmanager
def on_sqlite(template: Template, folder: Path) -> Iterator[Stage]:
    """A fresh installation over a copy of the template's data folder."""
    with copied(template, folder, **SETTINGS) as installation:
        yield Stage(installation, Truth(installation))


class PostgresStages:
    """One database for many cells, put back to schema and connection for each: to make one anew takes a second."""

    def __init__(self, url: str, folder: Path) -> None:
        self._management_key = Secret(f"emulator-{secrets.token_hex(12)}")
        self._engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:", 1))
        key = folder / "master.key"
        key.touch(mode=0o600)
        key.write_text(generate_master_key().reveal(), encoding="utf-8")
        self._given = {"database_url": url, "master_key_file": key, **SETTINGS}
        with steered(folder, self._management_key, **self._given) as installation:
            installation.rotator.store.upgrade()
            installation.operations.create_connection(CONNECTION, self._management_key)
        self._tables = [table.name for table in Base.metadata.sorted_tables]
        self._execute("CREATE SCHEMA kept", *(f"CREATE TABLE kept.{t} AS TABLE {t}" for t in self._tables))

    @contextmanager
    def stage(self, folder: Path) -> Iterator[Stage]:
        """A fresh installation."""
        again = (f"INSERT INTO {t} OVERRIDING SYSTEM VALUE SELECT * FROM kept.{t}" for t in self._tables)
        self._execute(f"TRUNCATE {', '.join(self._tables)} CASCADE", *again)
        with steered(folder, self._management_key, **self._given) as installation:
            yield Stage(installation, Truth(installation))

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def _execute(self, *statements: str) -> None:
        with self._engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
