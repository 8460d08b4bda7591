"""Publishes to a secret of Infisical: ``infisical:https://HOST/PROJECT_ID/ENVIRONMENT/folder/path#NAME``.

Beside the value, in the secret's metadata, stand which publication it is and a fingerprint of the key. By the first a
stale worker is refused; by both together it is known whether the value is ours, for whoever changes the value alone
leaves the metadata.

Infisical has no compare-and-set: it is read, and then written. It counts versions, so whoever writes in between is
noticed afterwards, and the publication is looked at again. Metadata can only be written all at once: those of others
are read and written back, and one that was added in that very moment is lost, but for the secret's history there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final, Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from config.secret import Secret
from tasks.publishers._places.http.client import Http, connected, web_address
from tasks.publishers._places.http.infisical import Found, Metadatum, OneSecret, Where, logged_in
from tasks.publishers._shared.about import About
from tasks.publishers._shared.checks import FIELD, printable, query_options, validated
from tasks.publishers._shared.credentials import NamedFile, VariableName, credential
from tasks.publishers._shared.fingerprint import fingerprint
from tasks.publishers._shared.stamp import Stamp, read_stamp, refuse_conflict, stamp_of
from tasks.publishers._shared.uses import MachineUse, uses_of
from tasks.rotation.errors import Broken, InvalidInput, OperatorNeeded, OutcomeUnknown
from tasks.rotation.model import Holding
from tasks.rotation.ports import Publication

KIND: Final = "infisical"
CLOUD: Final = "https://app.infisical.com"
STAMP: Final = "openrouter-rotator"
FINGERPRINT: Final = "openrouter-rotator-fingerprint"
"""The metadata that are ours."""

_EXAMPLE: Final = (
    "For example: --publish 'infisical:https://app.infisical.com/PROJECT-ID/prod/apps"
    "?client_id=CLIENT-ID&client_secret_file=/run/secrets/infisical#OPENROUTER_API_KEY'."
)


def _server(text: str) -> str:
    address = web_address(text)
    if address.count("/") != 2:  # noqa: PLR2004 - those of https://
        raise ValueError("it must be an https:// URL with a host")
    return address


def _folder(path: str) -> str:
    parts = [part for part in path.split("/") if part]
    if not path.isprintable() or {".", ".."} & set(parts):
        raise ValueError("no folder has that path")
    return "/" + "/".join(parts)


class InfisicalOptions(BaseModel):
    """Which secret, of which server."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, hide_input_in_errors=True)

    server: Annotated[str, AfterValidator(_server)]
    project: str = Field(pattern=r"^[A-Za-z0-9-]{1,64}$")
    environment: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    path: Annotated[str, Field(max_length=1024), AfterValidator(_folder)]
    name: str = Field(max_length=200, pattern=r"^[A-Za-z0-9_.-]*[A-Za-z0-9_-][A-Za-z0-9_.-]*$")
    client_id: str | None = Field(
        None, pattern=r"^[A-Za-z0-9-]{1,100}$", description="of a machine identity with Universal Auth"
    )
    client_secret: Secret | None = Field(None, description="its client secret, which is stored encrypted")
    client_secret_file: NamedFile | None = Field(None, description="file that holds it")
    client_secret_env: VariableName | None = Field(
        None, description="variable of the workers' environment that holds it"
    )
    token: Secret | None = Field(None, description="instead, an access token, which is stored encrypted")
    token_file: NamedFile | None = Field(None, description="file that holds it")
    token_env: VariableName | None = Field(None, description="variable of the workers' environment that holds it")
    api: Literal["v3", "v4"] = Field("v4", description="`v3` for a server of before the end of 2025")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        secrets = [self.client_secret, self.client_secret_file, self.client_secret_env]
        tokens = [self.token, self.token_file, self.token_env]
        if sum(given is not None for given in [*secrets, *tokens]) != 1:
            raise ValueError("give a client secret or a token, by one of their three ways")
        if (self.client_id is None) != all(given is None for given in secrets):
            raise ValueError("client_id and a client secret belong together")
        return self

    @property
    def where(self) -> Where:
        """The same, as one asks there."""
        folder = "" if self.path == "/" else self.path
        place = f"{self.server}/{self.project}/{self.environment}{folder}#{self.name}"
        return Where(f"{KIND}:{place}", self.server, self.project, self.environment, self.path, self.name, self.api)


ABOUT: Final = About(
    target="https://HOST/PROJECT_ID/ENVIRONMENT[/FOLDER]#NAME",
    example="infisical:https://app.infisical.com/PROJECT-ID/prod/apps/shop"
    "?client_id=CLIENT-ID&client_secret_file=/run/secrets/infisical#OPENROUTER_API_KEY",
    happens="The shared secret NAME holds the key. Which version it is stands in its metadata `openrouter-rotator`;"
    " comment, tags, reminders and other metadata stay, but what somebody adds to the metadata in the same moment may"
    " be lost. A policy that asks for approval stops it",
    auth="a machine identity with Universal Auth, whose client secret may be used any number of times, or an access"
    " token; it must be able to describe, read, create, edit and delete secrets there",
    proves="the secret holds the key",
    options=InfisicalOptions,
)


def open_publisher(target: Secret) -> InfisicalPublisher:
    """The publisher for a URL with the secret's name as its fragment; raises ``InvalidInput``. Contacts nobody."""
    return InfisicalPublisher(validated(InfisicalOptions, _fields(target)), target)


