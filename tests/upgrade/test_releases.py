"""Two releases on one database: who may work on which schema, and who is told to wait."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from threading import Event

import pytest

from tasks.rotation.errors import OperatorNeeded, Unavailable
from tasks.store import schema
from tasks.store.sql_store import SqlStore
from tests.contract.state.scene import Clock, Rows, at_once, race, start_processes
from tests.integration.processes import wait_for
from tests.upgrade.releases import NEWEST, Releases, migrate, revisions

STILL_AT_WORK = timedelta(minutes=2)
MILLISECOND = timedelta(milliseconds=1)
WORKERS = 3


def test_the_release_before_goes_on_and_restarts_on_the_next_schema(
    store: SqlStore, rows: Rows, releases: Releases
) -> None:
    store.upgrade()
    store.record_tick()
    releases.add("9001", works_with=NEWEST)
    with pytest.raises(OperatorNeeded, match="needs 9001") as refused:
        store.check_schema()
    assert refused.value.remedy == "Run `rotator db upgrade`."
    assert store.upgrade() == "9001"
    assert store.check_schema() == "The schema is the one that this release needs: 9001."
    releases.be(NEWEST)
    before = rows.all()
    assert store.check_schema() == (
        f"The schema is 9001, of a newer release; it still works with this one, which needs {NEWEST}."
    )
    assert store.upgrade() == "9001"
    assert rows.all() == before
    store.check_master_key()
    store.record_tick()


def test_the_release_before_that_is_told_to_upgrade_and_changes_nothing(
    store: SqlStore, rows: Rows, releases: Releases
) -> None:
    store.upgrade()
    releases.add("9001", works_with=NEWEST)
    releases.add("9002", works_with="9001")
    assert store.upgrade() == "9002"
    releases.be("9001")
    assert "still works with this one" in store.check_schema()
    releases.be(NEWEST)
    before = rows.all()
    for attempt in (store.check_schema, store.upgrade, store.downgrade):
        with pytest.raises(OperatorNeeded, match="has schema 9002, which is newer than this release") as refused:
            attempt()
        assert "rotator db upgrade" not in refused.value.remedy
    assert rows.all() == before


def test_every_migration_leaves_word_of_what_it_works_with(store: SqlStore, rows: Rows, releases: Releases) -> None:
    store.upgrade()
    releases.add("9001", works_with=NEWEST)
    store.upgrade()
    told = dict(rows.ask("SELECT revision, works_with FROM migrations"))
    assert sorted(told) == [*revisions(), "9001"]
    assert told["9001"] == NEWEST
    store.downgrade()
    assert "9001" not in dict(rows.ask("SELECT revision, works_with FROM migrations"))


# --- one step back ---------------------------------------------------------------------------------------------


def test_a_step_back_leaves_what_was_there_before(store: SqlStore, rows: Rows, releases: Releases) -> None:
    store.upgrade()
    before = rows.all()
    releases.add("9001", works_with=NEWEST)
    store.upgrade()
    assert store.downgrade() == NEWEST
    assert rows.all() == before
    with pytest.raises(OperatorNeeded, match="needs 9001"):
        store.check_schema()
    assert store.upgrade() == "9001"


def test_no_step_back_is_made_where_something_would_be_lost(store: SqlStore, rows: Rows, releases: Releases) -> None:
    store.upgrade()
    releases.add("9001", works_with=NEWEST, reversible=False)
    store.upgrade()
    before = rows.all()
    with pytest.raises(OperatorNeeded, match="something would be lost") as refused:
        store.downgrade()
    assert f"a backup that was made with schema {NEWEST}" in refused.value.remedy
    assert rows.all() == before


def test_nothing_is_before_the_first_schema(store: SqlStore, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OperatorNeeded, match="schema none; there is none before it"):
        store.downgrade()
    store.upgrade()
    rows.ask("UPDATE alembic_version SET version_num = '0001'")
    with pytest.raises(OperatorNeeded, match="schema 0001; there is none before it"):
        store.downgrade()


def test_no_step_back_is_made_while_workers_of_the_newer_release_run(
    store: SqlStore, releases: Releases, clock: Clock
) -> None:
    store.upgrade()
    releases.add("9001", works_with=NEWEST)
    store.upgrade()
    store.record_tick()
    clock.advance(timedelta(seconds=5))
    store.record_tick()
    clock.advance(STILL_AT_WORK - timedelta(seconds=6))
    with pytest.raises(OperatorNeeded, match="release that needs schema 9001 were at work") as refused:
        store.downgrade()
    assert refused.value.remedy == "Stop them, wait two minutes, and run this again."
    releases.be(NEWEST)
    store.record_tick()
    releases.be("9001")
    clock.advance(timedelta(seconds=1))
    assert store.downgrade() == NEWEST


def test_no_step_back_is_made_while_a_lease_is_held(
    store: SqlStore, rows: Rows, releases: Releases, clock: Clock
) -> None:
    store.upgrade()
    _rotation(rows)
    releases.add("9001", works_with=NEWEST)
    store.upgrade()
    assert store.leased.take_lease("r1", "worker") is not None
    with pytest.raises(OperatorNeeded, match="release that needs schema 9001 were at work"):
        store.downgrade()
    rows.ask("UPDATE rotations SET lease_until = lease_until + :longer", longer=STILL_AT_WORK // MILLISECOND)
    clock.advance(STILL_AT_WORK)
    with pytest.raises(OperatorNeeded, match="A worker holds web at this moment"):
        store.downgrade()
    clock.advance(timedelta(minutes=15))
    assert store.downgrade() == NEWEST


# --- a step that leaves older workers behind -------------------------------------------------------------------


def test_a_schema_that_workers_at_work_could_not_live_with_waits_for_their_end(
    store: SqlStore, rows: Rows, releases: Releases, clock: Clock
) -> None:
    store.upgrade()
    store.record_tick()
    releases.add("9001", works_with=NEWEST)
    assert store.upgrade() == "9001"
    releases.add("9002", works_with="9001")
    before = rows.all()
    with pytest.raises(OperatorNeeded, match=f"release that needs schema {NEWEST} were at work"):
        store.upgrade()
    assert rows.all() == before
    clock.advance(STILL_AT_WORK)
    releases.be("9001")
    store.record_tick()
    _rotation(rows)
    assert store.leased.take_lease("r1", "worker") is not None
    releases.be("9002")
    assert store.upgrade() == "9002"


def test_two_releases_at_once_wait_for_every_lease(
    store: SqlStore, rows: Rows, releases: Releases, clock: Clock
) -> None:
    store.upgrade()
    _rotation(rows)
    assert store.leased.take_lease("r1", "worker") is not None
    rows.ask("UPDATE migrations SET worked_at = NULL")
    releases.add("9001", works_with=NEWEST)
    releases.add("9002", works_with="9001")
    with pytest.raises(OperatorNeeded, match="A worker holds web at this moment"):
        store.upgrade()
    clock.advance(timedelta(minutes=15))
    assert store.upgrade() == "9002"


# --- locks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["postgresql"], indirect=True)
def test_a_migration_may_take_its_time_but_does_not_wait_long_for_a_table(
    store: SqlStore, rows: Rows, releases: Releases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever wants a table waits behind a migration that wants it, so it gives up before they do."""
    monkeypatch.setattr(schema, "_TABLE_LOCK_MS", 100)
    store.upgrade()
    lasting = "CREATE TABLE patience AS SELECT current_setting('statement_timeout') AS of_statements"
    releases.add("9001", works_with=NEWEST, statement=f"{lasting}; ALTER TABLE events ADD COLUMN more INTEGER")
    before = rows.all()
    with rows.engine.begin() as worker:
        worker.exec_driver_sql("INSERT INTO events (at, name, actor, why, detail) VALUES (0, 'x', 'x', '', '{}')")
        with pytest.raises(Unavailable, match="lock timeout"):
            store.upgrade()
        worker.rollback()
    assert rows.all() == before
    assert store.upgrade() == "9001"
    assert rows.one("SELECT of_statements FROM patience") == "0"


