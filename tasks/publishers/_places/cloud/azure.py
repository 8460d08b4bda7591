"""Key Vault's calls for one secret, as plain data.

Imports Microsoft's clients: import this file inside ``needed``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from azure.core.credentials import TokenCredential
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import ClientSecretCredential, DefaultAzureCredential
from azure.keyvault.secrets import KeyVaultSecret, SecretClient
from pydantic import BaseModel, ConfigDict

from config.secret import Secret
from tasks.publishers._places.cloud.azure_faults import Answer, Disabled, Missing, asked
from tasks.publishers._places.cloud.bounded import TIMEOUT_S, Bounded, bounded_session, hushed
from tasks.rotation.errors import Broken, RotatorError

_API: Final = "7.4"
"""Of 2023: old enough for every cloud, and it has all that is needed."""
_NO_VERSION: Final = "0" * 32
_LOUD: Final = ("azure", "azure.core.pipeline.policies.http_logging_policy", "azure.identity", "msal")
_PERSONS: Final = (
    "interactive_browser",
    "broker",
    "shared_token_cache",
    "visual_studio_code",
    "powershell",
    "developer_cli",
)
"""Of Microsoft's own chain, what asks or remembers a person. ``az login`` remains, for whoever tries it by hand."""


@dataclass(frozen=True, slots=True)
class Login:
    """Whose token to ask for. Without a secret: of the identity that the machine, pod or environment has."""

    tenant_id: str | None
    client_id: str | None
    secret: str | None = field(repr=False)
    authority: str | None
    """Where tokens of the vault's cloud are given out; None for the usual one, or that of the environment."""


@dataclass(frozen=True, slots=True)
class Held:
    """The version that applications read. ``value`` is None where it is empty."""

    version: str
    value: Secret | None
    tags: Mapping[str, str]
    content_type: str | None
    managed: bool
    """It belongs to a certificate."""


class _Shown(BaseModel):
    """A secret as Key Vault shows it. The client passes on whatever types came."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    version: str
    value: str | None
    tags: dict[str, str] | None
    content_type: str | None
    managed: bool | None


@dataclass(frozen=True, slots=True)
class Vault:
    """One secret of one vault. Each method is one request; each raises the families of ``errors``."""

    client: SecretClient
    name: str
    label: str
    adapter: Bounded

    def latest(self) -> Held | None:
        """What applications read; None where there is no secret, or its newest version is disabled."""
        try:
            return self._asked(lambda: _held(self.client.get_secret(self.name)))
        except (Missing, Disabled):
            return None

    def add(self, text: str, *, tags: Mapping[str, str], content_type: str | None) -> str:
        """Add a version; its id."""
        return self._asked(
            lambda: _held(self.client.set_secret(self.name, text, tags=dict(tags), content_type=content_type)),
            changes=True,
        ).version

    def tag(self, version: str, tags: Mapping[str, str], *, enabled: bool | None = None) -> None:
        """Replace a version's tags, and say whether it may be read; None: as before."""
        self._asked(
            lambda: self.client.update_secret_properties(self.name, version, tags=dict(tags), enabled=enabled),
            changes=True,
        )

    def rehearse(self) -> None:
        """Change a version that does not exist: whoever may not change any is refused before it is looked for."""
        try:
            self._asked(lambda: self.client.update_secret_properties(self.name, _NO_VERSION))
        except Missing:
            return
        raise Broken(f"{self.label}: a version that cannot exist was changed, says Key Vault.")

    def is_deleted(self) -> bool:
        """Whether the secret was deleted and can be recovered, as far as we may know."""
        try:
            self._asked(lambda: self.client.get_deleted_secret(self.name))
        except RotatorError:
            return False
        return True

    def _asked(self, call: Callable[[], Answer], *, changes: bool = False) -> Answer:
        return asked(call, self.label, self.adapter, changes=changes)


@contextmanager
def opened(label: str, *, vault: str, name: str, login: Login) -> Iterator[Vault]:
    """The secret ``name`` of the vault at the URL ``vault``, for one call of ours."""
    hushed(*_LOUD)
    adapter = Bounded()
    with bounded_session(adapter) as session:
        options = {"transport": RequestsTransport(session=session, session_owner=False), "retry_total": 0}
        credential = asked(lambda: _credential(login, options), label, adapter)
        client = SecretClient(
            vault,
            credential,
            api_version=_API,
            permit_redirects=False,
            connection_timeout=TIMEOUT_S,
            read_timeout=TIMEOUT_S,
            **options,
        )
        with client:
            yield Vault(client, name, label, adapter)


def _credential(login: Login, options: Mapping[str, Any]) -> TokenCredential:
    where = {"authority": login.authority} if login.authority else {}
    if login.secret and login.tenant_id and login.client_id:
        return ClientSecretCredential(login.tenant_id, login.client_id, login.secret, **where, **options)
    tenant = {"workload_identity_tenant_id": login.tenant_id} if login.tenant_id else {}
    client = {"managed_identity_client_id": login.client_id} if login.client_id else {}
    excluded = {f"exclude_{name}_credential": True for name in _PERSONS}
    return DefaultAzureCredential(process_timeout=int(TIMEOUT_S), **where, **tenant, **client, **excluded, **options)


def _held(secret: KeyVaultSecret) -> Held:
    """Raises ``ValueError`` for what is none."""
    its = secret.properties
    shown = _Shown.model_validate(
        {
            "version": its.version,
            "value": secret.value,
            "tags": its.tags,
            "content_type": its.content_type,
            "managed": its.managed,
        }
    )
    value = Secret(shown.value) if shown.value else None
    return Held(shown.version, value, shown.tags or {}, shown.content_type, bool(shown.managed))
