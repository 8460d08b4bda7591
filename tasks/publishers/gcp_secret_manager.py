"""Publishes to Google Cloud Secret Manager: ``gcp-secret-manager:projects/PROJECT/secrets/NAME``.

A regional secret is ``projects/PROJECT/locations/REGION/secrets/NAME``, and is served by its region.

Applications read ``versions/latest``; a publication adds a version. Which publication that is stands in the secret's
annotations, which are replaced only if nobody changed the secret since they were read (its etag). So a stale worker is
refused, and what others write there stays. What remains: adding a version has no such condition. A worker that claimed
its publication, slept, and was overtaken meanwhile would still add its version. Whoever overtook it finds that when
reading back, and publishes again.

Google shows a version at once only to who asks for its number; ``latest`` may lead to the one before for minutes
(https://cloud.google.com/secret-manager/docs/overview#consistency, November 2026). So a version that we added is looked
for by its number before another is added, and older ones are ended only while ``latest`` is seen to lead to ours. What
cannot be told is the other way round: ``latest`` may still lead to our version when somebody has added another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from config.secret import Secret
from tasks.publishers._shared.about import About
from tasks.publishers._shared.checks import FIELD, printable, query_options, validated
from tasks.publishers._shared.credentials import NamedFile, credential
from tasks.publishers._shared.extras import needed
from tasks.publishers._shared.stamp import Stamp, read_stamp, refuse_conflict, stamp_of
from tasks.publishers._shared.uses import ActsAs, MachineUse, uses_of
from tasks.rotation.errors import InvalidInput, NotFound, OperatorNeeded, TryAgain
from tasks.rotation.model import Holding
from tasks.rotation.ports import Publication

if TYPE_CHECKING:
    from tasks.publishers._places.cloud.gcp import Found, Held, SecretManager

STAMP: Final = "openrouter-rotator"
"""The annotation that says which publication the secret holds."""
VERSIONS: Final = "openrouter-rotator.versions"
"""The annotation with the numbers of the rotation's newest versions, oldest first, and the key's version that each of
them holds: ``ROTATION_ID:7@3,8@4``."""
KEPT: Final = 2
"""How many of our keys are left alone by ``superseded``: the predecessor's lives on during its overlap."""
MOST_NOTED: Final = 20
"""Versions. A key that somebody replaces again and again is added again and again; then older copies are forgotten."""
ATTEMPTS: Final = 3
"""How often annotating starts again because someone else changed the secret meanwhile."""

_EXAMPLE: Final = "For example: --publish gcp-secret-manager:projects/my-project/secrets/openrouter-api-key."
_TARGET: Final = re.compile(
    r"projects/(?P<project>(?:[a-z0-9.-]{1,100}:)?[a-z0-9-]{1,63})"
    r"(?:/locations/(?P<location>[a-z0-9-]{1,40}))?"
    r"/secrets/(?P<secret>[A-Za-z0-9_-]{1,255})"
)
_NOTED: Final = re.compile(r"[0-9]{1,18}@[0-9]{1,9}(,[0-9]{1,18}@[0-9]{1,9}){0,19}")
_DISPOSES: Final = {"disable": "secretmanager.versions.disable", "destroy": "secretmanager.versions.destroy"}

Annotations = dict[str, str]
Noted = dict[int, int]
"""The key's version, by the number of the version that holds it."""


class GcpSecretManagerOptions(BaseModel):
    """Which secret."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    project: str
    location: str | None
    secret: str
    credentials_file: NamedFile | None = Field(
        None, description="JSON of a service account's key or of a workload identity federation"
    )
    endpoint: str | None = Field(
        None,
        pattern=r"^[a-z0-9][a-z0-9.-]{0,200}\.googleapis\.com$",
        description="another host of googleapis.com that serves the API, such as that of a Private Service Connect",
    )
    superseded: Literal["leave", "disable", "destroy"] = Field(
        "leave", description="what happens to versions of ours that are older than the previous one"
    )

    @property
    def name(self) -> str:
        """The secret's resource name."""
        return f"projects/{self.project}{f'/locations/{self.location}' if self.location else ''}/secrets/{self.secret}"

    @property
    def host(self) -> str:
        """Who serves it."""
        region = f".{self.location}.rep" if self.location else ""
        return self.endpoint or f"secretmanager{region}.googleapis.com"

    @property
    def creation(self) -> str:
        """The command that creates the secret."""
        where = f"--location={self.location}" if self.location else "--replication-policy=automatic"
        return f"gcloud secrets create {self.secret} --project={self.project} {where}"


