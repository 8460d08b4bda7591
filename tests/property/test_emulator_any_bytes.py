"""Whatever bytes come in by the emulator's socket, no thread of it falls over, and who asks next is answered."""

from __future__ import annotations

import secrets
import socket
import socketserver
import sys
from collections.abc import Iterator
from typing import Final
from unittest.mock import patch
from urllib.request import urlopen

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.providers.openrouter.emulator import EmulatorServer
from tests.property.effort import effort

MANAGEMENT_KEY: Final = f"emulator-{secrets.token_hex(8)}"


@pytest.fixture(scope="module")
def server() -> Iterator[EmulatorServer]:
    with EmulatorServer() as running:
        yield running


_targets = st.sampled_from(
    [
        "/api/v1/keys",
        "/api/v1/key?a=%ff&b",
        "/_emulator/state",
        "/_emulator/faults",
        "*",
        "/",
        "//",
        "http://x/api/v1/key",
        "/\xff",
        "",
    ]
)
_heads = st.lists(
    st.sampled_from(
        [
            f"Authorization: Bearer {MANAGEMENT_KEY}", "Authorization: Bearer \xff", "Authorization: Basic x",
            "Content-Length: 2", "Content-Length: -5", "Content-Length: 9999999999", "Content-Length: x",
            "Transfer-Encoding: chunked", "X" * 70_000, "Expect: 100-continue", "Connection: close", "no colon",
            ": x", "Host: x",
        ]
    ),
    max_size=4,
)  # fmt: skip
_http_methods = st.sampled_from(["GET", "POST", "PATCH", "DELETE", "PUT", "HEAD", "OPTIONS", "get", "X" * 50, ""])
_versions = st.sampled_from(["HTTP/1.1", "HTTP/1.0", "HTTP/0.9", "HTTP/9.9", "HTTP/x", ""])
requests = st.builds(
    lambda method, target, version, head, body: (
        "\r\n".join([f"{method} {target} {version}", *head]).encode("latin-1") + b"\r\n\r\n" + body
    ),
    _http_methods,
    _targets,
    _versions,
    _heads,
    st.sampled_from([b"", b"{}", b"[", b"\xff" * 10]),
)


@effort(50)
@given(sent=requests | st.binary(max_size=60))
def test_any_bytes_leave_the_server_answering_and_silent(server: EmulatorServer, sent: bytes) -> None:
    fell: list[BaseException | None] = []
    noted = patch.object(socketserver.BaseServer, "handle_error", lambda *_: fell.append(sys.exception()))
    with noted, socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert not fell
    assert b"Traceback" not in answer
    assert not answer.startswith(b"HTTP/1.1 500")
    with urlopen(f"{server.control_url}/state") as asked_next:
        assert asked_next.status == 200
