"""The kinds of fields in these requests and answers, with Infisical's rules and words."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from config.secret import Secret

_SLUG: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_SLUG_MOST: Final = 64
_DAYS_MOST: Final = 3650
_TEXT_MOST: Final = 8192


class Wire(BaseModel):
    """Fields in camelCase; what is not known is passed over, as it is there."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")


def _slug(field: str) -> Callable[[str], str]:
    def validated(text: str) -> str:
        text = text.strip()
        if not _SLUG.fullmatch(text):
            raise PydanticCustomError(
                "custom",
                "{field} field can only contain lowercase letters, numbers, and hyphens",
                {"field": field},
            )
        if len(text) > _SLUG_MOST:
            raise PydanticCustomError("too_big", "String must contain at most 64 character(s)")
        return text

    return validated


_PATTERN: Final = Field(json_schema_extra={"pattern": f"^{_SLUG.pattern}$", "maxLength": _SLUG_MOST})
Name = Annotated[str, AfterValidator(_slug("name")), _PATTERN]
Environment = Annotated[str, AfterValidator(_slug("environment")), _PATTERN]


def _label(text: str) -> str:
    text = text.strip()
    if not text:
        raise PydanticCustomError("too_small", "String must contain at least 1 character(s)")
    return text


Label = Annotated[str, AfterValidator(_label)]


def without_slash(path: str) -> str:
    """A secret path as it is stored: ``/api/`` is ``/api``, and ``/`` stays."""
    return path.strip().rstrip("/") or "/"


SecretPath = Annotated[str, AfterValidator(_label), AfterValidator(without_slash)]


def _secret(refusal: str) -> Callable[[Any], Secret]:
    def validated(value: Any) -> Secret:
        if not isinstance(value, str) or not value.strip():
            raise PydanticCustomError("too_small", refusal)
        if len(value) > _TEXT_MOST:
            raise PydanticCustomError("too_big", "It is too long")
        return Secret(value.strip())

    return validated


_HIDDEN: Final = {"type": "string", "minLength": 1, "maxLength": _TEXT_MOST, "format": "password", "writeOnly": True}
ApiKey = Annotated[Secret, PlainValidator(_secret("API Key required")), WithJsonSchema(_HIDDEN)]
Place = Annotated[Secret, PlainValidator(_secret("A destination is KIND:TARGET")), WithJsonSchema(_HIDDEN)]


def only(*allowed: object) -> BeforeValidator:
    """A field of theirs that no OpenRouter connection can use."""

    def validated(value: Any) -> Any:
        if not any(value is one for one in allowed):
            raise PydanticCustomError("custom", "Not supported for OpenRouter Connections")
        return value

    return BeforeValidator(validated)


def _whole_days(value: Any) -> int:
    """Days as a number or its text; theirs lets fractions pass, which no schedule of whole days can keep."""
    try:
        days = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        days = math.nan
    if not math.isfinite(days):
        raise PydanticCustomError("invalid_type", "Expected number")
    if days < 1:
        raise PydanticCustomError("too_small", "Number must be greater than or equal to 1")
    if days != int(days) or days > _DAYS_MOST:
        raise PydanticCustomError("custom", "Only whole days are possible, at most 3650 of them")
    return int(days)


Days = Annotated[
    int,
    BeforeValidator(_whole_days),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": _DAYS_MOST, "description": "Whole days."}),
]


def _secret_key(text: str) -> str:
    text = text.strip()
    if not text:
        raise PydanticCustomError("too_small", "API Key required")
    if ":" in text or "/" in text:
        raise PydanticCustomError("custom", "A secret's name cannot contain colons or slashes")
    return text


SecretKey = Annotated[str, AfterValidator(_secret_key)]


def _as_javascript_writes_it(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Moment = Annotated[datetime, PlainSerializer(_as_javascript_writes_it, return_type=str)]
