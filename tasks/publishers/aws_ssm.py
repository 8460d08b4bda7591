"""Publishes to a parameter of AWS Systems Manager: ``aws-ssm:/path/name``, always a ``SecureString``.

Each publication is a version of the parameter; its label ``rotator-ID-v3-s12`` (see ``aws.label``) says which one, and
a worker that finds a newer one of its rotation is refused. The Parameter Store has no compare-and-set, so a worker that
stops between looking and writing may still write over a newer key. That is made hard, and is noticed:

- before it writes, each worker leaves a claim, a label like the above, on the version that it is about to replace;
- the number of the version that it wrote tells whether another one was written meanwhile. Then it looks again. If it
  finds a newer claim it is refused, and if it finds the newer key, labelled, it puts that back as the latest version.

What remains is a late worker that dies right behind its write, or comes between another one's write and label. Then the
wrong key stays until the place is read back, which is done behind each publication, and before a key is retired.

The KMS key and the tier stay as they were, policies and description too. Labels of ours are taken from old versions:
a label on the oldest of 100 versions would keep everybody from writing another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from config.secret import Secret
from tasks.publishers._places.aws.label import Mark, label_of, marks, of_rotation
from tasks.publishers._places.aws.parameter import DESCRIPTION, TYPE, History, RemoteParameter
from tasks.publishers._places.aws.target import AwsOptions, KmsKey, of_form, parts
from tasks.publishers._shared.about import About
from tasks.publishers._shared.checks import FIELD, printable, query_options, validated
from tasks.publishers._shared.extras import needed
from tasks.publishers._shared.stamp import refuse_conflict
from tasks.publishers._shared.uses import ActsAs, MachineUse, uses_of
from tasks.rotation.errors import InvalidInput, Refused, TryAgain
from tasks.rotation.model import Holding
from tasks.rotation.ports import Publication

ATTEMPTS: Final = 4
"""How often a publication looks again because somebody else wrote meanwhile."""

_EXAMPLE: Final = "For example: --publish 'aws-ssm:/app/openrouter-api-key?region=eu-west-1'."
_NAME: Final = "/?[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*"
_MOST_LEVELS: Final = 15
_LONGEST_NAME: Final = 1011
_MOST_BYTES: Final = 4096
_MOST_BYTES_ADVANCED: Final = 8192
"""Quotas of the Parameter Store, 2026-11."""


def _allowed(name: str) -> str:
    if name.lstrip("/").lower().startswith(("aws", "ssm")):
        raise ValueError("AWS keeps names that begin with aws or ssm for itself")
    if name.strip("/").count("/") >= _MOST_LEVELS or len(name) > _LONGEST_NAME:
        raise ValueError(f"AWS allows {_MOST_LEVELS} levels, and {_LONGEST_NAME} characters with the ARN before it")
    return name


class ParameterOptions(AwsOptions):
    """Which parameter."""

    name: Annotated[str, of_form(_NAME, "a parameter's name, such as /app/key, and no ARN"), AfterValidator(_allowed)]
    kms_key: KmsKey | None = Field(
        None, description="KMS key (ID, ARN, alias); else that of the version before, or `aws/ssm`"
    )


ABOUT: Final = About(
    target="/PATH/NAME",
    example="aws-ssm:/app/openrouter-api-key?region=eu-west-1&kms_key=alias/app",
    happens="The key becomes the latest version of a `SecureString`, which is made when it is missing; another type is"
    " refused. KMS key, tier, policies and description stay. A label `rotator-ID-v3-s12` says which publication it is,"
    " and a late worker is refused by it. There is no compare-and-set: what slips in between is seen by its version's"
    " number and put right, not prevented. Withdrawn, the parameter is deleted if it holds our key and we"
    " made it, and else left to you",
    auth="AWS's own chain (environment, profile, web identity, container or instance role), and a role from there."
    " Needs `ssm:GetParameter`, `GetParameterHistory`, `PutParameter`, `LabelParameterVersion`,"
    " `UnlabelParameterVersion`, to withdraw `DeleteParameter`; with your own KMS key `kms:Encrypt`, `kms:Decrypt`"
    " and, in the advanced tier, `kms:GenerateDataKey`",
    proves="the latest version is the key",
    options=ParameterOptions,
    extra="aws",
)


def open_publisher(target: Secret) -> ParameterPublisher:
    """The publisher for a parameter; raises ``InvalidInput``. AWS is not asked yet."""
    name, query, member = parts(target.reveal(), _EXAMPLE)
    if member is not None:
        raise InvalidInput(FIELD, "a parameter has no members: leave #FIELD out.", _EXAMPLE)
    return ParameterPublisher(
        validated(ParameterOptions, {**query_options(ParameterOptions, query), "name": name}), target
    )


class ParameterPublisher:
    """One parameter of the Parameter Store."""

    def __init__(self, options: ParameterOptions, target: Secret) -> None:
        self._options = options
        self._target = target

    @property
    def label(self) -> str:
        """Kind, name and whereabouts."""
        return f"aws-ssm:{self._options.name}{self._options.where()}"

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
        """A parameter holds one value."""
        return False

    def check(self, secret_name: str) -> None:  # noqa: ARG002 - the target names the parameter
        """Raise unless the parameter can be read and we have the rights to write it. Of one that is missing AWS tells
        no more than that."""
        with self._opened() as parameter:
            found = parameter.look()
            if found is not None:
                self._refuse_unfit(found)
                parameter.value(found.latest.number)
                parameter.rehearse(found.latest.number)

    def publish(self, publication: Publication) -> None:
        """Write the key as a version with its label; see the module. Nothing is written when it is so already."""
        text = printable(publication.value)
        with self._opened() as parameter:
            if not any(self._published(parameter, publication, text) for _ in range(ATTEMPTS)):
                raise TryAgain(
                    f"{self.label}: somebody else wrote the parameter {ATTEMPTS} times while it was being updated;"
                    " it may hold the new key."
                )

    def read_back(self, secret_name: str, expected: Secret, receipt: str | None = None) -> Holding:  # noqa: ARG002 - the target names the parameter, which can be read
        """What applications read."""
        with self._opened() as parameter:
            held = parameter.value()
        if held is None:
            return Holding.NOTHING
        return Holding.SAME if held == expected else Holding.OTHER

    def withdraw(self, publication: Publication) -> None:
        """Delete the parameter that we made, if its latest version is of this rotation, and no newer; see the port."""
        with self._opened() as parameter:
            found = parameter.look()
            ours = of_rotation(marks(found.labels), publication.rotation_id) if found else ()
            if found is None or not ours or ours[0].stamp.sequence > publication.sequence:
                return
            if any(mark.holder == str(found.latest.number) and not mark.is_claim for mark in ours):
                self._refuse_not_ours(found)
                parameter.delete()
            else:
                _take(parameter, [(mark.holder, mark.text) for mark in ours])

    def _published(self, parameter: RemoteParameter, publication: Publication, text: str) -> bool:
        """Publish to the parameter as it is now. False when somebody else wrote meanwhile: look again."""
        found = parameter.look()
        self._refuse_unfit(found)
        self._refuse_long(text, found)
        known = marks(found.labels) if found else ()
        mark = label_of(publication)
        self._give_way(parameter, publication, found, of_rotation(known, publication.rotation_id) or known)
        obsolete = [(other.holder, other.text) for other in known if other.text != mark]
        if found is None or not _is_settled(parameter, found, publication):
            if not self._written(parameter, publication, found, text):
                return False
            if found is not None:
                obsolete.append((str(found.latest.number), label_of(publication, claim=True)))
        parameter.talk.still = "The key is in place."
        _take(parameter, obsolete)
        return True

    def _written(self, parameter: RemoteParameter, publication: Publication, found: History | None, text: str) -> bool:
        """Claim, write, label. False when another version was written since we looked, under ours or instead of it."""
        before = found.latest if found else None
        if before is not None:
            parameter.label(before.number, label_of(publication, claim=True))
        number = parameter.put(text, before, self._options.kms_key)
        if number is None:
            return False
        parameter.label(number, label_of(publication))
        return number == (before.number if before else 0) + 1

    def _give_way(
        self, parameter: RemoteParameter, publication: Publication, found: History | None, ours: tuple[Mark, ...]
    ) -> None:
        """Raise ``Conflict`` when there is a newer publication; if we have just written over it, it is put back."""
        newer = next((m for m in ours if not m.is_claim and m.stamp.sequence > publication.sequence), None)
        if found is not None and newer is not None and label_of(publication) in (found.latest.labels or ()):
            value = parameter.value(newer.holder)
            number = parameter.put(value.reveal(), found.latest, self._options.kms_key) if value else None
            if number is not None:
                parameter.label(number, newer.text)
        remedy = f"take the label {ours[0].text} away: aws ssm unlabel-parameter-version." if ours else ""
        refuse_conflict(self.label, ours[0].stamp if ours else None, publication, remedy=remedy)

    def _refuse_not_ours(self, found: History) -> None:
        if found.latest.description != DESCRIPTION:
            raise Refused(
                f"{self.label}: a parameter cannot be empty, and the rotator did not make this one, whose versions,"
                " policies and description would go with it. It was left as it is.",
                "Delete it, or put another value into it.",
            )

    def _refuse_unfit(self, found: History | None) -> None:
        if found is not None and found.latest.type != TYPE:
            raise Refused(
                f"{self.label}: it is no {TYPE}; it was left as it is.",
                "AWS changes no parameter's type: delete it, or publish to another name.",
            )

    def _refuse_long(self, text: str, found: History | None) -> None:
        most = _MOST_BYTES_ADVANCED if found and found.latest.tier == "Advanced" else _MOST_BYTES
        if len(text.encode()) > most:
            raise Refused(
                f"{self.label}: the key is longer than {most} bytes; nothing was written.",
                "The advanced tier holds twice as much.",
            )

    @contextmanager
    def _opened(self) -> Iterator[RemoteParameter]:
        with needed("aws-ssm", extra="aws"):
            from tasks.publishers._places.aws.session import parameter_store  # noqa: PLC0415 - needs the extra
        with parameter_store(self.label, self._options) as (talk, client):
            yield RemoteParameter(talk, client, self._options.name)


def _is_settled(parameter: RemoteParameter, found: History, publication: Publication) -> bool:
    latest = found.latest
    return label_of(publication) in (latest.labels or ()) and parameter.value(latest.number) == publication.value


def _take(parameter: RemoteParameter, labels: Iterable[tuple[str, str]]) -> None:
    """Take labels away, given as pairs of (version's number, label)."""
    for number, pairs in groupby(sorted(labels), key=itemgetter(0)):
        parameter.unlabel(number, [label for _, label in pairs])
