"""What each call may bring: request bodies and paging, checked as the public documents state.

Unknown fields are refused with 400. The real service may ignore them; refusing shows a client its mistake.
Sources: OpenAPI document of 2026-08-22 and the Python SDK ``openrouter`` 1.3.84.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal, TypeVar
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from .messages import ApiError, JsonObject

_UTC_WITH_SECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def _utc_with_seconds(value: object) -> object:
    """Refuse other zones and minute precision, as the service does."""
    if value is None:
        return None
    if not isinstance(value, str) or not _UTC_WITH_SECONDS.fullmatch(value):
        raise ValueError("must be UTC with seconds, like 2030-01-31T00:00:00Z")
    return datetime.fromisoformat(value)


def _uuid(value: str) -> str:
    return str(UUID(value))


Instant = Annotated[datetime | None, BeforeValidator(_utc_with_seconds)]
Identifier = Annotated[str, AfterValidator(_uuid)]
Name = Annotated[str, Field(min_length=1)]
Usd = Annotated[float, Field(ge=0)]
Reset = Literal["daily", "weekly", "monthly"]
Region = Literal["global", "europe", "us"]
SomeTexts = Annotated[list[str], Field(min_length=1, max_length=100)]
KeyHash = Annotated[str, Field(pattern=r"^[a-f0-9]{64}$")]
SomeHashes = Annotated[list[KeyHash], Field(min_length=1, max_length=100)]


class Body(BaseModel):
    """A request body: strict types, nothing unknown, no infinities."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)

    def given(self) -> JsonObject:
        """Only the fields the caller wrote: what a PATCH changes."""
        return self.model_dump(exclude_unset=True)


class CreateKey(Body):
    """``POST /keys``. A key cannot be created disabled."""

    name: Name
    limit: Usd | None = None
    limit_reset: Reset | None = None
    include_byok_in_limit: bool = False
    expires_at: Instant = None
    workspace_id: Identifier | None = None
    creator_user_id: Name | None = None
    external: JsonObject | None = None


class UpdateKey(Body):
    """``PATCH /keys/{hash}``: neither expiry nor creator can change."""

    name: Name = ""
    disabled: bool = False
    limit: Usd | None = None
    limit_reset: Reset | None = None
    include_byok_in_limit: bool = False
    workspace_id: Identifier = ""


class UpdateGuardrail(Body):
    """``PATCH /guardrails/{id}``, and all that ``POST`` shares with it."""

    name: Annotated[str, Field(min_length=1, max_length=200)] = ""
    description: Annotated[str, Field(max_length=1000)] | None = None
    allowed_models: SomeTexts | None = None
    ignored_models: SomeTexts | None = None
    allowed_providers: SomeTexts | None = None
    ignored_providers: SomeTexts | None = None
    allowed_data_regions: list[Region] | None = None
    allow_safety_retention_google: bool | None = None
    allow_safety_retention_other: bool | None = None
    content_filter_builtins: list[JsonObject] | None = None
    content_filters: list[JsonObject] | None = None
    enable_free_model_publication: bool | None = None
    enable_free_model_training: bool | None = None
    enable_paid_model_training: bool | None = None
    enforce_zdr: bool | None = None
    enforce_zdr_anthropic: bool | None = None
    enforce_zdr_google: bool | None = None
    enforce_zdr_openai: bool | None = None
    enforce_zdr_other: bool | None = None
    enforce_zdr_xai: bool | None = None
    include_byok_in_budgets: bool = False
    limit_usd: Usd | None = None
    reset_interval: Reset | None = None


