"""Publishes to a field of a secret in HashiCorp Vault or OpenBao: ``vault:https://HOST:PORT/MOUNT/PATH#FIELD``.

The mount is one of KV version 2. Each write names the version that it was decided from (check-and-set), and is merged
by the server into what else the secret holds. ``vault.claims`` tells how a late worker is kept out although the stamp,
in the secret's ``custom_metadata``, is not written with the value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from config.secret import Secret
from tasks.publishers._places.vault.claims import claims_on
from tasks.publishers._places.vault.rights import needed_rights, refuse_lacking, refuse_unversioned
from tasks.publishers._places.vault.target import SERVICE_ACCOUNT, VaultOptions, options_from
from tasks.publishers._shared.about import About
from tasks.publishers._shared.checks import printable
from tasks.publishers._shared.credentials import credential
from tasks.publishers._shared.extras import needed
from tasks.publishers._shared.stamp import refuse_conflict
from tasks.publishers._shared.uses import ActsAs, MachineUse, uses_of
from tasks.rotation.errors import OperatorNeeded, TryAgain
from tasks.rotation.model import Holding
from tasks.rotation.ports import Publication

if TYPE_CHECKING:
    from hvac import Client

    from tasks.publishers._places.vault.secret import VaultSecret

ATTEMPTS: Final = 5
"""How often a publication starts again because someone else changed the secret meanwhile."""

ABOUT: Final = About(
    target="https://HOST:PORT/MOUNT/PATH#FIELD",
    example="vault:https://vault.internal:8200/secret/app?role_id_file=/run/secrets/role-id"
    "&secret_id_file=/run/secrets/secret-id#OPENROUTER_API_KEY",
    happens="One field of a secret in HashiCorp Vault (1.10 or newer) or OpenBao, on a mount of KV version 2, is set as"
    " a new version of the secret. Its other fields stay, also when somebody else writes at the same moment. The"
    " secret's `custom_metadata` says which version of the key the field holds, as `FIELD.rotation.N`. Older versions"
    " of the secret keep the older keys, which OpenRouter does not accept any more once they are retired. A key that is"
    " withdrawn is left out of a new version; older ones keep it until Vault drops them or you `vault kv destroy` them",
    auth="a token (`https://:TOKEN@HOST`, in a file or in a variable), an AppRole or a Kubernetes service account; what"
    " a login gave is given back at once. It needs Vault's policy `default`, and"
    ' `path "MOUNT/data/PATH" { capabilities = ["create", "read", "update", "patch"] }`'
    ' `path "MOUNT/metadata/PATH" { capabilities = ["patch"] }`; without the second a late worker could not be told',
    proves="the field holds the key, in the newest version of the secret",
    options=VaultOptions,
    extra="vault",
)


def open_publisher(target: Secret) -> VaultPublisher:
    """The publisher for a URL with the field's name as its fragment; raises ``InvalidInput``. Connects to nothing."""
    return VaultPublisher(options_from(target.reveal()), target)


