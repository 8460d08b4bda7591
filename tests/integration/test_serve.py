"""``rotator serve``: it says where it is, ends as it is told to, and says clearly why it does not begin."""

from __future__ import annotations

import re
import signal
import socket
import ssl
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from config.settings import read_settings
from tasks.operations import Operations
from tasks.wiring import open_rotator
from tests.integration.deployment import free_port
from tests.integration.processes import Process, Start
from tests.leaks.hunt import Hunt

SERVE = [str(Path(sys.executable).with_name("rotator")), "serve"]
PORT_0 = {"ROTATOR_WEB_PORT": "0"}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Settings of an installation that nobody has started yet."""
    return {"ROTATOR_DATA_DIR": str(tmp_path / "data"), "ROTATOR_SHUTDOWN_S": "20", **PORT_0}


def _url(process: Process) -> str:
    process.says("web_ready")
    (line,) = [line for line in process.text.splitlines() if "web_ready" in line]
    found = re.search(r"https?://[^\s'\"]+", line)
    assert found is not None, line
    return found[0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_makes_the_database_says_where_it_is_and_ends_by_a_signal(
    environment: dict[str, str], start: Start, number: signal.Signals
) -> None:
    process = start("serve", SERVE, environment)
    url = _url(process)
    assert url.startswith("http://127.0.0.1:")
    assert "rotator token create NAME --role admin" in process.text
    assert httpx.get(f"{url}/readyz", timeout=10).status_code == 200
    process.signal(number)
    assert process.wait() == 0, process.text
    assert "Traceback" not in process.text


SLOW = """
import time
from datetime import timedelta
from types import SimpleNamespace
from fastapi import FastAPI
from config.logging import configure_logging
from config.settings import settings
from worker.web.server import server_for

app = FastAPI()
app.state.web = SimpleNamespace(news=SimpleNamespace(end=lambda: None))

@app.get("/slow")
def slow(seconds: float) -> str:
    print("asked", flush=True)
    time.sleep(seconds)
    return "answered"

