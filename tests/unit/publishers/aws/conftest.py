"""An AWS, and a line to it that can be tapped, cut and told lies on."""

from __future__ import annotations

import gzip
import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from secrets import token_hex
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

from config.secret import Secret
from tasks.publishers import StoredPublisher
from tasks.rotation.ports import Publication
from tests.contract.places._moto import Aws, User, profiles, running_aws
from tests.contract.places.aws_secrets_manager import LEAST as LEAST_SECRETS
from tests.contract.places.aws_ssm import LEAST as LEAST_PARAMETERS


@dataclass(frozen=True)
class Lie:
    """An answer that AWS did not give. A status of 0 hangs up."""

    status: int = 0
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


HANG_UP = Lie()


def refusal(code: str, status: int = 400, message: str = "no", **headers: str) -> Lie:
    """As AWS refuses."""
    return Lie(status, json.dumps({"__type": code, "message": message}).encode(), headers)


@dataclass
class Line:
    """The way to AWS. ``before`` and ``after`` are told of each operation; a lie of theirs is the answer."""

    url: str = ""
    heard: list[str] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)
    before: Callable[[str], object] = lambda _: None
    after: Callable[[str], object] = lambda _: None


def once(operation: str, act: Callable[[], object]) -> Callable[[str], object]:
    """What does ``act`` at the first of these operations."""
    left = [act]
    return lambda asked: left.pop()() if asked == operation and left else None


class _Handler(BaseHTTPRequestHandler):
    line: ClassVar[Line]
    aws: ClassVar[str]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        target = self.headers.get("X-Amz-Target", "")
        operation = target.rpartition(".")[2] or parse_qs(body.decode())["Action"][0]
        self.line.heard.append(operation)
        self.line.bodies.append(body.decode())
        lie = self.line.before(operation)
        answer = lie if isinstance(lie, Lie) else self._asked(body)
        lie = self.line.after(operation)
        answer = lie if isinstance(lie, Lie) else answer
        if answer.status:
            self.send_response(answer.status)
            for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)
        self.close_connection = True

    def _asked(self, body: bytes) -> Lie:
        connection = http.client.HTTPConnection(self.aws, timeout=10)
        try:
            connection.request("POST", "/", body, dict(self.headers))
            answer = connection.getresponse()
            return Lie(answer.status, answer.read(), {"Content-Type": answer.getheader("Content-Type", "")})
        finally:
            connection.close()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture(scope="session")
def aws() -> Iterator[Aws]:
    with running_aws() as running:
        yield running


@pytest.fixture
def line(aws: Aws) -> Iterator[Line]:
    with tapped(aws) as line:
        yield line


@pytest.fixture
def second_line(aws: Aws) -> Iterator[Line]:
    with tapped(aws) as line:
        yield line


@contextmanager
def tapped(aws: Aws) -> Iterator[Line]:
    line = Line()
    handler = type("Handler", (_Handler,), {"line": line, "aws": urlsplit(aws.url).netloc})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        line.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield line
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="session")
def hired(aws: Aws) -> User:
    return aws.user()


@pytest.fixture
def worker(aws: Aws, hired: User, tmp_path: Path) -> Iterator[User]:
    """We at AWS, with the least rights, in a profile of that name."""
    aws.allow(hired.name, *LEAST_SECRETS, *LEAST_PARAMETERS)
    with profiles(tmp_path, hired):
        yield hired


@pytest.fixture
def publication() -> Publication:
    return Publication(
        rotation_id=token_hex(8), rotation_name="billing", secret_name="NAME", version=2, sequence=12, value=key()
    )


def key() -> Secret:
    return Secret(f"test-key-{token_hex(16)}")


def attempts(publisher: StoredPublisher, publication: Publication) -> tuple[Callable[[], object], ...]:
    """To check, and to publish."""
    return (lambda: publisher.check("NAME")), (lambda: publisher.publish(publication))


def newer(publication: Publication, by: int = 1) -> Publication:
    """The next version of the same rotation, under a newer lease."""
    return replace(publication, version=publication.version + by, sequence=publication.sequence + by, value=key())


def zipped(text: str) -> Lie:
    """An answer that is compressed."""
    return Lie(200, gzip.compress(text.encode()), {"Content-Encoding": "gzip"})
