"""A migration that is written stays as it is, and says what each has to say."""

from __future__ import annotations

import pytest

from tasks.store import schema
from tests.contract.state.scene import Rows
from tests.upgrade.frozen import FOLDER, made_by, stored
from tests.upgrade.releases import NEWEST, revisions

MIGRATIONS = schema.migrations()


@pytest.mark.parametrize("revision", revisions())
def test_a_migration_makes_what_it_made_when_it_was_written(revision: str, rows: Rows) -> None:
    """Red after an edit: write a further migration instead. For a new one: ``python -m tests.upgrade.frozen``."""
    assert (FOLDER / f"{revision}.json").exists(), "store it: python -m tests.upgrade.frozen"
    assert made_by(rows.engine, revision) == stored(revision)[rows.engine.dialect.name]


def test_no_frozen_schema_is_without_its_migration() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.json")) == revisions()


@pytest.mark.parametrize("revision", revisions())
def test_every_migration_says_with_whom_it_works_and_whether_it_may_be_taken_back(revision: str) -> None:
    """The release before must go on; a release that was left behind once does not come back."""
    migration, order = MIGRATIONS[revision], list(MIGRATIONS)
    assert isinstance(migration.reversible, bool)
    if migration.down_revision is None:
        assert migration.works_with == revision
        return
    before = MIGRATIONS[migration.down_revision]
    assert order.index(before.works_with) <= order.index(migration.works_with) < order.index(revision)


def test_the_migrations_are_one_line() -> None:
    assert list(MIGRATIONS) == sorted(MIGRATIONS)
    assert [m.down_revision for m in MIGRATIONS.values()] == [None, *list(MIGRATIONS)[:-1]]
    assert schema.newest() == NEWEST
