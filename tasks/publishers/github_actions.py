"""Publishes to a secret of GitHub Actions: of a repository, of one of its environments, or of an organisation.

``github-actions:OWNER/REPO``, ``github-actions:OWNER/REPO?environment=NAME`` or ``github-actions:ORG?visibility=all``;
the secret has the rotation's secret name.

GitHub takes values sealed to a public key that it hands out, and never shows one. So the receipt of a write is a
fingerprint of the value (a key is too random to be guessed from it) and the moment at which GitHub says that the secret
was changed last: whoever writes later changes that moment. It counts in whole seconds, so that another write within the
second of ours stays unseen until the next publication. There is no compare-and-set and no room for a stamp, so a late
worker cannot be told that it is late: the next look finds another moment than that of the receipt, and the right key is
published again.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal, Self
from urllib.parse import quote

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from config.secret import Secret
from tasks.publishers._places.http.client import connected, web_address
from tasks.publishers._places.http.github import PublicKey, Secrets, Where
from tasks.publishers._shared.about import About
from tasks.publishers._shared.checks import FIELD, printable, query_options, validated
from tasks.publishers._shared.credentials import NamedFile, VariableName, credential
from tasks.publishers._shared.extras import needed
from tasks.publishers._shared.fingerprint import fingerprint
from tasks.publishers._shared.uses import MachineUse, uses_of
from tasks.rotation.errors import Broken, InvalidInput, OutcomeUnknown, RotatorError
from tasks.rotation.model import Holding
from tasks.rotation.ports import Publication

KIND: Final = "github-actions"
EXTRA: Final = "github"
GITHUB: Final = "https://api.github.com"
MOST_REPOSITORIES: Final = 20
"""Each is looked up by its name whenever a secret of an organisation is written."""
STALE: Final = timedelta(minutes=1)
"""What was changed so long before our write was answered is shown as it was before. Both are GitHub's clock."""
ROUNDED: Final = timedelta(seconds=1)
"""What was changed longer after our write was answered was changed by somebody else."""

_EXAMPLE: Final = "For example: --publish 'github-actions:acme/shop?token_file=/run/secrets/github'."
_SECRET_NAME: Final = re.compile(r"(?!GITHUB_)[A-Z_][A-Z0-9_]{0,254}")
_KEY_BYTES: Final = 32


def _api_address(text: str) -> str:
    if "?" in text:
        raise ValueError("it must hold no '?'")
    return web_address(text)


def _environment_name(text: str) -> str:
    if text in {".", ".."} or not text.isprintable():
        raise ValueError("no environment has that name")
    return text


def _split(text: object) -> object:
    return tuple(text.split(",")) if isinstance(text, str) else text


OwnerName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$")]
RepositoryName = Annotated[str, Field(max_length=100, pattern=r"^[A-Za-z0-9._-]*[A-Za-z0-9_-][A-Za-z0-9._-]*$")]
"""Never '.' or '..', which would lead out of the folder."""
EnvironmentName = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_environment_name)]
RepositoryNames = Annotated[tuple[RepositoryName, ...], BeforeValidator(_split), Field(max_length=MOST_REPOSITORIES)]


