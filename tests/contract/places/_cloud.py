"""A little internet on this machine, for the clients of cloud vendors.

They are used as they are, with the vendors' real addresses: ``HTTPS_PROXY`` and ``HTTP_PROXY`` lead here, and
``REQUESTS_CA_BUNDLE`` names an authority that was made at run time. This proxy ends TLS with a certificate for the
host that was asked for, and lets a Python function answer as that host.
"""

from __future__ import annotations

import json
import os
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import parse_qsl, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

HOSTS = [
    "*.googleapis.com",
    "*.europe-west3.rep.googleapis.com",
    "*.vault.azure.net",
    "*.vault.azure.cn",
    "login.microsoftonline.com",
    "login.chinacloudapi.cn",
]


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    host: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, object]:
        """The body's object."""
        content = json.loads(self.body or b"{}")
        assert isinstance(content, dict)
        return content


@dataclass(frozen=True)
class Answer:
    """What a host says. ``dropped``: the connection ends instead."""

    status: int = 200
    body: object = field(default_factory=dict)
    """Bytes go as they are, everything else as JSON."""
    headers: Mapping[str, str] = field(default_factory=dict)
    dropped: bool = False


Host = Callable[[Asked], Answer]


class Cloud(ThreadingHTTPServer):
    """The proxy, and behind it every host."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bundle = folder / "authority.pem"
        self.tls = _certified(folder, self.bundle)
        self.hosts: dict[str, Host] = {}
        self.between: Callable[[Asked], Answer | None] = lambda asked: None
        """May answer in a host's place."""
        self.asked: list[Asked] = []
        self.tunnels = True

    @property
    def environment(self) -> dict[str, str]:
        """What leads a client here."""
        url = f"http://127.0.0.1:{self.server_address[1]}"
        return {"https_proxy": url, "http_proxy": url, "no_proxy": "", "REQUESTS_CA_BUNDLE": str(self.bundle)}

    def answer(self, asked: Asked) -> Answer:
        """Of the host that was asked."""
        self.asked.append(asked)
        host = self.hosts.get(asked.host)
        return self.between(asked) or (host(asked) if host else Answer(502, b"no such host"))

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no news."""

    @contextmanager
    def entered(self, host: str, answers: Host) -> Iterator[None]:
        """``answers`` is ``host`` inside the block, and the environment leads here."""
        self.hosts[host] = answers
        try:
            with pytest.MonkeyPatch.context() as patched:
                for name, value in self.environment.items():
                    patched.setenv(name, value)
                yield
        finally:
            del self.hosts[host]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body go in two writes, and the second would wait for an acknowledgement
    server: Cloud

    def do_CONNECT(self) -> None:
        if not self.server.tunnels:
            self.send_error(502)
            return
        self.tunnel = self.path.rpartition(":")[0]
        self.close_connection = False  # Python asks as HTTP/1.0, and goes on nevertheless
        self.send_response(200)
        self.end_headers()
        self.connection = self.server.tls.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)

    def finish(self) -> None:
        super().finish()
        self.connection.close()

    def _answer(self) -> None:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        host = getattr(self, "tunnel", url.hostname or "")
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.answer(Asked(self.command, host, url.path, dict(parse_qsl(url.query)), headers, body))
        if answer.dropped:
            self.close_connection = True
            return
        self._send(answer)

    def _send(self, answer: Answer) -> None:
        content = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(content)), **answer.headers}
        self.send_response(answer.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 - http.server looks for these names

    def log_message(self, format: str, *args: object) -> None:
        """Tests look at ``asked``."""


@contextmanager
def running_cloud() -> Iterator[Cloud]:
    """The proxy on a free port; hosts are added as they are needed."""
    with TemporaryDirectory() as folder, Cloud(Path(folder)) as cloud:
        thread = threading.Thread(target=cloud.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield cloud
        finally:
            cloud.shutdown()
            thread.join()


def _certified(folder: Path, bundle: Path) -> ssl.SSLContext:
    """A server's TLS, with a certificate of an authority that stands in ``bundle``."""
    authority, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority of a test")]), datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.DNSName(host) for host in HOSTS])

    def signed(subject: x509.Name, public: ec.EllipticCurvePublicKey, extension: x509.ExtensionType) -> bytes:
        builder = x509.CertificateBuilder(issuer, subject, public, x509.random_serial_number(), now, now + timedelta(1))
        certificate = builder.add_extension(extension, critical=True).sign(authority, hashes.SHA256())
        return certificate.public_bytes(Encoding.PEM)

    bundle.write_bytes(signed(issuer, authority.public_key(), x509.BasicConstraints(ca=True, path_length=0)))
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a host of a test")])
    server = folder / "server.pem"
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    server.write_bytes(secret + signed(subject, key.public_key(), names))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server)
    os.remove(server)
    return context
