"""The schema's version: asking for it, insisting on it, bringing it up to date, and one step back.

Every migration states the oldest schema whose release still works beside it (``works_with``), and the table
``migrations`` tells it to releases that do not have that migration. So a worker of the release before goes on, and may
be restarted, on a database that the next release has upgraded.
"""

from __future__ import annotations

import uuid
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from config.secret import Secret
from tasks.rotation.errors import OperatorNeeded
from tasks.store.cipher import Cipher
from tasks.store.columns import NO_LEASE_LASTS_MS, Moment, as_millis
from tasks.store.database import Database
from tasks.store.sealed import CHECK_PLACE
from tasks.store.tables import InstallationRow, MigrationRow, RotationRow

MIGRATIONS: Final = Path(__file__).with_name("migrations")
"""Where the migrations of this release are."""
_MIGRATING: Final = 7_035_921_447
"""Lock: of two that migrate at once, the second finds nothing left to do."""
_TABLE_LOCK_MS: Final = 5_000
"""How long a migration waits for a table; everyone else waits behind it, so it is shorter than their patience."""
_AT_WORK_MS: Final = 120_000
"""How long ago a release's workers may have been seen and count as running."""
_NOTED_FOR_MS: Final = 10_000
"""How long a note that workers run is good enough."""


@cache
def _script(folder: Path) -> ScriptDirectory:
    return ScriptDirectory(str(folder))


def migrations() -> dict[str, ModuleType]:
    """The migrations of this release by their schema, the first one first."""
    return {s.revision: s.module for s in reversed(list(_script(MIGRATIONS).walk_revisions()))}


def _config(connection: sa.Connection) -> Config:
    made = Config()
    made.set_main_option("script_location", str(MIGRATIONS))
    made.attributes["connection"] = connection
    return made


def newest() -> str:
    """The schema version that this release needs."""
    head = _script(MIGRATIONS).get_current_head()
    if head is None:
        raise OperatorNeeded("The migrations are missing from this installation.", "Install the package again.")
    return head


def current(database: Database) -> str | None:
    """The schema version that the database has; None when it is empty."""
    with database.read() as connection:
        return _revision(connection)


def check(database: Database) -> str:
    """How the database's schema suits this release, in words. Raises ``OperatorNeeded`` when it does not."""
    with database.read() as connection:
        found = _revision(connection)
        if found == newest():
            return f"The schema is the one that this release needs: {found}."
        if found is None or found in migrations():
            raise OperatorNeeded(
                f"The database has schema {found or 'none'}, and this release needs {newest()}.",
                "Run `rotator db upgrade`.",
            )
        return _newer(connection, found)


def _newer(connection: sa.Connection, found: str) -> str:
    """That a schema which a newer release made still works with this one. Raises ``OperatorNeeded`` unless it does."""
    query = sa.select(MigrationRow.works_with).where(MigrationRow.revision == found)
    if connection.execute(query).scalar_one_or_none() not in migrations():
        raise OperatorNeeded(
            f"The database has schema {found}, which is newer than this release ({newest()}) and not made for it.",
            "Upgrade the program.",
        )
    return f"The schema is {found}, of a newer release; it still works with this one, which needs {newest()}."


def record_work(connection: sa.Connection, now: sa.ColumnElement[int]) -> None:
    """Workers of this release are at work: no migration that they cannot live with may come now. Noted now and then
    only, and not where somebody is noting it: whoever freezes at it must not hold up all rotations."""
    noted = sa.type_coerce(MigrationRow.worked_at, sa.BigInteger)
    stale = sa.or_(noted.is_(None), noted < now - _NOTED_FOR_MS, noted > now)
    ours = sa.select(MigrationRow.revision).where(MigrationRow.revision == newest(), stale)
    free = ours.with_for_update(skip_locked=True).scalar_subquery()
    seen = sa.update(MigrationRow).where(MigrationRow.revision.in_(free))
    connection.execute(seen.values(worked_at=sa.type_coerce(now, Moment)))


def upgrade(database: Database, cipher: Cipher) -> str:
    """Bring the schema up to date, whoever else tries at the same time; the version that it has then.

    Runs in one transaction: an interrupted upgrade changes nothing. A newer schema that works with this release is
    left as it is. Raises ``OperatorNeeded`` for one that does not, and while workers run that could not go on.
    """
    with database.write() as connection:
        _migrate_alone(database, connection)
        found = _revision(connection)
        if found is not None and found not in migrations():
            _newer(connection, found)
            return found
        if found not in {None, newest()}:
            _make_way(database, connection, found, newest())
        command.upgrade(_config(connection), "head")
        _initialise(connection, cipher)
    return newest()


