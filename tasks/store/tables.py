"""The schema. Ciphertext columns end in ``_sealed``; everything else may be read by whoever may read the database."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tasks.store.columns import Moment, Span

_IN_FLIGHT = "state IN ('planned', 'creating', 'created', 'proven')"
_HELD = "state <> 'deleted' AND released_at IS NULL"
ENDING = "state = 'active' AND expires_at IS NOT NULL AND warned_at IS NULL"
"""Keys in service that end and were not told of: said in these words, so that their index is found."""
_ID = sa.String(36)


class Base(DeclarativeBase):
    """All tables."""

    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: Moment,
        timedelta: Span,
        str: sa.Text,
        int: sa.BigInteger,
        bytes: sa.LargeBinary,
    }


class MigrationRow(Base):
    """A migration that was made, as releases that do not have it need to know it. Older releases read this table, and
    write to it: its columns stay as they are."""

    __tablename__ = "migrations"

    revision: Mapped[str] = mapped_column(sa.String(32), primary_key=True)
    works_with: Mapped[str] = mapped_column(sa.String(32))
    """The oldest schema whose release still works on this one."""
    worked_at: Mapped[datetime | None]
    """When workers of the release that needs this schema were last seen."""


class InstallationRow(Base):
    """One row: which installation this is, and a known text that only the right master key opens."""

    __tablename__ = "installation"

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    installation_id: Mapped[str]
    check_sealed: Mapped[bytes]


class ConnectionRow(Base):
    """A named, validated management key."""

    __tablename__ = "connections"

    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    app: Mapped[str]
    method: Mapped[str]
    description: Mapped[str | None]
    key_sealed: Mapped[bytes]
    key_revision: Mapped[int]
    """Grows when the key is replaced; bound into the ciphertext, so that an older one cannot be put back."""
    fingerprint: Mapped[str]
    health: Mapped[str]
    health_message: Mapped[str]
    checked_at: Mapped[datetime]
    paused_until: Mapped[datetime | None]
    binds_keys: Mapped[bool]
    """Whether something at the provider may name keys by their hash; False only after a look that found nothing."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]
    """Set when it is deleted but deleted rotations, whose history stays, still refer to it."""
    project_id: Mapped[str | None]


class RotationRow(Base):
    """The standing order, its lease and its alarm."""

    __tablename__ = "rotations"
    __table_args__ = (
        sa.Index(
            "uq_rotations_name",
            "name",
            unique=True,
            sqlite_where=sa.text("removed_at IS NULL"),
            postgresql_where=sa.text("removed_at IS NULL"),
        ),
        sa.Index(
            "ix_rotations_wake_at",
            "wake_at",
            sqlite_where=sa.text("wake_at IS NOT NULL"),
            postgresql_where=sa.text("wake_at IS NOT NULL"),
        ),
        sa.Index("ix_rotations_connection_id", "connection_id"),
    )

    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    name: Mapped[str]
    connection_id: Mapped[str] = mapped_column(_ID, sa.ForeignKey("connections.id"))
    key_name: Mapped[str]
    limit_usd: Mapped[float | None] = mapped_column(sa.Double)
    limit_reset: Mapped[str | None]
    include_byok_in_limit: Mapped[bool]
    workspace_id: Mapped[str | None]
    expires_after: Mapped[timedelta | None]
    every: Mapped[timedelta | None]
    every_at: Mapped[str | None]
    cron: Mapped[str | None]
    timezone: Mapped[str]
    window: Mapped[timedelta]
    overlap: Mapped[timedelta]
    cooling: Mapped[timedelta]
    secret_name: Mapped[str]
    created_at: Mapped[datetime]
    paused: Mapped[bool]
    removal: Mapped[str | None]
    removed_at: Mapped[datetime | None]
    last_rotated_at: Mapped[datetime | None]
    last_version: Mapped[int]
    attention: Mapped[str | None]
    remedy: Mapped[str | None]
    revision: Mapped[int]
    """Grows with every operator's change, so that an alarm set from an older view is not believed."""
    wake_at: Mapped[datetime | None]
    dispatched_until: Mapped[datetime | None]
    """A worker was told; until then nobody needs to tell another."""
    lease_owner: Mapped[str | None]
    lease_fence: Mapped[int]
    lease_until: Mapped[datetime | None]
    description: Mapped[str | None]
    project_id: Mapped[str | None]
    environment: Mapped[str | None]
    secret_path: Mapped[str | None]
    updated_at: Mapped[datetime | None]
    """When an operator last changed it; empty where only releases before 0003 did."""