class GitHubOptions(BaseModel):
    """Whose secrets. Without a repository they are an organisation's."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, hide_input_in_errors=True)

    owner: OwnerName
    repository: RepositoryName | None
    environment: EnvironmentName | None = Field(None, description="the repository's environment whose secret it is")
    visibility: Literal["all", "private", "selected"] | None = Field(
        None, description="which repositories may read an organisation's secret; there it must be said"
    )
    repositories: RepositoryNames = Field(
        (), description=f"with `visibility=selected`, their names, {MOST_REPOSITORIES} at most, with commas between"
    )
    api: Annotated[str, AfterValidator(_api_address)] = Field(
        GITHUB, description="of a GitHub Enterprise Server: `https://HOST/api/v3`"
    )
    token: Secret | None = Field(None, description="the token, which is stored encrypted")
    token_file: NamedFile | None = Field(None, description="file that holds it")
    token_env: VariableName | None = Field(None, description="variable of the workers' environment that holds it")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        of_organisation = self.repository is None
        if of_organisation != (self.visibility is not None) or (of_organisation and self.environment is not None):
            raise ValueError(
                "visibility is for an organisation's secrets, and needed there; environment for a repository's"
            )
        if (self.visibility == "selected") != bool(self.repositories):
            raise ValueError("visibility=selected and repositories=NAME,... belong together")
        if sum(given is not None for given in (self.token, self.token_file, self.token_env)) != 1:
            raise ValueError("give the token by one of token_file, token_env and token")
        return self

    @property
    def place(self) -> str:
        """What tells it from other places. To GitHub names are the same in capitals."""
        path = self.owner if self.repository is None else f"{self.owner}/{self.repository}"
        environment = [] if self.environment is None else [f"environment={self.environment}"]
        api = [] if self.api == GITHUB else [f"api={self.api}"]
        return "?".join(filter(None, [path.lower(), "&".join([*environment, *api]).lower()]))

    @property
    def secrets_url(self) -> str:
        """Below it are the public key, and each secret by its name."""
        if self.repository is None:
            return f"{self.api}/orgs/{self.owner}/actions/secrets"
        repository = f"{self.api}/repos/{self.owner}/{self.repository}"
        if self.environment is None:
            return f"{repository}/actions/secrets"
        return f"{repository}/environments/{quote(self.environment, safe='')}/secrets"

    @property
    def where(self) -> Where:
        """The same, as one asks there."""
        scope = "admin:org" if self.repository is None else "repo"
        name = "Environments" if self.environment else "Secrets"
        right = f"{'organisation' if self.repository is None else 'repository'} permission '{name}: read and write'"
        return Where(
            label=f"{KIND}:{self.place}",
            secrets_url=self.secrets_url,
            repositories_url=f"{self.api}/repos/{self.owner}",
            rights=f"A fine-grained token, or a GitHub App, needs the {right}; a classic token the scope {scope}.",
            scope=scope,
        )


ABOUT: Final = About(
    target="OWNER[/REPO]",
    example="github-actions:acme/shop?environment=production&token_file=/run/secrets/github",
    happens="The Actions secret of the rotation's secret name is set in the repository, in one of its environments, or"
    " (without REPO) in the organisation; other secrets stay. A workflow run reads it when it is queued, an"
    " environment's when the job starts, so the overlap must outlast the longest run. GitHub keeps no note of who"
    " wrote: a worker that comes late is not refused but corrected at the next look, and withdrawing deletes the"
    " secret, whoever wrote it",
    auth="a token with the permission to read and write Secrets (for an environment's: Environments), or a classic one"
    " with the scope `repo` (for an organisation's: `admin:org`)",
    proves="GitHub took the key, and has not seen the secret changed since, to the second. It never shows a value",
    options=GitHubOptions,
    extra=EXTRA,
)


def open_publisher(target: Secret) -> GitHubPublisher:
    """The publisher for OWNER[/REPO] and its options; raises ``InvalidInput``. Contacts nobody."""
    path, _, query = target.reveal().partition("?")
    owner, slash, repository = path.partition("/")
    options: dict[str, object] = {**query_options(GitHubOptions, query)}
    token = options.get("token")
    if token == "":
        raise InvalidInput(FIELD, "the token is empty.", _EXAMPLE)
    if isinstance(token, str):
        options["token"] = Secret(token)
    fields = {**options, "owner": owner, "repository": repository if slash else None}
    return GitHubPublisher(validated(GitHubOptions, fields), target)


class GitHubPublisher:
    """The Actions secrets of one repository, environment or organisation."""

    def __init__(self, options: GitHubOptions, target: Secret) -> None:
        self._options = options
        self._target = target

    @property
    def label(self) -> str:
        """Kind, owner, and repository and environment if there are, without credentials."""
        return f"{KIND}:{self._options.place}"

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
        """Each secret name is a secret of its own."""
        return True

    def check(self, secret_name: str) -> None:
        """Raise unless the secret can be looked at and the repositories are there. Of the right to write GitHub tells
        what a classic token lacks, and whether the repository is archived; ``publish`` finds out the rest."""
        _refuse_bad_name(secret_name)
        with needed(KIND, extra=EXTRA):
            import nacl.public  # noqa: F401, PLC0415 - is it there?
        with self._secrets() as secrets:
            secrets.refuse_unwritable(self._options.repository)
            secrets.updated_at(secret_name)
            self._access(secrets)

    def publish(self, publication: Publication) -> str:
        """Set the secret. The receipt is a fingerprint of the value, and when GitHub says that it was changed."""
        _refuse_bad_name(publication.secret_name)
        value = printable(publication.value)
        with self._secrets() as secrets:
            key = secrets.public_key()
            sealed = {"encrypted_value": _sealed(self.label, key, value), "key_id": key.key_id, **self._access(secrets)}
            answered_at = secrets.put(publication.secret_name, sealed)
            return _receipt(publication.value, self._changed_at(secrets, publication.secret_name, answered_at))

    def read_back(self, secret_name: str, expected: Secret, receipt: str | None = None) -> Holding:
        """Whether the secret is still as ``receipt`` says of ``expected``."""
        _refuse_bad_name(secret_name)
        with self._secrets() as secrets:
            updated_at = secrets.updated_at(secret_name)
            if updated_at is None:
                secrets.public_key()  # raises when it is not the secret that is missing, but the whole place
                return Holding.NOTHING
        return Holding.SAME if receipt == _receipt(expected, updated_at) else Holding.OTHER

    def withdraw(self, publication: Publication) -> None:
        """Delete the secret, whoever wrote it last: GitHub cannot tell."""
        _refuse_bad_name(publication.secret_name)
        with self._secrets() as secrets:
            if not secrets.delete(publication.secret_name):
                secrets.public_key()

    @contextmanager
    def _secrets(self) -> Iterator[Secrets]:
        options = self._options
        token = credential(self.label, given=options.token, file=options.token_file, name=options.token_env)
        if token is None:
            raise Broken(f"{self.label}: it was opened without a token; nothing was changed.")
        with connected(self.label, options.api) as http:
            yield Secrets(http, options.where, {"Authorization": f"Bearer {token.reveal()}"})

    def _access(self, secrets: Secrets) -> dict[str, object]:
        """Who may read an organisation's secret; GitHub wants to be told with each write."""
        options = self._options
        if options.visibility is None:
            return {}
        if options.visibility != "selected":
            return {"visibility": options.visibility}
        chosen = [secrets.repository_id(name) for name in options.repositories]
        return {"visibility": "selected", "selected_repository_ids": chosen}

    def _changed_at(self, secrets: Secrets, name: str, answered_at: datetime | None) -> datetime:
        """When we changed it. Raises ``OutcomeUnknown`` where GitHub shows another change than ours."""
        try:
            shown_at = secrets.updated_at(name, written=True)
        except RotatorError as error:
            raise self._unseen(error.message) from error
        if answered_at is None:
            raise self._unseen("GitHub did not tell the time.")
        if shown_at is None or shown_at < answered_at - STALE:
            raise self._unseen("GitHub shows it as it was before.")
        if shown_at > answered_at + ROUNDED:
            raise self._unseen("somebody else set it in the same moment.")
        return shown_at

    def _unseen(self, why: str) -> OutcomeUnknown:
        return OutcomeUnknown(
            f"{self.label}: the secret was set, but could not be looked at afterwards: {why} Setting it again is safe.",
            "It is set again by itself.",
        )


