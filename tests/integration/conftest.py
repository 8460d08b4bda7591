"""Fixtures of the integration tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.integration.processes import Process, Start


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
