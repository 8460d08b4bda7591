"""What is answered: the fields that are there, and some of ours beside them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from worker.web.infisical.asked import SecretsMapping, TimeOfDay
from worker.web.infisical.fields import Moment, Wire


class Project(Wire):
    """What a project label names."""

    id: str
    name: str
    type: str
    slug: str


class AppConnection(Wire):
    """A connection. Its key is never in it."""

    id: str
    name: str
    description: str | None
    version: int
    org_id: str
    project_id: str | None
    created_at: Moment
    updated_at: Moment
    is_platform_managed_credentials: bool
    gateway_id: str | None
    gateway_pool_id: str | None
    credentials_hash: str
    app: Literal["open-router"]
    method: Literal["api-key"]
    credentials: dict[str, Any]
    is_auto_rotation_enabled: bool
    project: Project | None
    health: str = Field(description="What the last check of the key found. Ours.")
    health_message: str
    checked_at: Moment


class OneConnection(Wire):
    """A connection."""

    app_connection: AppConnection


class Connections(Wire):
    """Connections by name."""

    app_connections: list[AppConnection]


class AvailableConnection(Wire):
    """A connection that a rotation may use."""

    app: Literal["open-router"]
    name: str
    id: str
    project_id: str | None
    org_id: str


class AvailableConnections(Wire):
    """Connections that rotations may use."""

    app_connections: list[AvailableConnection]


class ConnectionOption(Wire):
    """An app that can be connected."""

    name: str
    app: str
    methods: list[str]


class ConnectionOptions(Wire):
    """The apps that can be connected."""

    app_connection_options: list[ConnectionOption]


class Parameters(Wire):
    """What the keys are at OpenRouter."""

    name: str
    limit: float | None
    limit_reset: str | None
    include_byok_in_limit: bool


class UsedConnection(Wire):
    """The connection of a rotation."""

    app: Literal["open-router"]
    name: str
    id: str


class EnvironmentOf(Wire):
    """What an environment label names."""

    slug: str
    name: str
    id: str


class Folder(Wire):
    """What a secret path names."""

    id: str
    path: str


class Destination(Wire):
    """Where the key is published, and how that stands."""

    kind: str
    label: str
    version: int | None
    delivered_at: Moment | None
    error: str | None


class SecretRotation(Wire):
    """A rotation. The last seven fields are ours."""

    id: str
    name: str
    description: str | None
    type: Literal["open-router-api-key"]
    parameters: Parameters
    secrets_mapping: SecretsMapping
    is_auto_rotation_enabled: bool
    active_index: int
    folder_id: str | None
    connection_id: str
    rotation_interval: float | None = Field(description="Days; null where a cron expression says when.")
    rotate_at_utc: TimeOfDay | None
    rotation_status: Literal["success", "failed"] | None = Field(description="Null before the first result.")
    last_rotation_attempted_at: Moment | None
    last_rotated_at: Moment | None
    last_rotation_job_id: str | None
    last_rotation_message: str | None
    is_last_rotation_manual: bool
    next_rotation_at: Moment | None
    created_at: Moment
    updated_at: Moment
    project_id: str | None
    connection: UsedConnection
    environment: EnvironmentOf | None
    folder: Folder | None
    status: Literal["ok", "rotating", "paused", "needs_attention", "removing"]
    active_version: int | None
    schedule: str
    overlap: str
    cooling: str
    remedy: str | None
    destinations: list[Destination]


class OneRotation(Wire):
    """A rotation."""

    secret_rotation: SecretRotation


class Rotations(Wire):
    """Rotations by name."""

    secret_rotations: list[SecretRotation]
    broken: list[str] = Field(description="What is wrong with rotations that cannot be shown. Ours.")


class Template(Wire):
    """What a new rotation usually has."""

    secrets_mapping: SecretsMapping


class RotationOption(Wire):
    """A kind of rotation."""

    name: str
    connection: str
    type: str
    template: Template


class RotationOptions(Wire):
    """The kinds of rotations that there are."""

    secret_rotation_options: list[RotationOption]


class GeneratedCredential(Wire):
    """A key that works now."""

    api_key: str
    key_hash: str


class GeneratedCredentials(Wire):
    """Every key of a rotation that works now; ``activeIndex`` is where the one in service stands."""

    generated_credentials: list[GeneratedCredential]
    active_index: int
    rotation_id: str
    type: Literal["open-router-api-key"]
