"""A migration is made whole or not at all, whenever it is killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tasks.store import schema
from tasks.store.sql_store import SqlStore
from tests.contract.state.scene import Rows
from tests.habits.house import TOP
from tests.upgrade.releases import NEWEST, Releases, migrate, revisions

pytestmark = pytest.mark.timeout(400)
PATIENCE_S = 300
"""Some fifty processes start and die, on a machine that may be busy."""
LEAST = 3
"""Statements of the smallest migration: it looks where it stands, changes something and notes it."""


def _killed_at_every_statement(act: str, environment: Mapping[str, str], *migrations: Path) -> tuple[int, list[int]]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ROTATOR_")}
    command = [sys.executable, "-m", "tests.upgrade.dying", act, *map(str, migrations)]
    ran = subprocess.run(
        command,
        check=False,
        env=inherited | dict(environment),
        cwd=TOP,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert ran.returncode == 0, ran.stderr
    answer: Any = json.loads(ran.stdout)
    return answer[0], answer[1]


@pytest.mark.parametrize("before", [None, *revisions()[:-1]])
def test_an_upgrade_that_is_killed_at_any_statement_changes_nothing(
    before: str | None, environment: Mapping[str, str], rows: Rows, store: SqlStore
) -> None:
    if before is not None:
        migrate(rows.engine, before)
    deaths, changed = _killed_at_every_statement("upgrade", environment)
    assert deaths > LEAST
    assert changed == []
    store.check_schema()
    store.check_master_key()
    assert store.schema() == NEWEST


REVERSIBLE = [
    name for name, migration in schema.migrations().items() if migration.reversible and name != revisions()[0]
]


@pytest.mark.parametrize("revision", REVERSIBLE)
def test_a_step_back_that_is_killed_at_any_statement_changes_nothing(
    revision: str, environment: Mapping[str, str], store: SqlStore, releases: Releases
) -> None:
    releases.be(revision)
    store.upgrade()
    deaths, changed = _killed_at_every_statement("downgrade", environment, releases.migrations_of(revision))
    assert deaths > LEAST
    assert changed == []
    assert store.schema() == revisions()[revisions().index(revision) - 1]
    releases.be(NEWEST)
    assert store.upgrade() == NEWEST
