"""Alembic's entry: migrations run on the connection and in the transaction that ``schema`` gives.

Each leaves in the table ``migrations`` what releases that do not have it need to know.
"""

from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa
from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo

from tasks.store.tables import Base, MigrationRow


def _record(
    ctx: MigrationContext,
    step: MigrationInfo,
    heads: Collection[Any],
    run_args: Mapping[str, Any],  # noqa: ARG001 - Alembic gives it by name
) -> None:
    """Note a migration that was made, or that was taken back; with the first one the table itself is gone."""
    migration: Any = step.up_revision
    if ctx.connection is None or not heads:
        return
    if step.is_upgrade:
        values = {"revision": migration.revision, "works_with": migration.module.works_with}
        ctx.connection.execute(sa.insert(MigrationRow).values(values))
    else:
        ctx.connection.execute(sa.delete(MigrationRow).where(MigrationRow.revision == migration.revision))


connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True, on_version_apply=_record)
context.run_migrations()
