"""A row is input too: whatever one rotation's rows say, the others go on, and it does not keep anybody busy."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.jobs import advance
from tasks.rotation.model import VersionState
from tasks.safe_task import PublicError
from tests.property.effort import effort
from tests.property.outcome import raised
from tests.steered.installation import Template, copied, make_template

AGES: Final = [-(2**62), -1, 0, 2**53, 2**62]
"""Moments and spans in milliseconds that no calendar and no operator has."""
IMPOSSIBLE: Final[dict[str, dict[str, Sequence[object]]]] = {
    "rotations": {
        "every": [*AGES, None],
        "every_at": ["25:61", "x", "03:00:00.5"],
        "cron": ["not cron", "", "0 0 30 2 *", "* " * 500, "0 0 * * 9"],
        "timezone": ["Mars/Olympus", "", "../../etc/passwd"],
        "window": AGES,
        "overlap": AGES,
        "cooling": AGES,
        "expires_after": AGES,
        "limit_usd": [-1.0, 1e308, float("inf")],
        "limit_reset": ["yearly"],
        "removal": ["maybe"],
        "last_rotated_at": AGES,
        "created_at": AGES,
        "last_version": [-5, 2**62],
        "revision": [-1, 2**62],
        "lease_fence": [-1, 2**62],
        "lease_until": AGES,
        "dispatched_until": AGES,
        "secret_name": ["", "A=B\nC", "\0"],
        "key_name": ["", "\0" * 5000],
        "paused": [7],
    },
    "key_versions": {
        "state": ["zombie", "", "ACTIVE"],
        "reason": ["because"],
        "number": [-1, 2**62],
        "attempts": [-1, 2**62],
        "asked": ["[]", "{}", '"x"', '{"key_name": 5}'],
        "next_attempt_at": AGES,
        "expires_at": AGES,
        "active_at": AGES,
        "key_hash": ["", "../..", "a" * 5000, None],
        "key_sealed": [b"", b"x" * 60],
        "doomed": [1],
    },
    "destinations": {"kind": ["nosuch", "", ".."], "target_sealed": [b"", b"x" * 60], "label": ["", "\0"]},
    "deliveries": {"delivered_at": [*AGES, None]},
}
PLACES: Final = [(table, column) for table, columns in IMPOSSIBLE.items() for column in columns]
OF_BAD: Final = {
    "rotations": "name = 'bad'",
    "key_versions": "rotation_id = (SELECT id FROM rotations WHERE name = 'bad')",
    "destinations": "rotation_id = (SELECT id FROM rotations WHERE name = 'bad')",
    "deliveries": "version_id IN (SELECT v.id FROM key_versions v JOIN rotations r ON r.id = v.rotation_id "
    "WHERE r.name = 'bad')",
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return make_template(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for each example."""
    root, numbers = tmp_path_factory.mktemp("rows"), iter(range(10**9))

    def fresh() -> Iterator[Path]:
        while True:
            made = root / str(next(numbers))
            made.mkdir()
            yield made

    return fresh()


@effort(15)
@given(place=st.sampled_from(PLACES), data=st.data())
def test_beside_a_row_that_cannot_be_a_healthy_rotation_goes_on(
    template: Template, folders: Iterator[Path], place: tuple[str, str], data: st.DataObject
) -> None:
    (table, column), value = place, data.draw(st.sampled_from(IMPOSSIBLE[place[0]][place[1]]))
    with ExitStack() as stack:
        installation = stack.enter_context(copied(template, next(folders)))
        for name in ("bad", "web"):
            installation.create(name, files=(f"{name}.env",), every="1d", overlap="1h", cooling="1h")
        installation.run_for(timedelta(minutes=5))
        before = installation.active("web").number
        file = installation.settings.data_dir / "rotator.sqlite3"
        with closing(sqlite3.connect(file, isolation_level=None)) as database:
            changed = raised(
                sqlite3.IntegrityError,
                lambda: database.execute(f"UPDATE {table} SET {column} = ? WHERE {OF_BAD[table]}", (value,)),
            )
        if changed is not None:
            return  # the database itself does not take it
        stack.enter_context(patch("tasks.jobs.rotator", lambda: installation.rotator))
        failures, turns = [], 0
        for _ in range(30):
            installation.clock.move(timedelta(hours=1))
            for rotation_id in installation.rotator.store.claim_due(100):
                failure = raised(PublicError, partial(advance, rotation_id=rotation_id))
                turns += rotation_id == installation.rotation_ids["bad"]
                if failure is not None:
                    assert rotation_id == installation.rotation_ids["bad"], failure
                    failures.append(failure)
        assert installation.active("web").number > before
        assert all(v.state is not VersionState.ABANDONED for v in installation.versions("web"))
        assert turns <= 30, "it was handed out more than once a tick"
        assert installation.operations.show_rotation("web").status == "ok"
