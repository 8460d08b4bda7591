"""Publishes to a key of Redis or Valkey: ``redis:URL#key``.

URL is ``redis://[user:password@]host[:port][/database]``, the same with ``rediss://`` for TLS, or
``unix://[user:password@]/path[?db=N]``. ``?password_file=PATH`` keeps the password off the command line and is read
anew for each call; ``?ca_file=PATH`` names the authority of a TLS server.

Applications ``GET key``. Beside it, in the same slot of a Redis Cluster, stands ``{key}:rotation``: JSON that says
which publication the key holds, so that a stale worker can be refused. ``key:rotated`` is the channel on which the
version, never the value, is announced.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final, Literal, Self
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError
from redis.retry import Retry
from redis.utils import str_if_bytes

from config.secret import Secret
from config.short_file import read_short_file
from tasks.publishers._checks import FIELD, printable, query_options, validated
from tasks.publishers._redis_faults import TIMEOUT_S, asked
from tasks.rotation.errors import Conflict, InvalidInput, OperatorNeeded
from tasks.rotation.model import Holding
from tasks.rotation.ports import Publication

_EXAMPLE: Final = "For example: --publish 'redis:redis://cache.internal:6379/0#openrouter-key'."

_DEFAULT_PORT: Final = 6379

_PUBLISH: Final = """
local held, stamp = redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2])
local value, new_stamp, channel, announcement = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local ours = cjson.decode(new_stamp)
local known = {}
if stamp then
  local readable, parsed = pcall(cjson.decode, stamp)
  if not readable or type(parsed) ~= 'table' then return 'foreign' end
  known = parsed
end
if known.id == ours.id and (tonumber(known.sequence) or 0) > ours.sequence then return 'newer' end
if held == value and stamp == new_stamp then return 'unchanged' end
-- First, because a server may refuse it, and then nothing was changed. Nobody can look before the script ends.
if held ~= value or known.version ~= ours.version then redis.call('PUBLISH', channel, announcement) end
redis.call('SET', KEYS[2], new_stamp)
redis.call('SET', KEYS[1], value)
return 'written'
"""
"""KEYS: key, stamp. ARGV: value, stamp, channel, announcement. The value comes last, so that an error always means that
the old one is still there. A SET drops an expiry: a key that vanishes is a gap."""

_REHEARSE: Final = """
for _, key in ipairs(KEYS) do
  local present = redis.call('GET', key)
  redis.call('SET', key, '', present and 'NX' or 'XX')
end
return 'writable'
"""
"""Asks for every right that writing needs, and writes nothing: NX does nothing to what is there, XX to what is not."""


class RedisOptions(BaseModel):
    """Which key of which server. ``host`` is empty for a socket, ``socket`` for a host."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, hide_input_in_errors=True)

    scheme: Literal["redis", "rediss", "unix"]
    host: str
    port: int = Field(ge=1, le=65535)
    socket: str
    key: str = Field(min_length=1)
    username: str | None
    password: Secret | None
    db: int = Field(0, ge=0, description="number of the database")
    password_file: Path | None = Field(None, description="file that holds the password")
    ca_file: Path | None = Field(None, description="certificates that a TLS server is checked against")

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
        if self.password and self.password_file:
            raise ValueError("the password is either in the URL or in password_file")
        if any(path and not path.is_absolute() for path in (self.password_file, self.ca_file)):
            raise ValueError("password_file and ca_file must be absolute paths")
        return self

    @property
    def place(self) -> str:
        """The URL without credentials and options."""
        if self.scheme == "unix":
            return f"unix://{self.socket}?db={self.db}#{self.key}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}/{self.db}#{self.key}"

    @property
    def stamp_key(self) -> str:
        """Beside the key, and in the same slot of a cluster."""
        return f"{self.key}:rotation" if _hash_tag(self.key) else f"{{{self.key}}}:rotation"

    @property
    def channel(self) -> str:
        """Where a new version is announced."""
        return f"{self.key}:rotated"


def open_publisher(target: Secret) -> RedisPublisher:
    """The publisher for a URL with the key's name as its fragment; raises ``InvalidInput``. Connects to nothing."""
    return RedisPublisher(validated(RedisOptions, _fields(target)), target)


