"""OpenRouter's answers as models: lenient to new fields, strict on those that we use.

Source of every shape, unless its docstring says otherwise: OpenRouter's public OpenAPI document of 2026-08-22,
and for newer fields the public Python SDK ``openrouter`` 1.3.84. A model holds only what we use. Nothing here
raises or shows a value that did not parse: an answer may hold a new key's text.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Final, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from config.secret import MASK, Secret
from tasks.rotation.ports import CallerFacts, RemoteKey

LONGEST_KEY: Final = 512
"""Characters. OpenRouter's keys have about 73 (November 2026); this is room, and an end."""
LONGEST_QUOTE: Final = 200
"""Characters of OpenRouter's own words in a message of ours."""

_KEY_TEXT: Final = re.compile(r"[\x21-\x7e]{1,512}")
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,200}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200b-\u200f\u202a-\u202e\u2066-\u2069]+")
_KEY_LIKE: Final = re.compile(r"(?i)(sk-or-|bearer\s+)[^\s\"',;]*")

Parsed = TypeVar("Parsed", bound=BaseModel)


def is_sendable(key: Secret) -> bool:
    """Whether a key fits a header: printable ASCII, no blank, no control character, at most 512 characters."""
    return _KEY_TEXT.fullmatch(key.reveal()) is not None


def is_id(text: str) -> bool:
    """Whether this can be an id or hash of OpenRouter: safe as one segment of a path, whoever it came from."""
    return _ID.fullmatch(text) is not None


def _checked_id(text: str) -> str:
    if not is_id(text):
        raise ValueError("not an id")
    return text


def _in_utc(moment: datetime) -> datetime:
    """OpenRouter's times are UTC, also where they do not say so."""
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("beyond the calendar") from None


Id = Annotated[str, AfterValidator(_checked_id)]
Moment = Annotated[datetime, AfterValidator(_in_utc)]


class _Shape(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        strict=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
        regex_engine="python-re",
    )


class KeyFields(_Shape):
    """A key in ``GET /keys``, ``GET /keys/{hash}`` and ``PATCH /keys/{hash}``.

    ``expires_at`` and ``last_used_at`` (SDK 1.3.84) may be missing. ``limit_reset`` is an open set here: a period
    that we do not know yet must not hide a key from a sweep.
    """

    hash: Id
    name: str
    disabled: bool
    created_at: Moment
    limit: float | None
    limit_reset: str | None
    include_byok_in_limit: bool
    workspace_id: str | None = None
    expires_at: Moment | None = None
    last_used_at: Moment | None = None

    def as_remote_key(self) -> RemoteKey:
        """The same, in the words of the core."""
        return RemoteKey(
            key_hash=self.hash,
            name=self.name,
            disabled=self.disabled,
            created_at=self.created_at,
            limit_usd=self.limit,
            limit_reset=self.limit_reset,
            include_byok_in_limit=self.include_byok_in_limit,
            workspace_id=self.workspace_id,
            expires_at=self.expires_at,
            last_used_at=self.last_used_at,
        )


class OneKey(_Shape):
    """``GET /keys/{hash}`` and ``PATCH /keys/{hash}``, 200."""

    data: KeyFields


class KeyPage(_Shape):
    """``GET /keys``, 200: the newest 100 from an offset, no total."""

    data: tuple[KeyFields, ...]


class _MintedFields(_Shape):
    hash: Id


class CreatedKey(_Shape):
    """``POST /keys``, 201: ``key`` stands at the top level, beside ``data``, and is shown this once.

    (OpenRouter's rotation cookbook reads it inside ``data``; the OpenAPI document and the SDK say otherwise.)
    """

    data: _MintedFields
    key: str = Field(repr=False, min_length=1, max_length=LONGEST_KEY, pattern=r"^[\x21-\x7e]+\Z")


class DeletedKey(_Shape):
    """``DELETE /keys/{hash}``, 200."""

    deleted: Literal[True]


class _CallerFields(_Shape):
    is_management_key: bool | None = None
    is_provisioning_key: bool | None = None
    limit: float | None
    limit_reset: str | None
    include_byok_in_limit: bool
    expires_at: Moment | None = None
    workspace_id: str | None = None


class Caller(_Shape):
    """``GET /key``, 200. ``workspace_id``: SDK 1.3.84. ``is_provisioning_key`` is the older name of the flag."""

    data: _CallerFields

    def as_facts(self) -> CallerFacts | None:
        """The same, in the words of the core; None when it does not say what kind of key it is."""
        data = self.data
        managing = data.is_provisioning_key if data.is_management_key is None else data.is_management_key
        if managing is None:
            return None
        return CallerFacts(
            is_management_key=managing,
            limit_usd=data.limit,
            limit_reset=data.limit_reset,
            include_byok_in_limit=data.include_byok_in_limit,
            expires_at=data.expires_at,
            workspace_id=data.workspace_id,
        )


class Assignment(_Shape):
    """A guardrail on a key (``KeyAssignment``)."""

    key_hash: str
    guardrail_id: Id


class AssignmentPage(_Shape):
    """``GET /guardrails/assignments/keys`` and ``GET /guardrails/{id}/assignments/keys``, 200."""

    data: tuple[Assignment, ...]
    total_count: int


class HashList(_Shape):
    """Something of OpenRouter that names the keys that it is for; ``hashes`` None means every key."""

    id: Id
    name: str | None = None
    hashes: tuple[str, ...] | None


class HashListPage(_Shape):
    """A page of such things."""

    data: tuple[HashList, ...]
    total_count: int


class OneHashList(_Shape):
    """One such thing."""

    data: HashList


class ByokCredential(HashList):
    """A provider credential and the keys that may use it (``BYOKKey``)."""

    hashes: tuple[str, ...] | None = Field(validation_alias="allowed_api_key_hashes")


class ByokPage(HashListPage):
    """``GET /byok``, 200."""

    data: tuple[ByokCredential, ...]


class OneByok(OneHashList):
    """``GET /byok/{id}`` and ``PATCH /byok/{id}``, 200."""

    data: ByokCredential


class TraceDestination(HashList):
    """Where traces go, and of which keys (``ObservabilityDestination``, all types)."""

    hashes: tuple[str, ...] | None = Field(validation_alias="api_key_hashes")


class TraceDestinationPage(HashListPage):
    """``GET /observability/destinations``, 200."""

    data: tuple[TraceDestination, ...]


class OneTraceDestination(OneHashList):
    """``GET /observability/destinations/{id}`` and its ``PATCH``, 200."""

    data: TraceDestination


class _ErrorFields(_Shape):
    code: int | str | None = None
    message: str


class ErrorBody(_Shape):
    """Every documented error: ``{"error": {"code": int, "message": str}}``."""

    error: _ErrorFields


def parsed(shape: type[Parsed], body: bytes) -> Parsed | None:
    """The body in this shape, or None. The reason is dropped on purpose: it would quote the body."""
    try:
        return shape.model_validate_json(body)
    except ValidationError:
        return None


def quoted(body: bytes, *, without: Secret) -> str:
    """OpenRouter's own words in an error body, fit for a message of ours; empty when there are none.

    At most 200 characters on one line, without the key that asked and without anything that looks like a key.
    """
    error = parsed(ErrorBody, body)
    if error is None:
        return ""
    text = _CONTROL.sub(" ", error.error.message).replace(without.reveal(), MASK)
    text = _KEY_LIKE.sub(MASK, text).strip()
    return text if len(text) <= LONGEST_QUOTE else text[: LONGEST_QUOTE - 1] + "…"
