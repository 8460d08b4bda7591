"""A deployment as in production: ``celery -A worker ...`` processes on a real broker and database, and the emulator."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
from dotenv import dotenv_values

from config.secret import Secret
from config.settings import Settings, read_settings
from tasks.operations import Operations
from tasks.operations.requests import RotationRequest, ScheduleRequest
from tasks.providers.openrouter.emulator import EmulatorServer
from tasks.rotation.model import KeyVersion, VersionState
from tasks.wiring import Rotator, open_rotator
from tests.integration.processes import Process, Start, celery, wait_for

NAME = "web"


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Flower:
    """A Flower process and how to get in."""

    process: Process
    url: str
    credentials: tuple[str, str]

    def get(self, path: str) -> httpx.Response:
        """Look."""
        return httpx.get(self.url + path, auth=self.credentials, timeout=10)

    def post(self, path: str, body: object) -> httpx.Response:
        """Ask for a change."""
        return httpx.post(self.url + path, json=body, auth=self.credentials, timeout=10)


class Deployment:
    """Its processes get settings and nothing else; the test looks at it through the operator's door."""

    def __init__(self, environment: dict[str, str], folder: Path, start: Start, emulator: EmulatorServer) -> None:
        self.environment = environment
        self.settings: Settings = read_settings(environment)
        self.emulator = emulator
        self.env_file = folder / "app.env"
        self.management_key = f"emulator-{secrets.token_hex(24)}"
        self.processes: list[Process] = []
        self._start = start
        self.rotator: Rotator = open_rotator(self.settings, actor="test")
        self.rotator.store.upgrade()
        self.operations = Operations(self.rotator)

    def run(self, name: str, *arguments: str, **settings: str) -> Process:
        """Start ``celery -A worker ARGUMENTS`` with these settings on top."""
        environment = self.environment | {f"ROTATOR_{k}": v for k, v in settings.items()}
        process = self._start(name, celery(*arguments), environment)
        self.processes.append(process)
        return process

    def worker(self, name: str = "worker") -> Process:
        """A worker that is ready."""
        process = self.run(name, "worker", "-n", f"{name}@%h")
        process.says("worker_ready")
        return process

    def beat(self, name: str = "beat") -> Process:
        """A beat that ticks."""
        process = self.run(name, "beat")
        process.says("beat_ready")
        return process

    def flower(self, *, writable: bool) -> Flower:
        """A Flower that answers."""
        port, credentials = free_port(), ("operator", secrets.token_hex(16))
        process = self.run(
            "flower",
            "flower",
            FLOWER_PORT=str(port),
            FLOWER_BASIC_AUTH=":".join(credentials),
            FLOWER_WRITABLE=str(writable).lower(),
        )
        flower = Flower(process, f"http://127.0.0.1:{port}", credentials)

        def answers() -> bool:
            try:
                return flower.get("/healthcheck").is_success
            except httpx.TransportError:
                return False

        wait_for(answers, "Flower answers")
        return flower

    def rotate_every(self, every: str, *, overlap: str = "1s", cooling: str = "1s") -> None:
        """Set up a connection and a rotation that publishes to a dotenv file."""
        self.operations.create_connection("prod", Secret(self.management_key))
        self.operations.create_rotation(
            RotationRequest(
                name=NAME,
                connection="prod",
                key_name="web key",
                schedule=ScheduleRequest(every=every),
                overlap=overlap,
                cooling=cooling,
                publish=(Secret(f"dotenv:{self.env_file}"),),
            )
        )

    def versions(self) -> tuple[KeyVersion, ...]:
        """Every version so far, by number."""
        return self.operations.history(NAME).versions

    def active(self, number: int) -> Callable[[], bool]:
        """Whether this version is, or was, active."""
        return lambda: any(v.number == number and v.active_at is not None for v in self.versions())

    def deleted(self, number: int) -> Callable[[], bool]:
        """Whether this version's life is over."""
        return lambda: any(v.number == number and v.state is VersionState.DELETED for v in self.versions())

    def published(self) -> str:
        """The key that applications read."""
        return str(dotenv_values(self.env_file)["OPENROUTER_API_KEY"])

    def published_is_accepted(self) -> bool:
        """Whether OpenRouter accepts the key that applications read."""
        answer = httpx.get(
            f"{self.emulator.base_url}/key", headers={"Authorization": f"Bearer {self.published()}"}, timeout=5
        )
        return answer.status_code == 200

    def logs(self) -> str:
        """All that every process printed."""
        return "\n".join(process.text for process in self.processes)