class RedisPublisher:
    """One key of one Redis or Valkey server."""

    def __init__(self, options: RedisOptions, target: Secret) -> None:
        self._options = options
        self._target = target

    @property
    def label(self) -> str:
        """Kind, server, database and key, without credentials."""
        return f"redis:{self._options.place}"

    @property
    def target(self) -> Secret:
        """The URL as it was given."""
        return self._target

    @property
    def holds_variables(self) -> bool:
        """A key of Redis holds one value."""
        return False

    def check(self, secret_name: str) -> None:  # noqa: ARG002 - the URL names the key
        """Raise unless the key can be read and written and the channel used; writes and announces nothing."""
        with self._client() as client:
            asked(client.ping, self.label)
            asked(lambda: client.register_script(_REHEARSE)(keys=self._keys), self.label)
            if not asked(lambda: _may_announce(client, self._options.channel), self.label):
                raise OperatorNeeded(
                    f"{self.label}: the user may not announce on channel {self._options.channel}.",
                    f"Allow the user +publish and &{self._options.channel}.",
                )

    def publish(self, publication: Publication) -> None:
        """Set key and stamp and announce the version, in one script: all, or nothing when we are stale."""
        options = self._options
        value = printable(publication.value)
        arguments = [value, _stamp(publication), options.channel, _announcement(publication)]
        with self._client() as client:
            asked(client.ping, self.label)  # connects and logs in: a failure up to here has set nothing
            script = client.register_script(_PUBLISH)
            outcome = asked(lambda: script(keys=self._keys, args=arguments), self.label, changes=True)
        self._refuse(outcome, publication)

    def read_back(self, secret_name: str, expected: Secret) -> Holding:  # noqa: ARG002 - the URL names the key
        """What the key holds."""
        with self._client() as client:
            held = asked(lambda: client.get(self._options.key), self.label)
        if not isinstance(held, bytes) or not held:
            return Holding.NOTHING
        return Holding.SAME if Secret(held.decode(errors="replace")) == expected else Holding.OTHER

    @property
    def _keys(self) -> list[str]:
        return [self._options.key, self._options.stamp_key]

    def _refuse(self, outcome: object, publication: Publication) -> None:
        if outcome == b"newer":
            raise Conflict(
                f"{self.label}: it holds a newer publication of rotation {publication.rotation_name} than version"
                f" {publication.version} (sequence {publication.sequence}); it was left as it is.",
                f"If the rotator's database was restored from a backup, delete the key {self._options.stamp_key}.",
            )
        if outcome == b"foreign":
            raise Conflict(
                f"{self.label}: {self._options.stamp_key} is not ours; nothing was changed.",
                "Delete or rename that key, or publish to another key.",
            )

    def _client(self) -> Redis:
        """A client for one call: nothing is shared between processes, and nothing is retried behind our back."""
        options = self._options
        return Redis(
            host=options.host,
            port=options.port,
            unix_socket_path=options.socket or None,
            db=options.db,
            username=options.username,
            password=_password(options),
            ssl=options.scheme == "rediss",
            ssl_ca_certs=str(options.ca_file) if options.ca_file else None,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
            protocol=2,  # every server speaks it, and we need no more
        )


def _fields(target: Secret) -> dict[str, object]:
    """The parts of the URL, decoded. No message repeats one: a password with a raw '#' or '?' shifts them all."""
    text = target.reveal()
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
        "host": url.hostname or "",
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


def _password(options: RedisOptions) -> str | None:
    if options.password:
        return options.password.reveal()
    if options.password_file is None:
        return None
    try:
        return read_short_file(options.password_file).rstrip("\r\n") or None
    except (OSError, UnicodeDecodeError):
        pass
    # Raised outside the handler: a decoding error holds the file's content.
    raise OperatorNeeded(
        f"redis:{options.place}: the password file {options.password_file} cannot be read; nothing was changed.",
        "Let the worker's user read it; it must be UTF-8.",
    )


def _stamp(publication: Publication) -> str:
    return json.dumps(
        {
            "rotation": publication.rotation_name,
            "version": publication.version,
            "sequence": publication.sequence,
            "id": publication.rotation_id,
        }
    )


def _announcement(publication: Publication) -> str:
    return json.dumps({"rotation": publication.rotation_name, "version": publication.version})


def _may_announce(client: Redis, channel: str) -> bool:
    """Where the server can tell (Redis 7) and we may ask; elsewhere True, and publishing tells."""
    try:
        answer = client.acl_dryrun(str_if_bytes(client.acl_whoami()), "PUBLISH", channel, "")
    except ResponseError:
        return True
    return bool(answer == b"OK")