ABOUT: Final = About(
    target="projects/PROJECT[/locations/REGION]/secrets/NAME",
    example="gcp-secret-manager:projects/my-project/secrets/openrouter-api-key?superseded=destroy",
    happens="A version is added to a secret that exists, and `versions/latest` is the key. Two annotations say which"
    " publication that is; everything else stays. Older versions stay readable by number, and billed, unless"
    " `superseded` ends them. Withdrawing destroys our newest versions, for good; `latest` then cannot be read",
    auth="Google's own chain (attached service account, workload identity, `GOOGLE_APPLICATION_CREDENTIALS`, gcloud),"
    " or a file. On the secret: `secretmanager.secrets.get`, `.secrets.update`, `.versions.access`, `.versions.add`"
    " and `.versions.get`; to withdraw, `.versions.destroy`",
    proves="`versions/latest` holds the key, and agrees with Google's checksum of it. For minutes Google may go on"
    " showing a version that somebody has replaced",
    options=GcpSecretManagerOptions,
    extra="gcp",
)


def open_publisher(target: Secret) -> GcpSecretManagerPublisher:
    """The publisher for a secret's resource name; raises ``InvalidInput``. Nothing is contacted yet."""
    path, _, query = target.reveal().partition("?")
    found = _TARGET.fullmatch(path)
    if found is None:
        raise InvalidInput(FIELD, "gcp-secret-manager needs the resource name of a secret.", _EXAMPLE)
    fields = {**query_options(GcpSecretManagerOptions, query), **found.groupdict()}
    return GcpSecretManagerPublisher(validated(GcpSecretManagerOptions, fields), target)


class GcpSecretManagerPublisher:
    """One secret of Google Cloud Secret Manager."""

    def __init__(self, options: GcpSecretManagerOptions, target: Secret) -> None:
        self._options = options
        self._target = target

    @property
    def label(self) -> str:
        """Kind and resource name."""
        return f"gcp-secret-manager:{self._options.name}"

    @property
    def target(self) -> Secret:
        """The resource name and options as they were given."""
        return self._target

    @property
    def uses(self) -> tuple[MachineUse, ...]:
        """The credentials' file; without one, who this machine is at Google."""
        return (*uses_of(self._options), *(() if self._options.credentials_file else (ActsAs("Google"),)))

    @property
    def holds_variables(self) -> bool:
        """A secret holds one value."""
        return False

    def check(self, secret_name: str) -> None:  # noqa: ARG002 - the target names the secret
        """Raise unless the secret exists, can be read, and every permission that publishing needs is ours."""
        with self._opened() as manager:
            self._found(manager)
            lacking = manager.lacking(self._permissions)
            if lacking:
                raise OperatorNeeded(
                    f"{self.label}: the credentials lack {', '.join(lacking)}; nothing was changed.",
                    "Grant a role that has them, on the secret; roles/secretmanager.admin has them all.",
                )
            manager.latest()

    def publish(self, publication: Publication) -> None:
        """Claim the publication in the annotations, then add a version, unless the newest holds the value already."""
        value = printable(publication.value)
        with self._opened() as manager:
            held = manager.latest()
            found = self._annotated(manager, publication, lambda notes: notes | {STAMP: stamp_of(publication).text})
            known = _noted(found, publication)
            number = _number_of(manager, publication, held, known) or manager.add(value)
            noted = known if number in known else known | {number: publication.version}
            self._note(manager, publication, found, noted)
            self._end_superseded(manager, publication, noted)

    def read_back(self, secret_name: str, expected: Secret, receipt: str | None = None) -> Holding:  # noqa: ARG002 - the target names the secret, which can be read
        """What ``versions/latest`` holds."""
        with self._opened() as manager:
            held = manager.latest()
        if held is None or held.value is None:
            return Holding.NOTHING
        return Holding.SAME if held.value == expected else Holding.OTHER

    def withdraw(self, publication: Publication) -> None:
        """Destroy our newest versions and take our annotations away."""
        with self._opened() as manager:
            try:
                found = manager.secret()
            except NotFound:
                return
            if not _is_of(read_stamp(found.annotations.get(STAMP)), publication):
                return
            held = manager.latest()
            ours = {held.number} if held is not None and held.value == publication.value else set()
            for number in sorted(ours | set(_noted(found, publication))):
                manager.destroy(number)
            self._annotated(manager, publication, _without_ours)

    def _found(self, manager: SecretManager) -> Found:
        try:
            return manager.secret()
        except NotFound as error:
            said = f"{self.label}: there is no such secret; nothing was changed."
            raise OperatorNeeded(said, self._options.creation) from error

    def _annotated(
        self, manager: SecretManager, publication: Publication, changed: Callable[[Annotations], Annotations]
    ) -> Found:
        """Make the annotations say what ``changed`` makes of them; raises ``Conflict`` when they are newer."""
        for _ in range(ATTEMPTS):
            found = self._found(manager)
            self._refuse_conflict(found, publication)
            after = changed(dict(found.annotations))
            written = found if after == found.annotations else manager.annotate(found, after)
            if written is not None:
                return written
        raise TryAgain(f"{self.label}: someone else changed the secret {ATTEMPTS} times meanwhile; their changes stay.")

    def _note(self, manager: SecretManager, publication: Publication, found: Found | None, noted: Noted) -> None:
        text = ",".join(f"{number}@{version}" for number, version in _short(noted).items())
        after = {VERSIONS: f"{publication.rotation_id}:{text}"}
        if found is None or found.annotations.get(VERSIONS) != after[VERSIONS]:
            self._annotated(manager, publication, lambda notes: notes | after)

    def _end_superseded(self, manager: SecretManager, publication: Publication, noted: Noted) -> None:
        """End what is older than the previous key, and forget it then. While ``latest`` does not lead to our newest
        version, it may still lead others to an older one: then the next publication does it."""
        kept = _kept(noted)
        over = [number for number in noted if number not in kept]
        if not over:
            return
        if self._options.superseded != "leave":
            seen = manager.latest()
            if seen is None or seen.number < max(kept):
                return
            for number in over:
                self._end(manager, number)
        self._note(manager, publication, None, kept)

    def _end(self, manager: SecretManager, number: int) -> None:
        match self._options.superseded:
            case "disable":
                manager.disable(number)
            case "destroy":
                manager.destroy(number)
            case "leave":
                pass

    def _refuse_conflict(self, found: Found, publication: Publication) -> None:
        remedy = f"remove the secret's annotation {STAMP}."
        refuse_conflict(self.label, read_stamp(found.annotations.get(STAMP)), publication, remedy=remedy)

    @property
    def _permissions(self) -> tuple[str, ...]:
        from tasks.publishers._places.cloud.gcp_faults import PERMISSIONS  # noqa: PLC0415 - it imports the client

        disposing = _DISPOSES.get(self._options.superseded)
        return PERMISSIONS if disposing is None else (*PERMISSIONS, disposing)

    @contextmanager
    def _opened(self) -> Iterator[SecretManager]:
        with needed("gcp-secret-manager", extra="gcp"):
            from tasks.publishers._places.cloud.gcp import opened  # noqa: PLC0415 - it imports the client
        options = self._options
        given = credential(self.label, file=options.credentials_file)
        with opened(
            self.label,
            name=options.name,
            endpoint=options.host,
            credentials=None if given is None else given.reveal(),
        ) as manager:
            yield manager