@pytest.mark.parametrize("kind", ["postgresql"], indirect=True)
def test_workers_that_write_all_the_time_neither_fail_nor_keep_a_migration_from_being_made(
    store: SqlStore, rows: Rows
) -> None:
    """Writing as the engine does: the rotation first, then its versions, then events."""
    migrate(rows.engine, revisions()[-2])
    _rotation(rows)
    ended = Event()
    written: list[int] = []

    def work(number: int) -> None:
        while number and not ended.is_set():
            _write_once(rows, f"{number}-{len(written)}")
            written.append(number)
        if not number:
            wait_for(lambda: len(written) > WORKERS, "the workers work")
            store.upgrade()
            before = len(written)
            wait_for(lambda: len(written) > before + WORKERS, "the workers go on")
            ended.set()

    at_once(1 + WORKERS, work)
    assert store.schema() == NEWEST
    assert rows.one("SELECT count(*) FROM key_versions") == len(written)


def _write_once(rows: Rows, name: str) -> None:
    with rows.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE rotations SET last_version = last_version + 1 WHERE id = 'r1'")
        connection.exec_driver_sql(
            "INSERT INTO key_versions (id, rotation_id, number, state, reason, actor, key_hash, emergency, doomed,"
            f" reviving, attempts) SELECT '{name}', 'r1', last_version, 'retiring', 'manual', 'x', '{name}', false,"
            " false, false, 0 FROM rotations WHERE id = 'r1'"
        )
        connection.exec_driver_sql("INSERT INTO events (at, name, actor, why, detail) VALUES (0, 'x', 'x', '', '{}')")


def test_processes_that_upgrade_an_older_schema_at_once_make_one_of_it(
    environment: Mapping[str, str], store: SqlStore, rows: Rows
) -> None:
    migrate(rows.engine, revisions()[-2])
    code = (
        "from config.settings import settings\n"
        "from tasks.wiring import open_rotator\n"
        "rotator = open_rotator(settings())\n"
        "go()\n"
        "print(json.dumps(rotator.store.upgrade()))\n"
    )
    assert race(start_processes(code, [environment] * 3)) == [NEWEST] * 3
    assert rows.one("SELECT count(*) FROM migrations") == len(revisions())
    assert rows.one("SELECT count(*) FROM installation") == 1


def _rotation(rows: Rows) -> None:
    rows.ask(
        "INSERT INTO connections (id, name, app, method, key_sealed, key_revision, fingerprint, health, health_message,"
        " checked_at, binds_keys, created_at, updated_at)"
        " VALUES ('c1', 'prod', 'open-router', 'api-key', '', 1, '', 'valid', '', 0, false, 0, 0)"
    )
    rows.ask(
        'INSERT INTO rotations (id, name, connection_id, key_name, include_byok_in_limit, every, timezone, "window",'
        " overlap, cooling, secret_name, created_at, paused, last_version, revision, lease_fence)"
        " VALUES ('r1', 'web', 'c1', 'web', false, 1000, 'UTC', 0, 0, 0, 'KEY', 0, false, 0, 0, 0)"
    )
