"""Publishes to a secret of Azure Key Vault: ``azure-key-vault:https://VAULT.vault.azure.net/NAME``.

Applications read the secret's newest version; a publication adds one. Which publication it is stands in that version's
tags, so value and stamp arrive in one write, and a stale worker that looks is refused. What remains: Key Vault has no
condition on a write. Of two workers that look at the same moment the later one wins, even if it is the stale one;
whoever has the newer publication finds that when reading back, and publishes again.

One version cannot be deleted, only a secret with all of its versions, those of others too, and then its name is not
free for months. So to withdraw is to disable our version.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from config.secret import Secret
from tasks.publishers._shared.about import About
from tasks.publishers._shared.checks import FIELD, printable, query_options, validated
from tasks.publishers._shared.credentials import NamedFile, VariableName, credential
from tasks.publishers._shared.extras import needed
from tasks.publishers._shared.stamp import read_stamp, refuse_conflict, stamp_of
from tasks.publishers._shared.uses import ActsAs, MachineUse, uses_of
from tasks.rotation.errors import Conflict, InvalidInput, OperatorNeeded, Refused, TryAgain
from tasks.rotation.model import Holding
from tasks.rotation.ports import Publication

if TYPE_CHECKING:
    from tasks.publishers._places.cloud.azure import Held, Vault

STAMP: Final = "openrouter-rotator"
"""The tag that says which publication a version holds."""
MOST_TAGS: Final = 15
"""Of a secret, says https://learn.microsoft.com/azure/key-vault/secrets/about-secrets (July 2025)."""

_EXAMPLE: Final = "For example: --publish azure-key-vault:https://my-vault.vault.azure.net/openrouter-api-key."
_TARGET: Final = re.compile(
    r"https://(?P<vault>[a-z][a-z0-9-]{1,22}[a-z0-9])\.vault\."
    r"(?P<cloud>azure\.net|azure\.cn|usgovcloudapi\.net|microsoftazure\.de)"
    r"/(?:secrets/)?(?P<secret>[a-z0-9-]{1,127})",
    re.IGNORECASE | re.ASCII,
)
_AUTHORITIES: Final = {
    "azure.cn": "https://login.chinacloudapi.cn",
    "usgovcloudapi.net": "https://login.microsoftonline.us",
    "microsoftazure.de": "https://login.microsoftonline.de",
}
"""Where a sovereign cloud gives out its tokens; elsewhere AZURE_AUTHORITY_HOST decides.

Clouds: https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates (2026). A token is sent
to no other host, whoever names it.
"""


class AzureKeyVaultOptions(BaseModel):
    """Which secret of which vault, and whose token."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    vault: str
    cloud: str
    secret: str
    tenant_id: str | None = Field(
        None, pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]{0,127}$", description="tenant of the application or workload identity"
    )
    client_id: str | None = Field(
        None,
        pattern=r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$",
        description="which application, workload identity or user-assigned managed identity to be",
    )
    client_secret_file: NamedFile | None = Field(None, description="file that holds the application's secret")
    client_secret_env: VariableName | None = Field(
        None, description="variable of the workers' environment that holds the application's secret"
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.client_secret_file and self.client_secret_env:
            raise ValueError("the secret is either in client_secret_file or in client_secret_env")
        if self.has_secret and not (self.tenant_id and self.client_id):
            raise ValueError("a client secret needs tenant_id and client_id as well")
        return self

    @property
    def has_secret(self) -> bool:
        """Whether it names an application's secret, and so needs no identity of the machine's."""
        return bool(self.client_secret_file or self.client_secret_env)

    @property
    def url(self) -> str:
        """The vault's."""
        return f"https://{self.vault}.vault.{self.cloud}"


ABOUT: Final = About(
    target="https://VAULT.vault.azure.net/NAME",
    example="azure-key-vault:https://my-vault.vault.azure.net/openrouter-api-key?tenant_id=contoso.onmicrosoft.com"
    "&client_id=00000000-0000-0000-0000-000000000000&client_secret_file=/run/secrets/azure",
    happens="A version is added, with a tag that says which publication it is; the other tags and the content type are"
    " those of the version before. Older versions stay, readable by their id. Withdrawing disables our version; the"
    " secret then cannot be read. Key Vault has no conditional write: of two workers at the same moment the later wins,"
    " and reading back tells",
    auth="Microsoft's own chain (environment, workload identity, managed identity, `az login`), or an application's"
    " secret. Key Vault Secrets Officer on the secret; with access policies, get and set. Clouds:"
    " `VAULT.vault.azure.cn`, `VAULT.vault.usgovcloudapi.net`, `VAULT.vault.microsoftazure.de` too",
    proves="the newest version holds the key",
    options=AzureKeyVaultOptions,
    extra="azure",
)


def open_publisher(target: Secret) -> AzureKeyVaultPublisher:
    """The publisher for a vault's URL with the secret's name as its path; raises ``InvalidInput``. Contacts nothing."""
    url, _, query = target.reveal().partition("?")
    found = _TARGET.fullmatch(url)
    if found is None:
        raise InvalidInput(
            FIELD,
            "azure-key-vault needs https://VAULT.vault.azure.net/NAME; a NAME consists of letters, digits and hyphens.",
            _EXAMPLE,
        )
    place = {name: text.lower() for name, text in found.groupdict().items()}  # Key Vault tells no case from another
    return AzureKeyVaultPublisher(
        validated(AzureKeyVaultOptions, {**query_options(AzureKeyVaultOptions, query), **place}), target
    )


