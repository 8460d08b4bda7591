"""Destinations with attempts of their own, what they were found to hold, and who is to be told of events.

Where workers of a release before still run meanwhile, a destination that was removed with its value gets new keys
from them until a worker of this release has withdrawn it; one of a kind that they do not have asks for a person when
they come to it, and is served when a worker of this release does.

The tables are locked in the order in which every step comes to them, ``key_versions`` first. Where something stands in
the way for more than a few seconds all the same, nothing is changed, and the upgrade is run again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
works_with = "0002"
"""The oldest schema whose release still works on this one. It takes every destination for one that must hold the key
and is put right when it does not, tries them all together, and tells nobody."""
reversible = False
"""Whether the way down loses nothing: it would lose who is told, and what a destination may do without."""

_ATTEMPT = ("attempts", "next_attempt_at")
_ENDING = "state = 'active' AND expires_at IS NOT NULL AND warned_at IS NULL"


def upgrade() -> None:
    """Add nullable columns, indexes and a new table; nothing that is stored changes."""
    for name in ("warn_at", "warned_at"):
        op.add_column("key_versions", sa.Column(name, sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_key_versions_warn_at",
        "key_versions",
        ["warn_at"],
        sqlite_where=sa.text(_ENDING),
        postgresql_where=sa.text(_ENDING),
    )
    op.add_column("destinations", sa.Column("optional", sa.Boolean(), nullable=True))
    op.add_column("destinations", sa.Column("on_drift", sa.Text(), nullable=True))
    op.add_column("destinations", sa.Column("leaving", sa.Boolean(), nullable=True))
    for name in ("check_at", *_ATTEMPT):
        op.add_column("destinations", sa.Column(name, sa.BigInteger(), nullable=True))
    for name in ("error_family", "error", "remedy"):
        op.add_column("destinations", sa.Column(name, sa.Text(), nullable=True))
    for name in (*_ATTEMPT, "drifted_at"):
        op.add_column("deliveries", sa.Column(name, sa.BigInteger(), nullable=True))
    for name in ("error_family", "remedy", "receipt"):
        op.add_column("deliveries", sa.Column(name, sa.Text(), nullable=True))
    op.create_index("ix_deliveries_destination_id", "deliveries", ["destination_id"])
    op.create_table(
        "notice_targets",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("url_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("rotation_ids", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("told_through", sa.BigInteger(), nullable=False),
        sa.Column("told_at", sa.BigInteger(), nullable=True),
        sa.Column("claimed_until", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("next_attempt_at", sa.BigInteger(), nullable=True),
        sa.Column("error_family", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("remedy", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notice_targets")),
        sa.UniqueConstraint("name", name=op.f("uq_notice_targets_name")),
    )


def downgrade() -> None:
    """Drop what was added; never called, since it loses something."""
    op.drop_table("notice_targets")
    op.drop_index("ix_deliveries_destination_id", "deliveries")
    for name in ("receipt", "remedy", "error_family", "drifted_at", *reversed(_ATTEMPT)):
        op.drop_column("deliveries", name)
    for name in ("remedy", "error", "error_family", *reversed(_ATTEMPT), "check_at", "leaving", "on_drift", "optional"):
        op.drop_column("destinations", name)
    op.drop_index("ix_key_versions_warn_at", "key_versions")
    for name in ("warned_at", "warn_at"):
        op.drop_column("key_versions", name)
