"""HTTP as an attacker writes it: any bytes, over a plain socket."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

PATIENCE_S = 10.0


def exchange(url: str, sent: bytes, *, ends: bool = True) -> bytes:
    """Send these bytes; everything that comes back until the server closes. Unless it ``ends``, more may come."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), PATIENCE_S) as connection:
        connection.sendall(sent)
        if ends:
            connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


def ask(url: str, target: bytes, *, method: bytes = b"GET", host: bytes = b"localhost", more: bytes = b"") -> bytes:
    """The answer to a request for this very target."""
    head = b"%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s\r\n" % (method, target, host, more)
    return exchange(url, head, ends=False)


def status_of(answer: bytes) -> int:
    """The status in an answer; 0 without an answer."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0
