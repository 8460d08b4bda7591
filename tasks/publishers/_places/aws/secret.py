"""One secret of AWS Secrets Manager: its versions, and the labels that say what each of them is. Needs no client."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, Field

from config.secret import Secret
from tasks.publishers._places.aws.label import is_ours
from tasks.rotation.errors import Conflict, NotFound, TryAgain

if TYPE_CHECKING:
    from types_boto3_secretsmanager.client import SecretsManagerClient
    from types_boto3_secretsmanager.type_defs import (
        CreateSecretRequestTypeDef,
        UpdateSecretVersionStageRequestTypeDef,
    )

    from tasks.publishers._places.aws.session import Conversation

CURRENT: Final = "AWSCURRENT"
PENDING: Final = "AWSPENDING"
DESCRIPTION: Final = "Made by openrouter-rotator, which deletes it when its key is withdrawn."
"""Of the secrets that we made, and by which they are known."""
RECOVERABLE_FOR_DAYS: Final = 30

_ABSENT: Final = frozenset({"ResourceNotFoundException"})
_UNREADABLE: Final = _ABSENT | {"InvalidRequestException"}
_NOT_THERE: Final = frozenset({"InvalidParameterException", "InvalidRequestException", "ResourceNotFoundException"})
"""What a label's move answers when the label is not on the version that it was to be taken from."""


class _Nothing(BaseModel):
    """An answer of which nothing is needed."""


class Described(BaseModel):
    """What DescribeSecret tells."""

    model_config = ConfigDict(frozen=True)

    arn: str = Field(alias="ARN")
    stages: dict[str, list[str]] | None = Field(None, alias="VersionIdsToStages")
    description: str | None = Field(None, alias="Description")
    deleted_at: datetime | None = Field(None, alias="DeletedDate")
    rotates: bool | None = Field(None, alias="RotationEnabled")
    owner: str | None = Field(None, alias="OwningService")
    primary_region: str | None = Field(None, alias="PrimaryRegion")

    @property
    def labels(self) -> Iterator[tuple[str, str]]:
        """Pairs of (version, label)."""
        return ((version, label) for version, labels in (self.stages or {}).items() for label in labels)

    def holder(self, label: str) -> str | None:
        """The version that has the label."""
        return next((version for version, found in self.labels if found == label), None)

    @property
    def current(self) -> str | None:
        """The version that applications read; None for a secret without a value."""
        return self.holder(CURRENT)

    @property
    def is_replica(self) -> bool:
        """Whether it can be written in another region only."""
        return self.primary_region is not None and f":{self.primary_region}:" not in self.arn

    @property
    def our_pending(self) -> str | None:
        """The version that one of us left half-way; None also when somebody else did."""
        pending = self.holder(PENDING)
        ours = any(is_ours(label) for version, label in self.labels if version == pending)
        return pending if ours else None

    @property
    def awaits_another(self) -> bool:
        """Whether somebody else's rotation has begun and not ended."""
        return self.holder(PENDING) not in {None, self.current, self.our_pending}

    @property
    def is_our_making(self) -> bool:
        """Whether we made it, and nobody has said otherwise since."""
        return self.description == DESCRIPTION


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    text: str | None = Field(None, alias="SecretString", repr=False)


class _Put(BaseModel):
    stages: list[str] = Field(alias="VersionStages")


def refuse_unfit(found: Described, label: str) -> None:
    """Raise ``Conflict`` for a secret that is not ours to write."""
    reasons = (
        (found.deleted_at, "it is scheduled for deletion.", "aws secretsmanager restore-secret"),
        (
            found.rotates,
            "AWS rotates it; two rotations would undo each other.",
            "aws secretsmanager cancel-rotate-secret",
        ),
        (found.owner, "another AWS service manages it.", "Publish to a secret of your own."),
        (found.is_replica, "it is a replica.", f"Name its primary region: ?region={found.primary_region}"),
        (
            found.awaits_another,
            f"somebody else's rotation of it has begun and not ended ({PENDING}).",
            "End it, or take that label away: aws secretsmanager update-secret-version-stage",
        ),
    )
    for applies, problem, remedy in reasons:
        if applies:
            raise Conflict(f"{label}: {problem} It was left as it is.", remedy)


def missing(label: str) -> NotFound:
    """For a secret that is not there, and that we may not make."""
    return NotFound(
        f"{label}: there is no such secret; nothing was written.",
        "Check name, region and account; create it, or say ?create=true.",
    )


