"""What the HTTP API and the console need: labels, API tokens, sessions, answers to repeated requests, and tallies."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
works_with = "0002"
"""The oldest schema whose release still works on this one. It leaves the new columns empty and the tables alone."""
reversible = False
"""Whether the way down loses nothing: it would lose every token, and the labels that scripts look for."""

_LABELS = ("project_id", "environment", "secret_path")


def upgrade() -> None:
    """Add nullable columns and new tables; nothing that is stored changes."""
    op.add_column("connections", sa.Column("project_id", sa.Text(), nullable=True))
    for name in ("description", *_LABELS):
        op.add_column("rotations", sa.Column(name, sa.Text(), nullable=True))
    op.add_column("rotations", sa.Column("updated_at", sa.BigInteger(), nullable=True))
    op.create_table(
        "api_tokens",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("rotation_ids", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("last_used_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_tokens")),
    )
    op.create_index(
        "uq_api_tokens_name",
        "api_tokens",
        ["name"],
        unique=True,
        sqlite_where=sa.text("revoked_at IS NULL"),
        postgresql_where=sa.text("revoked_at IS NULL"),
    )
    op.create_table(
        "sessions",
        sa.Column("id_hash", sa.LargeBinary(), nullable=False),
        sa.Column("token_id", sa.String(length=36), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id_hash", name=op.f("pk_sessions")),
        sa.ForeignKeyConstraint(["token_id"], ["api_tokens.id"], name=op.f("fk_sessions_token_id_api_tokens")),
    )
    op.create_table(
        "answers",
        sa.Column("token_id", sa.String(length=36), nullable=False),
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("token_id", "key_hash", name=op.f("pk_answers")),
        sa.ForeignKeyConstraint(["token_id"], ["api_tokens.id"], name=op.f("fk_answers_token_id_api_tokens")),
    )
    op.create_index("ix_answers_at", "answers", ["at"], unique=False)
    op.create_table(
        "tallies",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("labels", sa.String(length=256), nullable=False),
        sa.Column("amount", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", "labels", name=op.f("pk_tallies")),
    )


def downgrade() -> None:
    """Drop what was added; never called, since it loses something."""
    for table in ("tallies", "answers", "sessions", "api_tokens"):
        op.drop_table(table)
    for name in ("updated_at", *reversed(_LABELS), "description"):
        op.drop_column("rotations", name)
    op.drop_column("connections", "project_id")
