"""Publishes to a key of Redis or Valkey: ``redis:URL#key``.

URL is ``redis://[user:password@]host[:port][/database]``, the same with ``rediss://`` for TLS, or
``unix://[user:password@]/path[?db=N]``. ``?password_file=PATH`` keeps the password off the command line and is read
anew for each call, as is the variable of ``?password_env=NAME``; ``?ca_file=PATH`` names the authority of a TLS server.
Off loopback ``redis://`` would show key and password to the network: it needs ``?plaintext=yes``.
With ``?cluster=true`` the URL may name any node of a Redis Cluster: we go on, with the password, to the node that
serves the key. Otherwise no server can send us elsewhere.

Applications ``GET key``. Beside it, in the same slot of a Redis Cluster, stands ``{key}:rotation``: JSON that says
which publication the key holds, so that a stale worker can be refused. ``key:rotated`` is the channel on which the
version, never the value, is announced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from time import monotonic
from typing import Final, TypeVar

from redis import Redis
from redis.exceptions import MovedError, ResponseError
from redis.utils import str_if_bytes

from config.secret import Secret
from tasks.publishers._places.redis import bounded
from tasks.publishers._places.redis.faults import TIMEOUT_S, asked
from tasks.publishers._places.redis.scripts import PUBLISH, REHEARSE, WITHDRAW, announcement, note_of
from tasks.publishers._places.redis.target import RedisOptions, options_from
from tasks.publishers._shared.about import About
from tasks.publishers._shared.authorities import authorities
from tasks.publishers._shared.checks import printable
from tasks.publishers._shared.credentials import credential
from tasks.publishers._shared.stamp import read_stamp, refuse_stranger
from tasks.publishers._shared.uses import MachineUse, uses_of
from tasks.rotation.errors import Conflict, OperatorNeeded, TryAgain
from tasks.rotation.model import Holding
from tasks.rotation.ports import Publication

_HOPS: Final = 3
"""How many nodes of a cluster are asked which of them serves the key: the first one knows, unless that changes."""
_LONGEST: Final = 8192
"""Bytes of what the key holds that are looked at; no key of OpenRouter is so long."""

Answer = TypeVar("Answer")

ABOUT: Final = About(
    target="URL#KEY",
    example="redis:rediss://rotator@cache.internal:6380/0?password_file=/run/secrets/redis#openrouter-key",
    happens="`GET KEY` is the key. On the channel `KEY:rotated` the version (never the key) is announced."
    " `{KEY}:rotation` says which version it is. Withdrawn, both are deleted, but for a value that somebody else set",
    auth="user and password in the URL, which begins with `rediss://` or `unix://` (`redis://` on loopback, or with"
    " `plaintext=yes`), or in a file or a variable. The user needs `~KEY ~{KEY}:rotation &KEY:rotated +ping +select"
    " +get +getrange +set +publish +evalsha +script|load`, and `+del` if keys are to be withdrawn",
    proves="`KEY` holds the key",
    options=RedisOptions,
)


def open_publisher(target: Secret) -> RedisPublisher:
    """The publisher for a URL with the key's name as its fragment; raises ``InvalidInput``. Connects to nothing."""
    return RedisPublisher(options_from(target.reveal()), target)


