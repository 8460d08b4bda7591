"""Data in every state is migrated, up and down again: no row is lost, and every rotation goes on to its rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from secrets import token_hex
from typing import Final

import pytest
import sqlalchemy as sa

from config.secret import Secret
from tasks.rotation.errors import OperatorNeeded
from tasks.rotation.model import Reason, Removal, VersionState
from tasks.store import schema
from tasks.store.sql_store import SqlStore
from tests.contract.state.scene import Rows
from tests.steered.installation import CONNECTION, Installation, steered
from tests.steered.truth import Truth
from tests.upgrade.every_state import let_go, live_every_way, watch
from tests.upgrade.rebuilt import Content, content, rebuild
from tests.upgrade.releases import NEWEST, Releases, migrate, revisions

A_WHILE: Final = timedelta(minutes=16)
"""Longer than a lease, and than the time in which a worker that was seen counts as running."""
OLDER: Final = revisions()[:-1]
STARTS_EMPTY: Final[dict[str, tuple[str, ...]]] = {
    "connections": ("project_id",),
    "rotations": ("description", "project_id", "environment", "secret_path", "updated_at"),
    "key_versions": ("warn_at", "warned_at"),
    "destinations": (
        *("optional", "on_drift", "leaving", "check_at"),
        *("attempts", "next_attempt_at", "error_family", "error", "remedy"),
    ),
    "deliveries": ("attempts", "next_attempt_at", "error_family", "remedy", "receipt", "drifted_at"),
    "api_tokens": (),
    "sessions": (),
    "answers": (),
    "tallies": (),
    "notice_targets": (),
}
"""What a migration adds and cannot fill: tables, and columns of tables that there were."""


@pytest.fixture
def lived(environment: Mapping[str, str], tmp_path: Path) -> Iterator[tuple[Installation, Truth]]:
    """An installation of this release that has lived every way, and what watches over it."""
    settings = {name: environment[f"ROTATOR_{name}"] for name in ("DATABASE_URL", "MASTER_KEY")}
    (tmp_path / "data").mkdir()
    with steered(tmp_path, Secret(f"emulator-{token_hex(12)}"), **settings) as installation:
        installation.rotator.store.upgrade()
        installation.operations.create_connection(CONNECTION, installation.management_key)
        live_every_way(installation)
        yield installation, watch(installation)


@pytest.fixture
def engine(environment: Mapping[str, str]) -> Iterator[sa.Engine]:
    """The installation's database, without our code."""
    made = sa.create_engine(environment["ROTATOR_DATABASE_URL"].replace("postgresql:", "postgresql+psycopg:"))
    yield made
    made.dispose()


def _every_state_is_there(rows: Content) -> None:
    versions, rotations = rows["key_versions"], rows["rotations"]
    assert {v["state"] for v in versions} == set(VersionState)
    assert {v["reason"] for v in versions} == set(Reason)
    assert {(r["removal"], r["removed_at"] is None) for r in rotations} >= {
        (str(r), b) for r in Removal for b in (0, 1)
    }
    for flag in ("reviving", "doomed", "emergency", "attempts", "error", "key_sealed", "settles_at"):
        assert {bool(v[flag]) for v in versions} == {True, False}, flag
    assert {c["deleted_at"] is None for c in rows["connections"]} == {True, False}


def _every_column_holds_something(rows: Content) -> None:
    for table, lines in rows.items():
        assert lines, f"nothing is in {table}"
        empty = [c for c in lines[0] if all(line[c] in (None, 0, "", b"") for line in lines)]
        assert not empty, f"nothing is in {empty} of {table}"


def _what_is_known_is_filled_in(newer: Content, older: Content) -> None:
    """A new column is filled from what there is, unless nobody can have said yet what it holds."""
    made = {
        table: [c for c in lines[0] if c not in STARTS_EMPTY.get(table, ())] for table, lines in newer.items() if lines
    }
    assert set(newer) - set(made) <= set(STARTS_EMPTY)
    known = {table: [{c: line[c] for c in made[table]} for line in newer[table]] for table in made}
    assert set(known) >= set(older)
    _every_column_holds_something(known)


def _as_before(before: Content, after: Content) -> Content:
    """What is ``after`` of the tables and columns that there were ``before``."""
    return {table: [{c: row[c] for c in before[table][0]} for row in after[table]] for table in before}


