"""The schema: made once whoever asks, the same by migrations as by models, and never worked on when it is another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext

import tasks.store
from config.master_key import generate_master_key
from config.settings import Settings, SettingsError, read_settings
from tasks.operations import Operations
from tasks.rotation.errors import CannotDecrypt, OperatorNeeded
from tasks.store.sql_store import open_store
from tasks.store.tables import Base
from tasks.wiring import Rotator
from tests.contract.state.scene import Rows, add_connection, order, race, start_processes

NEWEST = "0004"


def _alembic(rows: Rows, act: Callable[[Config], None]) -> None:
    """Alembic as a person would use it, without ``schema.upgrade``."""
    config = Config()
    config.set_main_option("script_location", str(Path(tasks.store.__file__).with_name("migrations")))
    with rows.engine.begin() as connection:
        config.attributes["connection"] = connection
        act(config)


def test_a_fresh_database_is_refused_with_what_to_run(empty: Rotator) -> None:
    assert empty.store.schema() is None
    with pytest.raises(OperatorNeeded) as refused:
        empty.check()
    assert "rotator db upgrade" in refused.value.remedy


def test_an_upgrade_makes_the_schema_and_a_second_one_nothing(empty: Rotator, rows: Rows) -> None:
    assert empty.store.upgrade() == NEWEST
    first = rows.all()
    assert empty.store.upgrade() == NEWEST
    assert rows.all() == first
    empty.check()


def test_processes_that_upgrade_at_once_make_one_schema(environment: Mapping[str, str], rows: Rows) -> None:
    code = (
        "from config.settings import settings\n"
        "from tasks.wiring import open_rotator\n"
        "rotator = open_rotator(settings())\n"
        "go()\n"
        "print(json.dumps(rotator.store.upgrade()))\n"
        "rotator.check()\n"
    )
    assert race(start_processes(code, [environment] * 4)) == [NEWEST] * 4
    assert rows.one("SELECT count(*) FROM installation") == 1
    assert rows.one("SELECT count(*) FROM alembic_version") == 1


def test_migrations_make_what_the_models_say(rotator: Rotator, rows: Rows) -> None:
    with rows.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True, "render_as_batch": True}
        )
        assert compare_metadata(context, Base.metadata) == []


def test_partial_indexes_are_the_same_by_migrations_and_by_models(rotator: Rotator, rows: Rows) -> None:
    """Alembic does not compare the condition of an index, and ours keep a second key from being minted."""
    where = {
        str(index.name): str(index.dialect_options[rows.engine.dialect.name]["where"])
        for table in Base.metadata.tables.values()
        for index in table.indexes
        if index.dialect_options[rows.engine.dialect.name]["where"] is not None
    }
    found = _index_texts(rows)
    assert len(where) == 7
    for name, condition in where.items():
        assert "WHERE" in found[name]
        for word in condition.replace("(", " ").replace(")", " ").replace(",", " ").split():
            assert word in found[name] or word == "IN"


def _index_texts(rows: Rows) -> dict[str, str]:
    if rows.engine.dialect.name == "postgresql":
        return dict(rows.ask("SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"))
    return dict(rows.ask("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"))


def test_a_newer_schema_is_left_alone_and_asks_for_the_newer_program(rotator: Rotator, rows: Rows) -> None:
    rows.ask("UPDATE alembic_version SET version_num = '9999'")
    before = rows.all()
    for attempt in (rotator.check, rotator.store.upgrade):
        with pytest.raises(OperatorNeeded, match="newer") as refused:
            attempt()
        assert "9999" in refused.value.message
        assert "rotator db upgrade" not in refused.value.remedy
    assert rows.all() == before


def test_a_schema_that_lost_its_tables_is_told_as_such(rotator: Rotator, rows: Rows) -> None:
    rows.ask("DROP TABLE heartbeats")
    with pytest.raises(OperatorNeeded, match="schema is not the one"):
        rotator.store.record_tick()


def test_an_upgrade_that_fails_at_its_end_changes_nothing(empty: Rotator, settings: Settings, rows: Rows) -> None:
    assert settings.master_key_file is not None
    key = settings.master_key_file.read_text()
    settings.master_key_file.write_text("spoilt")
    with pytest.raises(CannotDecrypt):
        empty.store.upgrade()
    assert rows.tables() == []
    settings.master_key_file.write_text(key)
    assert empty.store.upgrade() == NEWEST


def test_a_downgrade_takes_everything_away(rotator: Rotator, rows: Rows) -> None:
    _alembic(rows, lambda config: command.downgrade(config, "base"))
    assert rows.tables() == ["alembic_version"]
    assert rotator.store.schema() is None
    assert rotator.store.upgrade() == NEWEST
    rotator.check()


@pytest.mark.parametrize("state", ["planned", "creating", "created", "proven", "active"])
def test_the_database_itself_rejects_a_second_version_in_flight_or_active(
    state: str, rotator: Rotator, rows: Rows
) -> None:
    """Whatever code writes: the rule stands in the database."""
    rotation_id = _rotation(rotator)
    _insert(rows, rotation_id, 1, "planned" if state != "active" else "active")
    with pytest.raises(sa.exc.IntegrityError):
        _insert(rows, rotation_id, 2, state)
    _insert(rows, rotation_id, 2, "deleted")
    _insert(rows, rotation_id, 3, "retiring")
    _insert(rows, rotation_id, 4, "abandoned")
    with pytest.raises(sa.exc.IntegrityError):
        _insert(rows, rotation_id, 4, "deleted")


def _rotation(rotator: Rotator) -> str:
    add_connection(rotator)
    return Operations(rotator).create_rotation(order()).id


def _insert(rows: Rows, rotation_id: str, number: int, state: str) -> None:
    rows.ask(
        "INSERT INTO key_versions"
        " (id, rotation_id, number, state, reason, actor, emergency, doomed, reviving, attempts)"
        " VALUES (:id, :rotation, :number, :state, 'manual', 'test', false, false, false, 0)",
        id=f"{number}-{state}",
        rotation=rotation_id,
        number=number,
        state=state,
    )


def test_another_master_key_is_one_clear_error_at_the_start(settings: Settings, rotator: Rotator) -> None:
    assert settings.master_key_file is not None
    settings.master_key_file.write_text(generate_master_key().reveal())
    with pytest.raises(CannotDecrypt) as refused:
        rotator.check()
    assert str(settings.master_key_file) in refused.value.message
    assert "Put the master key that this database was written with" in refused.value.remedy


def test_a_lost_embedded_master_key_is_told_at_the_start(tmp_path: Path) -> None:
    chosen = read_settings({"ROTATOR_DATA_DIR": str(tmp_path)})
    first = open_store(chosen)
    first.upgrade()
    first.close()
    (tmp_path / "master.key").unlink()
    with pytest.raises(SettingsError, match=r"master\.key: it is missing"):
        open_store(chosen)
    assert not (tmp_path / "master.key").exists()
