"""Publishes to AWS Secrets Manager: ``aws-secrets-manager:NAME_OR_ARN``, with ``#FIELD`` to a member of a JSON secret.

Each publication is a version of its own, whose ID follows from rotation, key version, sequence and the version that it
replaces: repeated, it is the same version. It is written as ``AWSPENDING``, and becomes ``AWSCURRENT`` only if that
label is still on the version that was read: UpdateSecretVersionStage compares and sets. So nobody's change is lost, and
a worker that is late is refused, at whatever moment it wakes up: what it read is then no longer current, and the label
``rotator-ID-v3-s12`` (see ``aws.label``) of the newer publication tells it why. AWS moves ``AWSPREVIOUS`` by itself.
Whoever dies in between leaves a version that nobody reads; the next publication sweeps its labels up.

What we would spoil is left alone: bytes, a JSON object when no member is named, and a secret that AWS rotates, that
another service owns, or that is replicated here from another region.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final, Self
from uuid import UUID

from pydantic import Field, model_validator

from config.secret import Secret
from tasks.publishers._places.aws.content import key_in, refuse_bytes, with_key
from tasks.publishers._places.aws.json_member import without_member
from tasks.publishers._places.aws.label import Mark, label_of, marks, of_rotation, version_id
from tasks.publishers._places.aws.secret import (
    CURRENT,
    PENDING,
    Content,
    Described,
    RemoteSecret,
    missing,
    refuse_unfit,
    restless,
)
from tasks.publishers._places.aws.target import AwsOptions, KmsKey, of_form, parts
from tasks.publishers._shared.about import About
from tasks.publishers._shared.checks import printable, query_options, validated
from tasks.publishers._shared.extras import needed
from tasks.publishers._shared.stamp import refuse_conflict
from tasks.publishers._shared.uses import ActsAs, MachineUse, uses_of
from tasks.rotation.errors import Refused
from tasks.rotation.model import Holding
from tasks.rotation.ports import Publication

ATTEMPTS: Final = 4
"""How often a publication starts again because somebody else changed the secret meanwhile."""

_EXAMPLE: Final = "For example: --publish 'aws-secrets-manager:app/openrouter?region=eu-west-1#OPENROUTER_API_KEY'."
_NAME: Final = "[A-Za-z0-9/_+=.@-]{1,519}"
_ARN: Final = f"arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{{12}}:secret:{_NAME}"
_REGION_IN_ARN: Final = 3
_NO_VERSION: Final = str(UUID(int=0))


class SecretOptions(AwsOptions):
    """Which secret, or which member of it."""

    name: Annotated[str, of_form(f"{_NAME}|{_ARN}", "a secret's name or ARN")]
    member: str | None
    create: bool = Field(
        False, description="`true`: make the secret when it is missing; one that was made so is deleted when withdrawn"
    )
    kms_key: KmsKey | None = Field(None, description="KMS key (ID, ARN, alias) of a secret to create")

    @model_validator(mode="after")
    def _creates_by_name(self) -> Self:
        if self.kms_key and not self.create:
            raise ValueError("kms_key is for a secret to create: say create=true; one that exists keeps its key")
        if self.create and self.has_arn:
            raise ValueError("a secret is created by its name, not by an ARN")
        if self.has_arn and self.region not in {None, self._arn_region}:
            raise ValueError("the region is not the one in the ARN")
        return self

    @property
    def has_arn(self) -> bool:
        """Whether the name tells account and region."""
        return self.name.startswith("arn:")

    @property
    def place(self) -> str:
        """Name, whereabouts and member."""
        return f"{self.name}{self.where(in_name=self.has_arn)}{f'#{self.member}' if self.member else ''}"

    @property
    def connection(self) -> AwsOptions:
        """The same, in the region that an ARN names."""
        return self.model_copy(update={"region": self._arn_region}) if self.has_arn else self

    @property
    def _arn_region(self) -> str:
        return self.name.split(":")[_REGION_IN_ARN]


ABOUT: Final = About(
    target="NAME_OR_ARN#FIELD",
    example="aws-secrets-manager:app/openrouter?region=eu-west-1&role=arn:aws:iam::123456789012:role/rotator"
    "#OPENROUTER_API_KEY",
    happens="The key becomes `AWSCURRENT` by compare-and-set, as one member of a JSON secret with `#FIELD`, else as the"
    " whole; AWS moves `AWSPREVIOUS`. A label `rotator-ID-v3-s12` says which publication it is, and a late worker is"
    " always refused. So is a secret that AWS rotates, and a missing one unless told otherwise. Withdrawn, the member"
    " goes; a whole secret is scheduled for deletion in 30 days if we made it, and else left to you",
    auth="AWS's own chain (environment, profile, web identity, container or instance role), and a role from there."
    " Needs `secretsmanager:DescribeSecret`, `GetSecretValue`, `PutSecretValue`, `UpdateSecretVersionStage`, to create"
    " `CreateSecret`, `DeleteSecret`, `RestoreSecret`; with your own KMS key `kms:Decrypt` and `kms:GenerateDataKey`",
    proves="the version `AWSCURRENT`, or its member, is the key",
    options=SecretOptions,
    extra="aws",
)


def open_publisher(target: Secret) -> SecretsManagerPublisher:
    """The publisher for a secret; raises ``InvalidInput``. AWS is not asked yet."""
    name, query, member = parts(target.reveal(), _EXAMPLE)
    fields = {**query_options(SecretOptions, query), "name": name, "member": member}
    return SecretsManagerPublisher(validated(SecretOptions, fields), target)


class SecretsManagerPublisher:
    """One secret of AWS Secrets Manager, or one member of it."""

    def __init__(self, options: SecretOptions, target: Secret) -> None:
        self._options = options
        self._target = target

    @property
    def label(self) -> str:
        """Kind, name, whereabouts and member."""
        return f"aws-secrets-manager:{self._options.place}"

    @property
    def target(self) -> Secret:
        """As it was given."""
        return self._target

    @property
    def uses(self) -> tuple[MachineUse, ...]:
        """Who we are at AWS is never part of a target."""
        return (*uses_of(self._options), ActsAs("AWS"))

    @property
    def holds_variables(self) -> bool:
        """The target names the one member."""
        return False

    def check(self, secret_name: str) -> None:  # noqa: ARG002 - the target names the member
        """Raise unless the secret can be read, holds what a key may replace, and we have the rights to write it."""
        with self._opened() as secret:
            found = secret.look()
            if found is None and not self._options.create:
                raise missing(self.label)
            if found is None or self._may_restore(found):
                return
            refuse_unfit(found, self.label)
            self._with_key(secret.content(found.current), "a key")
            secret.rehearse(found.current or _NO_VERSION)

    def publish(self, publication: Publication) -> None:
        """Make a version of the key, and make it current; see the module. Nothing is written when it is so already."""
        text = printable(publication.value)
        with self._opened() as secret:
            if not any(self._published(secret, publication, text) for _ in range(ATTEMPTS)):
                raise restless(self.label)

    def read_back(self, secret_name: str, expected: Secret, receipt: str | None = None) -> Holding:  # noqa: ARG002 - the target names the member, which can be read
        """What applications read."""
        with self._opened() as secret:
            content = secret.current()
        held = self._value(content)
        if held is None:
            return Holding.OTHER if content is not None and content.text is None else Holding.NOTHING
        return Holding.SAME if held == expected else Holding.OTHER

    def withdraw(self, publication: Publication) -> None:
        """Take the member away, or delete the secret that we made, if what it holds is ours; see the port."""
        with self._opened() as secret:
            if not any(self._withdrawn(secret, publication) for _ in range(ATTEMPTS)):
                raise restless(self.label)

    # --- publishing ---

    def _published(self, secret: RemoteSecret, publication: Publication, text: str) -> bool:
        """Publish to the secret as it is now. False when it changed meanwhile, and was therefore left alone."""
        found = self._ready(secret)
        if found is None:
            return False
        known = marks(found.labels, self._options.member)
        newest = next(iter((*of_rotation(known, publication.rotation_id), *known)), None)
        refuse_conflict(self.label, newest.stamp if newest else None, publication, remedy=_forget(newest))
        held = secret.content(found.current)
        mark = label_of(publication, member=self._options.member)
        version = found.current
        if version is None or (version, mark) not in found.labels or self._value(held) != publication.value:
            version = self._replaced(secret, found, self._with_key(held, text), mark)
        if version is not None:
            self._sweep(secret, found, version, [other for other in known if other.text != mark])
        return version is not None

    def _ready(self, secret: RemoteSecret) -> Described | None:
        """The secret, fit to be written; None when it was only now made, or restored, and is to be looked at again."""
        found = secret.look()
        if found is None:
            if not self._options.create:
                raise missing(self.label)
            secret.create(self._options.kms_key)
            return None
        if self._may_restore(found):
            secret.restore()
            return None
        refuse_unfit(found, self.label)
        return found

    def _replaced(self, secret: RemoteSecret, found: Described, content: str, mark: str) -> str | None:
        """The version that is current now, and has the mark; None when somebody was faster."""
        version = version_id(mark, found.current)
        labels = secret.put(version, content, [PENDING, mark])
        if mark not in labels:  # it was written before, and lost a race
            secret.move(mark, version, seen_at=found.holder(mark))
        if CURRENT in labels or secret.move(CURRENT, version, seen_at=found.current):
            return version
        for label in (PENDING, mark):
            secret.remove(label, version)
        return None

    def _sweep(self, secret: RemoteSecret, found: Described, version: str, obsolete: list[Mark]) -> None:
        """Take away the labels of what is over."""
        secret.talk.still = "The key is in place."
        if version != found.current or (version, PENDING) in found.labels:
            secret.remove(PENDING, version)
        for mark in obsolete:
            secret.remove(mark.text, mark.holder)

    # --- withdrawing ---

    def _withdrawn(self, secret: RemoteSecret, publication: Publication) -> bool:
        """Withdraw from the secret as it is now. False when it changed meanwhile, and was therefore left alone."""
        found = secret.look()
        if found is None or found.deleted_at is not None:
            return True
        ours = of_rotation(marks(found.labels, self._options.member), publication.rotation_id)
        if not ours or ours[0].stamp.sequence > publication.sequence:
            return True
        held = secret.content(found.current)
        if self._is_ours(secret, found, held, ours):
            refuse_unfit(found, self.label)
            if not self._taken_away(secret, publication, found, held):
                return False
        for mark in ours:
            secret.remove(mark.text, mark.holder)
        if found.our_pending is not None:
            secret.remove(PENDING, found.our_pending)
        return True

    def _is_ours(self, secret: RemoteSecret, found: Described, held: Content | None, ours: tuple[Mark, ...]) -> bool:
        """Whether what is current is what one of our versions holds, whoever wrote other members since."""
        value = self._value(held)
        return value is not None and any(
            mark.holder == found.current or self._value(secret.content(mark.holder)) == value for mark in ours
        )

    def _taken_away(
        self, secret: RemoteSecret, publication: Publication, found: Described, held: Content | None
    ) -> bool:
        """Without the member, or without the secret. False when somebody was faster."""
        if self._options.member is not None:
            rest = without_member(_text(held) or "{}", self._options.member)
            claim = label_of(publication, member=self._options.member, claim=True)
            version = self._replaced(secret, found, rest, claim)
            for label in (PENDING, claim) if version else ():
                secret.remove(label, version or "")
            return version is not None
        if not (self._options.create and found.is_our_making):
            raise Refused(
                f"{self.label}: a secret cannot be empty, and the rotator did not make this one. It was left as it is.",
                "Delete it, or put another value into it.",
            )
        secret.delete()
        return True

    # --- what a version holds ---

    def _value(self, content: Content | None) -> Secret | None:
        """The key that an application would get."""
        key = key_in(_text(content), self._options.member)
        return Secret(key) if key else None

    def _with_key(self, content: Content | None, key: str) -> str:
        """The next version's content. Raises ``Refused`` where that would spoil what is there."""
        text = _text(content)
        if content is not None and text is None:
            raise refuse_bytes(self.label)
        return with_key(self.label, text, self._options.member, key)

    def _may_restore(self, found: Described) -> bool:
        return found.deleted_at is not None and self._options.create and found.is_our_making

    @contextmanager
    def _opened(self) -> Iterator[RemoteSecret]:
        with needed("aws-secrets-manager", extra="aws"):
            from tasks.publishers._places.aws.session import secrets_manager  # noqa: PLC0415 - needs the extra
        with secrets_manager(self.label, self._options.connection) as (talk, client):
            yield RemoteSecret(talk, client, self._options.name)


def _text(content: Content | None) -> str | None:
    """None for nothing, and for bytes."""
    return content.text.reveal() if content is not None and content.text is not None else None


def _forget(newest: Mark | None) -> str:
    label = newest.text if newest else "rotator-..."
    return f"take the label {label} from its version: aws secretsmanager update-secret-version-stage."