class RedisPublisher:
    """One key of one Redis or Valkey server, or of one cluster."""

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
    def uses(self) -> tuple[MachineUse, ...]:
        """A socket, and files and variables that the options name."""
        return uses_of(self._options)

    @property
    def holds_variables(self) -> bool:
        """A key of Redis holds one value."""
        return False

    def check(self, secret_name: str) -> None:  # noqa: ARG002 - the URL names the key
        """Raise unless the key can be read and written and the channel used; writes and announces nothing.

        The right to delete is not asked for: it is needed only where keys are withdrawn.
        """
        channel = self._options.channel
        with self._opened() as client:
            self._asked(client.ping)
            self._run(client, REHEARSE)
            if not self._asked(lambda: _may_announce(client, channel)):
                raise OperatorNeeded(
                    f"{self.label}: the user may not announce on channel {channel}.",
                    f"Allow the user +publish and &{channel}.",
                )

    def publish(self, publication: Publication) -> None:
        """Set key and stamp and announce the version, in one script: all, or nothing when we are stale."""
        value = printable(publication.value)
        told = announcement(publication)
        arguments = [value, note_of(publication, value), self._options.channel, told, publication.heir_of or ""]
        with self._opened() as client:
            self._asked(client.ping)  # connects and logs in: a failure up to here has set nothing
            outcome = self._run(client, PUBLISH, arguments, changes=True)
        if outcome != b"written":
            self._refuse(outcome, publication)

    def read_back(self, secret_name: str, expected: Secret, receipt: str | None = None) -> Holding:  # noqa: ARG002 - the URL names the key, which can be read
        """What the key holds."""
        with self._opened() as client:
            held = self._asked(lambda: client.getrange(self._options.key, 0, _LONGEST))
        if not isinstance(held, bytes) or not held:
            return Holding.NOTHING
        return Holding.SAME if Secret(held.decode(errors="replace")) == expected else Holding.OTHER

    def withdraw(self, publication: Publication) -> None:
        """Delete key and stamp, in one script, if the stamp is of this publication or of an earlier one; only the stamp
        when the key holds what somebody else put there."""
        value = printable(publication.value)
        with self._opened() as client:
            self._asked(client.ping)
            self._run(client, WITHDRAW, [note_of(publication, value), value], changes=True)

    def _refuse(self, outcome: object, publication: Publication) -> None:
        stamp_key = self._options.stamp_key
        if outcome == b"newer":
            raise Conflict(
                f"{self.label}: it holds a newer publication of rotation {publication.rotation_name} than version"
                f" {publication.version} (sequence {publication.sequence}); it was left as it is.",
                f"If the rotator's database was restored from a backup, delete the key {stamp_key}.",
            )
        stamp = read_stamp(outcome.decode(errors="replace")) if isinstance(outcome, bytes) else None
        refuse_stranger(self.label, stamp, publication, remedy=f"delete the key {stamp_key}.")
        raise Conflict(
            f"{self.label}: {stamp_key} is not ours; nothing was changed.",
            "Delete or rename that key, or publish to another key.",
        )

    def _run(self, client: Redis, script: str, arguments: Sequence[str] = (), *, changes: bool = False) -> object:
        """What a script answers, which may look at the key and its stamp."""
        keys = [self._options.key, self._options.stamp_key]
        registered = client.register_script(script)
        return self._asked(lambda: registered(keys=keys, args=list(arguments)), changes=changes)

    def _asked(self, call: Callable[[], Answer], *, changes: bool = False) -> Answer:
        return asked(call, self.label, changes=changes, cluster=self._options.cluster)

    @contextmanager
    def _opened(self) -> Iterator[Redis]:
        """A client for one call, of the server that the URL names, or of its cluster's node that serves the key."""
        host, port, ends_at_s = self._options.host or "", self._options.port, monotonic() + bounded.LASTS_S
        if self._options.cluster:
            host, port = self._serving(host, port, ends_at_s)
        with self._client(host, port, ends_at_s) as client:
            yield client

    def _serving(self, host: str, port: int, ends_at_s: float) -> tuple[str, int]:
        for _ in range(_HOPS):
            with self._client(host, port, ends_at_s) as client:
                elsewhere = self._asked(partial(_sent_elsewhere, client, self._options.key))
            if elsewhere is None:
                return host, port
            host, port = elsewhere[0] or host, elsewhere[1]
            self._refuse_in_the_clear(host)
        raise TryAgain(f"{self.label}: the Redis Cluster is being rearranged. The old value was left as it is.")

    def _refuse_in_the_clear(self, host: str) -> None:
        if not self._options.may_send_to(host):
            raise OperatorNeeded(
                f"{self.label}: the key is served on another machine, and redis:// is for this one alone; nothing was"
                " changed.",
                "Use rediss://, or say plaintext=yes.",
            )

    def _client(self, host: str, port: int, ends_at_s: float) -> Redis:
        options = self._options
        password = credential(self.label, given=options.password, file=options.password_file, name=options.password_env)
        return bounded.client(
            ends_at_s=ends_at_s,
            timeout_s=TIMEOUT_S,
            host=host,
            port=port,
            path=options.socket,
            is_tls=options.scheme == "rediss",
            ca_file=authorities(self.label, options.ca_file),
            db=options.db,
            username=options.username,
            password=None if password is None else password.reveal(),
        )


def _sent_elsewhere(client: Redis, key: str) -> tuple[str, int] | None:
    """Where a node of a cluster sends whoever asks for the key; no host means its own. None: it serves the key."""
    try:
        client.getrange(key, 0, 0)
    except MovedError as moved:
        return ("" if moved.host == "?" else moved.host), moved.port
    return None


def _may_announce(client: Redis, channel: str) -> bool:
    """Where the server can tell (Redis 7) and we may ask; elsewhere True, and publishing tells."""
    try:
        answer = client.acl_dryrun(str_if_bytes(client.acl_whoami()), "PUBLISH", channel, "")
    except ResponseError:
        return True
    return bool(answer == b"OK")
