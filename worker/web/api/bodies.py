"""What may be sent: shapes are checked here, meanings where the command line has them checked too."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema

from config.secret import Secret
from tasks.operations.requests import (
    UNSET,
    DestinationRequest,
    RotationRequest,
    RotationUpdate,
    ScheduleRequest,
    Unset,
)
from tasks.rotation.errors import InvalidInput
from tasks.rotation.model import OnDrift
from tasks.rotation.parameters import validated_slug

_SECRET_MOST: Final = 4096
_SPAN: Final = "^(0|([0-9]{1,9}w)?([0-9]{1,9}d)?([0-9]{1,9}h)?([0-9]{1,9}m)?([0-9]{1,9}s)?)$"
_SLUG: Final = "^[a-z0-9]+(-[a-z0-9]+)*$"


_ON_DRIFT: Final[Any] = Field(
    default=OnDrift.REPAIR,
    description="What becomes of one that holds something else: put right, or only told.",
)


def _slug(text: str) -> str:
    """As the command line has it; the field is named by where it stands."""
    try:
        return validated_slug("name", text)
    except InvalidInput as error:
        raise ValueError(f"it is not a name. {error.remedy}") from None


def _as_secret(value: object) -> Secret:
    if not isinstance(value, str) or not value.strip() or len(value) > _SECRET_MOST:
        raise ValueError(f"it must be a text of 1 to {_SECRET_MOST} characters")
    return Secret(value.strip())


Name = Annotated[
    str, AfterValidator(_slug), WithJsonSchema({"type": "string", "pattern": _SLUG, "minLength": 1, "maxLength": 64})
]
Words = Annotated[str, Field(max_length=300)]
Line = Annotated[str, Field(max_length=256)]
Slug = Annotated[str, Field(max_length=64)]
Path = Annotated[str, Field(max_length=1024)]
Span = Annotated[
    str,
    Field(max_length=100),
    WithJsonSchema({"type": "string", "pattern": _SPAN, "minLength": 1, "maxLength": 50, "examples": ["30d", "1d12h"]}),
]
SecretText = Annotated[
    Secret,
    PlainValidator(_as_secret),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": _SECRET_MOST, "writeOnly": True}),
]
Period = Literal["daily", "weekly", "monthly"]
Drift = Annotated[OnDrift, Field(strict=False)]
"""Its value is what arrives, which strictly is no member."""


class Body(BaseModel):
    """A request's body: a field that it does not have is refused."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class _Timing(Body):
    every: Span | None = Field(default=None, description="Rotate at this interval; or give `cron`.")
    at: Words | None = Field(default=None, description="Time of day like 03:00, with `every` in whole days.")
    cron: Words | None = Field(default=None, description="Rotate by cron expression.", examples=["0 3 1 * *"])
    timezone: Words = Field(default="UTC", description="Time zone of `at` and `cron`, like Europe/Berlin.")
    window: Span | None = Field(default=None, description="Spread the runs of many rotations over this span.")

    def schedule(self) -> ScheduleRequest:
        """When to rotate, as it was written."""
        return ScheduleRequest(every=self.every, at=self.at, cron=self.cron, timezone=self.timezone, window=self.window)


_LABEL: Any = Field(default=None, description="A label: kept and shown, and nothing depends on it.")


class NewRotation(_Timing):
    """A rotation to set up."""

    name: Name
    connection: Name = Field(description="Whose management key mints the keys.")
    key_name: Words | None = Field(default=None, description="The keys' name at OpenRouter; needed unless adopting.")
    limit_usd: float | None = Field(default=None, gt=0, description="Spending limit of each key.")
    limit_reset: Period | None = Field(default=None, description="When OpenRouter refills the limit.")
    include_byok_in_limit: bool | None = None
    workspace_id: Words | None = Field(default=None, description="Workspace of the keys, a UUID.")
    expires_after: Span | None = Field(default=None, description="Keys expire this long after they are minted.")
    overlap: Span = Field(default="24h", description="How long the old key still works.")
    cooling: Span = Field(default="24h", description="How long it then stays disabled, before it is deleted.")
    secret_name: Words = Field(default="OPENROUTER_API_KEY", description="The variable that applications read.")
    publish: list[SecretText] = Field(
        default=[], max_length=50, description="Where applications read the key: `KIND:TARGET` each."
    )
    publish_optional: list[SecretText] = Field(
        default=[], max_length=50, description="The same, but a new key becomes active without these."
    )
    on_drift: Drift = _ON_DRIFT
    adopt_hash: Words | None = Field(default=None, description="Take over this existing key as predecessor.")
    initial: bool = Field(default=True, description="Mint the first key at once, or wait for the schedule.")
    paused: bool = Field(default=False, description="Begin with the schedule stopped.")
    description: Line | None = Field(default=None, description="One line of text.")
    project_id: Line | None = _LABEL
    environment: Slug | None = _LABEL
    secret_path: Path | None = _LABEL

    def request(self) -> RotationRequest:
        """What is asked for."""
        asked = self.model_dump(exclude={*_Timing.model_fields, "publish", "publish_optional", "on_drift"})
        wanted = [(text, False) for text in self.publish] + [(text, True) for text in self.publish_optional]
        publish = tuple(DestinationRequest(text, optional, self.on_drift) for text, optional in wanted)
        return RotationRequest(**asked, schedule=self.schedule(), publish=publish)


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


