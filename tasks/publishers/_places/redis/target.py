"""What a target of the kind ``redis`` says: which key of which server, and who we are there."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from config.addresses import Address, is_loopback
from config.secret import Secret
from tasks.publishers._shared.checks import FIELD, query_options, validated
from tasks.publishers._shared.credentials import NamedFile, VariableName
from tasks.publishers._shared.uses import Names, OpensSocket
from tasks.rotation.errors import InvalidInput

_EXAMPLE: Final = "For example: --publish 'redis:rediss://cache.internal:6380/0#openrouter-key'."

_DEFAULT_PORT: Final = 6379


class RedisOptions(BaseModel):
    """Which key of which server. ``host`` is None for a socket, ``socket`` empty for a host."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, hide_input_in_errors=True)

    scheme: Literal["redis", "rediss", "unix"]
    host: Address | None
    port: int = Field(ge=1, le=65535)
    socket: Annotated[str, Names(OpensSocket)]
    key: str = Field(min_length=1)
    username: str | None
    password: Secret | None
    db: int = Field(0, ge=0, description="number of the database")
    cluster: bool = Field(False, description="`true`: follow a Redis Cluster to the node that serves the key")
    password_file: NamedFile | None = Field(None, description="file that holds the password")
    password_env: VariableName | None = Field(None, description="variable of the worker that holds it")
    ca_file: NamedFile | None = Field(None, description="certificates that a TLS server is checked against")
    plaintext: bool = Field(
        False, description="`yes`: by `redis://`, let everybody on the way to another machine read key and password"
    )

    @field_validator("key", "socket")
    @classmethod
    def _printable(cls, text: str) -> str:
        if not text.isprintable():
            raise ValueError("it must consist of characters that can be printed")
        return text

    @field_validator("key")
    @classmethod
    def _braces_are_a_hash_tag(cls, key: str) -> str:
        if _hash_tag(key) is None and "}" in key:
            raise ValueError("a '}' in the key's name must close a hash tag, as in {app}:openrouter")
        return key

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not (self.socket if self.scheme == "unix" else self.host):
            raise ValueError("the URL names no server; percent-encode '#', '/', '?' and '@' in a password")
        if self.host and not self.may_send_to(self.host):
            raise ValueError(
                "redis:// is for this machine alone: anywhere else everybody on the way could read the key; use"
                " rediss://, or say plaintext=yes"
            )
        if sum(map(bool, (self.password, self.password_file, self.password_env))) > 1:
            raise ValueError("the password is given once: in the URL, in password_file or in password_env")
        if self.cluster and (self.scheme == "unix" or self.db):
            raise ValueError("a cluster has one database, number 0, and no sockets")
        return self

    def may_send_to(self, host: str) -> bool:
        """Whether nobody listens on the way there, or the target says that it does not matter."""
        return self.scheme == "rediss" or self.plaintext or is_loopback(host)

    @property
    def place(self) -> str:
        """The URL without credentials and options."""
        if self.scheme == "unix":
            return f"unix://{self.socket}?db={self.db}#{self.key}"
        host = f"[{self.host}]" if ":" in (self.host or "") else self.host
        return f"{self.scheme}://{host}:{self.port}/{self.db}#{self.key}"

    @property
    def stamp_key(self) -> str:
        """Beside the key, and in the same slot of a cluster."""
        return f"{self.key}:rotation" if _hash_tag(self.key) else f"{{{self.key}}}:rotation"

    @property
    def channel(self) -> str:
        """Where a new version is announced."""
        return f"{self.key}:rotated"


def options_from(text: str) -> RedisOptions:
    """The URL, parsed. Raises ``InvalidInput``, which repeats none of it: a raw '#' in a password shifts all parts."""
    return validated(RedisOptions, _fields(text))


def _fields(text: str) -> dict[str, object]:
    if text.startswith("//") or not text.isprintable():
        raise InvalidInput(FIELD, "redis needs a URL of its own behind 'redis:'.", _EXAMPLE)
    url, port = _split(text)
    if not url.fragment or "#" in url.fragment or "@" in url.fragment:
        raise InvalidInput(FIELD, "the URL must end in '#' and the key's name, percent-encoded.", _EXAMPLE)
    path = unquote(url.path)
    database = {"db": path.strip("/")} if url.scheme != "unix" and path.strip("/") else {}
    return {
        **query_options(RedisOptions, url.query),
        **database,
        "scheme": url.scheme,
        "host": url.hostname or None,
        "port": _DEFAULT_PORT if port is None else port,
        "socket": path if url.scheme == "unix" else "",
        "username": unquote(url.username or "") or None,
        "password": Secret(unquote(url.password)) if url.password else None,
        "key": unquote(url.fragment),
    }


def _split(text: str) -> tuple[SplitResult, int | None]:
    try:
        url = urlsplit(text)
        return url, url.port
    except ValueError:
        pass
    # Raised outside the handler: the foreign message repeats what it took for the port, maybe a password.
    raise InvalidInput(FIELD, "the URL cannot be read; percent-encode '#', '/', '?' and '@' in a password.", _EXAMPLE)


def _hash_tag(key: str) -> str | None:
    """The part of a key's name that alone decides its slot in a Redis Cluster, or None: then it is the whole name."""
    tag, closed, _ = key.partition("{")[2].partition("}")
    return tag if closed and tag else None