class InfisicalPublisher:
    """One secret of one folder."""

    def __init__(self, options: InfisicalOptions, target: Secret) -> None:
        self._options = options
        self._where = options.where
        self._target = target

    @property
    def label(self) -> str:
        """Kind, server, project, environment, folder and name, without credentials."""
        return self._where.label

    @property
    def target(self) -> Secret:
        """As it was given."""
        return self._target

    @property
    def uses(self) -> tuple[MachineUse, ...]:
        """Files and variables that the options name."""
        return uses_of(self._options)

    @property
    def holds_variables(self) -> bool:
        """The target names the secret, which holds one value."""
        return False

    def check(self, secret_name: str) -> None:  # noqa: ARG002 - the target names the secret
        """Raise unless the folder is there and the secret may be read. Whether it may be written, Infisical tells only
        who writes: ``publish`` finds out."""
        with self._secret() as secret:
            found = secret.find()
        if found is not None and found.is_rotated:
            raise OperatorNeeded(
                f"{self.label}: a rotation of Infisical's own manages it; nothing was changed.",
                "Publish to another name.",
            )

    def publish(self, publication: Publication) -> None:
        """Make the secret hold the value, with its stamp. Writes nothing when it does already."""
        value, stamp = printable(publication.value), stamp_of(publication)
        with self._secret() as secret:
            found = secret.find()
            if found is None:
                secret.create(value, _ours(stamp, publication.value))
                return
            refuse_conflict(self.label, _stamp(found), publication, remedy=f"delete the secret's metadata {STAMP}.")
            if not (_is_held(found, publication.value) and _stamp(found) == stamp):
                version = secret.update(value, [*_theirs(found), *_ours(stamp, publication.value)])
                self._refuse_company(found, version)

    def read_back(self, secret_name: str, expected: Secret, receipt: str | None = None) -> Holding:  # noqa: ARG002 - the target names the secret, which can be read
        """What the secret holds."""
        with self._secret() as secret:
            found = secret.find()
        if found is None or not found.value:
            return Holding.NOTHING
        return Holding.SAME if Secret(found.value) == expected else Holding.OTHER

    def withdraw(self, publication: Publication) -> None:
        """Delete the secret, if its stamp and the stamp's fingerprint say that it holds this publication or an earlier
        one of the same rotation."""
        with self._secret() as secret:
            found = secret.find()
            stamp = None if found is None or not _is_as_stamped(found) else _stamp(found)
            if stamp and stamp.id == publication.rotation_id and stamp.sequence <= publication.sequence:
                secret.delete()

    @contextmanager
    def _secret(self) -> Iterator[OneSecret]:
        with connected(self.label, self._options.server) as http:
            yield OneSecret(http, self._where, {"Authorization": f"Bearer {self._token(http).reveal()}"})

    def _token(self, http: Http) -> Secret:
        options = self._options
        token = credential(self.label, given=options.token, file=options.token_file, name=options.token_env)
        if token is not None:
            return token
        secret = credential(
            self.label,
            given=options.client_secret,
            file=options.client_secret_file,
            name=options.client_secret_env,
        )
        if secret is None or options.client_id is None:
            raise Broken(f"{self.label}: it was opened without a credential; nothing was changed.")
        return logged_in(http, self._where, options.client_id, secret.reveal())

    def _refuse_company(self, before: Found, version: int) -> None:
        """Raise ``OutcomeUnknown`` when somebody else wrote between our look and our write."""
        if version != before.version + 1:
            raise OutcomeUnknown(
                f"{self.label}: somebody else wrote it in the same moment; it is looked at again.",
                "What they wrote is in the secret's history in Infisical.",
            )


def _fields(target: Secret) -> dict[str, object]:
    """The parts of the URL, decoded. No message repeats one: a credential with a raw '#' or '?' shifts them all."""
    text = target.reveal()
    text = text if "://" in text.partition("?")[0] else f"{CLOUD}/{text}"
    try:
        url = urlsplit(text)
    except ValueError:
        url = urlsplit("")
    project, _, rest = url.path.lstrip("/").partition("/")
    environment, _, folder = rest.partition("/")
    if not text.isprintable() or not url.fragment or "#" in url.fragment or not environment:
        raise InvalidInput(FIELD, "it must be a URL with project, environment and, behind '#', the name.", _EXAMPLE)
    options: dict[str, object] = {**query_options(InfisicalOptions, url.query)}
    for name in ("client_secret", "token"):
        if options.get(name) == "":
            raise InvalidInput(FIELD, f"{name} is empty.", _EXAMPLE)
        if name in options:
            options[name] = Secret(str(options[name]))
    return {
        **options,
        "server": f"{url.scheme}://{url.netloc}",
        "project": unquote(project),
        "environment": unquote(environment),
        "path": unquote(folder),
        "name": unquote(url.fragment),
    }


def _stamp(found: Found) -> Stamp | None:
    return read_stamp(_metadatum(found, STAMP))


def _is_held(found: Found, value: Secret) -> bool:
    return bool(found.value) and Secret(found.value) == value


def _is_as_stamped(found: Found) -> bool:
    """Whether the value is the one that the stamp is of."""
    return bool(found.value) and _metadatum(found, FINGERPRINT) == _fingerprint(Secret(found.value))


def _metadatum(found: Found, key: str) -> str | None:
    return next((entry.value for entry in found.metadata or [] if entry.key == key), None)


def _theirs(found: Found) -> list[Metadatum]:
    return [entry for entry in found.metadata or [] if entry.key not in {STAMP, FINGERPRINT}]


def _ours(stamp: Stamp, value: Secret) -> list[Metadatum]:
    return [Metadatum(key=STAMP, value=stamp.text), Metadatum(key=FINGERPRINT, value=_fingerprint(value))]


def _fingerprint(value: Secret) -> str:
    return f"sha256:{fingerprint(value)}"