def _kept(description: str, **bounds: Any) -> Any:
    """A field that stays as it is when it is left out. It may not be null, though Python sees None."""
    return Field(default=None, description=description, json_schema_extra=_without_default, **bounds)


class RotationChange(_Timing):
    """What to change; what is left out stays. A schedule is replaced whole. Key parameters apply from the next version
    on."""

    name: Name = _kept("A new name; tokens and history stay with the rotation.")
    timezone: Words = _kept("Time zone of `at` and `cron` (UTC when the schedule is replaced without one).")
    key_name: Words = _kept("The keys' name at OpenRouter.")
    limit_usd: float | None = _kept("Spending limit of each key; null for none.", gt=0)
    limit_reset: Period | None = _kept("When OpenRouter refills the limit; null for never.")
    include_byok_in_limit: bool = _kept("Whether use of your own provider keys counts towards the limit.")
    expires_after: Span | None = _kept("Keys expire this long after they are minted; null for never.")
    overlap: Span = _kept("How long the old key still works.")
    cooling: Span = _kept("How long it then stays disabled, before it is deleted.")
    secret_name: Words = _kept("The variable that applications read, while no destination holds it by the old name.")
    description: Line | None = _kept("One line of text; null for none.")
    project_id: Line | None = _kept("A label; null for none.")
    environment: Slug | None = _kept("A label; null for none.")
    secret_path: Path | None = _kept("A label; null for none.")

    def update(self) -> RotationUpdate:
        """What is asked for. Raises ``InvalidInput`` when it is nothing."""
        if not self.model_fields_set:
            raise InvalidInput("body", "there is nothing to change", "Give at least one field.")
        given = self.model_dump(include=self.model_fields_set - _Timing.model_fields.keys())
        return RotationUpdate(**given, schedule=self._new_schedule())

    def _new_schedule(self) -> ScheduleRequest | Unset:
        if not self.model_fields_set & _Timing.model_fields.keys():
            return UNSET
        return ScheduleRequest(
            every=self.every, at=self.at, cron=self.cron, timezone=self.timezone or "UTC", window=self.window
        )


class NewConnection(Body):
    """A management key to prove and store."""

    name: Name
    api_key: SecretText = Field(description="OpenRouter's management key. It is never shown again.")
    description: Line | None = Field(default=None, description="One line of text.")
    project_id: Line | None = _LABEL


class ConnectionChange(Body):
    """What to change; what is left out stays. A key takes effect only once it is proven."""

    name: Name = _kept("A new name.")
    api_key: SecretText = _kept("A new management key of the same account.")
    description: Line | None = _kept("One line of text; null for none.")


class NewDestination(Body):
    """A place to publish to. One that the rotation has is changed."""

    publish: SecretText = Field(description="`KIND:TARGET`. It may hold a credential, and is never shown again.")
    optional: bool = _kept("A new key becomes active without it; false for a new one.")
    on_drift: Drift = _kept("When it holds something else: put right, as usual, or only told.")

    def request(self) -> DestinationRequest:
        """What is asked for."""
        return DestinationRequest(self.publish, **self.model_dump(include={"optional", "on_drift"}, exclude_unset=True))


class Confirmation(Body):
    """What cannot be taken back is confirmed by name."""

    confirm: str = Field(max_length=64, description="The rotation's name, once more.")


class Comparison(Body):
    """What to compare with OpenRouter."""

    connection: Name | None = Field(default=None, description="Only this connection; all when it is left out.")
