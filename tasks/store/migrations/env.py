"""Alembic's entry: migrations run on the connection and in the transaction that ``schema.upgrade`` gives."""

from alembic import context

from tasks.store.tables import Base

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
context.run_migrations()
