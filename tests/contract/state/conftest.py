"""Each test runs on SQLite and on a real PostgreSQL, with a real emulator for OpenRouter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from secrets import token_hex

import pytest
import sqlalchemy as sa
from celery import Celery, current_app

from config.master_key import generate_master_key
from config.secret import Secret
from config.settings import Settings, read_settings
from tasks.operations import Operations
from tasks.providers.openrouter.emulator import Account, EmulatorServer
from tasks.store.sql_store import open_store
from tasks.wiring import Rotator
from tests.contract.state.scene import Clock, Rows


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which database."""
    return str(request.param)


@pytest.fixture
def canary() -> str:
    """Part of every key and password of the test, to be searched for."""
    return f"canary{token_hex(8)}"


@pytest.fixture
def management_key(canary: str) -> Secret:
    """A key that the emulator takes for a management key."""
    return Secret(f"emulator-{canary}-management")


@pytest.fixture
def openrouter(canary: str) -> Iterator[EmulatorServer]:
    """OpenRouter, as far as anyone here can tell."""
    server = EmulatorServer(Account(canary=canary)).start()
    yield server
    server.stop()


@pytest.fixture
def environment(
    kind: str, tmp_path: Path, openrouter: EmulatorServer, request: pytest.FixtureRequest
) -> Mapping[str, str]:
    """The variables of a process of this installation."""
    key_file = tmp_path / "ring"
    key_file.touch(mode=0o600)
    key_file.write_text(generate_master_key().reveal(), encoding="utf-8")
    made = {
        "ROTATOR_DATA_DIR": str(tmp_path / "data"),
        "ROTATOR_MASTER_KEY_FILE": str(key_file),
        "ROTATOR_OPENROUTER_BASE_URL": openrouter.base_url,
        "ROTATOR_LEASE_S": "60",
    }
    if kind == "postgresql":
        made["ROTATOR_DATABASE_URL"] = request.getfixturevalue("postgres_url")
    return made


@pytest.fixture
def settings(environment: Mapping[str, str]) -> Settings:
    """The same, read."""
    return read_settings(environment)


@pytest.fixture
def clock() -> Clock:
    """The database's clock."""
    return Clock()


@pytest.fixture
def empty(settings: Settings, clock: Clock) -> Iterator[Rotator]:
    """A rotator whose database has no schema yet."""
    with closing(Rotator(settings, open_store(settings, now=clock.column()), actor="test")) as opened:
        yield opened


@pytest.fixture
def rotator(empty: Rotator) -> Rotator:
    """A rotator ready to work."""
    empty.store.upgrade()
    return empty


@pytest.fixture
def operations(rotator: Rotator) -> Operations:
    """What an operator may ask of it."""
    return Operations(rotator)


@pytest.fixture
def rows(settings: Settings, empty: Rotator) -> Iterator[Rows]:
    """The database without our code."""
    engine = sa.create_engine(settings.database().reveal())
    yield Rows(engine)
    engine.dispose()


@pytest.fixture(autouse=True)
def broker() -> Iterator[Celery]:
    """A broker that takes every message and has no worker."""
    before = current_app._get_current_object()
    app = Celery("test", broker="memory://", set_as_current=True)
    yield app
    app.close()
    before.set_current()