def _goes_on(installation: Installation, truth: Truth) -> None:
    """To its rest, where every promise holds; and once more from there. An older release knows of no destination that
    is leaving: it takes that one for one of its own."""
    let_go(installation)
    installation.operations.rotate("moving")
    installation.run_until_rest()
    truth.excused.clear()
    truth.check_rest()
    truth.dead |= {str(installation.active("heir").key_hash)}  # a deleted rotation has it recorded too, and for good
    for name in ("web", "heir", "killed"):
        installation.operations.rotate(name)
    installation.run_until_rest()
    truth.check_rest()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("revision", OLDER)
def test_every_state_of_an_older_schema_goes_up_down_and_up_again_and_then_on(
    revision: str, lived: tuple[Installation, Truth], engine: sa.Engine, releases: Releases
) -> None:
    installation, truth = lived
    store = installation.rotator.store
    _every_column_holds_something(content(engine))
    older = rebuild(engine, revision)
    _every_state_is_there(older)
    _every_column_holds_something(older)
    releases.be(_after(revision))
    assert store.upgrade() == _after(revision)
    newer = content(engine)
    _what_is_known_is_filled_in(newer, older)
    assert _as_before(older, newer) == older
    installation.clock.move(A_WHILE)
    assert _taken_back(store, engine) == (older if _loses_nothing(_after(revision)) else newer)
    assert store.upgrade() == _after(revision)
    assert content(engine) == newer
    releases.be(NEWEST)
    assert store.upgrade() == NEWEST
    assert _as_before(newer, content(engine)) == newer
    installation.rotator.check()
    _goes_on(installation, truth)


def _after(revision: str) -> str:
    return revisions()[revisions().index(revision) + 1]


def _loses_nothing(revision: str) -> bool:
    return bool(schema.migrations()[revision].reversible)


def _taken_back(store: SqlStore, engine: sa.Engine) -> Content:
    """What there is after the step back; the same as before it where something would be lost."""
    found = str(store.schema())
    if _loses_nothing(found):
        store.downgrade()
    else:
        with pytest.raises(OperatorNeeded, match="something would be lost"):
            store.downgrade()
    return content(engine)


def test_a_key_that_two_rotations_hold_is_not_upgraded_over(store: SqlStore, rows: Rows) -> None:
    """Both are named and nothing is changed; once one of them is deleted, the other goes on with the key."""
    migrate(rows.engine, "0001")
    rows.ask(_CONNECTION)
    for name in ("shop", "web"):
        rows.ask(_ROTATION, id=name, name=name)
        rows.ask(_VERSION, id=f"{name}-1", rotation=name, state="active")
    before = rows.all()
    with pytest.raises(OperatorNeeded) as refused:
        store.upgrade()
    assert "shop (version 1) and web (version 1) hold the key abcd" in refused.value.message
    assert "rotator rotation delete NAME --keep-keys" in refused.value.remedy
    assert rows.all() == before
    rows.ask("UPDATE rotations SET removal = 'keep-keys', removed_at = 1 WHERE name = 'shop'")
    assert store.upgrade() == NEWEST
    released = dict(rows.ask("SELECT rotation_id, released_at FROM key_versions"))
    assert released == {"shop": 1, "web": None}
    with pytest.raises(sa.exc.IntegrityError):
        rows.ask("UPDATE key_versions SET released_at = NULL")


_CONNECTION: Final = (
    "INSERT INTO connections (id, name, app, method, key_sealed, key_revision, fingerprint, health, health_message,"
    " checked_at, binds_keys, created_at, updated_at)"
    " VALUES ('c1', 'prod', 'open-router', 'api-key', '', 1, '', 'valid', '', 0, false, 0, 0)"
)
_ROTATION: Final = (
    'INSERT INTO rotations (id, name, connection_id, key_name, include_byok_in_limit, every, timezone, "window",'
    " overlap, cooling, secret_name, created_at, paused, last_version, revision, lease_fence)"
    " VALUES (:id, :name, 'c1', 'web', false, 1000, 'UTC', 0, 0, 0, 'KEY', 0, false, 1, 0, 0)"
)
_VERSION: Final = (
    "INSERT INTO key_versions (id, rotation_id, number, state, reason, actor, key_hash, emergency, doomed, reviving,"
    " attempts) VALUES (:id, :rotation, 1, :state, 'adopted', 'test', 'abcd', false, false, false, 0)"
)
