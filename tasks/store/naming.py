"""Which row is meant: by name, or by id."""

from __future__ import annotations

import sqlalchemy as sa

from tasks.rotation.model import ById
from tasks.store.tables import ConnectionRow, RotationRow


def meant(row: type[ConnectionRow | RotationRow], which: str | ById) -> sa.ColumnElement[bool]:
    """The condition that a row is the one that is meant."""
    return row.id == which.id if isinstance(which, ById) else row.name == which
