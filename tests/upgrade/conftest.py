"""Each test runs on SQLite and on a real PostgreSQL, on a database that has no schema yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from config.master_key import generate_master_key
from config.settings import Settings, read_settings
from tasks.store.sql_store import SqlStore, open_store
from tests.contract.state.scene import Clock, Rows
from tests.upgrade.releases import Releases


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which database."""
    return str(request.param)


@pytest.fixture
def environment(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Mapping[str, str]:
    """The variables of a process of this installation."""
    made = {
        "ROTATOR_DATA_DIR": str(tmp_path / "data"),
        "ROTATOR_MASTER_KEY": generate_master_key().reveal(),
        "ROTATOR_DATABASE_URL": f"sqlite:///{tmp_path}/data/rotator.sqlite3",
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
def store(settings: Settings, clock: Clock) -> Iterator[SqlStore]:
    """The store of a database that has no schema."""
    with closing(open_store(settings, now=clock.column())) as opened:
        yield opened


@pytest.fixture
def rows(settings: Settings, store: SqlStore) -> Iterator[Rows]:
    """The database without our code."""
    engine = sa.create_engine(settings.database().reveal())
    yield Rows(engine)
    engine.dispose()


@pytest.fixture
def releases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Releases:
    """This release, and others that a test makes up."""
    return Releases(tmp_path / "releases", monkeypatch)
