"""What a target of the kind ``vault`` says: which field of which secret of which server, and how to log in there."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, Self
from urllib.parse import SplitResult, quote, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from config.addresses import Address, is_loopback
from config.secret import Secret
from tasks.publishers._shared.checks import FIELD, query_options, validated
from tasks.publishers._shared.credentials import NamedFile, VariableName
from tasks.rotation.errors import InvalidInput

EXAMPLE: Final = "For example: --publish 'vault:https://vault.internal:8200/secret/app?token_file=/run/token#API_KEY'."

VERSIONED: Final = "Publish to a mount of KV version 2, or make this one so: vault kv enable-versioning MOUNT."
"""What to do about a mount that keeps no versions."""

_PORTS: Final = {"https": 443, "http": 80}
SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")  # where Kubernetes mounts it


class VaultOptions(BaseModel):
    """Which field of which secret, and who we are there: exactly one way to log in is given."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, hide_input_in_errors=True)

    scheme: Literal["https", "http"]
    host: Address
    port: int = Field(ge=1, le=65535)
    mount: str
    path: str
    field: str = Field(min_length=1, max_length=80)  # its stamp's name may have 128 characters
    token: Secret | None = None
    namespace: str = Field("", description="namespace of the mount, and of the login")
    token_file: NamedFile | None = Field(None, description="file that holds a token")
    token_env: VariableName | None = Field(None, description="variable of the worker that holds a token")
    role_id_file: NamedFile | None = Field(None, description="file that holds an AppRole's role id")
    role_id_env: VariableName | None = Field(None, description="variable of the worker that holds it")
    secret_id_file: NamedFile | None = Field(None, description="file that holds the AppRole's secret id")
    secret_id_env: VariableName | None = Field(None, description="variable of the worker that holds it")
    kubernetes_role: str | None = Field(
        None, min_length=1, description="role to log in with, as the service account that the worker runs as"
    )
    kubernetes_token_file: NamedFile | None = Field(
        None, description="the service account's token, if it is not where Kubernetes puts it"
    )
    auth_mount: str = Field("", description="where the login is mounted, if not at `approle` or `kubernetes`")
    ca_file: NamedFile | None = Field(None, description="certificates that the server is checked against")

    @field_validator("mount", "path", "namespace", "auth_mount", "field")
    @classmethod
    def _printable(cls, text: str) -> str:
        if not text.isprintable():
            raise ValueError("it must consist of characters that can be printed")
        return text

    @field_validator("mount", "path", "namespace", "auth_mount")
    @classmethod
    def _plain_path(cls, text: str) -> str:
        path = text.strip("/")
        if path and not {"", ".", ".."}.isdisjoint(path.split("/")):
            raise ValueError("an empty part, '.' and '..' are no names")
        return path

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not (self.mount and self.path):
            raise ValueError("the URL's path must be /MOUNT/PATH; write a '/' that belongs to MOUNT as %2F")
        if self.scheme == "http" and not is_loopback(self.host):
            raise ValueError("http is for this machine alone: anywhere else everybody on the way could read the key")
        return self

    @model_validator(mode="after")
    def _one_login(self) -> Self:
        token = _given(self.token, self.token_file, self.token_env)
        role, secret = _given(self.role_id_file, self.role_id_env), _given(self.secret_id_file, self.secret_id_env)
        if [bool(token), bool(role or secret), bool(self.kubernetes_role)].count(True) != 1 or (secret and not role):
            raise ValueError(
                "one way to log in is needed: a token (https://:TOKEN@HOST, token_file or token_env), an AppRole"
                " (role_id_file or role_id_env, and its secret id), or kubernetes_role"
            )
        if max(token, role, secret) > 1:
            raise ValueError("each credential is given once: in the URL, in a file or in a variable")
        if token and self.auth_mount:
            raise ValueError("auth_mount is for logins, and a token needs none")
        return self

    @property
    def is_lent(self) -> bool:
        """Whether the login is by the service account of the pod in which the worker runs."""
        return bool(self.kubernetes_role and not self.kubernetes_token_file)

    @property
    def address(self) -> str:
        """The server's URL, without credentials."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def place(self) -> str:
        """The whole URL, without credentials and the options that do not tell places apart."""
        namespace = f"?namespace={self.namespace}" if self.namespace else ""
        return f"{self.address}/{quote(self.mount, safe='')}/{self.path}{namespace}#{self.field}"

    @property
    def policy(self) -> str:
        """The least that a token must be allowed, as a policy of this secret."""
        return (
            f'path "{self.mount}/data/{self.path}" {{ capabilities = ["create", "read", "update", "patch"] }} '
            f'path "{self.mount}/metadata/{self.path}" {{ capabilities = ["patch"] }}'
        )


def options_from(text: str) -> VaultOptions:
    """The target, parsed. Raises ``InvalidInput``, which repeats none of it: any part may be a token."""
    if not text.isprintable():
        raise InvalidInput(FIELD, "vault needs a URL behind 'vault:'.", EXAMPLE)
    url, port = _split(text)
    if not url.fragment or "#" in url.fragment or "@" in url.fragment:
        raise InvalidInput(FIELD, "the URL must end in '#' and the field's name, percent-encoded.", EXAMPLE)
    if url.username:
        raise InvalidInput(FIELD, "Vault knows no user in a URL.", "Write a token as https://:TOKEN@HOST.")
    mount, _, path = url.path.strip("/").partition("/")
    return validated(
        VaultOptions,
        {
            **query_options(VaultOptions, url.query),
            "scheme": url.scheme,
            "host": url.hostname or "",
            "port": _PORTS.get(url.scheme, 443) if port is None else port,
            "mount": unquote(mount),
            "path": unquote(path),
            "field": unquote(url.fragment),
            "token": Secret(unquote(url.password)) if url.password else None,
        },
    )


def _given(*credentials: object) -> int:
    """How many of them there are."""
    return sum(credential is not None for credential in credentials)


def _split(text: str) -> tuple[SplitResult, int | None]:
    try:
        url = urlsplit(text)
        return url, url.port
    except ValueError:
        pass
    # Raised outside the handler: the foreign message repeats what it took for the port, maybe a token.
    raise InvalidInput(FIELD, "the URL cannot be read; percent-encode '#', '/', '?' and '@' in a token.", EXAMPLE)
