"""One key, one holder: no two rotations can have the same OpenRouter key recorded as alive.

A key that a deleted rotation left alive may be adopted by another one. An index cannot look into another table, so
`released_at` repeats when a version's rotation was deleted.
"""

import sqlalchemy as sa
from alembic import op

from tasks.rotation.errors import OperatorNeeded

revision = "0002"
down_revision = "0001"
works_with = "0001"
"""The oldest schema whose release still works on this one. It leaves `released_at` empty; who adopts fills it."""
reversible = True
"""Whether the way down loses nothing: all that goes is told by `rotations.removed_at` too."""

_HELD = sa.text("state <> 'deleted' AND released_at IS NULL")


def upgrade() -> None:
    """Fill the new column, refuse keys that two rotations hold, and let the database refuse them from now on.

    The first statement locks the table against everyone, so that nothing is adopted between the look and the index.
    """
    op.add_column("key_versions", sa.Column("released_at", sa.BigInteger(), nullable=True))
    op.execute(
        "UPDATE key_versions SET released_at ="
        " (SELECT removed_at FROM rotations WHERE rotations.id = key_versions.rotation_id)"
        " WHERE state <> 'deleted' AND rotation_id IN (SELECT id FROM rotations WHERE removed_at IS NOT NULL)"
    )
    _refuse_doubles(op.get_bind())
    op.create_index(
        "uq_key_versions_key_hash",
        "key_versions",
        ["key_hash"],
        unique=True,
        sqlite_where=_HELD,
        postgresql_where=_HELD,
    )


def downgrade() -> None:
    """Let two rotations hold one key again."""
    op.drop_index("uq_key_versions_key_hash", table_name="key_versions")
    op.drop_column("key_versions", "released_at")


def _refuse_doubles(connection: sa.Connection) -> None:
    """Nobody but the operator can say whose applications use a key that two rotations adopted at the same instant."""
    held = (
        "SELECT v.key_hash, r.name, v.number FROM key_versions v JOIN rotations r ON r.id = v.rotation_id"
        " WHERE v.state <> 'deleted' AND v.released_at IS NULL AND v.key_hash IN"
        " (SELECT key_hash FROM key_versions WHERE state <> 'deleted' AND released_at IS NULL AND key_hash IS NOT NULL"
        " GROUP BY key_hash HAVING count(*) > 1) ORDER BY v.key_hash, r.name"
    )
    holders: dict[str, list[str]] = {}
    for key_hash, name, number in connection.execute(sa.text(held)):
        holders.setdefault(key_hash, []).append(f"{name} (version {number})")
    if holders:
        told = "; ".join(f"{' and '.join(names)} hold the key {key_hash}" for key_hash, names in holders.items())
        raise OperatorNeeded(
            f"Two rotations hold one key, so that each would retire it while the other's applications use it: {told}. "
            "Nothing was changed, and workers of the release before go on.",
            "With the release before, delete all but one of them: `rotator rotation delete NAME --keep-keys`. Then run "
            "this again.",
        )