def _refuse_bad_name(secret_name: str) -> None:
    if not _SECRET_NAME.fullmatch(secret_name):
        raise InvalidInput(
            "--secret-name",
            "GitHub wants capitals, digits and underscores, with neither a digit nor GITHUB_ at the beginning.",
        )


def _sealed(label: str, key: PublicKey, value: str) -> str:
    """The value as only GitHub can read it. Raises ``Broken`` for a key that nothing can be sealed to."""
    with needed(KIND, extra=EXTRA):
        from nacl.exceptions import CryptoError  # noqa: PLC0415 - needed here alone
        from nacl.public import PublicKey as Key  # noqa: PLC0415 - needed here alone
        from nacl.public import SealedBox  # noqa: PLC0415 - needed here alone
    try:
        raw = base64.b64decode(key.key, validate=True)
        if len(raw) == _KEY_BYTES:
            return base64.b64encode(SealedBox(Key(raw)).encrypt(value.encode())).decode()
    except (binascii.Error, ValueError, CryptoError):
        pass
    # Raised outside the handler: the frames of the foreign error hold the value.
    raise Broken(f"{label}: GitHub handed out a public key that is none; the secret was left as it is.")


def _receipt(value: Secret, updated_at: datetime) -> str:
    return f"sha256:{fingerprint(value)} updated_at:{updated_at.astimezone(UTC).isoformat()}"
