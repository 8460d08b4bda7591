"""One parameter of AWS Systems Manager: its versions, and the labels that say what each of them is. Needs no client."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from config.secret import Secret
from tasks.rotation.errors import Broken

if TYPE_CHECKING:
    from types_boto3_ssm.client import SSMClient
    from types_boto3_ssm.type_defs import GetParameterHistoryRequestTypeDef, PutParameterRequestTypeDef

    from tasks.publishers._places.aws.session import Conversation

TYPE: Final = "SecureString"
DESCRIPTION: Final = "Made by openrouter-rotator, which deletes it when its key is withdrawn."
"""Of the parameters that we made, and by which they are known."""

_MOST_PAGES: Final = 5
"""A parameter has at most 100 versions, and a page 50."""

_ABSENT: Final = frozenset({"ParameterNotFound", "ParameterVersionNotFound"})
_EXISTS: Final = frozenset({"ParameterAlreadyExists"})
_UNFIT: Final = frozenset({"ParameterAlreadyExists", "ParameterPatternMismatchException", "ValidationException"})


class Version(BaseModel):
    """What the history tells of one version, its encrypted value apart."""

    model_config = ConfigDict(frozen=True)

    number: int = Field(alias="Version")
    type: str = Field(alias="Type")
    key_id: str | None = Field(None, alias="KeyId")
    tier: Literal["Standard", "Advanced", "Intelligent-Tiering"] | None = Field(None, alias="Tier")
    labels: list[str] | None = Field(None, alias="Labels")
    description: str | None = Field(None, alias="Description")


class _Page(BaseModel):
    versions: list[Version] = Field(alias="Parameters")
    next: str | None = Field(None, alias="NextToken")


class _Parameter(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    text: str = Field(alias="Value", repr=False)


class _Read(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)

    parameter: _Parameter = Field(alias="Parameter")


class _Put(BaseModel):
    number: int = Field(alias="Version")


class _Labelled(BaseModel):
    refused: list[str] | None = Field(None, alias="InvalidLabels")


class _Nothing(BaseModel):
    """An answer of which nothing is needed."""


@dataclass(frozen=True, slots=True)
class History:
    """The versions of a parameter, of which there is at least one."""

    versions: tuple[Version, ...]

    @property
    def latest(self) -> Version:
        """The one that applications read."""
        return max(self.versions, key=lambda version: version.number)

    @property
    def labels(self) -> Iterator[tuple[str, str]]:
        """Pairs of (version's number, label)."""
        return ((str(version.number), label) for version in self.versions for label in version.labels or ())


class RemoteParameter:
    """The parameter during one conversation. What is not there is None; everything else that fails is raised."""

    def __init__(self, talk: Conversation, client: SSMClient, name: str) -> None:
        self.talk = talk
        self._client = client
        self._name = name

    def look(self) -> History | None:
        """Its versions and labels as they are now."""
        versions: list[Version] = []
        token: str | None = None
        for _ in range(_MOST_PAGES):
            page = self._page(token)
            if page is None:
                return None
            versions += page.versions
            token = page.next
            if not token:
                return History(tuple(versions)) if versions else None
        raise Broken(f"{self.talk.label}: its history does not end. {self.talk.still}")

    def value(self, number: int | str | None = None) -> Secret | None:
        """What one version holds, for ever; without a number, what applications read."""
        name = self._name if number is None else f"{self._name}:{number}"
        call = self._client.get_parameter
        read = self.talk.asked_unless(_ABSENT, _Read, lambda: call(Name=name, WithDecryption=True))
        return Secret(read.parameter.text) if read and read.parameter.text else None

    def put(self, text: str, before: Version | None, kms_key: str | None) -> int | None:
        """Write a version on top of the others, encrypted and stored as the one before it was; its number.

        None when there was none before, and somebody else has made the parameter meanwhile.
        """
        wish: PutParameterRequestTypeDef = {
            "Name": self._name, "Value": text, "Type": TYPE, "Overwrite": before is not None,
        }  # fmt: skip
        if key := kms_key or (before and before.key_id):
            wish["KeyId"] = key
        if before and before.tier:
            wish["Tier"] = before.tier
        if before is None:
            wish["Description"] = DESCRIPTION
        answer = self.talk.asked_unless(_EXISTS, _Put, lambda: self._client.put_parameter(**wish), changes=True)
        return answer.number if answer else None

    def label(self, number: int, label: str) -> None:
        """Attach a label to a version, wherever it was before."""
        call = self._client.label_parameter_version
        answer = self.talk.asked(
            _Labelled, lambda: call(Name=self._name, ParameterVersion=number, Labels=[label]), changes=True
        )
        if answer.refused:
            raise Broken(f"{self.talk.label}: AWS does not take the label {label}. {self.talk.still}")

    def unlabel(self, number: int | str, labels: Iterable[str]) -> None:
        """Take labels from a version; they may be gone already, and so may the version."""
        call = self._client.unlabel_parameter_version
        taken = list(labels)
        self.talk.asked_unless(
            _ABSENT,
            _Nothing,
            lambda: call(Name=self._name, ParameterVersion=int(number), Labels=taken),
            changes=True,
        )

    def delete(self) -> None:
        """Delete the parameter with all its versions; it may be gone already."""
        self.talk.asked_unless(_ABSENT, _Nothing, lambda: self._client.delete_parameter(Name=self._name), changes=True)

    def rehearse(self, number: int) -> None:
        """Ask for the rights to write by requests that nobody can carry out: to make what exists, of a value that its
        pattern forbids; and with a label that begins as none may. Raises when AWS says that we lack a right."""
        name, client, impossible = self._name, self._client, ["aws-rotator-check"]
        self.talk.asked_unless(
            _UNFIT,
            _Nothing,
            lambda: client.put_parameter(Name=name, Value="-", Type=TYPE, AllowedPattern="^$", Overwrite=False),
        )
        for call in (client.label_parameter_version, client.unlabel_parameter_version):
            self.talk.asked_unless(
                _UNFIT,
                _Nothing,
                lambda call=call: call(Name=name, ParameterVersion=number, Labels=impossible),  # type: ignore[misc]  # mypy sees no default
            )

    def _page(self, token: str | None) -> _Page | None:
        wish: GetParameterHistoryRequestTypeDef = {"Name": self._name, "WithDecryption": False, "MaxResults": 50}
        if token:
            wish["NextToken"] = token
        return self.talk.asked_unless(_ABSENT, _Page, lambda: self._client.get_parameter_history(**wish))