def downgrade(database: Database) -> str:
    """Take back the newest migration where that loses nothing; the schema that the database has then.

    Runs in one transaction. Raises ``OperatorNeeded`` when something would be lost, when this release lacks the
    migration, and while workers of this release run or hold a lease.
    """
    with database.write() as connection:
        _migrate_alone(database, connection)
        found = _revision(connection)
        before = _schema_before(found)
        _make_way(database, connection, found, before)
        command.downgrade(_config(connection), before)
    return before


def _schema_before(found: str | None) -> str:
    known = migrations()
    if found is not None and found not in known:
        raise OperatorNeeded(
            f"The database has schema {found}, which is newer than this release ({newest()}). Nothing was changed.",
            "Only the release that made it can take it back.",
        )
    before = None if found is None else known[found].down_revision
    if found is None or before is None:
        raise OperatorNeeded(
            f"The database has schema {found or 'none'}; there is none before it.", "Nothing needs to be done."
        )
    if not known[found].reversible:
        raise OperatorNeeded(
            f"The database has schema {found}, and on the way back to {before} something would be lost. "
            "Nothing was changed.",
            f"Stay with this release, or restore a backup that was made with schema {before}.",
        )
    return str(before)


def _migrate_alone(database: Database, connection: sa.Connection) -> None:
    """Wait for whoever migrates as long as it takes; then for each table less long than a worker waits for it. A
    migration itself may take its time."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
        connection.execute(sa.text("SET LOCAL lock_timeout = 0"))
        database.exclude_others(connection, _MIGRATING)
        connection.execute(sa.text(f"SET LOCAL lock_timeout = {_TABLE_LOCK_MS}"))


# --- who is at work --------------------------------------------------------------------------------------------


def _make_way(database: Database, connection: sa.Connection, found: str | None, to: str) -> None:
    """Raise ``OperatorNeeded`` while workers run that could not work with schema ``to``. A lease does not say of which
    release its holder is, so none may be held when the release that fits the present schema could not go on."""
    now = database.moment(connection)
    since = sa.type_coerce(MigrationRow.worked_at, sa.BigInteger) > as_millis(now) - _AT_WORK_MS
    for release in connection.execute(sa.select(MigrationRow.revision).where(since)).scalars():
        if not _fits(release, to):
            raise OperatorNeeded(
                f"Workers of the release that needs schema {release} were at work in the last two minutes, and cannot "
                f"work with schema {to}. Nothing was changed.",
                "Stop them, wait two minutes, and run this again.",
            )
    if not _fits(found, to):
        _refuse_leases(connection, as_millis(now))


def _fits(release: str | None, schema: str) -> bool:
    """Whether the release that needs schema ``release`` works with ``schema``; one that we do not know does not."""
    known = migrations()
    order = list(known)
    if release not in known:
        return False
    return order.index(known[schema].works_with) <= order.index(release) <= order.index(schema)


def _refuse_leases(connection: sa.Connection, now: int) -> None:
    until = sa.type_coerce(RotationRow.lease_until, sa.BigInteger)
    query = sa.select(RotationRow.name).where(until.between(now, now + NO_LEASE_LASTS_MS)).order_by(RotationRow.name)
    held = connection.execute(query).scalars().all()
    if held:
        raise OperatorNeeded(
            f"A worker holds {', '.join(held)} at this moment. Nothing was changed.",
            "Stop the workers of this release, and run this again; what one held that was killed is free after its "
            "lease.",
        )


# --- the database itself ---------------------------------------------------------------------------------------


def _revision(connection: sa.Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _initialise(connection: sa.Connection, cipher: Cipher) -> None:
    """Give a new installation its identity, and the text by which it knows its master key."""
    if connection.execute(sa.select(InstallationRow.id)).first() is None:
        identity = str(uuid.uuid4())
        sealed = cipher.seal(Secret(identity), CHECK_PLACE)
        connection.execute(sa.insert(InstallationRow).values(id=1, installation_id=identity, check_sealed=sealed))
