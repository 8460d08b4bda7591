"""The schema's version: asking for it, insisting on it, bringing it up to date."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from config.secret import Secret
from tasks.rotation.errors import OperatorNeeded
from tasks.store.cipher import Cipher
from tasks.store.database import Database
from tasks.store.sealed import CHECK_PLACE
from tasks.store.tables import InstallationRow

_UPGRADING: Final = 7_035_921_447
"""Lock: of two that upgrade at once, the second finds nothing left to do."""


def _config(connection: sa.Connection | None = None) -> Config:
    made = Config()
    made.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    made.attributes["connection"] = connection
    return made


def newest() -> str:
    """The schema version that this release needs."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if head is None:
        raise OperatorNeeded("The migrations are missing from this installation.", "Install the package again.")
    return head


def current(database: Database) -> str | None:
    """The schema version that the database has; None when it is empty."""
    with database.read() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def check(database: Database) -> None:
    """Raise ``OperatorNeeded`` unless the database has the schema that this release needs."""
    found, needed = current(database), newest()
    if found == needed:
        return
    _refuse_newer(found)
    raise OperatorNeeded(
        f"The database has schema {found or 'none'}, and this release needs {needed}.", "Run `rotator db upgrade`."
    )


def _refuse_newer(found: str | None) -> None:
    known = {s.revision for s in ScriptDirectory.from_config(_config()).walk_revisions()}
    if found is not None and found not in known:
        raise OperatorNeeded(
            f"The database has schema {found}, which is newer than this release ({newest()}).", "Upgrade the program."
        )


def upgrade(database: Database, cipher: Cipher) -> str:
    """Bring the schema up to date, whoever else tries at the same time; the version that it has then.

    Runs in one transaction: an interrupted upgrade changes nothing. Raises ``OperatorNeeded`` for a schema that a
    newer release made.
    """
    with database.write() as connection:
        database.exclude_others(connection, _UPGRADING)
        _refuse_newer(MigrationContext.configure(connection).get_current_revision())
        command.upgrade(_config(connection), "head")
        _initialise(connection, cipher)
    return newest()


def _initialise(connection: sa.Connection, cipher: Cipher) -> None:
    """Give a new installation its identity, and the text by which it knows its master key."""
    if connection.execute(sa.select(InstallationRow.id)).first() is None:
        identity = str(uuid.uuid4())
        sealed = cipher.seal(Secret(identity), CHECK_PLACE)
        connection.execute(sa.insert(InstallationRow).values(id=1, installation_id=identity, check_sealed=sealed))