def _is_of(stamp: Stamp | None, publication: Publication) -> bool:
    """Whether it is this publication or an earlier one of the same rotation."""
    return stamp is not None and stamp.id == publication.rotation_id and stamp.sequence <= publication.sequence


def _noted(found: Found, publication: Publication) -> Noted:
    """The versions of this rotation that we noted; none where another rotation, or somebody else, wrote there."""
    rotation_id, _, text = found.annotations.get(VERSIONS, "").rpartition(":")
    if rotation_id != publication.rotation_id or not _NOTED.fullmatch(text):
        return {}
    pairs = (pair.partition("@") for pair in text.split(","))
    return {int(number): int(version) for number, _, version in pairs}


def _kept(noted: Noted) -> Noted:
    """The versions of the newest keys."""
    newest_first = dict.fromkeys(version for _, version in sorted(noted.items(), reverse=True))
    keys = list(newest_first)[:KEPT]
    return {number: version for number, version in noted.items() if version in keys}


def _short(noted: Noted) -> Noted:
    """Without the oldest of those whose key a newer version holds too, where they are too many."""
    newest = {version: number for number, version in noted.items()}
    copies = [number for number, version in noted.items() if newest[version] != number]
    forgotten = set(copies[: max(0, len(noted) - MOST_NOTED)])
    return {number: version for number, version in noted.items() if number not in forgotten}


def _number_of(manager: SecretManager, publication: Publication, held: Held | None, known: Noted) -> int | None:
    """The newest version, as far as anybody can know, if it holds the value already."""
    newest = max(known, default=0)
    if held is None or held.number < newest:
        value = manager.value(newest) if known else None
        return newest if value == publication.value else None
    return held.number if held.value == publication.value else None


def _without_ours(annotations: Annotations) -> Annotations:
    return {name: text for name, text in annotations.items() if name not in {STAMP, VERSIONS}}
