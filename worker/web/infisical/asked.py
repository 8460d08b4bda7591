"""What may be asked: bodies and queries."""

from __future__ import annotations

from typing import Annotated, Final, Literal
from uuid import UUID

from fastapi import Path, Query
from pydantic import Field, StrictBool, StringConstraints

from worker.web.infisical.fields import (
    ApiKey,
    Days,
    Environment,
    Label,
    Name,
    Place,
    SecretKey,
    SecretPath,
    Wire,
    only,
)

_PLACES_MOST: Final = 20
Description = Annotated[str, StringConstraints(strip_whitespace=True, max_length=256)]
Span = Annotated[str, StringConstraints(max_length=40)]
"""Like ``24h``."""
ConnectionId = Annotated[UUID, Path(alias="connectionId")]
RotationId = Annotated[UUID, Path(alias="rotationId")]
ConnectionName = Annotated[str, Path(alias="connectionName")]
RotationName = Annotated[str, Path(alias="rotationName")]
ProjectId = Annotated[str | None, Query(alias="projectId", max_length=256)]
Flag = Literal["true", "false"]


class Credentials(Wire):
    """A management key."""

    api_key: ApiKey


class _Unsupported(Wire):
    """What other apps' connections have."""

    is_platform_managed_credentials: Annotated[bool, only(False)] = False
    gateway_id: Annotated[None, only(None)] = None
    is_auto_rotation_enabled: Annotated[bool, only(False)] = False
    rotation: Annotated[None, only(None)] = None


class NewConnection(_Unsupported):
    """A connection to make."""

    name: Name
    method: Literal["api-key"]
    credentials: Credentials
    description: Description | None = None
    project_id: Label | None = None


class ChangedConnection(_Unsupported):
    """What to change of a connection; what is left out stays."""

    name: Name | None = None
    credentials: Credentials | None = None
    description: Description | None = None


class TimeOfDay(Wire):
    """A time of day in UTC."""

    hours: Annotated[int, Field(ge=0, le=23)]
    minutes: Annotated[int, Field(ge=0, le=59)]


class Parameters(Wire):
    """What the keys shall be at OpenRouter."""

    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
    limit: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    limit_reset: Literal["daily", "weekly", "monthly"] | None = None
    include_byok_in_limit: StrictBool | None = None


class SecretsMapping(Wire):
    """The variable that holds the key."""

    api_key: SecretKey


class NewRotation(Wire):
    """A rotation to make. ``overlap``, ``cooling`` and ``destinations`` are ours."""

    name: Name
    project_id: Label
    connection_id: UUID
    environment: Environment
    secret_path: SecretPath
    description: Description | None = None
    is_auto_rotation_enabled: StrictBool = True
    rotation_interval: Days
    rotate_at_utc: TimeOfDay = TimeOfDay(hours=0, minutes=0)
    parameters: Parameters
    secrets_mapping: SecretsMapping
    overlap: Span | None = Field(None, description="How long the old key still works, like `24h`.")
    cooling: Span | None = Field(None, description="How long it then stays disabled before it is deleted.")
    destinations: list[Place] = Field(
        default_factory=list, max_length=_PLACES_MOST, description="Where to publish the key: `KIND:TARGET`."
    )


class ChangedRotation(Wire):
    """What to change of a rotation; what is left out stays. ``overlap`` and ``cooling`` are ours."""

    name: Name | None = None
    description: Description | None = None
    is_auto_rotation_enabled: StrictBool | None = None
    rotation_interval: Days | None = None
    rotate_at_utc: TimeOfDay | None = None
    parameters: Parameters | None = None
    secrets_mapping: SecretsMapping | None = None
    overlap: Span | None = None
    cooling: Span | None = None