class AzureKeyVaultPublisher:
    """One secret of one Azure Key Vault."""

    def __init__(self, options: AzureKeyVaultOptions, target: Secret) -> None:
        self._options = options
        self._target = target

    @property
    def label(self) -> str:
        """Kind, vault and name."""
        return f"azure-key-vault:{self._options.url}/{self._options.secret}"

    @property
    def target(self) -> Secret:
        """The URL and options as they were given."""
        return self._target

    @property
    def uses(self) -> tuple[MachineUse, ...]:
        """The application's secret; without one, who this machine is at Azure."""
        return (*uses_of(self._options), *(() if self._options.has_secret else (ActsAs("Azure"),)))

    @property
    def holds_variables(self) -> bool:
        """A secret holds one value."""
        return False

    def check(self, secret_name: str) -> None:  # noqa: ARG002 - the target names the secret
        """Raise unless the secret can be read and a version of it changed. Whether one can be added cannot be asked."""
        with self._opened() as vault:
            held = vault.latest()
            self._refuse_managed(held)
            vault.rehearse()
            if held is None and vault.is_deleted():
                raise self._deleted()

    def publish(self, publication: Publication) -> None:
        """Add a version with its stamp; where the newest one holds the value already, only stamp it."""
        value = printable(publication.value)
        with self._opened() as vault:
            held = vault.latest()
            self._refuse_managed(held)
            self._refuse_conflict(held, publication)
            tags = self._tags(held, publication)
            if held is None or held.value != publication.value:
                self._add(vault, held, publication, value, tags)
            elif tags != held.tags:
                vault.tag(held.version, tags)

    def read_back(self, secret_name: str, expected: Secret, receipt: str | None = None) -> Holding:  # noqa: ARG002 - the target names the secret, which can be read
        """What the newest version holds."""
        with self._opened() as vault:
            held = vault.latest()
        if held is None or held.value is None:
            return Holding.NOTHING
        return Holding.SAME if held.value == expected else Holding.OTHER

    def withdraw(self, publication: Publication) -> None:
        """Disable the newest version and take its stamp away, if it is this publication or an earlier one."""
        with self._opened() as vault:
            held = vault.latest()
            stamp = read_stamp(held.tags.get(STAMP)) if held else None
            if held is None or stamp is None:
                return
            if stamp.id == publication.rotation_id and stamp.sequence <= publication.sequence:
                vault.tag(held.version, {k: v for k, v in held.tags.items() if k != STAMP}, enabled=False)

    def _add(
        self, vault: Vault, before: Held | None, publication: Publication, value: str, tags: dict[str, str]
    ) -> None:
        from tasks.publishers._places.cloud.azure_faults import SoftDeleted  # noqa: PLC0415 - it imports the client

        try:
            ours = vault.add(value, tags=tags, content_type=before.content_type if before else None)
        except SoftDeleted as error:
            raise self._deleted() from error
        after = vault.latest()
        if after is not None and after.version not in {ours, before.version if before else None}:
            self._refuse_conflict(after, publication)
            raise TryAgain(f"{self.label}: someone else set another value at the same moment, and it was left there.")

    def _tags(self, held: Held | None, publication: Publication) -> dict[str, str]:
        tags = {**(held.tags if held else {}), STAMP: stamp_of(publication).text}
        if len(tags) > MOST_TAGS:
            raise Refused(
                f"{self.label}: the secret has {MOST_TAGS} tags, and no room for ours; nothing was changed.",
                "Remove one.",
            )
        return tags

    def _refuse_conflict(self, held: Held | None, publication: Publication) -> None:
        stamp = read_stamp(held.tags.get(STAMP)) if held else None
        refuse_conflict(
            self.label, stamp, publication, remedy=f"remove the tag {STAMP} of the secret's newest version."
        )

    def _refuse_managed(self, held: Held | None) -> None:
        if held is not None and held.managed:
            raise Conflict(
                f"{self.label}: this secret belongs to a certificate; nothing was changed.", "Publish to another name."
            )

    def _deleted(self) -> OperatorNeeded:
        options = self._options
        return OperatorNeeded(
            f"{self.label}: the secret was deleted, and its name is kept for its recovery; nothing was changed.",
            f"az keyvault secret recover --id {options.url}/deletedsecrets/{options.secret}, or purge it.",
        )

    @contextmanager
    def _opened(self) -> Iterator[Vault]:
        with needed("azure-key-vault", extra="azure"):
            from tasks.publishers._places.cloud.azure import Login, opened  # noqa: PLC0415 - it imports the client
        options = self._options
        secret = credential(self.label, file=options.client_secret_file, name=options.client_secret_env)
        login = Login(
            options.tenant_id,
            options.client_id,
            None if secret is None else secret.reveal(),
            _AUTHORITIES.get(options.cloud),
        )
        with opened(self.label, vault=options.url, name=options.secret, login=login) as vault:
            yield vault