def restless(label: str) -> TryAgain:
    """For a secret that was changed by somebody else each time that we were about to."""
    return TryAgain(
        f"{label}: somebody else changed the secret again and again while it was being updated;"
        " their changes were kept, and the old key is still in it."
    )


@dataclass(frozen=True, slots=True)
class Content:
    """What a version holds. ``text`` is None for bytes."""

    text: Secret | None


class RemoteSecret:
    """The secret during one conversation. What is not there is None; everything else that fails is raised."""

    def __init__(self, talk: Conversation, client: SecretsManagerClient, name: str) -> None:
        self.talk = talk
        self._client = client
        self._name = name

    def look(self) -> Described | None:
        """The secret as it is now."""
        return self.talk.asked_unless(_ABSENT, Described, lambda: self._client.describe_secret(SecretId=self._name))

    def content(self, version: str | None) -> Content | None:
        """What a version that has a label holds, for ever; None for no version."""
        if version is None:
            return None
        call = self._client.get_secret_value
        read = self.talk.asked_unless(_ABSENT, _Value, lambda: call(SecretId=self._name, VersionId=version))
        if read is None:  # to take it for empty would lose what it holds
            raise TryAgain(f"{self.talk.label}: a version that has a label was not found. {self.talk.still}")
        return self._content(read)

    def current(self) -> Content | None:
        """What applications read; None also for a secret that is scheduled for deletion, which they cannot read."""
        call = self._client.get_secret_value
        return self._content(
            self.talk.asked_unless(_UNREADABLE, _Value, lambda: call(SecretId=self._name, VersionStage=CURRENT))
        )

    def put(self, version: str, text: str, labels: list[str]) -> list[str]:
        """Make the version, not yet current; the labels that it has then. The first one of a secret is current.

        A version that exists with this content stays as it is, and its labels where they are.
        """
        call = self._client.put_secret_value
        answer = self.talk.asked(
            _Put,
            lambda: call(SecretId=self._name, ClientRequestToken=version, SecretString=text, VersionStages=labels),
            changes=True,
        )
        return answer.stages

    def move(self, label: str, to: str, *, seen_at: str | None) -> bool:
        """Move a label if it is still where it was seen (None: nowhere). False, and nothing done, when it is not."""
        wish: UpdateSecretVersionStageRequestTypeDef = {
            "SecretId": self._name,
            "VersionStage": label,
            "MoveToVersionId": to,
        }
        if seen_at is not None:
            wish["RemoveFromVersionId"] = seen_at
        return self._updated(wish)

    def remove(self, label: str, version: str) -> None:
        """Take a label from a version; it may be gone already."""
        self._updated({"SecretId": self._name, "VersionStage": label, "RemoveFromVersionId": version})

    def create(self, kms_key: str | None) -> None:
        """Make the secret, without a value; somebody else may have made it meanwhile."""
        wish: CreateSecretRequestTypeDef = {"Name": self._name, "Description": DESCRIPTION}
        if kms_key is not None:
            wish["KmsKeyId"] = kms_key
        exists = frozenset({"ResourceExistsException"})
        self.talk.asked_unless(exists, _Nothing, lambda: self._client.create_secret(**wish), changes=True)

    def delete(self) -> None:
        """Schedule the deletion; until then the secret can be restored, and nobody can read it."""
        call = self._client.delete_secret
        self.talk.asked(
            _Nothing, lambda: call(SecretId=self._name, RecoveryWindowInDays=RECOVERABLE_FOR_DAYS), changes=True
        )

    def restore(self) -> None:
        """Take the deletion back."""
        self.talk.asked(_Nothing, lambda: self._client.restore_secret(SecretId=self._name), changes=True)

    def rehearse(self, version: str) -> None:
        """Ask for the rights to write by two requests that no server can carry out: a value that is none, a label
        that is nowhere. Raises when AWS says that we lack the right."""
        for call in (
            lambda: self._client.put_secret_value(SecretId=self._name),
            lambda: self._client.update_secret_version_stage(
                SecretId=self._name, VersionStage="rotator-check", RemoveFromVersionId=version
            ),
        ):
            self.talk.asked_unless(_NOT_THERE, _Nothing, call)

    def _updated(self, wish: UpdateSecretVersionStageRequestTypeDef) -> bool:
        call = self._client.update_secret_version_stage
        return self.talk.asked_unless(_NOT_THERE, _Nothing, lambda: call(**wish), changes=True) is not None

    @staticmethod
    def _content(value: _Value | None) -> Content | None:
        return None if value is None else Content(Secret(value.text) if value.text else None)