class KeyVersionRow(Base):
    """One OpenRouter key that a rotation minted or adopted."""

    __tablename__ = "key_versions"
    __table_args__ = (
        sa.UniqueConstraint("rotation_id", "number"),
        sa.Index(
            "uq_key_versions_in_flight",
            "rotation_id",
            unique=True,
            sqlite_where=sa.text(_IN_FLIGHT),
            postgresql_where=sa.text(_IN_FLIGHT),
        ),
        sa.Index(
            "uq_key_versions_active",
            "rotation_id",
            unique=True,
            sqlite_where=sa.text("state = 'active'"),
            postgresql_where=sa.text("state = 'active'"),
        ),
        sa.Index(
            "uq_key_versions_key_hash",
            "key_hash",
            unique=True,
            sqlite_where=sa.text(_HELD),
            postgresql_where=sa.text(_HELD),
        ),
        sa.Index("ix_key_versions_key_hash", "key_hash"),
        sa.Index("ix_key_versions_marker", "marker"),
        sa.Index("ix_key_versions_warn_at", "warn_at", sqlite_where=sa.text(ENDING), postgresql_where=sa.text(ENDING)),
    )

    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    rotation_id: Mapped[str] = mapped_column(_ID, sa.ForeignKey("rotations.id"))
    number: Mapped[int]
    state: Mapped[str]
    reason: Mapped[str]
    actor: Mapped[str]
    marker: Mapped[str | None]
    key_hash: Mapped[str | None]
    key_sealed: Mapped[bytes | None]
    emergency: Mapped[bool]
    doomed: Mapped[bool]
    asked: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON(none_as_null=True))
    """The key parameters that it was asked with."""
    reviving: Mapped[bool]
    attempts: Mapped[int]
    next_attempt_at: Mapped[datetime | None]
    error_family: Mapped[str | None]
    error: Mapped[str | None]
    remedy: Mapped[str | None]
    planned_at: Mapped[datetime | None]
    creating_at: Mapped[datetime | None]
    created_at: Mapped[datetime | None]
    proven_at: Mapped[datetime | None]
    active_at: Mapped[datetime | None]
    retiring_at: Mapped[datetime | None]
    disabled_at: Mapped[datetime | None]
    abandoned_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    retire_at: Mapped[datetime | None]
    delete_at: Mapped[datetime | None]
    settles_at: Mapped[datetime | None]
    looked_at: Mapped[datetime | None]
    released_at: Mapped[datetime | None]
    warn_at: Mapped[datetime | None]
    """When its successor is late; found out, and kept here, by whoever looks for such keys."""
    warned_at: Mapped[datetime | None]
    """When that was told."""


class DestinationRow(Base):
    """A place where applications read the key. The target may hold a credential, so it is sealed."""

    __tablename__ = "destinations"
    __table_args__ = (sa.UniqueConstraint("rotation_id", "label"),)

    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    rotation_id: Mapped[str] = mapped_column(_ID, sa.ForeignKey("rotations.id"))
    kind: Mapped[str]
    label: Mapped[str]
    target_sealed: Mapped[bytes]
    created_at: Mapped[datetime]
    optional: Mapped[bool | None]
    on_drift: Mapped[str | None]
    leaving: Mapped[bool | None]
    """An operator removed it, and its value is to be withdrawn first."""
    check_at: Mapped[datetime | None]
    """When to look next whether it still holds the key."""
    attempts: Mapped[int | None]
    """Of looking after it, or of withdrawing: those of delivering are with each delivery."""
    next_attempt_at: Mapped[datetime | None]
    error_family: Mapped[str | None]
    error: Mapped[str | None]
    remedy: Mapped[str | None]


class DeliveryRow(Base):
    """One key version going to one destination."""

    __tablename__ = "deliveries"
    __table_args__ = (sa.Index("ix_deliveries_destination_id", "destination_id"),)

    version_id: Mapped[str] = mapped_column(_ID, sa.ForeignKey("key_versions.id"), primary_key=True)
    destination_id: Mapped[str] = mapped_column(
        _ID, sa.ForeignKey("destinations.id", ondelete="CASCADE"), primary_key=True
    )
    delivered_at: Mapped[datetime | None]
    error: Mapped[str | None]
    attempts: Mapped[int | None]
    next_attempt_at: Mapped[datetime | None]
    error_family: Mapped[str | None]
    remedy: Mapped[str | None]
    receipt: Mapped[str | None]
    """What the destination answered to the last delivery that succeeded."""
    drifted_at: Mapped[datetime | None]
    """Since when it was known to hold something else."""


