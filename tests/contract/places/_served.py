"""A server on loopback for emulators: they are functions from a request to an answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass(frozen=True)
class Request:
    """What was asked. ``path`` holds the decoded parts between the slashes."""

    method: str
    path: tuple[str, ...]
    query: dict[str, str]
    headers: Message
    body: bytes

    @property
    def bearer(self) -> str:
        return (self.headers.get("Authorization") or "").removeprefix("Bearer ")

    @property
    def json(self) -> dict[str, object]:
        """The body as an object; empty for anything else."""
        try:
            found = json.loads(self.body)
        except ValueError:
            found = None
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True)
class Response:
    """What is answered; None for the body is none at all."""

    status: int
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def bytes(self) -> bytes:
        if self.body is None:
            return b""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


HANG_UP = Response(0)
"""The connection ends without an answer."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    answer: ClassVar[Callable[[Request], Response]]

    def handle_one_request(self) -> None:
        with suppress(ConnectionError):  # whoever asked has heard enough
            super().handle_one_request()

    def handle_any(self) -> None:
        url = urlsplit(self.path)
        response = type(self).answer(
            Request(
                method=self.command,
                path=tuple(unquote(part) for part in url.path.strip("/").split("/")),
                query={name: values[0] for name, values in parse_qs(url.query).items()},
                headers=self.headers,
                body=self.rfile.read(int(self.headers.get("Content-Length") or 0)),
            )
        )
        if response is HANG_UP:
            self.close_connection = True
            return
        self.send_response_only(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.bytes)))
        self.end_headers()
        self.wfile.write(response.bytes)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815 - the library's names

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving(answer: Callable[[Request], Response]) -> Iterator[str]:
    """The address of a server that answers so."""
    handler = type("Handler", (_Handler,), {"answer": staticmethod(answer)})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
