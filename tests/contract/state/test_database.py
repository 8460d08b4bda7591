"""A database that fails is told in words, with a remedy and without its URL, its statements or their values."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa

from config.master_key import generate_master_key
from config.settings import Settings, read_settings
from tasks.operations import Operations
from tasks.rotation.errors import InvalidInput, OperatorNeeded, RotatorError, Unavailable
from tasks.store import database
from tasks.store.columns import Moment, Span, as_millis, as_moment
from tasks.store.tables import HeartbeatRow
from tasks.wiring import Rotator, open_rotator
from tests.contract.state.scene import START, Rows, add_connection, order

CLOSED = "127.0.0.1:9"


def _settings(folder: Path, url: str | None) -> Settings:
    environment = {"ROTATOR_DATA_DIR": str(folder), "ROTATOR_MASTER_KEY": generate_master_key().reveal()}
    return read_settings(environment | ({} if url is None else {"ROTATOR_DATABASE_URL": url}))


@pytest.fixture
def unreachable(tmp_path: Path, canary: str) -> Iterator[Rotator]:
    url = f"postgresql://admin:{canary}@{CLOSED}/rotator"
    with closing(open_rotator(_settings(tmp_path, url))) as opened:
        yield opened


def _shown(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


@pytest.mark.parametrize("kind", ["sqlite"])
def test_a_database_that_refuses_connections_is_unavailable_for_every_operation(
    unreachable: Rotator, canary: str, kind: str
) -> None:
    operations = Operations(unreachable)
    for attempt in (
        unreachable.check,
        unreachable.store.upgrade,
        operations.status,
        operations.list_rotations,
        lambda: operations.rotate("web"),
        lambda: operations.create_rotation(order()),
        lambda: operations.reveal_key("web"),
        lambda: unreachable.engine.advance("id"),
        operations.rotate_master_key,
    ):
        with pytest.raises(Unavailable) as refused:
            attempt()
        assert "nothing was changed" in refused.value.message
        assert "reachable" in refused.value.remedy
        assert canary not in _shown(refused.value)
        assert "postgresql" not in str(refused.value)


def test_a_database_that_does_not_exist_is_not_taken_for_an_old_schema(
    kind: str, tmp_path: Path, canary: str, request: pytest.FixtureRequest
) -> None:
    if kind == "sqlite":
        path = tmp_path / "garbage.sqlite3"
        path.write_bytes(b"this is no database" * 100)
        url = f"sqlite:///{path}"
    else:
        server = urlsplit(request.getfixturevalue("postgres_server"))
        url = server._replace(path=f"/{canary}").geturl()
    with closing(open_rotator(_settings(tmp_path, url))) as rotator, pytest.raises(Unavailable) as refused:
        rotator.check()
    assert "db upgrade" not in str(refused.value)


@pytest.mark.parametrize("kind", ["sqlite"])
@pytest.mark.parametrize(
    "url",
    [
        "postgresql://admin:CANARY@host:CANARY@other:5432/rotator",
        "postgresql://admin:x@host:CANARY/rotator",
        "sqlite:///relative-CANARY.sqlite3",
        "sqlite://",
    ],
)
def test_a_url_that_is_none_is_refused_without_being_repeated(url: str, tmp_path: Path, canary: str, kind: str) -> None:
    settings = _settings(tmp_path, url.replace("CANARY", canary))
    with pytest.raises(InvalidInput) as refused:
        open_rotator(settings)
    assert refused.value.field == "ROTATOR_DATABASE_URL"
    assert canary not in _shown(refused.value)


@pytest.mark.parametrize("kind", ["sqlite"])
def test_a_folder_that_cannot_be_made_is_a_fault_of_the_settings(tmp_path: Path, kind: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInput) as refused:
        open_rotator(_settings(tmp_path / "data", f"sqlite:///{tmp_path}/file/rotator.sqlite3"))
    assert refused.value.field == "ROTATOR_DATABASE_URL"


@pytest.mark.parametrize("kind", ["sqlite"])
def test_the_embedded_database_is_its_owners_alone(rotator: Rotator, settings: Settings, kind: str) -> None:
    add_connection(rotator)
    files = list(settings.data_dir.glob("rotator.sqlite3*"))
    assert files
    assert all(file.stat().st_mode & 0o077 == 0 for file in files)


def test_a_failing_statement_shows_neither_itself_nor_its_values(rotator: Rotator, rows: Rows, canary: str) -> None:
    rows.ask("ALTER TABLE connections RENAME COLUMN description TO told")
    with pytest.raises(OperatorNeeded) as refused:
        add_connection(rotator, f"name-{canary}")
    for foreign in (canary, "INSERT", "VALUES"):
        assert foreign not in _shown(refused.value)
    assert "rotator db upgrade" in refused.value.remedy


def test_a_transaction_that_fails_leaves_nothing(rotator: Rotator, rows: Rows) -> None:
    before = rows.all()
    with pytest.raises(RotatorError):
        _half(rotator)
    assert rows.all() == before


def _half(rotator: Rotator) -> None:
    database = rotator.store.connections._database
    with database.write() as connection:
        connection.exec_driver_sql("INSERT INTO heartbeats (name, at) VALUES ('half', 0)")
        raise RotatorError("half way")


def test_the_real_clock_is_the_databases(kind: str, settings: Settings) -> None:
    with closing(open_rotator(settings)) as rotator:
        one, two = rotator.store.now(), rotator.store.now()
    assert timedelta(0) <= two - one < timedelta(minutes=1)
    assert one.utcoffset() == timedelta(0)


@pytest.mark.parametrize("kind", ["sqlite"])
def test_moments_and_spans_keep_their_milliseconds(kind: str) -> None:
    odd = START + timedelta(microseconds=123_999)
    assert as_moment(as_millis(odd)) == START + timedelta(milliseconds=123)
    for column in (Moment(), Span()):
        assert column.process_bind_param(None, None) is None  # type: ignore[arg-type]  # the dialect is not asked
        assert column.process_result_value(None, None) is None  # type: ignore[arg-type]  # the same


@pytest.mark.parametrize("kind", ["postgresql"])
def test_who_freezes_in_a_transaction_loses_it_and_holds_nobody_up_for_long(
    rotator: Rotator, settings: Settings, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(database, "_IDLE_MS", 500)

    def freeze() -> None:
        with frozen.store._database.write() as connection:
            connection.execute(sa.insert(HeartbeatRow).values(name="tick", at=START))
            rotator.store.record_tick()

    with closing(open_rotator(settings)) as frozen, pytest.raises(Unavailable):
        freeze()
    assert rotator.store.last_tick_age() is not None
