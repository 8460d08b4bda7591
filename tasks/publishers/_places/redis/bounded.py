"""Connections for one call of ours: bounded in time and size, whatever the server sends.

The client's own timeout begins anew with each piece of an answer, and it takes as much as it is told will come.
"""

from __future__ import annotations

from time import monotonic
from typing import Any, Final

from redis import Redis
from redis.backoff import NoBackoff
from redis.connection import Connection, ConnectionPool, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import InvalidResponse
from redis.retry import Retry

LASTS_S: Final = 15.0
"""For all that one call of ours receives; connecting takes ``faults.TIMEOUT_S`` for each address at most."""
LARGEST: Final = 64 * 1024
"""Bytes, of all answers on one connection together. A key has some hundred."""


class _Socket:
    """Stands in for a socket: what it receives must come before the call's end, and must not be too much."""

    def __init__(self, inner: Any, ends_at_s: float) -> None:
        self._inner = inner
        self._ends_at_s = ends_at_s
        self._left = LARGEST

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def recv(self, size: int) -> bytes:
        """As a socket's."""
        self._hurry()
        data: bytes = self._inner.recv(min(size, self._left + 1))
        self._count(len(data))
        return data

    def recv_into(self, buffer: Any, size: int = 0) -> int:
        """As a socket's."""
        self._hurry()
        received: int = self._inner.recv_into(buffer, min(size or len(buffer), self._left + 1))
        self._count(received)
        return received

    def _hurry(self) -> None:
        left_s = self._ends_at_s - monotonic()
        if left_s <= 0:
            raise TimeoutError
        if timeout_s := self._inner.gettimeout():
            self._inner.settimeout(min(timeout_s, left_s))

    def _count(self, received: int) -> None:
        self._left -= received
        if self._left < 0:
            raise InvalidResponse


def _bounded(kind: type) -> Any:
    class Bounded(kind):  # type: ignore[misc]  # each of the client's three kinds, which have no base with a socket
        def __init__(self, *, ends_at_s: float, **options: Any) -> None:
            super().__init__(**options)
            self._ends_at_s = ends_at_s

        def _connect(self) -> _Socket:
            if monotonic() >= self._ends_at_s:
                raise TimeoutError
            return _Socket(super()._connect(), self._ends_at_s)

    return Bounded


_TCP, _TLS, _UNIX = map(_bounded, (Connection, SSLConnection, UnixDomainSocketConnection))


def client(
    *,
    ends_at_s: float,
    timeout_s: float,
    host: str,
    port: int,
    path: str,
    ca_file: str | None,
    is_tls: bool,
    **options: Any,
) -> Redis:
    """A client of one server. Nothing is shared between processes, and nothing is retried behind our back."""
    chosen: dict[str, Any] = {"host": host, "port": port, "socket_connect_timeout": timeout_s}
    if path:
        chosen = {"path": path}
    elif is_tls:
        chosen["ssl_ca_certs"] = ca_file
    pool = ConnectionPool(
        connection_class=_UNIX if path else _TLS if is_tls else _TCP,
        ends_at_s=ends_at_s,
        socket_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        protocol=2,  # every server speaks it, and we need no more
        **chosen,
        **options,
    )
    return Redis.from_pool(pool)