class EventRow(Base):
    """The append-only audit log."""

    __tablename__ = "events"
    __table_args__ = (sa.Index("ix_events_rotation_id_id", "rotation_id", "id"),)

    id: Mapped[int] = mapped_column(
        sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True
    )
    at: Mapped[datetime]
    name: Mapped[str]
    actor: Mapped[str]
    why: Mapped[str]
    rotation_id: Mapped[str | None] = mapped_column(_ID)
    connection_id: Mapped[str | None] = mapped_column(_ID)
    version: Mapped[int | None]
    detail: Mapped[dict[str, str]] = mapped_column(sa.JSON)


class RequestRow(Base):
    """A request that may arrive twice, and the version that answered it."""

    __tablename__ = "requests"

    id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    rotation_id: Mapped[str] = mapped_column(_ID, sa.ForeignKey("rotations.id"))
    version: Mapped[int]
    at: Mapped[datetime]


class HeartbeatRow(Base):
    """When something that must keep beating last did."""

    __tablename__ = "heartbeats"

    name: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime]


class TokenRow(Base):
    """An API token: who may ask over HTTP, and for what. Of the token itself only a hash."""

    __tablename__ = "api_tokens"
    __table_args__ = (
        sa.Index(
            "uq_api_tokens_name",
            "name",
            unique=True,
            sqlite_where=sa.text("revoked_at IS NULL"),
            postgresql_where=sa.text("revoked_at IS NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    """Public: it is part of the token, by which the row is found."""
    name: Mapped[str]
    role: Mapped[str]
    token_hash: Mapped[bytes]
    """SHA-256 of the whole token, which has 256 random bits: a slow hash would add nothing."""
    rotation_ids: Mapped[list[str] | None] = mapped_column(sa.JSON(none_as_null=True))
    """The rotations whose key a consumer may read; ids, so that a later rotation of the same name is not meant."""
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class SessionRow(Base):
    """A browser that signed in with a token. Of the cookie only a hash."""

    __tablename__ = "sessions"

    id_hash: Mapped[bytes] = mapped_column(primary_key=True)
    token_id: Mapped[str] = mapped_column(_ID, sa.ForeignKey("api_tokens.id"))
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]


class AnswerRow(Base):
    """A request with an ``Idempotency-Key``: claimed while ``status`` is empty, then the answer to repeat."""

    __tablename__ = "answers"
    __table_args__ = (sa.Index("ix_answers_at", "at"),)

    token_id: Mapped[str] = mapped_column(_ID, sa.ForeignKey("api_tokens.id"), primary_key=True)
    key_hash: Mapped[bytes] = mapped_column(primary_key=True)
    request_hash: Mapped[bytes]
    status: Mapped[int | None] = mapped_column(sa.Integer)
    body: Mapped[str | None]
    at: Mapped[datetime]


class NoticeTargetRow(Base):
    """Somebody who is told of events, and how far in the audit log that has come."""

    __tablename__ = "notice_targets"
    __table_args__ = (sa.UniqueConstraint("name"),)

    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    name: Mapped[str]
    service: Mapped[str]
    """What kind of service the address is of, such as ``slack``: all of it that may be shown."""
    url_sealed: Mapped[bytes]
    level: Mapped[str]
    """The least that is told."""
    rotation_ids: Mapped[list[str] | None] = mapped_column(sa.JSON(none_as_null=True))
    """The rotations whose events are told; None for all, and for connections."""
    created_at: Mapped[datetime]
    told_through: Mapped[int]
    """The id of the last event that was told, or that there was no need to tell."""
    told_at: Mapped[datetime | None]
    claimed_until: Mapped[datetime | None]
    """A worker is telling; until then no other does."""
    attempts: Mapped[int]
    next_attempt_at: Mapped[datetime | None]
    error_family: Mapped[str | None]
    error: Mapped[str | None]
    remedy: Mapped[str | None]


class TallyRow(Base):
    """A number that every process adds to, for the metrics."""

    __tablename__ = "tallies"

    name: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    labels: Mapped[str] = mapped_column(sa.String(256), primary_key=True)
    """JSON, its names sorted."""
    amount: Mapped[float] = mapped_column(sa.Double)