configure_logging(settings())
server = server_for(app, address="127.0.0.1", port={port}, stops_within=timedelta(seconds=3))
server.url = "http://127.0.0.1:{port}"
server.run()
"""
"""The same server, over a route that takes as long as it is told to."""


@pytest.mark.parametrize(("seconds", "answered"), [(1.0, True), (60.0, False)])
def test_what_it_was_asked_is_answered_before_the_end_unless_it_takes_too_long(
    environment: dict[str, str], start: Start, seconds: float, answered: bool
) -> None:
    process = start("slow", [sys.executable, "-c", SLOW.format(port=free_port())], environment)
    url = _url(process)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(httpx.get, f"{url}/slow", params={"seconds": seconds}, timeout=20)
        process.says("asked")
        began = time.monotonic()
        process.terminate()
        assert process.wait() == 0, process.text
        assert time.monotonic() - began < 6
        assert (answer.exception() is None and answer.result().status_code == 200) == answered
    assert ("requests_cut_off" in process.text) != answered


def _stuck(url: str) -> socket.socket:
    """A client that has begun to send a body, and does not go on."""
    host, _, port = url.removeprefix("http://").partition(":")
    made = socket.create_connection((host, int(port)), timeout=10)
    made.sendall(b"POST /api/v1/app-connections/open-router HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10\r\n\r\n1")
    return made


def test_a_client_that_never_finishes_holds_it_up_no_longer_than_is_allowed(
    environment: dict[str, str], start: Start
) -> None:
    process = start("serve", SERVE, environment | {"ROTATOR_SHUTDOWN_S": "2"})
    with _stuck(_url(process)):
        began = time.monotonic()
        process.terminate()
        assert process.wait() == 0, process.text
        assert time.monotonic() - began < 6


def test_a_second_signal_ends_it_at_once(environment: dict[str, str], start: Start) -> None:
    process = start("serve", SERVE, environment)
    with _stuck(_url(process)):
        began = time.monotonic()
        process.terminate()
        time.sleep(0.5)  # two signals at once are one
        process.terminate()
        assert process.wait() == -signal.SIGTERM
        assert time.monotonic() - began < 10


def test_nothing_that_it_is_sent_is_in_what_it_prints(environment: dict[str, str], start: Start, canary: str) -> None:
    """At debug: a good token, a wrong one, keys in a query, a path, a cookie, a header, a form and JSON."""
    process = start("serve", SERVE, environment | {"ROTATOR_LOG_LEVEL": "debug", "ROTATOR_LOG_FORMAT": "json"})
    url = _url(process)
    with closing(open_rotator(read_settings(environment))) as rotator:
        token = Operations(rotator).create_token("ci", "admin")[1].reveal()
    good = {"Authorization": f"Bearer {token}"}
    key = f"sk-or-v1-{canary}"
    with httpx.Client(base_url=url, timeout=10) as client:
        assert client.get("/api/rotator/v1/status", headers=good).status_code == 200
        for headers in (good, {"Authorization": f"Bearer rtk_0a1b_{canary}"}, {"Cookie": f"session={canary}"}, {}):
            client.get("/api/rotator/v1/status", params={"key": key}, headers=headers)
            client.post("/api/rotator/v1/connections", json={"name": key, "api_key": key}, headers=headers)
            client.post("/api/rotator/v1/connections", content=key, headers=headers)
            client.get(f"/api/rotator/v1/rotations/{key}", headers=headers)
            client.post("/sign-in", data={"token": key}, headers=headers)
    process.terminate()
    assert process.wait() == 0
    hunt = Hunt(canary, token.rpartition("_")[2][:16])
    hunt.look("log", process.text)
    assert process.text.count('"path"') > 10
    assert hunt.findings == []


def test_a_port_that_is_taken_is_one_clear_error(environment: dict[str, str], start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        process = start("serve", [*SERVE, "--port", port], environment)
        assert process.wait() == 1
    assert f"error: The HTTP API cannot listen on port {port} of 127.0.0.1: Address already in use." in process.text
    assert "ROTATOR_WEB_PORT" in process.text
    assert "Traceback" not in process.text


def test_off_loopback_without_tls_is_refused_unless_it_is_said(environment: dict[str, str], start: Start) -> None:
    refused = start("refused", [*SERVE, "--address", "0.0.0.0"], environment)
    assert refused.wait() == 2
    assert "ROTATOR_WEB_TLS_CERTIFICATE" in refused.text
    assert "ROTATOR_WEB_PLAIN_HTTP" in refused.text
    said = start("said", [*SERVE, "--address", "0.0.0.0"], environment | {"ROTATOR_WEB_PLAIN_HTTP": "true"})
    assert _url(said).startswith("http://0.0.0.0:")


def test_an_older_database_and_another_master_key_are_told_in_one_line(
    environment: dict[str, str], start: Start, tmp_path: Path
) -> None:
    _url(first := start("first", SERVE, environment))
    first.terminate()
    assert first.wait() == 0
    (tmp_path / "data" / "master.key").unlink()
    second = start("second", SERVE, environment)
    assert second.wait() != 0
    assert "error: " in second.text
    assert "master.key" in second.text
    assert "Traceback" not in second.text


# --- TLS --------------------------------------------------------------------------------------------------------------


def _key_and_certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "rotator")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir()
    paths = folder / "web.crt", folder / "web.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(_pem(key, serialization.NoEncryption()))
    return paths


def _pem(key: ec.EllipticCurvePrivateKey, encryption: serialization.KeySerializationEncryption) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def test_with_a_certificate_it_speaks_tls_and_nothing_older_than_1_2(
    environment: dict[str, str], start: Start, tmp_path: Path
) -> None:
    certificate, key = _key_and_certificate(tmp_path / "tls")
    process = start("serve", [*SERVE, "--tls-certificate", str(certificate), "--tls-key", str(key)], environment)
    url = _url(process)
    assert url.startswith("https://127.0.0.1:")
    trusting = ssl.create_default_context(cafile=str(certificate))
    assert httpx.get(f"{url}/healthz", verify=trusting, timeout=10).json() == {"status": "ok"}
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/healthz", timeout=10)
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"{url.replace('https', 'http')}/healthz", timeout=10)


def test_a_certificate_that_cannot_be_used_is_told_as_such(
    environment: dict[str, str], start: Start, tmp_path: Path
) -> None:
    certificate, key = _key_and_certificate(tmp_path / "one")
    _, other = _key_and_certificate(tmp_path / "two")
    locked = tmp_path / "locked.key"
    encryption = serialization.BestAvailableEncryption(b"passphrase")
    locked.write_bytes(_pem(ec.generate_private_key(ec.SECP256R1()), encryption))
    missing = tmp_path / "missing.key"
    said = {
        other: "they do not belong together",
        certificate: "they are not PEM, or are damaged",
        locked: "the key asks for a passphrase",
        missing: f"ROTATOR_WEB_TLS_KEY: cannot read {missing}: No such file or directory",
    }
    begun = {
        path: start(path.name, [*SERVE, "--tls-certificate", str(certificate), "--tls-key", str(path)], environment)
        for path in said
    }
    for path, words in said.items():
        assert begun[path].wait() == 2
        assert words in begun[path].text
        assert "Traceback" not in begun[path].text
    alone = start("alone", [*SERVE, "--tls-key", str(key)], environment)
    assert alone.wait() == 2
    assert "ROTATOR_WEB_TLS_CERTIFICATE: TLS takes both" in alone.text
