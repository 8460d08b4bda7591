"""Fixtures of the integration tests."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from config.master_key import generate_master_key
from tasks.providers.openrouter.emulator import Account, EmulatorServer
from tests.integration.deployment import Deployment
from tests.integration.processes import Process, Start
from worker.app import make_app


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start processes: ``start(name, command, environment)``. They are killed, with their groups, after the test."""
    started: list[Process] = []

    def _start(name: str, command: Sequence[str], environment: Mapping[str, str]) -> Process:
        folder = tmp_path / "cwd"
        folder.mkdir(exist_ok=True)
        process = Process(command, environment, tmp_path / f"{name}.log", folder)
        started.append(process)
        return process

    yield _start
    for process in started:
        family = process.descendants()
        process.kill_group()
        for relative in family:
            with suppress(psutil.NoSuchProcess):
                relative.kill()


@pytest.fixture
def canary() -> str:
    """Part of every key that the emulator mints; must be found nowhere but where a key belongs."""
    return f"CANARY{secrets.token_hex(8)}"


@pytest.fixture
def deployment(tmp_path: Path, postgres_url: str, broker_url: str, start: Start, canary: str) -> Iterator[Deployment]:
    """A deployment on PostgreSQL, with a tick of a second; nothing runs yet."""
    with EmulatorServer(Account(canary=canary)) as emulator:
        settings = {
            "DATA_DIR": str(tmp_path / "data"),
            "DATABASE_URL": postgres_url,
            "BROKER_URL": broker_url,
            "MASTER_KEY": generate_master_key().reveal(),
            "OPENROUTER_BASE_URL": emulator.base_url,
            "TICK_S": "1",
            "LEASE_S": "15",
            "SETTLE_S": "3",
            "RETRY_BASE_S": "0.5",
            "RETRY_MAX_S": "2",
            "WORKER_CONCURRENCY": "2",
            "LOG_LEVEL": "debug",
            "LOG_FORMAT": "json",
        }
        environment = {f"ROTATOR_{name}": value for name, value in settings.items()}
        made = Deployment(environment, tmp_path, start, emulator)
        app = make_app(made.settings)
        yield made
        app.close()
        made.rotator.close()