class VaultPublisher:
    """One field of one secret."""

    def __init__(self, options: VaultOptions, target: Secret) -> None:
        self._options = options
        self._target = target

    @property
    def label(self) -> str:
        """Kind, server, mount, path, namespace and field, without credentials."""
        return f"vault:{self._options.place}"

    @property
    def target(self) -> Secret:
        """The URL as it was given."""
        return self._target

    @property
    def uses(self) -> tuple[MachineUse, ...]:
        """Files and variables that the options name, or the service account of the pod."""
        return (*uses_of(self._options), *((ActsAs("Kubernetes"),) if self._options.is_lent else ()))

    @property
    def holds_variables(self) -> bool:
        """The target names the one field."""
        return False

    def check(self, secret_name: str) -> None:  # noqa: ARG002 - the target names the field
        """Raise unless the secret can be read, and we are allowed to write it and its stamp. Writes nothing."""
        with self._opened() as secret:
            found = secret.read()
            if not found.version:
                refuse_unversioned(self._options, secret.mount(), self.label)
            needs = needed_rights(self._options, found)
            refuse_lacking(self._options, needs, secret.rights(needs), self.label)

    def publish(self, publication: Publication) -> None:
        """Set the field, in a new version of the secret; nothing when it says so already. See the port."""
        value = printable(publication.value)
        with self._opened() as secret:
            self._until_unchanged(lambda: self._published(secret, publication, value))

    def read_back(self, secret_name: str, expected: Secret, receipt: str | None = None) -> Holding:  # noqa: ARG002 - the target names the field, which can be read
        """What the field holds in the newest version; a version that was deleted holds nothing."""
        with self._opened() as secret:
            held = secret.read().fields.get(self._options.field)
        if held is None or held == "":
            return Holding.NOTHING
        return Holding.SAME if isinstance(held, str) and Secret(held) == expected else Holding.OTHER

    def withdraw(self, publication: Publication) -> None:
        """Take the field out of the newest version, and the stamp away; earlier versions stay as they are."""
        with self._opened() as secret:
            self._until_unchanged(lambda: self._withdrawn(secret, publication))

    def _published(self, secret: VaultSecret, publication: Publication, value: str) -> bool:
        """Make the secret say so. False when it changed while we worked, and was therefore left alone."""
        field, found = self._options.field, secret.read()
        claims = claims_on(field, found.custom_metadata)
        remedy = f"take the entries {field}.rotation.N out of the secret's custom_metadata."
        refuse_conflict(self.label, claims.newest(publication.rotation_id), publication, remedy=remedy)
        if not found.version:
            refuse_unversioned(self._options, secret.mount(), self.label)
            secret.annotate({})  # nothing is done to what is not there, but who may not is told so, and leaves nothing
            secret.write(found, {})  # only what exists has room for a claim; now go on from there
            return False
        if claims.only(field, publication):
            if found.fields.get(field) == value:
                return True
        elif not secret.annotate(claims.overtaken_by(field, publication, found.fields.get(field))):
            return False
        return secret.write(found, {field: value})

    def _withdrawn(self, secret: VaultSecret, publication: Publication) -> bool:
        """The field goes before the claims: whoever comes between sees that there is still something of ours. A value
        that somebody else put there stays."""
        found, own = secret.read(), publication.value.reveal()
        claims = claims_on(self._options.field, found.custom_metadata)
        if not claims.are_of(publication):
            return True
        held = found.fields.get(self._options.field)
        ours = held is not None and (held == own or claims.know(held))
        if ours and not secret.write(found, {self._options.field: None}):
            return False
        secret.annotate(dict.fromkeys(claims.entries))
        return True

    def _until_unchanged(self, attempt: Callable[[], bool]) -> None:
        if not any(attempt() for _ in range(ATTEMPTS)):
            raise TryAgain(
                f"{self.label}: someone else changed the secret {ATTEMPTS} times while it was being updated;"
                " their changes were kept, and so was the old key."
            )

    @contextmanager
    def _opened(self) -> Iterator[VaultSecret]:
        with needed("vault", extra="vault"):
            from tasks.publishers._places.vault.secret import VaultSecret  # noqa: PLC0415 - the client is optional
        secret = VaultSecret(self._options, self.label)
        try:
            self._identify(secret)
            yield secret
        finally:
            secret.close()

    def _identify(self, secret: VaultSecret) -> None:
        """In the one way that the target tells. Raises ``CredentialRejected`` when a login is refused."""
        if self._options.kubernetes_role:
            secret.log_in(self._by_service_account)
        elif self._options.role_id_file or self._options.role_id_env:
            secret.log_in(self._by_app_role)
        else:
            secret.use_token(self._token())

    def _by_service_account(self, vault: Client) -> object:
        options = self._options
        proof = _text(credential(self.label, file=options.kubernetes_token_file or SERVICE_ACCOUNT))
        mount = options.auth_mount or "kubernetes"
        return vault.auth.kubernetes.login(options.kubernetes_role or "", proof, mount_point=mount)

    def _by_app_role(self, vault: Client) -> object:
        options = self._options
        role = _text(credential(self.label, file=options.role_id_file, name=options.role_id_env))
        proof = _text(credential(self.label, file=options.secret_id_file, name=options.secret_id_env))
        return vault.auth.approle.login(role, proof or None, mount_point=options.auth_mount or "approle")

    def _token(self) -> str:
        options = self._options
        given = credential(self.label, given=options.token, file=options.token_file, name=options.token_env)
        token = _text(given)
        if token.isascii() and token.isprintable():
            return token
        raise OperatorNeeded(
            f"{self.label}: what should be a token is none; nothing was changed.", "A token is one line of ASCII."
        )


def _text(given: Secret | None) -> str:
    """To be sent; empty where nothing was given."""
    return "" if given is None else given.reveal()