class CreateGuardrail(UpdateGuardrail):
    """``POST /guardrails``."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    workspace_id: Identifier | None = None


class KeyHashes(Body):
    """``POST /guardrails/{id}/assignments/keys`` and ``.../remove``."""

    key_hashes: Annotated[list[Name], Field(min_length=1)]


class UpdateByok(Body):
    """``PATCH /byok/{id}``, and all that ``POST`` shares with it."""

    key: Name = ""
    name: Annotated[str, Field(max_length=255)] | None = None
    disabled: bool = False
    is_fallback: bool = False
    is_byok_only: bool = False
    is_required: bool = False
    declared_region: Region | None = None
    declared_zdr: bool | None = None
    allowed_models: SomeTexts | None = None
    allowed_user_ids: SomeTexts | None = None
    allowed_api_key_hashes: SomeHashes | None = None


class CreateByok(UpdateByok):
    """``POST /byok``."""

    key: Name
    provider: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9/-]*$")]
    workspace_id: Identifier | None = None


class UpdateDestination(Body):
    """``PATCH /observability/destinations/{id}``, and all that ``POST`` shares with it."""

    name: Name = ""
    config: JsonObject = Field(default_factory=dict)
    enabled: bool = True
    privacy_mode: bool = False
    broadcast_generation_cost: bool = False
    broadcast_generation_cost_allocation: bool = False
    broadcast_generation_identity: bool = False
    broadcast_generation_request_context: bool = False
    sampling_rate: Annotated[float, Field(ge=0.0001, le=1)] = 1.0
    regions: list[Region] = ["global"]
    api_key_hashes: Annotated[list[Name], Field(min_length=1)] | None = None
    filter_rules: JsonObject | None = None


class CreateDestination(UpdateDestination):
    """``POST /observability/destinations``."""

    type: Literal[
        "arize", "braintrust", "clickhouse", "datadog", "grafana", "langfuse", "langsmith", "newrelic", "opik",
        "otel-collector", "posthog", "ramp", "s3", "sentry", "snowflake", "weave", "webhook",
    ]  # fmt: skip
    name: Name
    config: JsonObject
    workspace_id: Identifier | None = None


class CreateWorkspace(Body):
    """``POST /workspaces``."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    slug: Annotated[str, Field(max_length=50, pattern=r"^[a-z0-9]+(?:-[a-z0-9]+)*$")]
    description: Annotated[str, Field(max_length=500)] | None = None
    default_image_model: str | None = None
    default_provider_sort: str | None = None
    default_text_model: str | None = None
    disabled_server_tools: list[str] | None = None
    io_logging_api_key_ids: list[int] | None = None
    io_logging_sampling_rate: Annotated[float, Field(ge=0.0001, le=1)] = 1.0
    is_data_discount_logging_enabled: bool = False
    is_observability_broadcast_enabled: bool = False
    is_observability_io_logging_enabled: bool = False


class ChatCompletion(Body):
    """``POST /chat/completions``: what the emulator looks at; every other field is let through unread."""

    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False, frozen=True)

    messages: Annotated[list[JsonObject], Field(min_length=1)]
    model: str = "emulator/echo"
    stream: bool = False
    emulator_cost_usd: Annotated[float, Field(ge=0, le=1_000_000)] = 0.001
    """Not OpenRouter's: what this one call is to cost."""


Shape = TypeVar("Shape", bound=Body)


def read_body(shape: type[Shape], payload: bytes) -> Shape:
    """Parse ``payload``; 400 names each faulty field and never repeats its value."""
    try:
        return shape.model_validate_json(payload)
    except ValidationError as error:
        faults = error.errors(include_input=False, include_context=False, include_url=False)
        raise ApiError(400, "; ".join(f"{_place(fault['loc'])}: {fault['msg']}" for fault in faults)) from None


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) or "body"


def read_count(query: Mapping[str, str], name: str, default: int, low: int = 0, high: int | None = None) -> int:
    """A whole number of the query within its bounds, else 400."""
    text = query.get(name, "")
    if text == "":
        return default
    count = int(text) if re.fullmatch(r"[0-9]{1,9}", text) else -1
    if count < low or (high is not None and count > high):
        raise ApiError(400, f"{name}: must be a whole number from {low}" + (f" to {high}" if high is not None else ""))
    return count


def read_flag(query: Mapping[str, str], name: str) -> bool:
    """A flag of the query, which travels as a string: ``true`` and ``1`` set it."""
    return query.get(name, "").lower() in {"true", "1"}


def read_identifier(query: Mapping[str, str], name: str) -> str | None:
    """A UUID of the query, or None when it is absent; 400 when it is no UUID."""
    text = query.get(name, "")
    try:
        return _uuid(text) if text else None
    except ValueError:
        raise ApiError(400, f"{name}: must be a UUID") from None
